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
from vrapp.core.record import record
from vrapp.render.arena import MeshArena
from vrapp.render.culling import COMMAND_DTYPE, DrawList, commands
from vrapp.render.frame_block import FrameBlock
from vrapp.render.gl_native import NativeGL
from vrapp.render.resting_casters import RestingCasters
from vrapp.render.stream_buffer import StreamBuffer

_DEPTH_HALF_M = 70.0  # casters this far before and behind the tile's centre are in its depth range
_LARGE_M = 2.5  # casters from this size have a finer level when they are coarse
_FEW = 8  # rows


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


@record
class _Casting:
    """Of a frame: whether the atlas is cleared, what has come to rest, whether the atlas of what rests is copied, and
    what is drawn over it; both as tile and commands."""

    start_over: bool
    resting: list[tuple[int, np.ndarray]]
    redrawn: bool
    moving: list[tuple[int, np.ndarray]]


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
        self._basis_rows = self._basis.tolist()
        self._centres = np.zeros((len(quality.half_m), 3), np.float32)
        self._places: list[tuple[int, int, int] | None] = [None] * len(quality.half_m)  # in steps
        self._held = np.zeros(0, bool)  # by row
        self._held_of: tuple[int, object] = (0, None)  # how many rows, at which place
        self._near_objects = np.zeros(0, np.int64)
        self._moving_before = True
        self._casting = _Casting(False, [], False, [])

    def place(self, frame: FrameBlock, viewer: Array, ahead: tuple[float, float]) -> None:
        """Centre the tiles around the viewer (3,), moved along the unit vector ``ahead`` (x and z)."""
        q, (x, _, z) = self._quality, viewer.tolist()
        for i, half in enumerate(q.half_m):
            texel = 2 * half / q.tile_pixels
            step = max(round(q.step * half / texel), 1) * texel  # whole texels, so that edges do not crawl
            u, v = x + ahead[0] * q.ahead * half, z + ahead[1] * q.ahead * half
            right, up, towards = (a * u + b * v for a, _, b in self._basis_rows)
            place = round(right / step), round(up / step), round(towards)
            if place != self._places[i]:
                self._places[i] = place
                local = maths.vec3(place[0] * step, place[1] * step, place[2])
                self._centres[i] = self._basis.T @ local
                self._tell(frame.row, i, local, half)

    def _tell(self, row: Any, i: int, local: Array, half: float) -> None:
        """Write where a tile is into the frame block."""
        q = self._quality
        tile = np.array([i / len(q.half_m), 0, (i + 1) / len(q.half_m), 1], np.float32)
        row["shadow_from_world"][i] = self._matrix(local, half, tile).T
        row["shadow_tile"][i] = tile
        row["shadow_texel"][i], row["shadow_texel"][3] = 2 * half / q.tile_pixels, q.softness_m
        row["counts"][1] = len(q.half_m)

    def _matrix(self, local: Array, half: float, tile: Array) -> Array:
        """World to (atlas u, v, depth), depth 1 towards the sun (reversed, as everywhere)."""
        m = np.eye(4, dtype=np.float32)
        m[:3, :3] = self._basis
        m[:3, 3] = -local
        scale = np.diag([(tile[2] - tile[0]) / (2 * half), 0.5 / half, 0.5 / _DEPTH_HALF_M, 1]).astype(np.float32)
        scale[:3, 3] = (tile[0] + tile[2]) / 2, 0.5, 0.5
        return scale @ m

    def work_out(self, arena: MeshArena, draws: DrawList, level: np.ndarray) -> None:
        """Which casters `draw` draws, from the frame's rows and their levels (N,). Makes no GL call."""
        if not self._quality.coarse:
            self._casting = _Casting(True, [], True, self._tiles(arena, draws, np.arange(draws.count), level))
            return
        changed = self._resting.update(draws, self._near(draws), self._centres.tobytes())
        resting = self._tiles(arena, draws, changed.now_resting)
        moving = self._tiles(arena, draws, changed.moving)
        redrawn = changed.start_over or self._moving_before or bool(resting or moving)
        self._casting = _Casting(changed.start_over, resting, redrawn, moving)
        self._moving_before = bool(moving)

    def draw(self, casters: Any) -> None:
        """Draw what was worked out. ``casters``: the arena's vertex array for the program "cast_shadow"."""
        now = self._casting
        coarse = self._quality.coarse
        if now.start_over:  # ModernGL's clear returns to the framebuffer before, which may be gone: so it is used first
            first = self._kept_framebuffer if coarse else self._framebuffer
            first.use()
            first.clear(depth=0.0)
        self._draw(self._kept_framebuffer, casters, now.resting)
        if coarse and now.redrawn:
            self._native.copy_texture(self._kept, self._atlas)
        self._draw(self._framebuffer, casters, now.moving)

    def _near(self, draws: DrawList) -> np.ndarray:
        """Rows of objects to look at: those of which the last, largest tile held a part when the world or it last
        changed, and what has moved since. The same array while it is the same."""
        now = draws.objects, self._places[-1]
        if now != self._held_of:
            rows, self._held_of = np.arange(draws.objects), now
            self._held = self._inside(draws, rows, self._centres[-1], self._quality.half_m[-1])
            self._near_objects = self._held.nonzero()[0]
        elif len(draws.moved) and not self._held[draws.moved].all():
            self._held[draws.moved] = True
            self._near_objects = self._held.nonzero()[0]
        return self._near_objects

    def _inside(self, draws: DrawList, which: np.ndarray, centre: Array, half_m: float) -> np.ndarray:
        """(W,) bool: rows that are shown, and of which a tile holds at least a part."""
        offset = (draws.centre[which] - centre) @ self._basis[:2].T  # (W, 2)
        inside: np.ndarray = (np.abs(offset) < half_m + draws.radius[which, None]).all(axis=1)
        inside &= draws.shown[which]
        return inside

    def _tiles(
        self, arena: MeshArena, draws: DrawList, which: np.ndarray, level: np.ndarray | None = None
    ) -> list[tuple[int, np.ndarray]]:
        """Of each tile that holds some of ``which`` (rows): its number and their commands; at the coarsest levels where
        none are given."""
        tiles = []
        few = len(which) <= _FEW and level is None  # the hands, and what they hold
        for i, half in enumerate(self._quality.half_m if len(which) else ()):
            if few:
                out = self._few(arena, draws, which.tolist(), i)
            else:
                chosen = which[self._inside(draws, which, self._centres[i], half)]
                levels = _coarse(draws, chosen) if level is None else level[chosen]
                out = commands(arena, draws, chosen, levels, 1)
            if len(out):
                tiles.append((i, out))
        return tiles

    def _few(self, arena: MeshArena, draws: DrawList, which: list[int], tile: int) -> np.ndarray:
        """The commands of ``which`` in a tile, at the coarsest levels: numpy takes three times as long over a few."""
        half = self._quality.half_m[tile]
        x, y, z = self._centres[tile].tolist()
        (a, b, c), (d, e, f), _ = self._basis_rows
        out = []
        for row in which:
            u, v, w = draws.centre[row].tolist()
            u, v, w, far = u - x, v - y, w - z, half + float(draws.radius[row])
            inside = abs(a * u + b * v + c * w) < far and abs(d * u + e * v + f * w) < far
            if inside and draws.shown[row]:
                first, count, base, _ = arena.levels[draws.mesh_id[row], _coarse_level(float(draws.scale[row]))].item()
                out.append((count, 1, first, base, row))
        return np.array(out, COMMAND_DTYPE)

    def _draw(self, into: Any, casters: Any, tiles: list[tuple[int, np.ndarray]]) -> None:
        """Add to the tiles of an atlas."""
        side = self._quality.tile_pixels
        if tiles:
            into.use()
        for i, out in tiles:
            into.viewport = (i * side, 0, side, side)
            casters.program["cascade"].value = i
            casters.render_indirect(self._commands.write(out), moderngl.TRIANGLES, len(out))

    def use(self, unit: int) -> None:
        """Bind the atlas for comparison."""
        self._atlas.use(unit)

    def release(self) -> None:
        """Delete atlases, framebuffers and commands."""
        for owned in (self._framebuffer, self._atlas, self._kept_framebuffer, self._kept, self._commands):
            if owned is not None:
                owned.release()


def _coarse(draws: DrawList, which: np.ndarray) -> np.ndarray:
    """(W,) the coarsest level of each row, a finer one of what is large."""
    return np.where(draws.scale[which] > _LARGE_M, LEVELS - 2, LEVELS - 1)


def _coarse_level(scale: float) -> int:
    """The same of one."""
    return LEVELS - 2 if scale > _LARGE_M else LEVELS - 1


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
