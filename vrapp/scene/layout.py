"""Where things stand: the designed start set, and a sensible place for whatever comes later."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

import numpy as np

from vrapp.core import maths, rng
from vrapp.core.categories import Category, category_or_default
from vrapp.core.errors import InputFileError
from vrapp.core.maths import Array
from vrapp.core.mesh import Mesh
from vrapp.core.pose import Pose
from vrapp.core.scene import NO_HANDLE, ObjectState, SceneArrays, handle_of, slot_of
from vrapp.scene.footprints import Footprints, footprints, overlaps
from vrapp.scene.surfaces import flat_places, top_map
from vrapp.scene.worlds import Spot, World

CLEARING_M = 1.25  # kept free around the user
FACE_M = 2.5  # nothing appears nearer than this inside the central view …
CENTRAL_COSINE = math.cos(math.radians(40))  # … which is this wide
SMALL_M = 0.5  # a thing up to this size lies on furniture
_SUPPORTS = frozenset(
    {"table", "crate_box", "stool_bench", "cabinet", "chest", "barrel", "log_stump", "shelf", "appliance"}
)
_ANY_WAY_ROUND = frozenset({"nature", "food", "sky"})
_KEY_START, _KEY_FREE = 0x51, 0x52
_CANDIDATES = 128
_LANE_M, _AVENUE_M = (9.0, 0.7), (35.0, 2.0)  # length and half width of the free way ahead, for small and large things


@dataclass(frozen=True)
class Placement:
    """A place: ``pose`` of the object's cube, ``size`` its edge in metres, ``on`` the handle of what carries it."""

    pose: Pose
    size: float
    on: int = NO_HANDLE


def reach_m(category: Category) -> tuple[float, float]:
    """From how near to how far from the user such a thing is put, metres, by what it is and how large."""
    longest = category.size_m[1]
    if category.placement == "air":
        return {"creature": (2.5, 8.0), "sky": (6.0, 20.0)}.get(category.group, (15.0, 40.0))
    if category.group in ("building", "vehicle") and longest > 3.0:
        return (14.0, 45.0)
    if longest > 2.2:
        return (6.0, 26.0)
    if longest > 0.6 or category.group in ("nature", "creature", "furniture"):
        return (2.6, 11.0)
    return (1.5, 4.5)


def hover_m(category: Category) -> tuple[float, float]:
    """Least and greatest height of the lowest point of a thing in the air."""
    return {"creature": (1.0, 2.2), "sky": (3.5, 8.0)}.get(category.group, (8.0, 16.0))


