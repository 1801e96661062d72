"""The right hand of somebody at a desk: it rides on the ray under the pointer, so that what is under
the pointer is what is picked, and leaves its resting place only as far as the mouse pushes it. The other
hand can come to its help: it points where the first does, and both then move against each other.
"""

from __future__ import annotations

import math

import numpy as np

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.display.grip import AIM_FROM_GRIP

#: From the aiming point to the palm in the ray's frame, metres: a little below and to the right.
GRIP_FROM_AIM_M = maths.vec3(0.16, -0.20, 0.0)
#: The resting left hand in the head's frame.
LEFT_REST = Pose(maths.vec3(-0.18, -0.22, -0.45), AIM_FROM_GRIP)

_REST_DISTANCE_M = 0.45
_NEAREST_M, _FARTHEST_M = -0.2, 4.0  # reach beyond the resting distance
_SIDEWAYS_M = 0.6
_METRES_PER_PIXEL = 0.0015
_RADIANS_PER_PIXEL = 0.006
_REACH_PER_NOTCH = 0.08
_HANDS_APART_M = 0.3  # as the second hand comes
_APART_PER_NOTCH, _MOST_APART = 0.12, 1.6  # in logarithms
_MOST_WRUNG_RAD = 2.4
_SMOOTHING_S = 0.05
_RETURN_S = 0.15


class MouseHand:
    """Offset and turn of the hand, eased so that wheel notches and mouse jitter do not jerk what it holds."""

    def __init__(self) -> None:
        self._wanted_m, self._offset_m = np.zeros(3, np.float32), np.zeros(3, np.float32)
        self._wanted_turn, self._turn = maths.IDENTITY_QUATERNION, maths.IDENTITY_QUATERNION
        # Of both hands against each other: twist and tilt in radians, logarithm of how far apart they went.
        self._wanted_wring, self._wring = np.zeros(3, np.float32), np.zeros(3, np.float32)

    def move(self, dx_px: float, dy_px: float) -> None:
        """Shift across the view (pixels, y down)."""
        shift = np.array([dx_px, -dy_px], np.float32) * _METRES_PER_PIXEL
        self._wanted_m[:2] = np.clip(self._wanted_m[:2] + shift, -_SIDEWAYS_M, _SIDEWAYS_M)

    def rotate(self, dx_px: float, dy_px: float) -> None:
        """Turn the palm about the view's up and right axes, as if rolling a ball."""
        yaw = maths.quat_from_axis_angle((0, 1, 0), dx_px * _RADIANS_PER_PIXEL)
        pitch = maths.quat_from_axis_angle((1, 0, 0), dy_px * _RADIANS_PER_PIXEL)
        turned = maths.quat_multiply(maths.quat_multiply(yaw, pitch), self._wanted_turn)
        self._wanted_turn = maths.normalise(turned)

    def reach(self, notches: float) -> None:
        """Push away (positive) or pull near; far away a notch goes farther."""
        step = notches * _REACH_PER_NOTCH * (1 + abs(float(self._wanted_m[2])))
        self._wanted_m[2] = -np.clip(-self._wanted_m[2] + step, _NEAREST_M, _FARTHEST_M)

    def wring(self, dx_px: float, dy_px: float) -> None:
        """Tilt (sideways) and twist (up and down) both hands against each other."""
        turned = self._wanted_wring[:2] + np.array([-dy_px, dx_px], np.float32) * _RADIANS_PER_PIXEL
        self._wanted_wring[:2] = np.clip(turned, -_MOST_WRUNG_RAD, _MOST_WRUNG_RAD)

    def part(self, notches: float) -> None:
        """Pull both hands apart (positive) or bring them together."""
        apart = float(self._wanted_wring[2]) + notches * _APART_PER_NOTCH
        self._wanted_wring[2] = min(max(apart, -_MOST_APART), _MOST_APART)

    def end_help(self) -> None:
        """The second hand goes; the first keeps the turn that it has."""
        self._wanted_turn = self._turn = maths.quat_multiply(maths.quat_conjugate(self._half()), self._turn)
        self._wanted_wring[:] = self._wring[:] = 0

    def advance(self, dt_s: float, busy: bool) -> None:
        """Ease towards where it is wanted; an idle hand goes back to its resting place."""
        if not busy:
            back = 1 - math.exp(-dt_s / _RETURN_S)
            self._wanted_m -= self._wanted_m * back
            self._wanted_turn = maths.quat_slerp(self._wanted_turn, maths.IDENTITY_QUATERNION, back)
        follow = 1 - math.exp(-dt_s / _SMOOTHING_S)
        self._offset_m += (self._wanted_m - self._offset_m) * follow
        self._turn = maths.normalise(maths.quat_slerp(self._turn, self._wanted_turn, follow))
        self._wring += (self._wanted_wring - self._wring) * follow

    def poses(self, head: Pose, ray: Array) -> tuple[Pose, Pose]:
        """``(grip, aim)`` in the stage for the pointer's direction ``ray`` (3,) in the head's frame."""
        aim = self._aim(head, ray)
        return aim @ self._grip(maths.quat_conjugate(self._half()), self._parted_m() / 2), aim

    def second_poses(self, head: Pose, ray: Array) -> tuple[Pose, Pose]:
        """The same of the hand that helps: it points at the same thing, and turns as far the other way."""
        aim = self._aim(head, ray)
        return aim @ self._grip(self._half(), -_HANDS_APART_M - self._parted_m() / 2), aim

    def _aim(self, head: Pose, ray: Array) -> Pose:
        along = Pose(orientation=maths.look_at((0, 0, 0), ray))
        return head @ along @ Pose(maths.vec3(0, 0, -_REST_DISTANCE_M) + self._offset_m)

    def _grip(self, turn: Array, sideways_m: float) -> Pose:
        """In the ray's frame."""
        orientation = maths.quat_multiply(maths.quat_multiply(turn, self._turn), AIM_FROM_GRIP)
        return Pose(GRIP_FROM_AIM_M + maths.vec3(sideways_m, 0, 0), orientation)

    def _half(self) -> Array:
        """Half of what the hands turned against each other: the second hand's share."""
        twist, tilt, _ = (self._wring / 2).tolist()
        about_x = maths.quat_from_axis_angle((1, 0, 0), twist)
        return maths.quat_multiply(maths.quat_from_axis_angle((0, 0, 1), tilt), about_x)

    def _parted_m(self) -> float:
        return _HANDS_APART_M * (math.exp(float(self._wring[2])) - 1)
