"""Spatial questions about all objects at once: what rays meet, what hands touch, what a cone holds.

Two phases. All bounding spheres against all rays, points or cones are a few numpy calls whatever their number; of
the boxes, only the few that remain are looked at, in Python's floats: quicker than numpy's calls on so little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from vrapp.core import floats
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState, SceneArrays, handle_of

_SLACK_M, _SLACK_SHARE = 0.02, 0.01  # boxes are so much larger for a ray, and by this share of the distance

_WIDER = 2 * _SLACK_SHARE  # by which share of its distance bounding spheres are wider: twice the boxes' slack
_NEAR_M = 1.0  # a centre serves so far around it
_FEW = 8  # objects

_Vector: TypeAlias = floats.Vector
_ONES = np.ones(3, np.float32)
# As ints: enums are slow to look up.
_FREE, _RESTING, _SHRINKING = int(ObjectState.FREE), int(ObjectState.RESTING), int(ObjectState.SHRINKING)
_Box: TypeAlias = tuple[list[float], list[tuple[float, float, float, float, float]]]
"""A box in the world: its object's centre, and of each of its axes the direction (3) and from where to where the box
reaches along it; metres."""
_Row: TypeAlias = tuple[float, float, float, float, float, float, float, float, float]  # multiplied with the terms


class Hit(NamedTuple):
    """What a ray met: slot and handle of the object, distance in metres and point in the world."""

    slot: int
    handle: int
    distance_m: float
    point: Array


def touchable(arrays: SceneArrays) -> np.ndarray:
    """(N,) bool: shown and not on its way out."""
    shown: np.ndarray = (arrays.state > _FREE) & (arrays.state < _SHRINKING)
    return shown & (arrays.growth > 0)


def lowest_corner(box: Array, orientation: Array) -> float:
    """Height of the lowest corner of ``box`` (2, 3), turned by ``orientation``, over the cube centre, in edges."""
    columns = floats.axes(orientation.tolist())
    lower, upper = box.tolist()
    lowest: float = sum(min(axis[1] * a, axis[1] * b) for axis, a, b in zip(columns, lower, upper, strict=True))
    return lowest


class Surroundings:
    """All objects of one instant around ``centre`` (3,), a point in the world, metres; ``follow`` goes on to the next.

    Everything is computed relative to the centre, so that float32 is exact where the user is, however far from
    the world's origin. Poses and points asked about are in the world, and are best within metres of the centre.
    """

    def __init__(self, arrays: SceneArrays, centre: Array) -> None:
        self.arrays = arrays
        self._centre: _Vector = tuple(centre.tolist())
        self._positions, self._radii = arrays.position.reshape(-1).copy(), arrays.radius.tobytes()
        # Rows x, y, z, 1, x² + y² + z², radius and its square, width and its square: distances from planes, from points
        # and of these from the bounding spheres are products with so many numbers. A ray from the centre may pass an
        # object by so far as it is wide, and meet it.
        self._terms = terms = np.empty((9, arrays.count), np.float32)
        np.subtract(arrays.position.T, centre[:, None], out=terms[:3])
        terms[3] = 1
        np.matmul(_ONES, terms[:3] * terms[:3], out=terms[4])
        terms[5] = arrays.radius
        np.multiply(arrays.radius, arrays.radius, out=terms[6])
        np.sqrt(terms[4], out=terms[7])
        terms[7] *= _WIDER
        terms[7] += (1 + 2 * _WIDER) * arrays.radius + 2 * _SLACK_M
        np.multiply(terms[7], terms[7], out=terms[8])
        self._boxes: dict[int, tuple[list[float], _Box]] = {}  # orientation and box of what rests, by slot

    def follow(self, arrays: SceneArrays, centre: Array) -> bool:
        """Take over what has moved or has another size, if it is little and ``centre`` near enough; False where they
        have to be made anew, which costs five times as much as to ask and twice as much as to follow."""
        # False also where it is no number.
        if arrays is not self.arrays or not math.dist(self._centre, centre.tolist()) < _NEAR_M:
            return False
        differs = arrays.position.reshape(-1) != self._positions
        changed = {i // 3 for i in differs.nonzero()[0].tolist()}
        if (radii := arrays.radius.tobytes()) != self._radii:
            changed.update((arrays.radius != self._terms[5]).nonzero()[0].tolist())
        if len(changed) > _FEW:
            return False
        self._radii = radii
        for slot in changed:
            self._take_over(slot)
        return True

    def _take_over(self, slot: int) -> None:
        """Where one object is now, and how large."""
        x, y, z = self._relative(self.arrays.position[slot])
        radius = float(self.arrays.radius[slot])
        square = x * x + y * y + z * z
        wide = _WIDER * math.sqrt(square) + (1 + 2 * _WIDER) * radius + 2 * _SLACK_M
        self._terms[:, slot] = (x, y, z, 1.0, square, radius, radius * radius, wide, wide * wide)
        self._positions[3 * slot : 3 * slot + 3] = self.arrays.position[slot]
        self._boxes.pop(slot, None)

    def met(self, rays: Sequence[Pose], reach_m: Sequence[float]) -> list[Hit | None]:
        """For each ray, along the -Z of a pose: the nearest object whose box it meets within ``reach_m``, or None.

        Boxes are 2 cm larger, and by 1 % of the distance: far small things can be pointed at.
        """
        return self.aimed(rays, reach_m, (), 0.0)[0]

    def touched(self, points: Sequence[Array], reach_m: float) -> list[Hit | None]:
        """For each point (3,): the object whose box is nearest, within ``reach_m``, or None: what a hand can take."""
        return self.aimed((), (), points, reach_m)[1]

    def aimed(
        self, rays: Sequence[Pose], reach_m: Sequence[float], points: Sequence[Array], touch_m: float
    ) -> tuple[list[Hit | None], list[Hit | None]]:
        """What ``rays`` meet and what ``points`` touch, as ``met`` and ``touched`` tell, in one look at all objects."""
        count, n = len(rays), self.arrays.count
        if not n or not (count or points):
            return [None] * count, [None] * len(points)
        directions = [floats.forward(ray.orientation.tolist()) for ray in rays]
        origins = [self._relative(ray.position) for ray in rays]
        along_rows, beyond_rows, wider = [], [], []
        for (a, b, c), (x, y, z) in zip(origins, directions, strict=True):
            square = a * a + b * b + c * c
            more = _WIDER * math.sqrt(square)  # for its origin's distance from the centre
            along_rows.append((x, y, z, -(a * x + b * y + c * z), 0.0, 0.0, 0.0, 0.0, 0.0))
            beyond_rows.append((-2 * a, -2 * b, -2 * c, square - more * more, 1.0, 0.0, 0.0, -2 * more, -1.0))
            wider.append(more)
        touch_rows = [self._touch_row(point, touch_m) for point in points]
        asked = np.array([*along_rows, *beyond_rows, *touch_rows], np.float32) @ self._terms
        along, beyond = asked[:count], asked[count:]
        beyond[:count] -= along * along  # from the ray's axis, that is
        close = (beyond < 0).ravel().nonzero()[0].tolist()  # on two axes it is 30 times as slow
        tasks: list[list[tuple[float, int]]] = [[] for _ in range(count + len(points))]
        for place in close:
            i, slot = divmod(place, n)
            if i >= count:
                tasks[i].append((0.0, slot))
            elif (at_m := float(along[i, slot])) > -(wide_m := float(self._terms[7, slot]) + wider[i]):  # else behind
                tasks[i].append((at_m - wide_m, slot))
        met = [self._first(*task) for task in zip(rays, directions, reach_m, tasks[:count], strict=True)]
        return met, [self._nearest(point, touch_m, task) for point, task in zip(points, tasks[count:], strict=True)]

    def within(self, eye: Pose, half_angle_rad: float, reach_m: float, least_angle_rad: float = 0.035) -> np.ndarray:
        """Slots of touchable objects whose centre is in the view cone, within ``reach_m``, and so wide in the eye.

        The choice set of a pick (generation-notes.md): in view, within 8 m and at least 2° wide.
        """
        rows = [self._along_row(eye.position, floats.forward(eye.orientation.tolist())), self._apart_row(eye.position)]
        along, apart2 = np.array(rows, np.float32) @ self._terms
        distance = np.sqrt(np.maximum(apart2, 1e-6))
        slots: np.ndarray = (along > math.cos(half_angle_rad) * distance).nonzero()[0]
        if not len(slots):
            return slots
        distance, radius = distance[slots], self.arrays.radius[slots]
        growth, state = self.arrays.growth[slots], self.arrays.state[slots]
        wide = radius * growth >= math.tan(least_angle_rad / 2) * distance
        there = (state > _FREE) & (state < _SHRINKING) & (growth > 0)
        inside: np.ndarray = slots[there & wide & (distance - radius <= reach_m)]
        return inside

    def _along_row(self, origin: Array, direction: _Vector) -> _Row:
        """Times ``_terms``: metres from a ray's origin, along it, to the objects' centres."""
        a, b, c = self._relative(origin)
        x, y, z = direction
        return x, y, z, -(a * x + b * y + c * z), 0.0, 0.0, 0.0, 0.0, 0.0

    def _apart_row(self, point: Array) -> _Row:
        """Times ``_terms``: squared metres from a point to the objects' centres."""
        a, b, c = self._relative(point)
        return -2 * a, -2 * b, -2 * c, a * a + b * b + c * c, 1.0, 0.0, 0.0, 0.0, 0.0

    def _touch_row(self, point: Array, reach_m: float) -> _Row:
        """Likewise, less the square of ``reach_m`` and the radius: negative for spheres within reach of the point."""
        a, b, c = self._relative(point)
        square = a * a + b * b + c * c - reach_m * reach_m
        return -2 * a, -2 * b, -2 * c, square, 1.0, -2 * reach_m, -1.0, 0.0, 0.0

    def _relative(self, point: Array) -> _Vector:
        x, y, z = point.tolist()
        a, b, c = self._centre
        return x - a, y - b, z - c

    def _box_of(self, slot: int) -> _Box | None:
        """The box of what is in a slot, None where it can't be touched. What rests stands still, so its box is kept."""
        arrays, state = self.arrays, int(self.arrays.state[slot])
        if not (_FREE < state < _SHRINKING and float(arrays.growth[slot]) > 0):
            return None
        orientation = arrays.orientation[slot].tolist()
        if state != _RESTING:
            return _box_in(arrays, slot, orientation)
        known = self._boxes.get(slot)
        if known is None or known[0] != orientation:
            known = self._boxes[slot] = orientation, _box_in(arrays, slot, orientation)
        return known[1]

    def _first(self, ray: Pose, direction: _Vector, reach_m: float, candidates: list[tuple[float, int]]) -> Hit | None:
        """The nearest of the candidates, each with the least distance at which the ray can meet it."""
        if not candidates:
            return None
        origin = ray.position.tolist()
        best_m, best = reach_m, -1
        for least_m, slot in sorted(candidates):
            if least_m > best_m:
                break
            if (box := self._box_of(slot)) is not None:
                distance_m = _entry_m(box, origin, direction)
                if distance_m < best_m or (distance_m == best_m and slot < best):
                    best_m, best = distance_m, slot
        if best < 0:
            return None
        (x, y, z), (u, v, w) = origin, direction
        point = np.array((x + u * best_m, y + v * best_m, z + w * best_m), np.float32)
        return Hit(best, handle_of(self.arrays, best), best_m, point)

    def _nearest(self, point: Array, reach_m: float, candidates: list[tuple[float, int]]) -> Hit | None:
        """The one that is touched; the smaller one where two are."""
        least, found = math.inf, None
        for _, slot in candidates:
            if (box := self._box_of(slot)) is None:
                continue
            distance_m = _distance_m(box, point.tolist())
            cost = distance_m + 1e-3 * float(self.arrays.radius[slot])
            if distance_m <= reach_m and cost < least:
                least, found = cost, Hit(slot, handle_of(self.arrays, slot), distance_m, point)
        return found