class Layout:
    """Finds places. Deterministic: a function of the seed, the request and what stands there already.

    ``categories`` are the generator's, in its order; ``table`` is the one of real sizes. What of the world the
    generator cannot make is left out. Raises InputFileError for a category that neither of them knows.
    """

    def __init__(self, world: World, categories: tuple[str, ...], table: dict[str, Category], seed: int) -> None:
        self.world = world
        self._seed = seed
        self._rows = [category_or_default(table, name) for name in categories]
        self._index = {name: i for i, name in enumerate(categories)}
        for spot in world.spots:
            if spot.category not in self._index and spot.category not in table:
                near = difflib.get_close_matches(spot.category, list(table), 1)
                hint = f" (did you mean '{near[0]}'?)" if near else ""
                raise InputFileError(
                    f"The world '{world.name}' names a category '{spot.category}'{hint}; see categories.toml."
                )
        groups = sorted({row.group for row in self._rows})
        self._group = np.array([groups.index(row.group) for row in self._rows], np.int64)
        self._tops: dict[int, Array] = {}  # by handle: heights of what can carry something

    def start_categories(self) -> list[tuple[int, int]]:
        """(spot, category) of the start set, in the order to fill."""
        spots = enumerate(self.world.spots)
        return [(i, self._index[s.category]) for i, s in spots if s.category in self._index]

    def added(self, handle: int, category: int, mesh: Mesh) -> None:
        """Tell that an object stands in the world now: it may carry others."""
        if self._rows[category].name in _SUPPORTS:
            self._tops[handle] = top_map(mesh)

    def removed(self, handle: int) -> None:
        """Tell that it has gone."""
        self._tops.pop(handle, None)

    def size_for(self, category: int, mesh: Mesh, request_id: int, fraction: float | None = None) -> float:
        """Edge of the object's cube in metres, so that its longest side is as long as a real one's."""
        low, high = self._rows[category].size_m
        if fraction is None:
            fraction = float(rng.generator(self._seed, _KEY_FREE, request_id, 1).beta(2, 2))
        return (low + (high - low) * fraction) / max(float(np.ptp(mesh.box, axis=0).max()), 1e-3)

    def place_start(self, spot_index: int, mesh: Mesh, arrays: SceneArrays, carrier: int) -> Placement | None:
        """The object's designed place, or the nearest free one; ``carrier`` is the handle on which it should lie."""
        spot = self.world.spots[spot_index]
        category = self._index[spot.category]
        draw = rng.generator(self._seed, _KEY_START, spot_index)
        fraction = float(draw.beta(2, 2)) if spot.size is None else spot.size
        size = self.size_for(category, mesh, 0, fraction)
        yaw = self._yaw(spot, category, draw)
        prints = footprints(arrays)
        if spot.on >= 0:
            lying = self._on_top(carrier, (spot.x, spot.z), mesh, size, yaw, arrays, prints)
            if lying is not None:
                return lying
        up = self._height(category, draw) if spot.up_m is None else spot.up_m
        own = float(np.hypot(*np.ptp(mesh.box, axis=0)[[0, 2]])) * size / 2
        rings = np.array([0, 0.15, 0.35, 0.6, 1.0, 1.5, 2.2, 3.0]) * (0.6 + own)
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False) + float(draw.uniform(0, 0.5))
        offset = np.array([[r * math.cos(a), r * math.sin(a)] for r in rings for a in (angles if r else angles[:1])])
        centres = np.array([spot.x, spot.z]) + offset
        free = self._free(centres, mesh, size, np.full(len(centres), yaw), up, prints, gap=0.04)
        free &= np.hypot(*centres.T) > CLEARING_M + own * 0.7
        return self._standing(centres[int(np.argmax(free))], yaw, up, mesh, size) if free.any() else None

    def place(
        self, category: int, request_id: int, mesh: Mesh, arrays: SceneArrays, head: Pose, near: Array | None = None
    ) -> Placement | None:
        """A place for a new object around a user whose head is at ``head``, or None where none was found.

        By size and kind at a fitting distance, rather ahead than behind, beside its like, clear of everything
        else and of the way ahead, and never growing in the user's face. ``near``: a point (3,) that it should
        be close to.
        """
        row = self._rows[category]
        draw = rng.generator(self._seed, _KEY_FREE, request_id)
        size = self.size_for(category, mesh, request_id)
        yaw = float(draw.uniform(0, 2 * np.pi))
        prints = footprints(arrays)
        longest = float(np.ptp(mesh.box, axis=0).max()) * size
        if longest <= SMALL_M and row.placement == "ground":
            lying = self._on_any_top(mesh, size, yaw, arrays, prints, head, draw)
            if lying is not None:
                return lying
        up = self._height(category, draw)
        centres = self._candidates(category, arrays, head, near, draw)
        yaws = np.full(len(centres), yaw)
        if row.group not in _ANY_WAY_ROUND:
            toward = head.position[[0, 2]] - centres
            yaws = np.arctan2(toward[:, 0], toward[:, 1]) + draw.normal(0, 0.35, len(centres))
        own = float(np.hypot(*np.ptp(mesh.box, axis=0)[[0, 2]])) * size / 2
        chance = draw.uniform(0, 0.3, len(centres))
        left = np.flatnonzero(self._out_of_the_way(centres, own, up, head))  # the cheap question first
        left = left[self._free(centres[left], mesh, size, yaws[left], up, prints, gap=0.12 + 0.08 * longest)]
        if not len(left):
            return None
        score = self._score(category, centres[left], arrays, head, near) + chance[left]
        best = left[int(np.argmax(score))]
        return self._standing(centres[best], float(yaws[best]), up, mesh, size)

    def polite(self, spot_index: int, head: Pose) -> bool:
        """May something grow at this spot now without doing so in the user's face?"""
        spot = self.world.spots[spot_index]
        return self._polite(np.array([spot.x, spot.up_m or 0.5, spot.z]), head)

    def _yaw(self, spot: Spot, category: int, draw: np.random.Generator) -> float:
        if spot.turn_rad is not None:
            return spot.turn_rad + float(draw.normal(0, 0.04))
        if self._rows[category].group in _ANY_WAY_ROUND:
            return float(draw.uniform(0, 2 * np.pi))
        # Fronts are not defined by the data, but the packs' custom is +Z: turn that to the start.
        return math.atan2(-spot.x, -spot.z) + float(draw.normal(0, 0.12))

    def _height(self, category: int, draw: np.random.Generator) -> float:
        row = self._rows[category]
        return float(draw.uniform(*hover_m(row))) if row.placement == "air" else 0.0

    @staticmethod
    def _standing(centre: Array, yaw: float, up_m: float, mesh: Mesh, size: float, on: int = NO_HANDLE) -> Placement:
        """Upright, with the middle of its box over ``centre`` (2,) and its lowest point at ``up_m``."""
        q = maths.quat_from_axis_angle((0, 1, 0), yaw)
        middle = maths.rotate(q, (mesh.box[0] + mesh.box[1]) / 2 * size)
        y = up_m - float(mesh.box[0, 1]) * size
        return Placement(Pose(maths.vec3(centre[0] - middle[0], y, centre[1] - middle[2]), q), size, on)

    @staticmethod
    def _free(
        centres: Array, mesh: Mesh, size: float, yaws: Array, up_m: float | Array, prints: Footprints, gap: float
    ) -> np.ndarray:
        extent = np.ptp(mesh.box, axis=0) * size
        m = len(centres)
        low = np.broadcast_to(np.asarray(up_m, float), m)
        half = np.tile(extent[[0, 2]] / 2, (m, 1))
        return np.logical_not(overlaps(centres, half, yaws, low, low + extent[1], prints, gap))

    @staticmethod
    def _out_of_the_way(centres: Array, own_radius: float, up_m: float, head: Pose) -> np.ndarray:
        """Clear of the user, of the lane they look along, and not in their face."""
        to = centres - head.position[[0, 2]]
        distance = np.hypot(*to.T)
        ahead = head.forward[[0, 2]] / max(float(np.hypot(*head.forward[[0, 2]])), 1e-3)
        along, aside = to @ ahead, np.abs(to[:, 0] * ahead[1] - to[:, 1] * ahead[0])
        central = along > CENTRAL_COSINE * distance
        clear = (distance - own_radius > CLEARING_M) & ~(central & (distance - own_radius < FACE_M))
        if up_m < 2.5:
            reach, width = _LANE_M if own_radius < 1.0 else _AVENUE_M  # a house closes a view from afar
            clear &= ~((along > 0) & (along < reach) & (aside - own_radius < width))
        return np.asarray(clear)

    def _candidates(
        self, category: int, arrays: SceneArrays, head: Pose, near: Array | None, draw: np.random.Generator
    ) -> Array:
        """(128, 2): half of them beside things of the same group, half in the ring, denser ahead."""
        low, high = reach_m(self._rows[category])
        here = head.position[[0, 2]]
        n = _CANDIDATES // 2
        yaw = maths.yaw_of(head.orientation) + draw.normal(0, 1.0, n)
        r = np.sqrt(draw.uniform(low**2, high**2, n))
        ring = here + np.stack([-np.sin(yaw) * r, -np.cos(yaw) * r], 1)
        if near is not None:
            seeds = np.asarray(near)[None, [0, 2]]
        else:
            alike = (self._group[arrays.category] == self._group[category]) & (arrays.state > int(ObjectState.FREE))
            seeds = arrays.position[alike][:, [0, 2]]
            distance = np.linalg.norm(seeds - here, axis=1)
            seeds = seeds[(distance > low * 0.7) & (distance < high * 1.1)]
        if not len(seeds):
            return np.concatenate([ring, here + (ring - here) * draw.uniform(0.8, 1.2, (n, 1))])
        spread = 0.5 + 0.9 * self._rows[category].size_m[1]
        turn, away = draw.uniform(0, 2 * np.pi, n), draw.uniform(0.3, 1.0, n) * spread + 0.25
        beside = seeds[draw.integers(len(seeds), size=n)] + np.stack([np.cos(turn), np.sin(turn)], 1) * away[:, None]
        return np.concatenate([beside, ring])

    def _score(self, category: int, centres: Array, arrays: SceneArrays, head: Pose, near: Array | None) -> Array:
        """Higher is better: at the right distance, ahead, beside its like but not crowded."""
        low, high = reach_m(self._rows[category])
        to = centres - head.position[[0, 2]]
        distance = np.hypot(*to.T)
        fit = 1 - np.clip(np.maximum(low - distance, distance - high) / high, 0, 1) * 4
        ahead = (to @ head.forward[[0, 2]]) / np.maximum(distance, 0.1)
        score = 2 * fit + 1.2 * np.minimum(ahead, 0.6)  # within 53° of where the user looks all is as good
        living = arrays.state > int(ObjectState.FREE)
        if living.any():
            apart = centres[:, None] - arrays.position[living][:, [0, 2]]  # (m, n, 2)
            square = np.einsum("mnk,mnk->mn", apart, apart)
            same = self._group[arrays.category[living]] == self._group[category]
            score += 0.6 * np.clip((square[:, same] < 9.0).sum(1), 0, 2) - 0.12 * (square < 4.0).sum(1)
        if near is not None:
            score -= 0.5 * np.linalg.norm(centres - np.asarray(near)[[0, 2]], axis=1)
        return np.asarray(score, np.float32)

    def _on_any_top(
        self, mesh: Mesh, size: float, yaw: float, arrays: SceneArrays, prints: Footprints, head: Pose,
        draw: np.random.Generator,
    ) -> Placement | None:  # fmt: skip
        """On the nearest table or crate that has room, at most 7 m away; a third of all goes to the ground."""
        if draw.uniform() < 1 / 3:
            return None
        carriers = [(float(np.linalg.norm(arrays.position[s] - head.position)), h)
                    for h in self._tops if (s := slot_of(arrays, h)) is not None]  # fmt: skip
        for distance, handle in sorted(carriers):
            if distance > 7.0:
                return None
            lying = self._on_top(handle, None, mesh, size, yaw, arrays, prints, draw)
            if lying is not None and self._polite(lying.pose.position, head):
                return lying
        return None

    @staticmethod
    def _polite(point: Array, head: Pose) -> bool:
        to = point - head.position
        distance = float(np.linalg.norm(to))
        return distance > FACE_M or (distance > 0.6 and float(to @ head.forward) < CENTRAL_COSINE * distance)

    def _on_top(
        self, carrier: int, at: tuple[float, float] | None, mesh: Mesh, size: float, yaw: float, arrays: SceneArrays,
        prints: Footprints, draw: np.random.Generator | None = None,
    ) -> Placement | None:  # fmt: skip
        """A free flat place on an upright carrier: the one nearest to ``at``, or one drawn."""
        slot = slot_of(arrays, carrier)
        if slot is None or carrier not in self._tops or carrier != handle_of(arrays, slot):
            return None
        edge, q = float(arrays.size[slot]), arrays.orientation[slot]
        if float(maths.rotate(q, maths.vec3(0, 1, 0))[1]) < 0.996:
            return None
        radius = float(np.hypot(*np.ptp(mesh.box, axis=0)[[0, 2]])) * size / 2
        places, heights = flat_places(self._tops[carrier], arrays.box[slot], 0.75 * radius / edge)
        if not len(places):
            return None
        local = np.stack([places[:, 0], heights, places[:, 1]], 1) * edge
        points = arrays.position[slot] + maths.rotate(q, local.astype(np.float32))
        # Counted from its foot: a carrier that still grows has not its full height yet.
        foot = float(prints.low[prints.slots == slot][0])
        points[:, 1] = foot + (heights - arrays.box[slot, 0, 1]) * edge
        centres = points[:, [0, 2]]
        others = prints.without(slot)  # a rim around the top is no obstacle
        free = self._free(centres, mesh, size, np.full(len(centres), yaw), points[:, 1], others, gap=0.015)
        # Not under a shelf's or a hutch's own roof, and not higher than one can see.
        free &= points[:, 1] < 1.7
        if not free.any():
            return None
        if at is not None:
            order = np.linalg.norm(centres - np.array(at), axis=1)
        else:
            order = np.zeros(len(centres)) if draw is None else draw.uniform(0, 1, len(centres))
        best = int(np.argmin(np.where(free, order, np.inf)))
        return self._standing(centres[best], yaw, float(points[best, 1]), mesh, size, carrier)
