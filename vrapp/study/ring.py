"""A ring of records in shared memory: one process puts, one takes, neither ever waits for the other.

Layout: a page of little-endian 8-byte words (``Word``), then ``capacity`` bytes of records. A record is
its CRC-32 (of all that follows), its position, time, payload size, sequence number and topic, then the
payload, padded to 8 bytes. It never wraps: one that would is preceded by a filler up to the end.

``HEAD`` (bytes ever put) is written by the producer alone, ``TAIL`` (bytes ever taken *and kept*) by
the consumer alone. On processors that reorder stores the consumer may see ``HEAD`` before the bytes it
stands for. It then finds the wrong CRC, or the position of an earlier lap, and tries again later.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from multiprocessing.shared_memory import SharedMemory
from typing import NamedTuple

HEADER_BYTES = 4096
DEFAULT_CAPACITY = 8 << 20  # five minutes of frames at 90 Hz, should the disk stall
_CRC = struct.Struct("<I4x")
_HEADING = struct.Struct("<QqIIQ")  # position, time_ns, payload size, sequence, topic
_OVERHEAD = _CRC.size + _HEADING.size
_FILLER_TOPIC = 0xFFFF


class Word(IntEnum):
    """Index of each 8-byte word of the header; those of the two writers lie on cache lines apart."""

    CAPACITY = 0
    HEAD = 8
    SEQUENCE = 9
    DROPPED = 10
    CLOSED = 11
    TAIL = 16
    STATE = 17
    ERRNO = 18


class State(IntEnum):
    """What the consumer does."""

    STARTING = 0
    WRITING = 1
    FAILED = 2  # ``Word.ERRNO`` says why
    FINISHED = 3


class Record(NamedTuple):
    """One record as taken; ``end`` is where the next one begins."""

    topic: int
    time_ns: int
    sequence: int
    payload: bytes
    end: int


class Ring:
    """Either end of the ring. The producer makes it (``name`` None), the consumer attaches by name."""

    def __init__(self, name: str | None = None, capacity: int = DEFAULT_CAPACITY) -> None:
        """Raises OSError where there is no shared memory left, or none of that name."""
        if capacity % 8 or capacity <= 0:
            raise ValueError(f"the capacity is a positive multiple of 8 bytes, not {capacity}")
        self._memory = SharedMemory(name, create=name is None, size=HEADER_BYTES + capacity if name is None else 0)
        self._owner = name is None
        if name is None:
            self._reserve(HEADER_BYTES + capacity)
        self.name = self._memory.name
        memory = self._memory.buf
        assert memory is not None  # it is open
        self._words = memory[:HEADER_BYTES].cast("Q")
        if name is None:
            self._words[Word.CAPACITY] = capacity
        self._capacity = self._words[Word.CAPACITY]
        self._bytes = memory[HEADER_BYTES : HEADER_BYTES + self._capacity]
        self._head = self._words[Word.HEAD]
        self._sequence = self._words[Word.SEQUENCE]

    def _reserve(self, size: int) -> None:
        """Have the memory now: where it is short, writing to what is only promised would kill the process."""
        if not hasattr(os, "posix_fallocate"):
            return
        try:
            os.posix_fallocate(self._memory._fd, 0, size)  # type: ignore[attr-defined]
        except OSError:
            self._memory.close()
            self.remove()
            raise

    def __getitem__(self, word: Word) -> int:
        """A word of the header."""
        return self._words[word]

    def __setitem__(self, word: Word, value: int) -> None:
        """Write a word of the header: only ever one that this end owns."""
        self._words[word] = value

    def put(self, topic: int, time_ns: int, payload: bytes) -> bool:
        """Add a record; False (and counted) where there is no room: the producer never waits."""
        position, size = self._head, (_OVERHEAD + len(payload) + 7) & ~7
        to_end = self._capacity - position % self._capacity
        filler = to_end if size > to_end else 0
        if position + filler + size - self._words[Word.TAIL] > self._capacity:
            self._words[Word.DROPPED] += 1
            return False
        if filler >= _OVERHEAD:  # a shorter one is known by its shortness
            self._write(position, _FILLER_TOPIC, 0, b"")
        self._write(position + filler, topic, time_ns, payload)
        self._head = position + filler + size
        self._sequence += 1
        self._words[Word.SEQUENCE] = self._sequence
        self._words[Word.HEAD] = self._head  # last: from here on the record counts
        return True

    def _write(self, position: int, topic: int, time_ns: int, payload: bytes) -> None:
        at = position % self._capacity
        body = _HEADING.pack(position, time_ns, len(payload), self._sequence & 0xFFFFFFFF, topic) + payload
        self._bytes[at : at + _CRC.size + len(body)] = _CRC.pack(zlib.crc32(body)) + body

    def take(self, position: int) -> Iterator[Record]:
        """Records from byte ``position`` on, up to the newest that is whole.

        Taking does not free: write ``Word.TAIL`` once what was taken is safe.
        """
        while position < self._words[Word.HEAD]:
            at = position % self._capacity
            to_end = self._capacity - at
            if to_end < _OVERHEAD:
                position += to_end
                continue
            (crc,) = _CRC.unpack_from(self._bytes, at)
            start = at + _OVERHEAD
            heading = bytes(self._bytes[at + _CRC.size : start])
            written_at, time_ns, size, sequence, topic = _HEADING.unpack(heading)
            payload = bytes(self._bytes[start : start + size])
            if written_at != position or zlib.crc32(payload, zlib.crc32(heading)) != crc:
                return
            if topic == _FILLER_TOPIC:
                position += to_end
                continue
            position += (_OVERHEAD + size + 7) & ~7
            yield Record(topic, time_ns, sequence, payload, position)

    def close(self) -> None:
        """Detach; the producer's end also removes the memory. Safe to call twice."""
        self._words.release()
        self._bytes.release()
        self._memory.close()
        if self._owner:
            self.remove()

    def remove(self) -> None:
        """Give the memory's name back to the system. Safe to call twice, and from either end."""
        self._owner = False
        with contextlib.suppress(FileNotFoundError):
            self._memory.unlink()
