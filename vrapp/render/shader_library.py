"""GLSL programs from a folder: includes, preset switches, and reloading while the program runs."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vrapp.core.errors import GraphicsError

_INCLUDE = re.compile(r'^\s*#include\s+"([\w./-]+)"\s*$')
_CHECK_PERIOD_S = 0.5

#: A line of an expanded shader: the file and line that it came from (None: written by the library), its text.
_Line = tuple[Path | None, int, str]


@dataclass
class _Entry:
    """One program: its files, its switches, and what it was last compiled to."""

    vertex: str
    fragment: str | None
    defines: tuple[str, ...]
    program: Any = None
    files: dict[Path, int] = field(default_factory=dict)  # path → mtime_ns when compiled


class ShaderLibrary:
    """Compiles programs by file name and owns them.

    ``version`` rises whenever a program was replaced: vertex arrays made from an older one are stale.
    """

    def __init__(self, ctx: Any, folder: Path, defines: tuple[str, ...] = ()) -> None:
        self._ctx = ctx
        self._folder = folder
        self._defines = defines
        self._entries: dict[str, _Entry] = {}
        self._retired: list[Any] = []
        self._next_check_s = 0.0
        self.version = 0

    def add(self, name: str, vertex: str, fragment: str | None, *defines: str) -> None:
        """Compile ``vertex`` + ``fragment`` under ``name``. Raises GraphicsError with file and line."""
        entry = _Entry(vertex, fragment, defines)
        self._compile(entry)
        self._entries[name] = entry

    def __getitem__(self, name: str) -> Any:
        return self._entries[name].program

    def reload_if_changed(self) -> str | None:
        """Compile what was saved since; one line that tells what happened, or None.

        Looks at the files at most twice a second. A program that does not compile stays as it was.
        """
        now = time.monotonic()
        if now < self._next_check_s:
            return None
        self._next_check_s = now + _CHECK_PERIOD_S
        told = [line for name, entry in self._entries.items() if (line := self._reload(name, entry))]
        return "; ".join(told) or None

    def drop_replaced(self) -> None:
        """Delete programs that were replaced; no vertex array may hold them any more."""
        for program in self._retired:
            program.release()
        self._retired.clear()

    def _reload(self, name: str, entry: _Entry) -> str | None:
        if all(_mtime_ns(path) == seen for path, seen in entry.files.items()):
            return None
        old = entry.program
        try:
            self._compile(entry)
        except GraphicsError as e:
            entry.files = {path: _mtime_ns(path) for path in entry.files}  # told once, until the next save
            return str(e)
        self._retired.append(old)  # vertex arrays may still hold it this frame
        self.version += 1
        return f"shader '{name}' reloaded"

    def _compile(self, entry: _Entry) -> None:
        names = [entry.vertex, *([entry.fragment] if entry.fragment else [])]
        stages = [self._lines(name, entry) for name in names]
        sources = ["\n".join(text for _, _, text in lines) for lines in stages]
        try:
            program = self._ctx.program(*sources)
        except Exception as e:  # moderngl raises its own untyped Error with the driver's log
            message = f"Shader {' + '.join(names)} in {self._folder} does not compile: {_first_error(str(e), stages)}"
            raise GraphicsError(message) from e
        files = {path for lines in stages for path, _, _ in lines if path}
        entry.program, entry.files = program, {path: _mtime_ns(path) for path in files}

    def _lines(self, name: str, entry: _Entry) -> list[_Line]:
        head = ["#version 450 core", *(f"#define {d}" for d in (*self._defines, *entry.defines))]
        return [(None, 0, text) for text in head] + self._expand(self._folder / name, set())

    def _expand(self, path: Path, seen: set[Path]) -> list[_Line]:
        """The file's lines with its includes in their places, each file at most once."""
        seen.add(path)
        try:
            lines = path.read_text("utf-8").splitlines()
        except OSError as e:
            raise GraphicsError(f"The shader file {path} cannot be read ({e}); restore it from the project.") from e
        out: list[_Line] = []
        for i, line in enumerate(lines, 1):
            if not (found := _INCLUDE.match(line)):
                out.append((path, i, line))
            elif (included := self._folder / found[1]) not in seen:
                out += self._expand(included, seen)
        return out

    def release(self) -> None:
        """Delete all programs."""
        self.drop_replaced()
        for entry in self._entries.values():
            entry.program.release()
        self._entries.clear()


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # being saved at this moment: looks changed now and again at the next check
        return 0


def _first_error(log: str, stages: list[list[_Line]]) -> str:
    """The driver's first complaint, with file and line in place of the line that it counted."""
    lines = stages[-1] if "fragment_shader" in log else stages[0]
    for text in log.splitlines():
        if found := re.search(r"\d+[:(](\d+)\)?(?:\(\d+\))?\s*:?\s*(.*error.*)", text, re.IGNORECASE):
            at = int(found[1]) - 1
            path, number, _ = lines[at] if 0 <= at < len(lines) else (None, 0, "")
            return f"{path.name}:{number}: {found[2].strip()}" if path else found[2].strip()
    return " ".join(log.split())[:200]
