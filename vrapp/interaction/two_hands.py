"""Both hands on one object: how far apart they went, how they wrung and how they bent it.

What both hands do alike moves and turns the object; only what they do against each other is told here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vrapp.core import floats
from vrapp.core.pose import Pose

_LEAST_SPAN_M = 0.05


@dataclass(frozen=True)
class TwoHanded:
    """Both hands on the object ``handle``: their grips in the world."""

    handle: int
    left: Pose
    right: Pose

    @property
    def span_m(self) -> float:
        """From hand to hand; never quite nothing."""
        return max(math.dist(self.left.position.tolist(), self.right.position.tolist()), _LEAST_SPAN_M)


@dataclass(frozen=True)
class HandsChange:
    """``stretch``: the hands' distance ÷ that before. ``twist_rad``: the right hand turned against the left about
    the line between them, as a cloth is wrung. ``tilt_rad``: about the horizontal across it, as bread is broken
    (positive: thumbs apart)."""

    stretch: float
    twist_rad: float
    tilt_rad: float


def change_between(before: TwoHanded, now: TwoHanded) -> HandsChange:
    """What the hands did against each other from ``before`` to ``now``."""
    x, y, z = (b - a for a, b in zip(now.left.position.tolist(), now.right.position.tolist(), strict=True))
    length, level = math.sqrt(x * x + y * y + z * z) or 1.0, math.hypot(x, z) or 1.0
    between, across = (x / length, y / length, z / length), (z / level, 0.0, -x / level)
    turn = _turned(before, now)
    return HandsChange(now.span_m / before.span_m, _dot(turn, between), _dot(turn, across))


def shared_pose(left: Pose, right: Pose) -> tuple[list[float], floats.Quaternion]:
    """Position and orientation (xyzw) half way between where each hand has the object."""
    at = [(a + b) / 2 for a, b in zip(left.position.tolist(), right.position.tolist(), strict=True)]
    return at, floats.slerp(left.orientation.tolist(), right.orientation.tolist(), 0.5)


def _turned(before: TwoHanded, now: TwoHanded) -> floats.Vector:
    """The right hand's turn since ``before`` less the left one's: axis in the world · radians."""
    (left_0, right_0), (left, right) = (
        [hand.orientation.tolist() for hand in (pair.left, pair.right)] for pair in (before, now)
    )
    seen_from_left = floats.multiply(floats.conjugate(left), right)
    turn = floats.multiply(seen_from_left, floats.conjugate(floats.multiply(floats.conjugate(left_0), right_0)))
    x, y, z, w = turn if turn[3] >= 0 else (-turn[0], -turn[1], -turn[2], -turn[3])
    sine = math.sqrt(x * x + y * y + z * z)
    scale = 2 * math.atan2(sine, w) / sine if sine > 1e-9 else 2.0
    return floats.rotate(left, (x * scale, y * scale, z * scale))


def _dot(a: floats.Vector, b: floats.Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
