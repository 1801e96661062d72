"""The files of one recording: ``session.mcap``, and ``session-001.mcap`` … where a recorder had to begin again."""

from __future__ import annotations

import contextlib
from pathlib import Path

from vrapp.core.errors import OutputError

_PROBE_BYTES = 64 << 10


def part_name(part: int) -> str:
    """File name of part 0, 1, 2 …"""
    return "session.mcap" if part == 0 else f"session-{part:03d}.mcap"


def part_paths(folder: Path) -> list[Path]:
    """The part files of the recording in ``folder``, in order; empty where there is none."""
    found = [*folder.glob("session.mcap"), *folder.glob("session-[0-9]*.mcap")]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def check_free(folder: Path) -> None:
    """Raises OutputError where ``folder`` holds a recording: recordings are never written over."""
    if part_paths(folder):
        raise OutputError(f"The folder '{folder}' holds a recording already; name another for this one.")


def create(folder: Path, part: int) -> Path:
    """Make the empty file of a part, and prove that the disk takes data. Raises OutputError."""
    path = folder / part_name(part)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if part == 0:
            check_free(folder)
        with path.open("xb") as stream:
            stream.write(bytes(_PROBE_BYTES))  # an empty file can be made on a full disk
            stream.flush()
            stream.truncate(0)
    except OSError as e:
        if not isinstance(e, FileExistsError):
            with contextlib.suppress(OSError):
                path.unlink()
        raise OutputError(f"No recording can be written in '{folder}' ({e.strerror}).") from None
    return path
