"""Reading recordings, whole ones and those that were cut off at any byte."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mcap.exceptions import EndOfFile, McapError
from mcap.reader import NonSeekingReader
from mcap.records import Metadata
from mcap.stream_reader import StreamReader
from zstandard import ZstdError

from vrapp.core.errors import InputFileError
from vrapp.study.parts import part_paths

MAGIC = b"\x89MCAP0\r\n"
_RECORD_LIMIT = 256 << 20  # a damaged length must not ask for all memory
_CUT = (  # RuntimeError is lz4's
    McapError, struct.error, ValueError, LookupError, OverflowError, MemoryError, EOFError, ZstdError, RuntimeError,
)  # fmt: skip

_log = logging.getLogger(__name__)


class Message(NamedTuple):
    """One message: topic, time in ns, number in the recording, and its bytes."""

    topic: str
    time_ns: int
    sequence: int
    content: bytes


def read_messages(path: Path) -> Iterator[Message]:
    """All messages of one file in the order written, up to where it ends or was cut off.

    Raises InputFileError where the file can't be read or is no recording at all.
    """
    with _open(path) as stream:
        reader = NonSeekingReader(stream, record_size_limit=_RECORD_LIMIT)
        try:
            for _, channel, message in reader.iter_messages(log_time_order=False):
                yield Message(channel.topic, message.log_time, message.sequence, message.data)
        except _CUT as e:
            _log.info("'%s' ends before its end (%s); all up to there was read.", path, type(e).__name__)


def read_session(folder: Path) -> Iterator[Message]:
    """All messages of a recording, over its part files, each once. Raises InputFileError where there is none."""
    found = part_paths(folder)
    if not found:
        raise InputFileError(f"The folder '{folder}' holds no recording; it would be called session.mcap.")
    newest = -1
    for path in found:
        for message in read_messages(path):
            if message.sequence > newest:  # a part begins with what the one before may have got, too
                newest = message.sequence
                yield message


def read_metadata(path: Path) -> dict[str, str]:
    """What was recorded of the session itself: seed, weights hash, version, command … Raises InputFileError."""
    with _open(path) as stream:
        try:
            for record in StreamReader(stream, record_size_limit=_RECORD_LIMIT).records:
                if isinstance(record, Metadata) and record.name == "session":
                    return dict(record.metadata)
        except _CUT:
            pass
    raise InputFileError(f"The recording '{path}' was cut off before its first message.")


class _WholeReads(io.BufferedReader):
    """A file that gives all the bytes asked for or ends: mcap takes a short read for a short message."""

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if size is not None and len(found) < size:
            raise EndOfFile
        return found


def _open(path: Path) -> _WholeReads:
    try:
        stream = _WholeReads(io.FileIO(path))
        start = stream.peek(len(MAGIC))[: len(MAGIC)]
    except OSError as e:
        raise InputFileError(f"The recording '{path}' cannot be read ({e.strerror}).") from None
    if not MAGIC.startswith(start):
        stream.close()
        raise InputFileError(f"The file '{path}' is no recording: it is not in the MCAP format.")
    return stream
