"""Objects and nothing else, in their vertices' own colours: the arena, culling and indirect draw by themselves."""

from __future__ import annotations

from typing import Any

import moderngl
import numpy as np

from vrapp.core import resources
from vrapp.core.maths import Array
from vrapp.core.pose import Pose, View
from vrapp.core.scene import SceneArrays
from vrapp.render.arena import MeshArena
from vrapp.render.culling import DetailChooser, DrawList, NearestFirst, commands, frustum_planes, inside
from vrapp.render.frame_block import FrameBlock, place_eyes
from vrapp.render.gl_native import NativeGL
from vrapp.render.preset import FULL
from vrapp.render.shader_library import ShaderLibrary
from vrapp.render.stream_buffer import StreamBuffer
from vrapp.render.targets import SceneTarget


class UnlitRenderer:
    """Draws one view into a target of its own: no light, no shadow, no multisampling. ``arena`` holds the meshes."""

    def __init__(self, ctx: Any, background: tuple[float, float, float]) -> None:
        self._ctx = ctx
        self._background = background
        self._native = NativeGL(ctx)
        self._programs = ShaderLibrary(
            ctx, resources.shaders(), () if self._native.has_clip_control else ("DEPTH_MINUS_ONE_TO_ONE",)
        )
        self._programs.add("unlit", "unlit.vert", "unlit.frag")
        self.arena = MeshArena(ctx)
        self._draws = DrawList()
        self._order = NearestFirst()
        self._detail = DetailChooser(FULL.fine_pixels, FULL.coarse_ratio, FULL.triangle_budget)
        self._frame = FrameBlock(ctx)
        self._rows, self._commands = StreamBuffer(ctx), StreamBuffer(ctx)
        self._target = SceneTarget(ctx, self._native, 0, "f1")

    def draw(self, view: View, scene: SceneArrays) -> None:
        """Everything that the view sees, at its level of detail, nearest first, in one call."""
        ctx, draws = self._ctx, self._draws
        (eye,) = place_eyes((view,), Pose())
        self._frame.set_eyes((eye,), 0.0)
        self._frame.upload()
        draws.update(scene, self.arena, _flat, (), ())
        level = self._detail.choose(scene, draws, eye.position, eye.pixels_per_radian)
        seen = inside(frustum_planes(eye.clip_from_world), draws.spheres[: draws.count])
        chosen = self._order.of(seen & draws.shown[: draws.count], draws, eye.position)
        rows = self._rows.write(draws.rows[: draws.count])
        out = commands(self.arena, draws, chosen, level[chosen], 1)
        self._target.fit(eye.size)
        self._target.framebuffer.use()
        self._target.framebuffer.clear(*self._background, 1.0, depth=0.0)
        ctx.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        ctx.depth_func = ">="
        self._native.clip_depth_zero_to_one(True)
        if len(out):
            array = self.arena.vertex_array(self._programs["unlit"], rows)
            array.render_indirect(self._commands.write(out), moderngl.TRIANGLES, len(out))
        self._native.clip_depth_zero_to_one(False)
        ctx.depth_func = "<="
        ctx.enable_only(moderngl.NOTHING)

    def read_pixels(self) -> np.ndarray:
        """The last picture: (H, W, 3) uint8, top row first. Waits for the GPU."""
        width, height = self._target.size
        rows = np.frombuffer(self._target.framebuffer.read(components=3, alignment=1), np.uint8)
        return np.ascontiguousarray(rows.reshape(height, width, 3)[::-1])

    def release(self) -> None:
        """Delete all GL objects."""
        self.arena.close()
        for part in (self._programs, self._frame, self._rows, self._commands, self._target, self._native):
            part.release()


def _flat(positions: Array) -> Array:
    """No ground."""
    return np.zeros(len(positions), np.float32)
