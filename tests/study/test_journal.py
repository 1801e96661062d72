"""Reading back: whole files, files cut off at any byte, damaged ones, and what is no recording."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from vrapp.core.errors import InputFileError
from vrapp.study.journal import Message, read_messages, read_metadata, read_session

MESSAGES = [Message("/input", 1000 + n, n, bytes([n] * (n % 7))) for n in range(40)]


def recording(messages: list[Message], finished: bool = True) -> bytes:
    """A file as the recorder writes it."""
    stream = io.BytesIO()
    writer = Writer(stream, compression=CompressionType.NONE, use_chunking=False)
    writer.start("vrapp", "test")
    writer.add_metadata("session", {"seed": "7"})
    channel = writer.register_channel("/input", "x", writer.register_schema("s", "x", b"schema"))
    for message in messages:
        writer.add_message(channel, message.time_ns, message.content, message.time_ns, message.sequence)
    if finished:
        writer.finish()
    return stream.getvalue()


def test_whole_and_unfinished(tmp_path: Path) -> None:
    path = tmp_path / "session.mcap"
    for finished in (True, False):
        path.write_bytes(recording(MESSAGES, finished))
        assert list(read_messages(path)) == MESSAGES
        assert read_metadata(path) == {"seed": "7"}


def test_cut_off_at_every_byte(tmp_path: Path) -> None:
    whole = recording(MESSAGES)
    path = tmp_path / "session.mcap"
    counts = []
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        found = list(read_messages(path))
        assert found == MESSAGES[: len(found)]  # never half a message
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == len(MESSAGES)


def test_damage_never_raises_anything_else(tmp_path: Path) -> None:
    whole = recording(MESSAGES)
    path = tmp_path / "session.mcap"
    draw = random.Random(1)
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            list(read_messages(path))
            read_metadata(path)
        except InputFileError:
            pass


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputFileError, match="not in the MCAP format"):
        list(read_messages(path))
    with pytest.raises(InputFileError, match="No such file"):
        list(read_messages(tmp_path / "none.mcap"))
    with pytest.raises(InputFileError, match="cannot be read"):
        list(read_messages(tmp_path))
    with pytest.raises(InputFileError, match="holds no recording"):
        list(read_session(tmp_path))
    (tmp_path / "session.mcap").touch()
    assert list(read_session(tmp_path)) == []
    with pytest.raises(InputFileError, match="cut off"):
        read_metadata(tmp_path / "session.mcap")


def test_parts_are_joined_and_nothing_comes_twice(tmp_path: Path) -> None:
    (tmp_path / "session.mcap").write_bytes(recording(MESSAGES[:20], finished=False)[:-3])
    (tmp_path / "session-001.mcap").write_bytes(recording(MESSAGES[15:30], finished=False))
    (tmp_path / "session-002.mcap").write_bytes(recording(MESSAGES[30:]))
    assert list(read_session(tmp_path)) == MESSAGES


def test_other_programs_can_read_it(tmp_path: Path) -> None:
    reader = make_reader(io.BytesIO(recording(MESSAGES)))
    assert [message.data for _, _, message in reader.iter_messages()] == [m.content for m in MESSAGES]
