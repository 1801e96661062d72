"""Where a board floats before the user: it stays put until they turn away or walk off, then glides after them.

A board that is fixed to the head cannot be read at its edges, and makes people sick.
"""

from __future__ import annotations

import math

import numpy as np

from vrapp.core import maths
from vrapp.core.pose import Pose

#: Turned away by more than this, or gone by so much, and it follows.
AWAY_RAD = math.radians(30)
_AWAY_M, _RISEN_M = 0.45, 0.35
_THERE_RAD, _THERE_M = math.radians(2), 0.03
_GLIDE_S = 0.25


class LazyFollow:
    """``distance_m`` before the eyes, ``below_m`` under them; upright, and turned towards the eyes."""

    def __init__(self, distance_m: float, below_m: float) -> None:
        self._distance_m, self._below_m = distance_m, below_m
        self._place: np.ndarray | None = None  # (3,) in the stage
        self._gliding = False

    def forget(self) -> None:
        """Next time it is put straight before the user."""
        self._place = None

    def update(self, head: Pose, dt_s: float) -> Pose:
        """The board's pose in the stage, for a head in the stage."""
        yaw = maths.yaw_of(head.orientation)
        ahead = maths.rotate(maths.quat_from_yaw_pitch(yaw, 0), maths.vec3(0, -self._below_m, -self._distance_m))
        wanted = head.position + ahead
        if self._place is None:
            self._place, self._gliding = wanted, False
        off_rad, off_m, off_up_m = self._off(head, yaw, wanted)
        if off_rad > AWAY_RAD or off_m > _AWAY_M or off_up_m > _RISEN_M:
            self._gliding = True
        if self._gliding:
            self._place = self._place + (wanted - self._place) * (1 - math.exp(-dt_s / _GLIDE_S))
            self._gliding = off_rad > _THERE_RAD or max(off_m, off_up_m) > _THERE_M
        # -Z of "from the eyes to it" points away from them: so +Z, which is read, points to them.
        return Pose(self._place.astype(np.float32), maths.look_at(head.position, self._place))

    def _off(self, head: Pose, yaw: float, wanted: np.ndarray) -> tuple[float, float, float]:
        """How far it is from where it is wanted: angle about the head, too near or too far, too high or too low."""
        assert self._place is not None
        x, y, z = (self._place - head.position).tolist()
        turned = abs(math.remainder(math.atan2(-x, -z) - yaw, math.tau))
        return turned, abs(math.hypot(x, z) - self._distance_m), abs(y + self._below_m)
