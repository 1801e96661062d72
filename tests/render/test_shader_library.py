"""Includes, reloading on save, and errors that name file and line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vrapp.core import resources
from vrapp.core.errors import GraphicsError
from vrapp.render.shader_library import ShaderLibrary

pytestmark = pytest.mark.gl

VERTEX = "void main() { gl_Position = vec4(0.0); }\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.vert").write_text(VERTEX)
    (tmp_path / "tint.glsl").write_text("vec4 tint() { return vec4(1.0); }\n")
    (tmp_path / "a.frag").write_text(
        '#include "tint.glsl"\n#include "tint.glsl"\nout vec4 c;\nvoid main() { c = tint(); }\n'
    )
    return tmp_path


def save(path: Path, text: str, seconds: int = 5) -> None:
    """Write and make sure that the time of the file changes."""
    path.write_text(text)
    time_ns = path.stat().st_mtime_ns + seconds * 10**9
    os.utime(path, ns=(time_ns, time_ns))


def look(library: ShaderLibrary) -> str | None:
    library._next_check_s = 0.0
    return library.reload_if_changed()


def test_a_saved_include_reloads_the_program(ctx: Any, folder: Path) -> None:
    library = ShaderLibrary(ctx, folder)
    library.add("a", "a.vert", "a.frag")
    first = library["a"]
    assert look(library) is None
    save(folder / "tint.glsl", "vec4 tint() { return vec4(0.5); }\n")
    assert look(library) == "shader 'a' reloaded"
    assert library["a"] is not first
    assert library.version == 1
    library.release()


def test_a_mistake_keeps_the_old_program_and_is_told_once(checked_context: Any, folder: Path) -> None:
    library = ShaderLibrary(checked_context, folder)  # (ModernGL itself leaks a program that does not compile)
    library.add("a", "a.vert", "a.frag")
    first = library["a"]
    save(folder / "tint.glsl", "\n\nvec4 tint() { return nonsense; }\n")
    message = look(library)
    assert message is not None
    assert "tint.glsl:3" in message
    assert "\n" not in message
    assert library["a"] is first
    assert look(library) is None
    save(folder / "tint.glsl", "vec4 tint() { return vec4(0.1); }\n", seconds=9)
    assert look(library) == "shader 'a' reloaded"
    library.release()


def test_files_are_not_looked_at_every_frame(ctx: Any, folder: Path) -> None:
    library = ShaderLibrary(ctx, folder)
    library.add("a", "a.vert", "a.frag")
    library.reload_if_changed()
    save(folder / "tint.glsl", "vec4 tint() { return vec4(0.5); }\n")
    assert library.reload_if_changed() is None
    library.release()


def test_a_missing_file_is_named(ctx: Any, folder: Path) -> None:
    library = ShaderLibrary(ctx, folder)
    with pytest.raises(GraphicsError, match=r"missing\.frag"):
        library.add("b", "a.vert", "missing.frag")
    library.release()


def test_every_shader_of_the_project_is_used_by_a_preset_or_the_bench_beside_a_peer(ctx: Any) -> None:
    from vrapp.render.renderer import Renderer
    from vrapp.render.unlit import UnlitRenderer

    used: set[str] = set()
    for make in (lambda: Renderer(ctx, "light"), lambda: Renderer(ctx, "full"), lambda: UnlitRenderer(ctx, (0, 0, 0))):
        renderer = make()
        used |= {path.name for entry in renderer._programs._entries.values() for path in entry.files}
        renderer.release()
    assert used == {path.name for path in resources.shaders().iterdir()}
