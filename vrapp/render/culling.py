"""Which objects are drawn, at which level of detail, as one array of indirect commands.

Everything here is a handful of numpy operations over all objects: 10,000 cost about a millisecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrapp.core.maths import Array
from vrapp.core.mesh import LEVELS
from vrapp.core.scene import Mark, SceneArrays
from vrapp.render.arena import MeshArena

#: ``DrawElementsIndirectCommand`` of OpenGL; ``base_instance`` is the object's row in the storage buffer.
COMMAND_DTYPE = np.dtype(
    [("count", "<u4"), ("instances", "<u4"), ("first_index", "<u4"), ("base_vertex", "<i4"), ("base_instance", "<u4")]
)

#: One object as the shaders see it (std430). ``highlight``: linear RGB and strength of the rim
#: glow; ``half_extent``: of its box in metres; ``ground_y``: height of the ground under it.
OBJECT_DTYPE = np.dtype(
    [
        ("position", "<f4", 3),
        ("scale", "<f4"),
        ("orientation", "<f4", 4),
        ("highlight", "<f4", 4),
        ("half_extent", "<f4", 3),
        ("ground_y", "<f4"),
    ]
)

_HYSTERESIS = 0.18  # of a level (an octave of size): a level stays until it is this far out of its range

_MOST_STRAIN = 6.0

_MARK_HIGHLIGHTS = {
    Mark.KEPT: (1.0, 0.62, 0.25, 0.18),
    Mark.GAZED: (1.0, 0.90, 0.55, 0.45),
    Mark.POINTED: (0.45, 0.85, 1.0, 0.8),
    Mark.HELD: (1.0, 0.85, 0.45, 1.0),
}


def _highlight_table() -> Array:
    """(16, 4): the highlight of every combination of marks; the strongest mark wins."""
    table = np.zeros((16, 4), np.float32)
    for bits in range(16):
        for mark, highlight in _MARK_HIGHLIGHTS.items():  # weakest first
            if bits & mark:
                table[bits] = highlight
    return table


HIGHLIGHTS = _highlight_table()


def smoothstep(x: Array) -> Array:
    """Cubic ease of 0…1."""
    x = np.clip(x, 0, 1)
    eased: Array = x * x * (3 - 2 * x)
    return eased


def frustum_planes(clip_from_world: Array) -> Array:
    """(5, 4) inward unit planes ``(normal, offset)`` of a (4, 4) matrix: four sides and the near plane."""
    rows = clip_from_world
    planes = np.stack([rows[3] + rows[0], rows[3] - rows[0], rows[3] + rows[1], rows[3] - rows[1], rows[3]])
    unit: Array = (planes / np.linalg.norm(planes[:, :3], axis=1, keepdims=True)).astype(np.float32)
    return unit


def inside(planes: Array, centres: Array, radii: Array) -> np.ndarray:
    """(N,) bool: spheres that are not wholly outside any of the planes (P, 4)."""
    distances = centres @ planes[:, :3].T + planes[:, 3]  # (N, P)
    return np.asarray((distances > -radii[:, None]).all(axis=1))


@dataclass(frozen=True)
class DrawList:
    """The drawable part of the scene, before any view has culled it.

    ``slots`` (S,) names the scene's rows; ``rows`` (M ≥ S,) of OBJECT_DTYPE goes to the GPU as it is, hands
    after the objects; ``radius`` (M,) is the bounding sphere at the present growth.
    """

    slots: np.ndarray
    rows: np.ndarray
    mesh_id: np.ndarray
    radius: Array


def drawable(scene: SceneArrays, arena: MeshArena) -> DrawList:
    """Objects that exist, are larger than nothing, and whose mesh is resident."""
    mesh_id = scene.mesh_id[: scene.count]
    resident = arena.is_resident[np.clip(mesh_id, 0, None)]
    slots = np.flatnonzero((mesh_id >= 0) & resident & (scene.growth[: scene.count] > 0) & (scene.state != 0))
    growth = smoothstep(scene.growth[slots])
    rows = np.zeros(len(slots), OBJECT_DTYPE)
    rows["position"] = scene.position[slots]
    rows["scale"] = scene.size[slots] * growth
    rows["orientation"] = scene.orientation[slots]
    rows["half_extent"] = (scene.box[slots, 1] - scene.box[slots, 0]) * (0.5 * rows["scale"][:, None])
    rows["highlight"] = HIGHLIGHTS[scene.mark[slots] & 15]
    return DrawList(slots, rows, mesh_id[slots], (scene.radius[slots] * growth).astype(np.float32))


def with_extra(draws: DrawList, rows: np.ndarray, mesh_id: np.ndarray, radius_m: float) -> DrawList:
    """The list with rows that belong to no slot (hands) at its end."""
    if not len(rows):
        return draws
    return DrawList(
        draws.slots,
        np.concatenate([draws.rows, rows]),
        np.concatenate([draws.mesh_id, mesh_id]),
        np.concatenate([draws.radius, np.full(len(rows), radius_m, np.float32)]),
    )


def commands(arena: MeshArena, draws: DrawList, chosen: np.ndarray, level: np.ndarray, instances: int) -> np.ndarray:
    """(K,) of COMMAND_DTYPE for the draws ``chosen`` (indices, in drawing order) at ``level`` (K,)."""
    where = arena.levels[draws.mesh_id[chosen], level]
    out = np.empty(len(chosen), COMMAND_DTYPE)
    out["count"], out["instances"] = where["index_count"], instances
    out["first_index"], out["base_vertex"] = where["first_index"], where["base_vertex"]
    out["base_instance"] = chosen
    return out


class DetailChooser:
    """Level of detail by projected size, with hysteresis so that a level does not flicker.

    ``fine_pixels`` is the projected diameter from which the finest level is drawn; at a ``coarse_ratio``-th
    of it the next one gives way to the last. The full-grown size counts, so that growing changes no level.
    Where a view holds more triangles than ``triangle_budget``, levels get coarser from frame to frame.
    """

    def __init__(self, fine_pixels: float, coarse_ratio: float, triangle_budget: int) -> None:
        self._fine_pixels = fine_pixels
        self._budget = triangle_budget
        self._strain = 1.0  # what fine_pixels is multiplied by to hold the budget
        self._octaves_per_level = float(np.log2(coarse_ratio))
        self._level = np.full(256, -1, np.int8)  # by slot; -1 not drawn yet
        self._owner = np.full((256, 2), -1, np.int32)  # (generation, mesh id) that the level belongs to

    def choose(self, scene: SceneArrays, draws: DrawList, distance: Array, pixels_per_radian: float) -> np.ndarray:
        """Levels (M,) int8 of all draws at ``distance`` (M,) metres; hands have the finest."""
        self._reserve(scene.count)
        slots, objects = draws.slots, len(draws.slots)
        radius = scene.radius[slots]
        diameter = 2 * radius / np.maximum(distance[:objects] - radius, 0.05) * pixels_per_radian
        wanted = np.log2(self._fine_pixels * self._strain / np.maximum(diameter, 1e-3)) / self._octaves_per_level + 1
        low = np.clip(np.floor(wanted - _HYSTERESIS), 0, LEVELS - 1).astype(np.int8)
        high = np.clip(np.floor(wanted + _HYSTERESIS), 0, LEVELS - 1).astype(np.int8)
        owner = np.stack([scene.generation[slots], draws.mesh_id[:objects]], axis=1)
        same = (self._owner[slots] == owner).all(axis=1)
        level = np.where(same, np.clip(self._level[slots], low, high), low)
        self._level[slots], self._owner[slots] = level, owner
        return np.concatenate([level, np.zeros(len(draws.rows) - objects, np.int8)])

    def drawn(self, triangles: int) -> None:
        """Tell how many triangles the last choice came to: over the budget, the next ones are coarser."""
        if triangles > self._budget:
            self._strain = min(self._strain * min((triangles / self._budget) ** 0.25, 1.25), _MOST_STRAIN)
        elif triangles < 0.8 * self._budget:
            self._strain = max(self._strain / 1.02, 1.0)

    def _reserve(self, count: int) -> None:
        while len(self._level) < count:
            self._level = np.concatenate([self._level, np.full_like(self._level, -1)])
            self._owner = np.concatenate([self._owner, np.full_like(self._owner, -1)])
