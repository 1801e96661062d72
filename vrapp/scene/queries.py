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

_NEAR_M = 1.0  # a centre serves so far around it

_Vector: TypeAlias = floats.Vector
_ONES = np.ones(3, np.float32)
_Row: TypeAlias = tuple[float, float, float, float, float]


class Hit(NamedTuple):
    """What a ray met: slot and handle of the object, distance in metres and point in the world."""

    slot: int
    handle: int
    distance_m: float
    point: Array


def touchable(arrays: SceneArrays) -> np.ndarray:
    """(N,) bool: shown and not on its way out."""
    shown: np.ndarray = (arrays.state > int(ObjectState.FREE)) & (arrays.state < int(ObjectState.SHRINKING))
    return shown & (arrays.growth > 0)


def lowest_corner(box: Array, orientation: Array) -> float:
    """Height of the lowest corner of ``box`` (2, 3), turned by ``orientation``, over the cube centre, in edges."""
    columns = floats.axes(orientation.tolist())
    lower, upper = box.tolist()
    lowest: float = sum(min(axis[1] * a, axis[1] * b) for axis, a, b in zip(columns, lower, upper, strict=True))
    return lowest


class Surroundings:
    """All objects of one instant around ``centre`` (3,), a point in the world, metres; for as long as they ``hold``.

    Everything is computed relative to the centre, so that float32 is exact where the user is, however far from
    the world's origin. Poses and points asked about are in the world, and are best within metres of the centre.
    """

    def __init__(self, arrays: SceneArrays, centre: Array) -> None:
        self.arrays = arrays
        self._centre: _Vector = tuple(centre.tolist())
        self._positions = arrays.position.tobytes()
        # Rows x, y, z, 1 and x² + y² + z²: distances from planes and points are products with five numbers.
        self._terms = terms = np.empty((5, arrays.count), np.float32)
        np.subtract(arrays.position.T, centre[:, None], out=terms[:3])
        terms[3] = 1
        np.matmul(_ONES, terms[:3] * terms[:3], out=terms[4])

    def hold(self, arrays: SceneArrays, centre: Array) -> bool:
        """Is everything still where it was, and ``centre`` near enough? Asking costs a fifth of making it anew."""
        near = math.dist(self._centre, centre.tolist()) < _NEAR_M  # false also where it is no number
        return near and arrays is self.arrays and arrays.position.tobytes() == self._positions

    def met(self, rays: Sequence[Pose], reach_m: Sequence[float]) -> list[Hit | None]:
        """For each ray, along the -Z of a pose: the nearest object whose box it meets within ``reach_m``, or None.

        Boxes are 2 cm larger, and by 1 % of the distance: far small things can be pointed at.
        """
        count = len(rays)
        if not count:
            return []
        directions = [floats.forward(ray.orientation.tolist()) for ray in rays]
        along_rows = [self._along_row(ray.position, d) for ray, d in zip(rays, directions, strict=True)]
        apart_rows = [self._apart_row(ray.position) for ray in rays]
        asked = np.array(along_rows + apart_rows, np.float32) @ self._terms
        along, off2 = asked[:count], asked[count:]
        reach = np.abs(along)
        reach *= 2 * _SLACK_SHARE
        reach += self.arrays.radius + np.float32(2 * _SLACK_M)
        off2 -= along * along
        close = (off2 < reach * reach).ravel().nonzero()[0]
        far_m, slack_m = along.ravel()[close].tolist(), reach.ravel()[close].tolist()
        tasks: list[list[tuple[float, int]]] = [[] for _ in rays]
        for place, at_m, near_m in zip(close.tolist(), far_m, slack_m, strict=True):
            if at_m > -near_m:  # else behind
                ray, slot = divmod(place, self.arrays.count)
                tasks[ray].append((at_m - near_m, slot))
        return [self._first(*task) for task in zip(rays, directions, reach_m, tasks, strict=True)]

    def touched(self, points: Sequence[Array], reach_m: float) -> list[Hit | None]:
        """For each point (3,): the object whose box is nearest, within ``reach_m``, or None: what a hand can take."""
        limit = self.arrays.radius + np.float32(reach_m)
        found: list[Hit | None] = [None] * len(points)
        best = [math.inf] * len(points)
        near = self._apart2(points) < limit * limit
        for place in near.ravel().nonzero()[0].tolist():  # numpy's own nonzero on two axes is 30 times as slow
            i, slot = divmod(place, self.arrays.count)
            if not self._touchable(slot):
                continue
            distance_m = _Box(self.arrays, slot).distance_m(points[i].tolist())
            cost = distance_m + 1e-3 * float(self.arrays.radius[slot])  # the smaller one where both are touched
            if distance_m <= reach_m and cost < best[i]:
                best[i], found[i] = cost, Hit(slot, handle_of(self.arrays, slot), distance_m, points[i])
        return found

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
        wide = radius * self.arrays.growth[slots] >= math.tan(least_angle_rad / 2) * distance
        inside: np.ndarray = slots[touchable(self.arrays)[slots] & wide & (distance - radius <= reach_m)]
        return inside

    def _along_row(self, origin: Array, direction: _Vector) -> _Row:
        """Times ``_terms``: metres from a ray's origin, along it, to the objects' centres."""
        a, b, c = self._relative(origin)
        x, y, z = direction
        return x, y, z, -(a * x + b * y + c * z), 0.0

    def _apart_row(self, point: Array) -> _Row:
        """Times ``_terms``: squared metres from a point to the objects' centres."""
        a, b, c = self._relative(point)
        return -2 * a, -2 * b, -2 * c, a * a + b * b + c * c, 1.0

    def _apart2(self, points: Sequence[Array]) -> Array:
        """(P, N) squared metres from each point to the objects' centres."""
        return np.array([self._apart_row(point) for point in points], np.float32).reshape(-1, 5) @ self._terms

    def _relative(self, point: Array) -> _Vector:
        x, y, z = point.tolist()
        a, b, c = self._centre
        return x - a, y - b, z - c

    def _touchable(self, slot: int) -> bool:
        there = ObjectState.FREE < int(self.arrays.state[slot]) < ObjectState.SHRINKING
        return there and float(self.arrays.growth[slot]) > 0

    def _first(self, ray: Pose, direction: _Vector, reach_m: float, candidates: list[tuple[float, int]]) -> Hit | None:
        """The nearest of the candidates, each with the least distance at which the ray can meet it."""
        origin = ray.position.tolist()
        best = (reach_m, self.arrays.count)
        for least_m, slot in sorted(candidates):
            if least_m > best[0]:
                break
            if self._touchable(slot):
                distance_m = _Box(self.arrays, slot).entry_m(origin, direction)
                best = min(best, (distance_m, slot))
        distance_m, slot = best
        if slot == self.arrays.count:
            return None
        point = [a + b * distance_m for a, b in zip(origin, direction, strict=True)]
        return Hit(slot, handle_of(self.arrays, slot), distance_m, np.array(point, np.float32))


