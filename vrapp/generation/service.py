"""The running program's generator: a worker process behind ``core.generation.Generator``.

Nothing here waits, except ``collect`` under a fixed clock. Torch is never imported in this process.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vrapp.core.errors import WorkerDied
from vrapp.core.generation import GeneratedObject, GenerationRequest, GeneratorFigures
from vrapp.core.platform import SharedBlock, children_ignore_interrupts, poller, usable_cores
from vrapp.generation.packing import read_mesh
from vrapp.generation.worker import PACES, Answer, Batch, Crashed, Job, Pace, Refused, Settings, Started, run_worker

SLOT_BYTES = 6 << 20  # only pages that were written take memory
RESHAPE_LATENCY_FRAMES = 8  # under a fixed clock; about what a worker of its own takes
DEATHS_IN_A_ROW = 3
_SILENCE_LIMIT_S = 600.0
_KEPT_LATENCIES = 1_000

log = logging.getLogger(__name__)


class Description(Protocol):
    """What is known of weights without loading them."""

    @property
    def categories(self) -> Any:
        """Names, in the networks' order."""

    @property
    def weights_hash(self) -> str:
        """sha256 of the file's tensors and settings."""

    @property
    def latent_basis(self) -> Any:
        """(k, 704) float32."""


@dataclass(frozen=True)
class ModelSource:
    """How to read a weights file: its description here, the networks in the worker (picklable)."""

    describe: Callable[[Path], Description]
    load: Callable[[Path], Any]


def shipped_source() -> ModelSource:
    """The project's own format of weights."""
    from vrapp.generation.weights import describe_weights, load_weights

    return ModelSource(describe_weights, load_weights)


class State(Enum):
    """STARTING → READY → STOPPED; STARTING again while the worker is replaced; CLOSED at the end."""

    STARTING = "starting"
    READY = "ready"
    STOPPED = "stopped"
    CLOSED = "closed"


@dataclass
class _Pending:
    """A request on its way. Its slot is free again once it is delivered."""

    request: GenerationRequest
    attempt: int
    slot: int
    frame_index: int
    submitted_s: float
    is_answered: bool = False
    answer: GeneratedObject | None = None
    deaths: int = 0

    @property
    def in_hands(self) -> bool:
        """Whether it names its latent."""
        return self.request.latent is not None


