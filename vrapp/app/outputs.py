"""The places where a run leaves something behind, tried before it starts: not after an hour in the world."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from vrapp.core.errors import OutputError


def check_folder(path: Path, option: str) -> None:
    """Make ``path`` and prove that files can be made in it. Raises OutputError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(bytes(4096))  # an empty file can be made on a full disk
    except FileExistsError:
        raise OutputError(f"{option} takes a folder, but '{path}' is a file; name another.") from None
    except (OSError, ValueError) as e:
        raise OutputError(f"{option}: no file can be written in the folder '{path}' ({_reason(e)}).") from None


def check_file(path: Path, option: str) -> None:
    """Prove that ``path`` can be written; what is there stays as it is. Raises OutputError."""
    if path.is_dir():
        raise OutputError(f"{option} takes a file name, but '{path}' is a folder; add a name to it.")
    check_folder(path.parent, option)
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{option}: the file '{path}' is there and may not be written; name another.")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
