"""The main process's end of a recording: packs, puts into the ring, and watches the recorder process."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from vrapp.core.errors import OutputError
from vrapp.core.events import Event
from vrapp.core.generation import GeneratedObject, GenerationRequest
from vrapp.core.input import InputSnapshot, pack_snapshot
from vrapp.study import channels, parts, writer
from vrapp.study.channels import Topic
from vrapp.study.ring import DEFAULT_CAPACITY, Ring, State, Word

WATCH_S = 0.25
RETRY_S = 2.0
CLOSE_S = 20.0

_log = logging.getLogger(__name__)


class Recorder:
    """Records a visit into ``folder``. No call waits for the disk, except the first and ``close``.

    ``session`` goes into every part file as metadata: seed, weights hash, version, command line, clock.
    Raises OutputError where the folder can't be written or holds a recording already.
    """

    def __init__(self, folder: Path, session: Mapping[str, Any], capacity: int = DEFAULT_CAPACITY) -> None:
        self._folder = folder
        self._session = {name: str(value) for name, value in session.items()}
        self._session["started"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._part = 0
        self.path = parts.create(folder, self._part)
        try:
            self._ring = Ring(capacity=capacity)
        except OSError as e:
            self.path.unlink()
            raise OutputError(
                f"No shared memory is left for recording ({e.strerror}); free some in /dev/shm."
            ) from None
        self._process = self._start(self.path)
        self._watch_due_s = time.monotonic() + WATCH_S
        self._retry_due_s = 0.0
        self._warned: set[str] = set()
        self._closed = False

    @property
    def dropped(self) -> int:
        """Records lost because the ring was full."""
        return self._ring[Word.DROPPED]

    def frame(self, snapshot: InputSnapshot) -> None:
        """Record what the user did in this frame. Called once a frame; costs some 15 µs."""
        self._ring.put(Topic.INPUT, snapshot.time_ns, pack_snapshot(snapshot))
        if time.monotonic() >= self._watch_due_s:
            self._watch()

    def event(self, event: Event) -> None:
        """Record an event."""
        self._ring.put(Topic.EVENTS, event.time_ns, channels.event_json(event))

    def request(self, time_ns: int, request: GenerationRequest) -> None:
        """Record that an object was asked for."""
        self._ring.put(Topic.DECISIONS, time_ns, channels.request_json(request))

    def shown(self, time_ns: int, handle: int, made: GeneratedObject) -> None:
        """Record that a generated object was put into the scene."""
        self._ring.put(Topic.DECISIONS, time_ns, channels.shown_json(handle, made))

    def reshaped(self, time_ns: int, handle: int, made: GeneratedObject, size: float) -> None:
        """Record that an object has another shape from now on, and ``size`` metres of edge."""
        self._ring.put(Topic.DECISIONS, time_ns, channels.reshaped_json(handle, made, size))

    def decision(self, time_ns: int, kind: str, **facts: Any) -> None:
        """Record any other decision; ``facts`` are plain JSON values."""
        self._ring.put(Topic.DECISIONS, time_ns, channels.decision_json(kind, **facts))

    def close(self) -> None:
        """Wait until all is in the file. Safe to call twice. Raises OutputError where something was lost."""
        if self._closed:
            return
        self._closed = True
        try:
            self._finish()
            if self._ring[Word.TAIL] < self._ring[Word.HEAD] or self.dropped:
                raise OutputError(f"The recording in '{self._folder}' is not complete: {self._why_lost()}.")
        finally:
            if self._process.is_alive():  # a disk that hangs: the main process does not hang with it
                self._process.kill()
            self._process.join()
            self._ring.close()

    def _finish(self) -> None:
        """Let the recorder end; where it died before, a new one writes what is still in the ring."""
        self._ring[Word.CLOSED] = 1
        self._process.join(CLOSE_S)
        if not self._process.is_alive() and self._ring[Word.STATE] != State.FINISHED:
            with contextlib.suppress(OutputError):  # close tells what is missing
                self._begin_part()
                self._process.join(CLOSE_S)

    def _why_lost(self) -> str:
        if self._process.is_alive():
            return f"the disk did not take the rest within {CLOSE_S:.0f} s"
        if self._ring[Word.STATE] == State.FAILED:
            return f"{os.strerror(self._ring[Word.ERRNO])}; make room and record again"
        return f"{self.dropped} records did not fit while the disk was too slow"

    def _watch(self) -> None:
        """Notice a dead recorder and begin a new part file; warn once for each reason, and go on."""
        now_s = time.monotonic()
        self._watch_due_s = now_s + WATCH_S
        if self.dropped:
            self._warn("The disk is too slow for the recording: parts of it are lost.")
        if self._process.is_alive() or now_s < self._retry_due_s:
            return
        self._retry_due_s = now_s + RETRY_S
        failed = self._ring[Word.STATE] == State.FAILED
        why = os.strerror(self._ring[Word.ERRNO]) if failed else "its process ended unexpectedly"
        try:
            self._begin_part()
        except OutputError as e:
            self._warn(f"{e} The world goes on without recording, and tries again.")
        else:
            self._warn(f"The recording stopped ({why}); it goes on in '{self.path}'.")

    def _warn(self, sentence: str) -> None:
        reason = sentence.split("(", maxsplit=1)[0]
        if reason not in self._warned:
            self._warned.add(reason)
            _log.warning(sentence)

    def _begin_part(self) -> None:
        self._process.join()
        self._part += 1
        self.path = parts.create(self._folder, self._part)
        self._process = self._start(self.path)

    def _start(self, path: Path) -> BaseProcess:
        self._ring[Word.STATE] = State.STARTING
        topics = [tuple(channel) for channel in channels.channels()]
        process = multiprocessing.get_context("spawn").Process(
            target=writer.record,
            args=(self._ring.name, str(path), topics, {**self._session, "part": str(self._part)}),
            name="vrapp recorder",
            daemon=True,
        )
        with _interrupts_ignored():
            process.start()
        return process


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A child started meanwhile ignores Ctrl-C from its first instruction, not only once it is set up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
