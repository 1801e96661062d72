"""The recorder process: takes records from the ring and writes them to one MCAP file until told to stop.

It imports neither numpy nor anything above ``study``: it is up within a few tenths of a second. Whatever
the main process puts into the ring before it ends, in whatever way, gets into the file.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence
from multiprocessing import parent_process
from typing import IO

from mcap.writer import CompressionType, Writer

from vrapp.study.ring import Ring, State, Word

POLL_S = 0.04  # everything taken is flushed at once, so this bounds the time to the file
SYNC_S = 0.5
GRACE_S = 3.0

Channel = tuple[str, str, str, str, str]  # study.channels.Channel, unnamed: that module needs numpy


def record(ring_name: str, path: str, channels: Sequence[Channel], session: Mapping[str, str]) -> None:
    """Run the recorder. ``path`` is an empty file made by the main process, ``channels`` in ring order."""
    deadline = _stop_only_when_the_main_process_does()
    ring = Ring(ring_name)
    try:
        with open(path, "r+b") as stream:
            _Recording(ring, stream, channels, session).run(deadline)
        ring[Word.STATE] = State.FINISHED
    except OSError as e:
        ring[Word.ERRNO] = e.errno or errno.EIO
        ring[Word.STATE] = State.FAILED
    finally:
        if _orphaned():
            ring.remove()
        ring.close()


def _stop_only_when_the_main_process_does() -> list[float]:
    """Ctrl-C and a closed terminal reach the whole process group, but the main process still has records
    to put. SIGTERM (also sent by multiprocessing at exit) leaves it a moment: the list gets the deadline."""
    deadline: list[float] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: deadline.append(time.monotonic() + GRACE_S))
    return deadline


def _orphaned() -> bool:
    parent = parent_process()
    return parent is None or not parent.is_alive()


class _Recording:
    """One part file while it is written."""

    def __init__(self, ring: Ring, stream: IO[bytes], channels: Sequence[Channel], session: Mapping[str, str]) -> None:
        self._ring, self._stream = ring, stream
        self._position = ring[Word.TAIL]
        self._synced_s = time.monotonic()
        self._unsynced = True
        # Without chunks every message stands alone: a cut-off file gives all up to the cut.
        self._writer = Writer(stream, compression=CompressionType.NONE, use_chunking=False)
        self._writer.start(profile="vrapp", library="vrapp")
        self._writer.add_metadata("session", dict(session))
        self._channel_ids = [self._register(channel) for channel in channels]

    def _register(self, channel: Channel) -> int:
        topic, encoding, schema_name, schema_encoding, schema = channel
        schema_id = self._writer.register_schema(schema_name, schema_encoding, schema.encode())
        return self._writer.register_channel(topic, encoding, schema_id)

    def run(self, deadline: list[float]) -> None:
        """Until the ring is closed, the main process is gone, or a deadline has passed. Raises OSError."""
        self._flush()
        self._ring[Word.STATE] = State.WRITING
        while True:
            # Asked before the last drain, so that what was put before the end is in it.
            ending = self._ring[Word.CLOSED] or _orphaned() or (deadline and time.monotonic() > deadline[0])
            self._drain()
            if ending:
                break
            time.sleep(POLL_S)
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _drain(self) -> None:
        before = self._position
        for record in self._ring.take(self._position):
            channel_id = self._channel_ids[record.topic]
            stamp = max(record.time_ns, 0)
            self._writer.add_message(channel_id, stamp, record.payload, stamp, record.sequence)
            self._position = record.end
        if self._position != before:
            self._flush()
        if self._unsynced and time.monotonic() - self._synced_s >= SYNC_S:
            os.fsync(self._stream.fileno())
            self._synced_s, self._unsynced = time.monotonic(), False

    def _flush(self) -> None:
        """Only what the system has taken is freed: should this process be killed, the next one writes the rest."""
        self._stream.flush()
        self._ring[Word.TAIL] = self._position
        self._unsynced = True
