"""The light preset's last pass: antialiasing on the way into the target."""

from __future__ import annotations

from typing import Any

import moderngl

from vrapp.core.display import Target
from vrapp.core.pose import View
from vrapp.render.shader_library import ShaderLibrary
from vrapp.render.targets import SceneTarget


def add_programs(programs: ShaderLibrary) -> None:
    """Compile the pass."""
    programs.add("antialias", "fullscreen.vert", "antialias.frag")


class Antialias:
    """Puts each view of the finished picture into its place of the target."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._array: Any = None

    def occlude(self, programs: ShaderLibrary, target: SceneTarget) -> None:
        """Nothing: this preset's occlusion is in the meshes and in the blobs under them."""

    def finish(self, programs: ShaderLibrary, source: SceneTarget, views: tuple[View, ...], target: Target) -> None:
        """Draw every view."""
        self._ctx.enable_only(moderngl.NOTHING)
        if self._array is None:
            self._array = self._ctx.vertex_array(programs["antialias"], [])
        source.colour.use(0)
        programs["antialias"]["linear_out"].value = not target.srgb_encode
        x = 0.0
        for i, view in enumerate(views):
            share = view.viewport[2] / source.size[0]
            programs["antialias"]["window"].value = (x, share)
            target.framebuffers[min(i, len(target.framebuffers) - 1)].use()
            self._ctx.viewport = view.viewport
            self._array.render(vertices=3)
            x += share

    def forget_programs(self) -> None:
        """Drop the vertex array of a program that was replaced."""
        if self._array is not None:
            self._array.release()
            self._array = None

    def release(self) -> None:
        """Delete all GL objects."""
        self.forget_programs()