def _box_in(arrays: SceneArrays, slot: int, orientation: Sequence[float]) -> _Box:
    """An object's box as drawn now."""
    scale = float(arrays.size[slot]) * float(arrays.growth[slot])
    lower, upper = arrays.box[slot].tolist()
    sides = [
        (x, y, z, low * scale, high * scale)
        for (x, y, z), low, high in zip(floats.axes(orientation), lower, upper, strict=True)
    ]
    return arrays.position[slot].tolist(), sides


def _distance_m(box: _Box, point: Sequence[float]) -> float:
    """From a point in the world to a box; 0 inside."""
    (a, b, c), sides = box
    x, y, z = point[0] - a, point[1] - b, point[2] - c
    along = [(i * x + j * y + k * z, low, high) for i, j, k, low, high in sides]
    return math.hypot(*(max(low - at, at - high, 0.0) for at, low, high in along))


def _entry_m(box: _Box, origin: Sequence[float], direction: _Vector) -> float:
    """Where a ray (its direction a unit vector) comes into a box; 0 from within, infinity where it passes by."""
    (a, b, c), sides = box
    x, y, z = origin[0] - a, origin[1] - b, origin[2] - c
    u, v, w = direction
    slack = _SLACK_M + _SLACK_SHARE * max(-(x * u + y * v + z * w), 0.0)
    enter, leave = 0.0, math.inf
    for i, j, k, low, high in sides:
        at, speed = i * x + j * y + k * z, i * u + j * v + k * w
        if abs(speed) < 1e-9:
            speed = 1e-9  # parallel to a side: meets it very far away
        near, far = (low - slack - at) / speed, (high + slack - at) / speed
        if near > far:
            near, far = far, near
        enter, leave = max(enter, near), min(leave, far)
        if enter > leave:
            return math.inf
    return enter
