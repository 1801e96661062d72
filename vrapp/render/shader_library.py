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
        files: dict[Path, int] = {}
        vertex = self._source(entry.vertex, entry, files)
        fragment = self._source(entry.fragment, entry, files) if entry.fragment else None
        try:
            program = self._ctx.program(vertex_shader=vertex, fragment_shader=fragment)
        except Exception as e:  # moderngl raises its own untyped Error with the driver's log
            names = entry.vertex + (f" + {entry.fragment}" if entry.fragment else "")
            message = f"Shader {names} in {self._folder} does not compile: {_first_error(str(e), list(files))}"
            raise GraphicsError(message) from e
        entry.program, entry.files = program, files

    def _source(self, name: str, entry: _Entry, files: dict[Path, int]) -> str:
        head = ["#version 450 core", "#extension GL_ARB_shader_draw_parameters : require"]
        head += [f"#define {d}" for d in (*self._defines, *entry.defines)]
        return "\n".join(head) + "\n" + self._expand(self._folder / name, files, set())

    def _expand(self, path: Path, files: dict[Path, int], seen: set[Path]) -> str:
        """The file with its includes in place, each file at most once, numbered by ``#line``."""
        seen.add(path)
        files[path] = _mtime_ns(path)
        number = list(files).index(path)
        try:
            lines = path.read_text("utf-8").splitlines()
        except OSError as e:
            raise GraphicsError(f"The shader file {path} cannot be read ({e}); restore it from the project.") from e
        out = [f"#line 1 {number}"]
        for i, line in enumerate(lines, 1):
            if not (found := _INCLUDE.match(line)):
                out.append(line)
            elif (included := self._folder / found[1]) not in seen:
                out += [self._expand(included, files, seen), f"#line {i + 1} {number}"]
        return "\n".join(out)

    def release(self) -> None:
        """Delete all programs."""
        for program in [*self._retired, *(e.program for e in self._entries.values())]:
            program.release()
        self._retired.clear()
        self._entries.clear()


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # being saved at this moment: looks changed now and again at the next check
        return 0


def _first_error(log: str, files: list[Path]) -> str:
    """The driver's first complaint, with the file's name in place of its number."""
    for line in log.splitlines():
        if found := re.search(r"(\d+)[:(](\d+)\)?(?:\(\d+\))?\s*:?\s*(.*error.*)", line, re.IGNORECASE):
            number = int(found[1])
            name = files[number].name if number < len(files) else found[1]
            return f"{name}:{found[2]}: {found[3].strip()}"
    return " ".join(log.split())[:200]
