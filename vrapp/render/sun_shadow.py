"""The sun's shadow maps: square orthographic tiles in one depth atlas, each snapped to its texels.

A graphics card draws all casters every frame. On a software rasteriser what rests is drawn once into an
atlas of its own (``RestingCasters`` says what rests), and only what moves is drawn over a copy of it.
"""

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
from vrapp.render.resting_casters import RestingCasters
from vrapp.render.stream_buffer import StreamBuffer

_DEPTH_HALF_M = 70.0  # casters this far before and behind the tile's centre are in its depth range
_LARGE_M = 2.5  # casters from this size have a finer level when they are coarse


@dataclass(frozen=True)
class ShadowQuality:
    """``half_m``: half edge of each tile, finest first. ``ahead``: how far the tiles are moved to where the
    viewer looks, in half edges. ``step``: by which they follow, likewise. ``coarse``: casters at their
    coarsest, and the resting ones kept from frame to frame."""

    tile_pixels: int
    half_m: tuple[float, ...]
    ahead: float
    step: float
    softness_m: float
    coarse: bool


class SunShadow:
    """Draws the casters into the atlas and tells the frame block where they are."""

    def __init__(self, ctx: Any, native: NativeGL, quality: ShadowQuality, to_sun: Array) -> None:
        self._native = native
        self._quality = quality
        size = (quality.tile_pixels * len(quality.half_m), quality.tile_pixels)
        self._atlas, self._framebuffer = _atlas(ctx, native, size)
        kept: tuple[Any, Any] = _atlas(ctx, native, size) if quality.coarse else (None, None)
        self._kept, self._kept_framebuffer = kept
        self._resting = RestingCasters()
        self._commands = StreamBuffer(ctx)
        self._basis = _sun_basis(to_sun)
        self._centres = np.zeros((len(quality.half_m), 3), np.float32)
        self._places: list[tuple[int, int, int] | None] = [None] * len(quality.half_m)  # in steps
        self._moving_before = True

    def place(self, frame: FrameBlock, viewer: Array, ahead: Array) -> None:
        """Centre the tiles around the viewer (3,), moved along the unit vector ``ahead`` (3,)."""
        v, q = frame.row, self._quality
        v["shadow_texel"][3] = q.softness_m
        v["counts"][1] = len(q.half_m)
        for i, half in enumerate(q.half_m):
            texel = 2 * half / q.tile_pixels
            step = max(round(q.step * half / texel), 1) * texel  # whole texels, so that edges do not crawl
            middle = viewer + ahead * (q.ahead * half)
            middle[1] = 0
            x, y, z = (self._basis @ middle).tolist()
            place = round(x / step), round(y / step), round(z)
            if place == self._places[i]:
                continue
            self._places[i] = place
            local = maths.vec3(place[0] * step, place[1] * step, place[2])
            self._centres[i] = self._basis.T @ local
            tile = np.array([i / len(q.half_m), 0, (i + 1) / len(q.half_m), 1], np.float32)
            v["shadow_from_world"][i] = self._matrix(local, half, tile).T
            v["shadow_tile"][i] = tile
            v["shadow_texel"][i] = texel

    def _matrix(self, local: Array, half: float, tile: Array) -> Array:
        """World to (atlas u, v, depth), depth 1 towards the sun (reversed, as everywhere)."""
        m = np.eye(4, dtype=np.float32)
        m[:3, :3] = self._basis
        m[:3, 3] = -local
        scale = np.diag([(tile[2] - tile[0]) / (2 * half), 0.5 / half, 0.5 / _DEPTH_HALF_M, 1]).astype(np.float32)
        scale[:3, 3] = (tile[0] + tile[2]) / 2, 0.5, 0.5
        return scale @ m

    def draw(self, arena: MeshArena, casters: Any, draws: DrawList, level: np.ndarray) -> None:
        """Draw the casters of all tiles. ``casters``: the arena's vertex array for the program "cast_shadow"."""
        if self._quality.coarse:
            size = draws.rows["scale"][: draws.count]
            self._draw_moving(arena, casters, draws, np.where(size > _LARGE_M, LEVELS - 2, LEVELS - 1))
        else:
            self._framebuffer.use()  # ModernGL's clear returns to the framebuffer before, which may be gone
            self._framebuffer.clear(depth=0.0)
            self._draw(self._framebuffer, arena, casters, draws, level, np.flatnonzero(draws.shown[: draws.count]))

    def _draw_moving(self, arena: MeshArena, casters: Any, draws: DrawList, level: np.ndarray) -> None:
        changed = self._resting.update(draws, self._near(draws), self._centres.tobytes())
        if changed.start_over:
            self._kept_framebuffer.use()
            self._kept_framebuffer.clear(depth=0.0)
        self._draw(self._kept_framebuffer, arena, casters, draws, level, changed.now_resting)
        moving = len(changed.moving) > 0
        if moving or self._moving_before or changed.start_over or len(changed.now_resting):
            self._native.copy_texture(self._kept, self._atlas)
            self._draw(self._framebuffer, arena, casters, draws, level, changed.moving)
        self._moving_before = moving

    def _near(self, draws: DrawList) -> np.ndarray:
        """Rows that are shown and that the last, largest tile holds at least a part of."""
        n = draws.count
        offset = (draws.centre[:n] - self._centres[-1]) @ self._basis[:2].T  # (M, 2)
        held = (np.abs(offset) < self._quality.half_m[-1] + draws.radius[:n, None]).all(axis=1)
        return np.flatnonzero(held & draws.shown[:n])

    def _draw(
        self, into: Any, arena: MeshArena, casters: Any, draws: DrawList, level: np.ndarray, which: np.ndarray
    ) -> None:
        """Add the casters ``which`` (rows) to all tiles of an atlas."""
        side = self._quality.tile_pixels
        into.use()
        for i, half in enumerate(self._quality.half_m):
            offset = (draws.centre[which] - self._centres[i]) @ self._basis[:2].T  # (W, 2)
            chosen = which[(np.abs(offset) < half + draws.radius[which, None]).all(axis=1)]
            if len(chosen):
                into.viewport = (i * side, 0, side, side)
                casters.program["cascade"].value = i
                out = commands(arena, draws, chosen, level[chosen], 1)
                casters.render_indirect(self._commands.write(out), moderngl.TRIANGLES, len(out))

    def use(self, unit: int) -> None:
        """Bind the atlas for comparison."""
        self._atlas.use(unit)

    def release(self) -> None:
        """Delete atlases, framebuffers and commands."""
        for owned in (self._framebuffer, self._atlas, self._kept_framebuffer, self._kept, self._commands):
            if owned is not None:
                owned.release()


def _atlas(ctx: Any, native: NativeGL, size: tuple[int, int]) -> tuple[Any, Any]:
    """A depth texture that is sampled by comparison, and its framebuffer."""
    texture = native.depth_texture(ctx, size)
    texture.compare_func = ">="
    texture.repeat_x = texture.repeat_y = False
    return texture, ctx.framebuffer(depth_attachment=texture)


def _sun_basis(to_sun: Array) -> Array:
    """(3, 3) rows: right, up, towards the sun."""
    right = maths.normalise(np.cross(maths.vec3(0, 1, 0), to_sun))
    return np.stack([right, np.cross(to_sun, right), to_sun]).astype(np.float32)
