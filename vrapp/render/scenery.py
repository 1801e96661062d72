"""Sky, ground and grass: the place that objects stand in. Made by shaders, from a few numbers."""

from __future__ import annotations

import math
from typing import Any

import moderngl
import numpy as np

from vrapp.core.maths import Array
from vrapp.render.arena import row_attributes
from vrapp.render.frame_block import FrameBlock
from vrapp.render.shader_library import ShaderLibrary

_HORIZON_M = 2600.0
_SKY_VERTICES = 24 * 16 * 6  # the grid of sky.vert
_VALLEY_SLACK_M = 40.0  # how far the viewer may go before the ring of hills follows
_FEW = 64  # positions
_FLAT_M, _WILD_M, _RIM_M = 75.0, 420.0, 42.0  # terrain.glsl tells what they are


def ground_disc(rings: int, segments: int, near_m: float) -> tuple[Array, np.ndarray, int]:
    """Vertices (V, 2) float32 in metres from the viewer, triangles (T, 3) uint32 CCW from above, and how
    many of these are within about ``near_m``.

    Rings lie ever farther apart, so that triangles have about equal size in the picture.
    """
    growth = np.linspace(0, 1, rings + 1)[1:]
    radii = 0.9 * (np.exp(growth * math.log(_HORIZON_M / 0.9 + 1)) - 1)
    angles = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)  # (S, 2)
    points = (radii[:, None, None] * circle).reshape(-1, 2)
    vertices = np.concatenate([np.zeros((1, 2)), points]).astype(np.float32)
    s = np.arange(segments)
    after = (s + 1) % segments
    middle = np.stack([np.zeros_like(s), 1 + after, 1 + s], axis=-1)
    inner = 1 + np.arange(rings - 1)[:, None] * segments  # (R-1, 1)
    a, b = inner + s, inner + after
    c, d = a + segments, b + segments
    band = np.stack([a, b, c, b, d, c], axis=-1).reshape(-1, 3)
    near_rings = int(np.searchsorted(radii, near_m))
    return vertices, np.concatenate([middle, band]).astype(np.uint32), segments * (1 + 2 * near_rings)


def _with_slopes(heights: Array, cell_m: float) -> bytes:
    """Height and slopes along x and z of each cell, four float32: one look-up tells a vertex both."""
    two_m = 2 * max(cell_m, 1e-6)  # a flat field may have no size
    along_z, along_x = ((np.roll(heights, -1, axis) - np.roll(heights, 1, axis)) / two_m for axis in (0, 1))
    return np.stack([heights, along_x, along_z, np.zeros_like(heights)], axis=-1).astype(np.float32).tobytes()


def _disc(light: bool) -> tuple[int, int, float]:
    """Rings and segments of the ground, and its vertices' distance from each other at 1 m from the viewer."""
    rings, segments = (40, 80) if light else (90, 200)
    return rings, segments, math.log(_HORIZON_M / 0.9 + 1) / rings


def _grass(light: bool) -> tuple[float, int]:
    """Metres of a cell of the grid that tufts grow on, and cells along its side."""
    return (0.29, 42) if light else (0.22, 110)


def add_programs(programs: ShaderLibrary, light: bool) -> None:
    """Compile what draws the scenery."""
    cell_m, side = _grass(light)
    spacing = f"SPACING {_disc(light)[2]:.4f}"
    programs.add("ground", "ground.vert", "ground.frag", spacing)
    programs.add("ground_far", "ground.vert", "ground.frag", spacing, "FAR")
    programs.add("grass", "grass.vert", "grass.frag", f"GRASS_CELL {cell_m}", f"GRASS_SIDE {side}")
    programs.add("cloud_tile", "fullscreen.vert", "cloud_tile.frag")
    programs.add("sky", "sky.vert", "sky.frag")