class _Box:
    """An object's box as drawn now: by side the axis in the world, the middle and half the extent along it, metres."""

    def __init__(self, arrays: SceneArrays, slot: int) -> None:
        scale = float(arrays.size[slot]) * float(arrays.growth[slot]) / 2
        lower, upper = arrays.box[slot].tolist()
        self._centre = arrays.position[slot].tolist()
        axes = floats.axes(arrays.orientation[slot].tolist())
        self._sides = [
            (axis, (low + high) * scale, (high - low) * scale)
            for axis, low, high in zip(axes, lower, upper, strict=True)
        ]

    def distance_m(self, point: _Vector) -> float:
        """From a point in the world; 0 inside."""
        x, y, z = map(float.__sub__, point, self._centre)
        out = (max(abs(a * x + b * y + c * z - middle) - half, 0.0) for (a, b, c), middle, half in self._sides)
        return math.hypot(*out)

    def entry_m(self, origin: _Vector, direction: _Vector) -> float:
        """Where a ray (its direction a unit vector) comes in; 0 from within, infinity where it passes by."""
        x, y, z = map(float.__sub__, origin, self._centre)
        u, v, w = direction
        slack = _SLACK_M + _SLACK_SHARE * max(-(x * u + y * v + z * w), 0.0)
        enter, leave = 0.0, math.inf
        for (a, b, c), middle, half in self._sides:
            at, speed = a * x + b * y + c * z - middle, a * u + b * v + c * w
            if abs(speed) < 1e-9:  # parallel to a side: meets it very far away
                speed = 1e-9
            near, far = (-half - slack - at) / speed, (half + slack - at) / speed
            if near > far:
                near, far = far, near
            enter, leave = max(enter, near), min(leave, far)
            if enter > leave:
                return math.inf
        return enter
