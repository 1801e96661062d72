"""The sun's shadow maps: square orthographic tiles in one depth atlas, each snapped to its texels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import moderngl
import numpy as np

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.mesh import LEVELS
from vrapp.render.arena import MeshArena
from vrapp.render.culling import DrawList, commands
from vrapp.render.frame_block import FrameBlock
from vrapp.render.gl_native import NativeGL
from vrapp.render.stream_buffer import StreamBuffer

_DEPTH_HALF_M = 70.0  # casters this far before and behind the tile's centre are in its depth range


@dataclass(frozen=True)
class ShadowQuality:
    """``half_m``: half edge of each tile, finest first. ``level_drop``: how much coarser casters are."""

    tile_pixels: int
    half_m: tuple[float, ...]
    level_drop: int
    softness_m: float
    every_frame: bool


class SunShadow:
    """Draws the casters into the atlas and tells the frame block where they are."""

    def __init__(self, ctx: Any, native: NativeGL, quality: ShadowQuality, to_sun: Array) -> None:
        self._ctx = ctx
        self._quality = quality
        side = quality.tile_pixels
        self._atlas = native.depth_texture(ctx, (side * len(quality.half_m), side))
        self._atlas.compare_func = ">="
        self._atlas.repeat_x = self._atlas.repeat_y = False
        self._framebuffer = ctx.framebuffer(depth_attachment=self._atlas)
        self._commands = StreamBuffer(ctx)
        self._basis = _sun_basis(to_sun)
        self._drawn: tuple[object, ...] = ()
        self.fresh = False

    def place(self, frame: FrameBlock, viewer: Array, ahead: Array) -> Array:
        """Centre the tiles around what is ahead of the viewer. Returns the centres (C, 3)."""
        v, q = frame.values[0], self._quality
        centres = np.zeros((len(q.half_m), 3), np.float32)
        for i, half in enumerate(q.half_m):
            texel = 2 * half / q.tile_pixels
            step = max(texel * 16, half / 16)  # rarely a new place: less to redraw, and no crawling
            step -= step % texel
            flat = viewer + ahead * (0.55 * half)
            local = self._basis @ np.array([flat[0], 0.0, flat[2]], np.float32)
            local[:2] = np.round(local[:2] / step) * step
            centres[i] = self._basis.T @ local
            tile = np.array([i / len(q.half_m), 0, (i + 1) / len(q.half_m), 1], np.float32)
            v["shadow_from_world"][i] = self._matrix(local, half, tile).T
            v["shadow_tile"][i] = tile
            v["shadow_texel"][i] = texel
        v["shadow_texel"][3] = q.softness_m
        v["counts"][1] = len(q.half_m)
        return centres

    def _matrix(self, local: Array, half: float, tile: Array) -> Array:
        """World to (atlas u, v, depth), depth 1 towards the sun (reversed, as everywhere)."""
        m = np.eye(4, dtype=np.float32)
        m[:3, :3] = self._basis
        m[:3, 3] = -local
        scale = np.diag([(tile[2] - tile[0]) / (2 * half), 0.5 / half, 0.5 / _DEPTH_HALF_M, 1]).astype(np.float32)
        scale[:3, 3] = (tile[0] + tile[2]) / 2, 0.5, 0.5
        return scale @ m

    def draw(self, arena: MeshArena, program: Any, draws: DrawList, level: np.ndarray, centres: Array) -> None:
        """Draw all tiles; rows must be bound. Skips the work where nothing has changed since the last time."""
        state = (centres.tobytes(), draws.rows["position"].tobytes(), draws.rows["orientation"].tobytes(),
                 draws.rows["scale"].tobytes(), draws.mesh_id.tobytes())  # fmt: skip
        self.fresh = self._quality.every_frame or state != self._drawn
        if not self.fresh:
            return
        self._drawn = state
        self._framebuffer.use()
        self._framebuffer.clear(depth=0.0)
        array = arena.vertex_array(program)
        side = self._quality.tile_pixels
        coarse = np.minimum(level + self._quality.level_drop, LEVELS - 1)
        for i, half in enumerate(self._quality.half_m):
            offset = (draws.rows["position"] - centres[i]) @ self._basis[:2].T
            chosen = np.flatnonzero((np.abs(offset) < half + draws.radius[:, None]).all(axis=1))
            if not len(chosen):
                continue
            self._framebuffer.viewport = (i * side, 0, side, side)
            program["cascade"].value = i
            out = commands(arena, draws, chosen, coarse[chosen], 1)
            array.render_indirect(self._commands.write(out), moderngl.TRIANGLES, len(out))

    def use(self, unit: int) -> None:
        """Bind the atlas for comparison."""
        self._atlas.use(unit)

    def release(self) -> None:
        """Delete atlas, framebuffer and commands."""
        for owned in (self._framebuffer, self._atlas, self._commands):
            owned.release()


def _sun_basis(to_sun: Array) -> Array:
    """(3, 3) rows: right, up, towards the sun."""
    right = maths.normalise(np.cross(maths.vec3(0, 1, 0), to_sun))
    return np.stack([right, np.cross(to_sun, right), to_sun]).astype(np.float32)