class Scenery:
    """Owner of what draws ground, grass and sky."""

    def __init__(self, ctx: Any, light: bool) -> None:
        self._ctx = ctx
        self._light = light
        near_m = 23.0 if light else 120.0
        vertices, triangles, self._near_triangles = ground_disc(*_disc(light)[:2], near_m)
        self._ground = ctx.buffer(vertices.tobytes())
        self._ground_indices = ctx.buffer(triangles.tobytes())
        self.ground_triangles = len(triangles)
        self._tufts = _grass(light)[1] ** 2
        self._field: Array = np.zeros((1, 1), np.float32)
        self._cell_m = 0.0
        self._heights = ctx.texture((1, 1), 4, np.zeros(4, np.float32).tobytes(), dtype="f4")
        self._valley = np.zeros(2, np.float32)
        self._valley_at: list[float] = self._valley.tolist()
        self._told: tuple[float, ...] = ()  # to the frame block
        self._clouds: Any = None
        self._cloud_pixels = 512 if light else 1024
        self._arrays: dict[str, Any] = {}

    def set_heights(self, heights: Array, cell_m: float) -> None:
        """The land beyond the clearing: (N, N) float32 metres, rows along +Z, columns along +X, repeating.

        Where people walk it stays level: the valley's floor does not follow it, the rim does.
        """
        self._field = np.ascontiguousarray(heights, np.float32)
        self._cell_m = cell_m
        self._heights.release()
        self._heights = self._ctx.texture(self._field.shape[::-1], 4, _with_slopes(self._field, cell_m), dtype="f4")
        self._heights.build_mipmaps()
        self._heights.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR

    def height_at(self, positions: Array) -> Array:
        """Ground height (M,) float32 under positions (M, 3), as terrain.glsl has it (of the nearest cell)."""
        height = np.zeros(len(positions), np.float32)
        if len(positions) <= _FEW and all(self._is_level(x, z) for x, _, z in positions.tolist()):
            return height  # nearly always, as what moves is what the user's hands have moved
        away = np.hypot(positions[:, 0] - self._valley[0], positions[:, 2] - self._valley[1])
        beyond = np.flatnonzero(away > _FLAT_M)
        if self._cell_m and len(beyond):
            t = np.minimum((away[beyond] - _FLAT_M) / (_WILD_M - _FLAT_M), 1)
            rise = t * t * (3 - 2 * t)
            n = self._field.shape[0]
            row, column = np.floor(positions[beyond][:, [2, 0]] / self._cell_m).astype(int).T % n
            height[beyond] = rise * (self._field[row, column] + _RIM_M * rise)
        return height

    def _is_level(self, x: float, z: float) -> bool:
        """Whether a place is on the valley's floor."""
        middle_x, middle_z = self._valley_at
        return math.hypot(x - middle_x, z - middle_z) <= _FLAT_M

    def bake(self, programs: ShaderLibrary, back_to: Any) -> None:
        """Draw the tile of clouds, once, then use ``back_to`` (a framebuffer) again.

        The frame block must be bound: the sun lights the clouds.
        """
        if self._clouds is not None:
            return
        side = (self._cloud_pixels, self._cloud_pixels)
        self._clouds = self._ctx.texture(side, 2)
        buffer = self._ctx.framebuffer([self._clouds])
        buffer.use()
        self.array(programs, "cloud_tile").render(vertices=3)
        back_to.use()
        buffer.release()
        if not self._light:  # a software rasteriser pays dearly for mipmaps and anisotropy
            self._clouds.build_mipmaps()
            self._clouds.anisotropy = 8.0
            self._clouds.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR

    def place(self, frame: FrameBlock) -> None:
        """Tell the frame block where the terrain is; the valley follows a viewer who leaves its middle."""
        x, _, z = frame.viewer.tolist()
        middle_x, middle_z = self._valley_at
        if (away := math.hypot(x - middle_x, z - middle_z)) > _VALLEY_SLACK_M:
            share = 1 - _VALLEY_SLACK_M / away
            middle_x, middle_z = middle_x + (x - middle_x) * share, middle_z + (z - middle_z) * share
            self._valley[:] = middle_x, middle_z
            self._valley_at = self._valley.tolist()
        terrain = (self._field.shape[0] * self._cell_m, *self._valley_at, self._cell_m)
        if terrain != self._told:
            frame.row["terrain"] = self._told = terrain

    def draw_ground(self, programs: ShaderLibrary, eyes: int) -> None:
        """The ground; shadow atlas on unit 0."""
        self._heights.use(1)
        near = 3 * self._near_triangles
        self.array(programs, "ground").render(vertices=near, instances=eyes)
        self.array(programs, "ground_far").render(vertices=3 * self.ground_triangles - near, first=near, instances=eyes)

    def draw_grass(self, programs: ShaderLibrary, eyes: int) -> None:
        """Tufts near the viewer; both sides of a blade are seen."""
        self.array(programs, "grass").render(vertices=15, instances=self._tufts * eyes)

    def draw_sky(self, programs: ShaderLibrary, eyes: int) -> None:
        """Whatever nothing else has covered."""
        self._clouds.use(1)
        self.array(programs, "sky").render(vertices=_SKY_VERTICES, instances=eyes)

    def blobs(self, programs: ShaderLibrary, rows: Any) -> Any:
        """The vertex array of the objects' contact shadows; ``rows``: see ``MeshArena.vertex_array``."""
        if "blobs" not in self._arrays:
            program = programs["blobs"]
            self._arrays["blobs"] = self._ctx.vertex_array(program, [row_attributes(program, rows, "/i")])
        return self._arrays["blobs"]

    def array(self, programs: ShaderLibrary, name: str) -> Any:
        """The vertex array of a program that makes its own vertices (the ground has a buffer)."""
        if name not in self._arrays:
            buffers = [(self._ground, "2f4", "in_offset")] if name.startswith("ground") else []
            indices = self._ground_indices if name.startswith("ground") else None
            self._arrays[name] = self._ctx.vertex_array(programs[name], buffers, indices)
        return self._arrays[name]

    def forget_programs(self) -> None:
        """Drop the vertex arrays of programs that were replaced."""
        for array in self._arrays.values():
            array.release()
        self._arrays.clear()

    def release(self) -> None:
        """Delete all GL objects."""
        self.forget_programs()
        for owned in (self._ground, self._ground_indices, self._heights, self._clouds):
            if owned is not None:
                owned.release()
