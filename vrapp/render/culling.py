"""Which objects are drawn, at which level of detail, as one array of indirect commands.

Everything here is a handful of numpy operations over all objects: 10,000 cost about a millisecond.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from vrapp.core.maths import Array
from vrapp.core.mesh import LEVELS
from vrapp.core.scene import Mark, ObjectState, SceneArrays
from vrapp.render.arena import MeshArena

#: ``DrawElementsIndirectCommand`` of OpenGL; ``base_instance`` is the object's row.
COMMAND_DTYPE = np.dtype(
    [("count", "<u4"), ("instances", "<u4"), ("first_index", "<u4"), ("base_vertex", "<i4"), ("base_instance", "<u4")]
)

#: One object as the shaders see it (``shaders/object_rows.glsl``). ``highlight``: linear RGB and strength of the rim
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

HAND_RADIUS_M = 0.15

_NONE = np.zeros(0, np.int64)
_ONES = np.ones(3, np.float32)
_UNKNOWN = -1  # no state
_BY_ROW = ("rows", "mesh_id", "shown", "_state", "_mark", "_resident", "_edge", "_box")

_GROWS, _TRAVELS = (
    np.isin(np.arange(len(ObjectState)), states)
    for states in ((ObjectState.GROWING, ObjectState.SHRINKING), (ObjectState.HELD, ObjectState.FLYING))
)

_HYSTERESIS = 0.18  # of a level (an octave of size): a level stays until it is this far out of its range

#: As ints: an array and an enum compare eight times slower.
_OUTLINED, _KEPT = int(Mark.POINTED | Mark.GAZED | Mark.HELD), int(Mark.KEPT)

_FRAMES_PER_CHOICE = 4  # a level may be a few frames late, nobody walks that fast

_MOST_STRAIN = 6.0

_STEPS_PER_M, _MOST_STEPS = np.float32(64), np.float32(65535)  # of distance, to sort by

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
    x = np.minimum(np.maximum(x, 0), 1)  # half the time of np.clip
    eased: Array = x * x * (3 - 2 * x)
    return eased


def frustum_planes(clip_from_world: Array) -> Array:
    """(5, 5) inward unit planes ``(normal, offset, 1)`` of a (4, 4) matrix: four sides and the near plane.

    Multiplied with a sphere ``(centre, 1, radius)``: how far it reaches in, metres.
    """
    (a, b, c, d), (e, f, g, h), _, (i, j, k, m) = clip_from_world.tolist()
    planes = []
    for x, y, z, offset in (
        (i + a, j + b, k + c, m + d), (i - a, j - b, k - c, m - d),
        (i + e, j + f, k + g, m + h), (i - e, j - f, k - g, m - h), (i, j, k, m),
    ):  # fmt: skip
        length = math.hypot(x, y, z)
        planes.append((x / length, y / length, z / length, offset / length, 1.0))
    return np.array(planes, np.float32)


def inside(planes: Array, spheres: Array) -> np.ndarray:
    """(N,) bool: spheres (N, 5) that are not wholly outside any of the planes (P, 5)."""
    within: np.ndarray = (planes @ spheres.T).min(axis=0) > 0  # (P, N): a reduction over the long axis is far quicker
    return within


class DrawList:
    """Every object as the shaders see it, before any view has culled it: row = slot, the hands' rows after them.

    Kept from frame to frame. A row is worked out again only while its object is not at rest, when that has just
    changed, or when an object or a mesh has come to the world: most of a world stands still.

    ``rows`` (capacity,) of OBJECT_DTYPE, ``mesh_id``, bounding sphere at the present growth (``spheres``, that is
    ``centre``, 1 and ``radius``) and ``shown`` by row; ``objects`` and ``count`` say how many rows there are without
    and with hands; ``moved`` are the rows that changed but for their highlight; ``outlined`` and ``kept`` those with
    such a mark; ``version`` rises when a row's mesh, scale or whether it is shown may be another. ``scale`` by row.
    """

    def __init__(self) -> None:
        self.objects = self.count = self.version = 0
        self._hand_meshes: Sequence[int] = []
        self.rows = np.zeros(256, OBJECT_DTYPE)
        self._numbers = _numbers_of(self.rows)
        self.scale = self._numbers[:, 3]  # a view
        self.mesh_id = np.zeros(256, np.int32)
        self.spheres = _spheres(256)
        self.centre, self.radius = self.spheres[:, :3], self.spheres[:, 4]  # views
        self.shown = np.zeros(256, bool)
        self.moved = self.outlined = self.kept = _NONE
        self._state = np.zeros(256, np.int8)
        self._mark = np.zeros(256, np.uint8)
        self._resident = np.zeros(256, bool)
        self._edge = np.zeros(256, np.float32)
        self._box = np.zeros((256, 2, 3), np.float32)
        self._seen: tuple[object, int] = (None, -1)  # the scene's views and the arena's version worked out last
        # States and marks as they were then: comparing their bytes costs less than any of numpy's operations.
        self._states = b""
        self._marks: bytes | None = None
        self._restless = True  # something changed in the last update
        self._travelling = _NONE

    def forget(self) -> None:
        """Work out everything at the next update: the ground has another shape."""
        self._state[:], self._restless = _UNKNOWN, True

    def update(
        self, scene: SceneArrays, arena: MeshArena, ground_at: Callable[[Array], Array],
        hands: Sequence[Sequence[float]], hand_meshes: Sequence[int],
    ) -> None:  # fmt: skip
        """Take over what has changed. ``hands``: H rows, as the 16 numbers of an OBJECT_DTYPE; ``ground_at`` (M, 3) →
        ground height (M,)."""
        n, count = scene.count, scene.count + len(hands)
        self._reserve(count)
        # The store makes new views whenever an object comes; all that goes, goes through a change of state.
        news = self._seen[0] is not scene or self._seen[1] != arena.version
        states, changed = scene.state.tobytes(), _NONE
        if news or self._restless or states != self._states:
            differs = _GROWS[scene.state] | (scene.state != self._state[:n])
            if news:
                differs |= self._differs(scene, arena)
                self._seen = scene, arena.version
            changed = differs.nonzero()[0]
            if len(changed):
                self._work_out(changed, scene, arena, ground_at)
            self._travelling = (_TRAVELS[scene.state] & ~differs).nonzero()[0]
            self._state[:n], self._states, self._restless = scene.state, states, len(changed) > 0
        if len(self._travelling):
            if (scene.size[self._travelling] * scene.growth[self._travelling] != self._edge[self._travelling]).any():
                self._work_out(self._travelling, scene, arena, ground_at)  # two hands stretch it
            else:
                self._follow(self._travelling, scene, ground_at)
            changed = np.concatenate((changed, self._travelling)) if len(changed) else self._travelling
        self.moved = changed
        marks = scene.mark.tobytes()
        if marks != self._marks:
            marked = (scene.mark != self._mark[:n]).nonzero()[0]
            self._numbers[marked, 8:12] = HIGHLIGHTS[scene.mark[marked] & 15]
            self._mark[marked], self._marks = scene.mark[marked], marks
            self.outlined, self.kept = (scene.mark & _OUTLINED).nonzero()[0], (scene.mark & _KEPT).nonzero()[0]
        self._place_hands(n, count, hands, hand_meshes)

    def _place_hands(self, n: int, count: int, hands: Sequence[Sequence[float]], meshes: Sequence[int]) -> None:
        """Rows ``n`` to ``count``."""
        if hands:
            self._numbers[n:count] = hands
            self.centre[n:count] = self._numbers[n:count, :3]
        if (n, count, meshes) != (self.objects, self.count, self._hand_meshes):
            self.mesh_id[n:count], self.radius[n:count], self.shown[n:count] = meshes, HAND_RADIUS_M, True
            self.objects, self.count, self._hand_meshes = n, count, meshes
            self.version += 1

    def distances(self, viewer: Array) -> Array:
        """(count,) metres from ``viewer`` (3,)."""
        to = self.centre[: self.count] - viewer
        to *= to
        distance: Array = np.sqrt(to @ _ONES)
        return distance

    def _differs(self, scene: SceneArrays, arena: MeshArena) -> np.ndarray:
        """(N,) bool: rows whose object was not worked out as it is now, whatever its state."""
        n, mesh_id = scene.count, scene.mesh_id
        differs: np.ndarray = (mesh_id != self.mesh_id[:n]) | (_resident(arena, mesh_id) != self._resident[:n])
        differs |= scene.size * scene.growth != self._edge[:n]
        # By number, not by row: a reduction over a short axis takes far longer.
        for now, before in ((scene.box, self._box[:n]), (scene.position, self.centre[:n]),
                            (scene.orientation, self._numbers[:n, 4:8])):  # fmt: skip
            other = (now != before).reshape(-1).nonzero()[0]
            if len(other):
                differs[other * n // now.size] = True
        return differs

    def _work_out(
        self, slots: np.ndarray, scene: SceneArrays, arena: MeshArena, ground_at: Callable[[Array], Array]
    ) -> None:
        """The rows of these slots; what is not drawn (none, not grown, mesh not resident) has scale 0."""
        self.version += 1
        mesh_id = scene.mesh_id[slots]
        resident, size, box = _resident(arena, mesh_id), scene.size[slots], scene.box[slots]
        edge = size * scene.growth[slots]
        shown = resident & (scene.state[slots] != 0)
        growth = smoothstep(scene.growth[slots]) * shown
        position = scene.position[slots]
        numbers = np.zeros((len(slots), 16), np.float32)  # OBJECT_DTYPE's, without its fields: quicker
        numbers[:, :3], numbers[:, 4:8] = position, scene.orientation[slots]
        scale = numbers[:, 3] = size * growth
        numbers[:, 12:15] = (box[:, 1] - box[:, 0]) * (0.5 * scale[:, None])
        numbers[:, 15] = ground_at(position)
        self._numbers[slots], self.centre[slots] = numbers, position
        self._resident[slots], self._edge[slots], self._box[slots] = resident, edge, box
        self._mark[slots], self._marks = 0, None
        self.mesh_id[slots], self.radius[slots] = mesh_id, scene.radius[slots] * growth
        self.shown[slots] = shown & (growth > 0)

    def _follow(self, slots: np.ndarray, scene: SceneArrays, ground_at: Callable[[Array], Array]) -> None:
        """Only the pose of these, which are few, has changed."""
        for slot in slots.tolist():
            row, position = self._numbers[slot], scene.position[slot]
            row[:3] = self.centre[slot] = position
            row[4:8] = scene.orientation[slot]
            row[15] = ground_at(position[None])[0]

    def _reserve(self, count: int) -> None:
        while len(self.rows) < count:
            for name in _BY_ROW:
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
            self._numbers = _numbers_of(self.rows)
            self.scale = self._numbers[:, 3]
            self.spheres = np.concatenate([self.spheres, _spheres(len(self.spheres))])
            self.centre, self.radius = self.spheres[:, :3], self.spheres[:, 4]


def _spheres(count: int) -> Array:
    """(N, 5) float32: centre, 1, radius of nothing."""
    spheres = np.zeros((count, 5), np.float32)
    spheres[:, 3] = 1
    return spheres


def _numbers_of(rows: np.ndarray) -> Array:
    """(N, 16) float32: the same memory."""
    return rows.view(np.float32).reshape(len(rows), -1)


def _resident(arena: MeshArena, mesh_id: np.ndarray) -> np.ndarray:
    """(N,) bool: which meshes can be drawn; none is -1."""
    there: np.ndarray = arena.is_resident[mesh_id] & (mesh_id >= 0)
    return there


def commands(arena: MeshArena, draws: DrawList, chosen: np.ndarray, level: np.ndarray, instances: int) -> np.ndarray:
    """(K,) of COMMAND_DTYPE for the rows ``chosen`` (in drawing order) at ``level`` (K,)."""
    out = np.empty(len(chosen), COMMAND_DTYPE)
    if not len(chosen):
        return out
    where = arena.levels[draws.mesh_id[chosen], level]
    out["count"], out["instances"] = where["index_count"], instances
    out["first_index"], out["base_vertex"] = where["first_index"], where["base_vertex"]
    out["base_instance"] = chosen
    return out


class RowCommands:
    """The command of every row at its level, kept until a level, a row or a mesh is another: a frame only picks."""

    def __init__(self) -> None:
        self._commands = np.zeros(0, COMMAND_DTYPE)
        self._level: np.ndarray | None = None
        self._made_of = (-1, -1, -1, -1)

    def of(self, arena: MeshArena, draws: DrawList, level: np.ndarray, instances: int) -> np.ndarray:
        """(count,) of COMMAND_DTYPE by row, of use for those that are shown. ``level`` (count,): the same array while
        it is the same."""
        made_of = arena.version, draws.version, draws.count, instances
        if level is not self._level or made_of != self._made_of:
            self._commands = commands(arena, draws, np.arange(draws.count), level, instances)
            self._level, self._made_of = level, made_of
        return self._commands


class NearestFirst:
    """In which order rows are drawn: the nearest first, so that what is behind need not be shaded.

    Sorted again every few frames, and where there are more or fewer rows: an order a little old draws the same picture.
    """

    def __init__(self) -> None:
        self._rows = _NONE
        self._age = _FRAMES_PER_CHOICE // 2  # not in the frames in which levels are chosen

    def of(self, chosen: np.ndarray, draws: DrawList, viewer: Array) -> np.ndarray:
        """The rows that are ``chosen`` (count,) bool, by their distance from ``viewer`` (3,)."""
        self._age += 1
        if len(self._rows) != len(chosen) or self._age >= _FRAMES_PER_CHOICE:
            # To the centimetre or two: numpy sorts small integers by their digits, in a third of the time.
            steps = np.minimum(draws.distances(viewer) * _STEPS_PER_M, _MOST_STEPS).astype(np.uint16)
            self._rows, self._age = steps.argsort(kind="stable"), 0
        ordered: np.ndarray = self._rows[chosen[self._rows]]
        return ordered


class DetailChooser:
    """Level of detail by projected size, with hysteresis so that a level does not flicker.

    ``fine_pixels`` is the projected diameter from which the finest level is drawn; at a ``coarse_ratio``-th
    of it the next one gives way to the last. The full-grown size counts, so that growing changes no level.
    Where a view holds more triangles than ``triangle_budget``, levels get coarser from time to time.
    """

    def __init__(self, fine_pixels: float, coarse_ratio: float, triangle_budget: int) -> None:
        self._fine_pixels = fine_pixels
        self._budget = triangle_budget
        self._strain = 1.0  # what fine_pixels is multiplied by to hold the budget
        self._octaves_per_level = float(np.log2(coarse_ratio))
        self._level = self._with_hands = np.zeros(0, np.int8)  # by row, of objects alone and of all
        self._owner: object = None  # the scene's views that the levels belong to
        self._generation = np.zeros(0, np.int32)
        self._age = 0

    def choose(self, scene: SceneArrays, draws: DrawList, viewer: Array, pixels_per_radian: float) -> np.ndarray:
        """Levels (count,) int8 of all rows as seen from ``viewer`` (3,); hands have the finest.

        Looked at again every few frames, and at once where objects have come.
        """
        n = draws.objects
        self._age += 1
        if scene is not self._owner or self._age >= _FRAMES_PER_CHOICE:
            self._age = 0
            self._choose(scene, draws.distances(viewer)[:n], pixels_per_radian)
            self._with_hands = self._level
        if len(self._with_hands) != draws.count:
            self._with_hands = np.concatenate([self._level, np.zeros(draws.count - n, np.int8)])
        return self._with_hands

    def _choose(self, scene: SceneArrays, distance: Array, pixels_per_radian: float) -> None:
        radius = scene.radius
        diameter = 2 * radius / np.maximum(distance - radius, 0.05) * pixels_per_radian
        low = self._levels(diameter, -_HYSTERESIS)
        if scene is self._owner:
            high = self._levels(diameter, _HYSTERESIS)
            self._level = np.minimum(np.maximum(self._level, low), high)
            return
        old, known = self._level, min(len(self._level), len(low))
        self._level = low.copy()
        high = self._levels(diameter[:known], _HYSTERESIS)
        same = self._generation[:known] == scene.generation[:known]
        kept = np.minimum(np.maximum(old[:known], low[:known]), high)
        self._level[:known] = np.where(same, kept, low[:known])
        self._owner, self._generation = scene, scene.generation.copy()

    def _levels(self, diameter: Array, offset: float) -> np.ndarray:
        """(N,) int8: the level of each projected diameter, if levels began ``offset`` of a level earlier."""
        finest, found = self._fine_pixels * self._strain, np.zeros(len(diameter), np.int8)
        for level in range(1, LEVELS):  # by its largest diameter: quicker than a logarithm of each
            found += diameter <= np.float32(finest * 2.0 ** ((1 - level + offset) * self._octaves_per_level))
        return found

    def drawn(self, triangles: int) -> None:
        """Tell how many triangles the last choice came to: over the budget, the next ones are coarser."""
        if triangles > self._budget:
            self._strain = min(self._strain * min((triangles / self._budget) ** 0.25, 1.25), _MOST_STRAIN)
        elif triangles < 0.8 * self._budget:
            self._strain = max(self._strain / 1.02, 1.0)