def default_threads() -> int:
    """Half of the cores, at most 4: the main thread and a software rasteriser need the rest."""
    return max(1, min(4, usable_cores() // 2))


class WorkerGenerator:
    """Objects out of a worker process.

    ``fixed_latency_frames``: None in real time; L under a fixed clock, where each result is delivered
    exactly L frames after its request, ``collect`` waiting for it if need be. ``slots`` bounds the
    requests on their way; those that name their latent have one more, and a shorter L, of their own.
    ``draws_only``: the objects have latents and no meshes, which are made elsewhere (``device_service``). Raises
    WeightsError where the file is missing or not ours.
    """

    def __init__(
        self,
        weights: Path,
        *,
        fixed_latency_frames: int | None = None,
        slots: int = 16,
        threads: int | None = None,
        source: ModelSource | None = None,
        draws_only: bool = False,
    ) -> None:
        source = source or shipped_source()
        description = source.describe(weights)
        self.categories: tuple[str, ...] = tuple(description.categories)
        self.weights_hash: str = description.weights_hash
        self.latent_basis = np.asarray(description.latent_basis, np.float32)
        self.figures = GeneratorFigures(device="cpu")
        self.state = State.STARTING
        self._latency_frames = fixed_latency_frames
        self._slots = slots
        self._settings = Settings(
            weights, description.weights_hash, source.load, threads or default_threads(), SLOT_BYTES,
            may_merge=fixed_latency_frames is None, draws_only=draws_only,
        )  # fmt: skip
        self._unsent: list[Job] = []  # of this frame; under a fixed clock they go together
        self._block = SharedBlock((slots + 1) * SLOT_BYTES)
        self._free = list(range(slots))
        self._free_in_hands = [slots]
        self._pending: dict[int, _Pending] = {}
        self._decoded: dict[int, GeneratedObject | None] = {}
        self._unmade: deque[int] = deque(maxlen=slots)  # no more are on their way; not everybody asks
        self._pace = "load"
        self._frame_index = 0
        self._deaths_in_a_row = 0
        self._crash = self._told = ""  # what the worker said before it ended; what the log has of it
        self._heard_s = time.perf_counter()
        self._start()

    def submit(self, request: GenerationRequest, attempt: int = 0) -> bool:
        """Queue ``request``; False while all slots for its kind are taken, or after the worker was given up.

        ``attempt``: which of its draws, with ``draws_only``.
        """
        if request.request_id in self._pending:
            raise ValueError(f"Request {request.request_id} is on its way already.")
        if not 0 <= request.steering.category < len(self.categories):
            raise ValueError(f"Category {request.steering.category} is not among {len(self.categories)}.")
        free = self._free if request.latent is None else self._free_in_hands
        if self.state not in {State.STARTING, State.READY} or not free:
            return False
        slot = free.pop()
        self._pending[request.request_id] = _Pending(request, attempt, slot, self._frame_index, time.perf_counter())
        if request.latent is not None:
            self.figures.reshape_asked += 1
            self._send(Batch((Job(slot, request, attempt),)))
            return True
        self.figures.requested += 1
        self._count_in_flight()
        self._unsent.append(Job(slot, request, attempt))
        if self._latency_frames is None:
            self._flush()
        return True

    def collect(self, frame_index: int) -> list[GeneratedObject]:
        """What is due, oldest request first.

        Raises the worker's VrappError where the weights turn out to be unusable, and WorkerDied, under
        a fixed clock, where the worker cannot be kept alive or a result takes minutes.
        """
        self._frame_index = frame_index
        self._flush()
        self._receive()
        if not self._pending and self.state is not State.STOPPED:
            return []
        due = [p for p in self._pending.values() if self._is_due(p)]
        if self._latency_frames is not None:
            self._await(due)
        for pending in due:
            del self._pending[pending.request.request_id]
            (self._free_in_hands if pending.in_hands else self._free).append(pending.slot)
        self._count_in_flight()
        self._decoded |= {p.request.request_id: p.answer for p in due if p.in_hands}
        others = [p for p in due if not p.in_hands]
        self._unmade += [p.request.request_id for p in others if p.answer is None]
        return [p.answer for p in others if p.answer is not None]

    def unmade(self) -> list[int]:
        """Requests of which, as ``collect`` has found since the last call, nothing comes."""
        found = list(self._unmade)
        self._unmade.clear()
        return found

    def decoded(self) -> dict[int, GeneratedObject | None]:
        """What came of requests that name their latent, by request; None where the gate refused it."""
        found, self._decoded = self._decoded, {}
        return found

    def work(self, gpu_ms: float | None, period_ms: float) -> None:
        """The worker needs no GPU."""

    def set_pace(self, pace: str) -> None:
        """``"load"``, ``"idle"`` or ``"off"`` (finishes what it is at, then rests)."""
        if pace not in PACES:
            raise ValueError(f"A pace is one of {', '.join(PACES)}, not '{pace}'.")
        if pace != self._pace:
            self._pace = pace
            self._send(Pace(pace))

    def close(self) -> None:
        """End the worker: it holds nothing worth saving, so it is killed. Safe to call twice."""
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self._end_process()
        self._block.close()

    def _is_due(self, pending: _Pending) -> bool:
        if self._latency_frames is None:
            return pending.is_answered
        frames = min(self._latency_frames, RESHAPE_LATENCY_FRAMES) if pending.in_hands else self._latency_frames
        return self._frame_index - pending.frame_index >= frames

    def _count_in_flight(self) -> None:
        """Of what the bank asks for."""
        self.figures.in_flight = sum(not p.in_hands for p in self._pending.values())

    def _await(self, due: list[_Pending]) -> None:
        """Return once all of ``due`` are answered."""
        self._heard_s = time.perf_counter()
        while self.state is State.STOPPED or not all(p.is_answered for p in due):
            if self.state is State.STOPPED:
                raise WorkerDied(self._death_sentence())
            if time.perf_counter() - self._heard_s > _SILENCE_LIMIT_S:
                raise WorkerDied(
                    f"The generator said nothing for {_SILENCE_LIMIT_S:.0f} s under the fixed clock; "
                    "is the machine overloaded, or the generator's pace 'off'?"
                )
            connection.wait([self._pipe, self._process.sentinel], 1.0)
            self._receive()

    def _start(self) -> None:
        """A fresh worker, and everything unanswered asked again."""
        context = get_context("spawn")
        first = self._deaths_in_a_row == 0  # after a death one by one, to find the request that causes it
        settings = replace(self._settings, may_merge=self._settings.may_merge and first)
        self._pipe, theirs = context.Pipe()
        self._has_message = poller(self._pipe)
        self._process = context.Process(
            target=run_worker, args=(theirs, self._block, settings), name="vrapp-generator", daemon=True
        )
        with children_ignore_interrupts():
            self._process.start()
        theirs.close()  # so that the pipe ends when the worker does
        self.state, self._crash = State.STARTING, ""
        if self._pace != "load":
            self._send(Pace(self._pace))
        for pending in self._pending.values():
            if not pending.is_answered:
                self._send(Batch((Job(pending.slot, pending.request, pending.attempt),)))
        self._unsent = []

    def _flush(self) -> None:
        if self._unsent:
            self._send(Batch(tuple(self._unsent)))
            self._unsent = []

    def _send(self, message: Batch | Pace) -> None:
        try:
            self._pipe.send(message)
        except OSError:  # the worker is gone; the next ``collect`` sees to it
            log.debug("the generator's worker did not take %s", type(message).__name__)

    def _receive(self) -> None:
        if self.state is State.STOPPED or self.state is State.CLOSED:
            return
        try:
            while self._has_message():
                self._on_message(self._pipe.recv())
        except (EOFError, OSError):
            self._on_death()

    def _on_message(self, message: Started | Refused | Crashed | Answer) -> None:
        self._heard_s = time.perf_counter()
        match message:
            case Started():
                self.state = State.READY
                self.figures.device = message.device
            case Refused():
                self.state = State.STOPPED
                raise message.error
            case Crashed():
                self._crash = message.trace
            case Answer():
                self._deaths_in_a_row = 0
                self._on_answer(message)

    def _on_answer(self, answer: Answer) -> None:
        pending = self._pending[answer.request_id]
        pending.is_answered = True
        for why in () if pending.in_hands else answer.rejected:
            self.figures.rejected += 1
            self.figures.rejected_why[why] = self.figures.rejected_why.get(why, 0) + 1
        if answer.shape is None or answer.latent is None or answer.components is None:
            return
        start = pending.slot * SLOT_BYTES
        mesh = read_mesh(bytes(self._block.memory[start : start + answer.shape.nbytes]), answer.shape)
        latency_s = time.perf_counter() - pending.submitted_s
        latencies_s = self.figures.reshape_latency_s if pending.in_hands else self.figures.latency_s
        self.figures.reshape_made += pending.in_hands
        latencies_s.append(latency_s)
        del latencies_s[:-_KEPT_LATENCIES]
        pending.answer = GeneratedObject(
            answer.request_id, pending.request.steering.category, answer.latent, answer.components, mesh,
            answer.mesh_hash, len(answer.rejected) + 1, latency_s,
        )  # fmt: skip

    def _on_death(self) -> None:
        """Replace the worker, unless it keeps dying. A request that was at work in two deaths is dropped."""
        was_ready = self.state is State.READY
        self._process.join(0.05)  # for its exit code
        self._end_process()
        self._deaths_in_a_row += 1
        log.error("the generator's worker ended (exit code %s)", self._process.exitcode)
        if self._crash and self._crash != self._told:  # the same one three times helps nobody
            log.error(self._crash)
            self._told = self._crash
        if self._deaths_in_a_row >= DEATHS_IN_A_ROW:
            self.state = State.STOPPED
            self.figures.device, self.figures.stopped = "stopped", self._death_sentence()
            for pending in self._pending.values():
                pending.is_answered = True
            return
        waiting = [p for p in self._pending.values() if not p.is_answered]
        at_work = next(iter(sorted(waiting, key=lambda p: not p.in_hands)), None)
        if at_work is not None and was_ready:
            at_work.deaths += 1
            at_work.is_answered = at_work.deaths >= DEATHS_IN_A_ROW - 1
        self._start()

    def _end_process(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join(2.0)

    def _death_sentence(self) -> str:
        cause = self._crash.strip().rsplit("\n", 1)[-1] or f"exit code {self._process.exitcode}"
        return f"The generator's worker process ended {DEATHS_IN_A_ROW} times in a row ({cause}); see the log."
