"""Bare hands: XR_EXT_hand_tracking, and the gestures that stand for trigger and grip."""

from __future__ import annotations

from ctypes import byref, cast
from typing import Any

import numpy as np
import xr

from vrapp.core import maths
from vrapp.core.input import LEFT, HandState
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.display.openxr.calls import prepared
from vrapp.display.openxr.results import check

JOINTS = 26
PALM, THUMB_TIP, INDEX_PROXIMAL, INDEX_TIP = 0, 5, 7, 10
_CURLING_TIPS = [15, 20, 25]  # middle, ring, little

#: Distances at which a gesture is complete and at which it begins, metres.
_PINCH_M = (0.015, 0.045)
_GRASP_M = (0.045, 0.085)
#: Palm and eyes towards each other within about 37 and 45 degrees, and thumb and index finger together: the menu.
_PALM_TO_EYES, _EYES_TO_PALM = 0.8, 0.7
_MENU_ON, _MENU_OFF = 0.9, 0.5
#: From the eyes to each shoulder in the head's heading: the ray runs from there through the hand.
_SHOULDER_M = maths.vec3(0.17, -0.25, 0.0)
#: Palm joint to OpenXR's grip pose (-Z towards the thumb, +X out of the left and into the right palm).
_GRIP_FROM_PALM = (
    np.array([0.5, -0.5, -0.5, 0.5], np.float32),
    np.array([0.5, 0.5, 0.5, 0.5], np.float32),
)

#: XrHandJointLocationEXT as it lies in memory.
_LOCATION = np.dtype([("flags", "<u8"), ("orientation", "<f4", 4), ("position", "<f4", 3), ("radius", "<f4")])
_VALID = int(xr.SpaceLocationFlags.POSITION_VALID_BIT | xr.SpaceLocationFlags.ORIENTATION_VALID_BIT)


class HandTracker:
    """The joints of one hand. pyopenxr's own wrapper passes no buffer, so the call is made by hand."""

    def __init__(self, instance: Any, session: Any, hand: int) -> None:
        """``instance``: the XrInstance; the extension has to be enabled and supported."""
        side = xr.HandEXT.LEFT if hand == LEFT else xr.HandEXT.RIGHT
        info = xr.HandTrackerCreateInfoEXT(hand=side, hand_joint_set=xr.HandJointSetEXT.DEFAULT)
        self._tracker = xr.create_hand_tracker_ext(session, info)
        located = cast(xr.get_instance_proc_addr(instance, "xrLocateHandJointsEXT"), xr.PFN_xrLocateHandJointsEXT)
        self._locate = prepared("xrLocateHandJointsEXT", located)
        self._info = xr.HandJointsLocateInfoEXT()
        self._buffer = (xr.HandJointLocationEXT * JOINTS)()
        self._located = xr.HandJointLocationsEXT(joint_locations=self._buffer)

    def joints(self, space: Any, xr_time: int) -> Array | None:
        """(26, 8) float32 in ``space``: position, radius, quaternion xyzw; None where the hand is not seen."""
        self._info.base_space, self._info.time = space, xr_time
        check(self._locate(self._tracker, byref(self._info), byref(self._located)))
        rows = np.frombuffer(self._buffer, _LOCATION)
        if not self._located.is_active or not (rows["flags"] & _VALID == _VALID).all():
            return None
        joints = np.empty((JOINTS, 8), np.float32)
        joints[:, :3], joints[:, 3], joints[:, 4:] = rows["position"], rows["radius"], rows["orientation"]
        return joints

    def close(self) -> None:
        """Destroy the tracker."""
        xr.destroy_hand_tracker_ext(self._tracker)


def hand_from(joints: Array, head: Pose, hand: int) -> HandState:
    """A bare hand as a controller: pinch is the trigger, a fist is the squeeze, the arm is the pointer."""
    palm = Pose(joints[PALM, :3], joints[PALM, 4:])
    grip = palm @ Pose(orientation=_GRIP_FROM_PALM[hand])
    aim = Pose(joints[INDEX_PROXIMAL, :3], _pointing(joints[INDEX_PROXIMAL, :3], head, hand))
    return HandState(grip, aim, trigger=pinch_of(joints), squeeze=grasp_of(joints), joints=joints)


def calls_menu(joints: Array, head: Pose, called: bool) -> bool:
    """A bare hand's menu button: the palm before the eyes, and a pinch. ``called``: it did in the frame before."""
    if pinch_of(joints) < (_MENU_OFF if called else _MENU_ON):
        return False
    if called:  # until the pinch opens, however the hand is turned meanwhile
        return True
    to_eyes = maths.normalise(head.position - joints[PALM, :3])
    out_of_palm = maths.rotate(joints[PALM, 4:], maths.vec3(0, -1, 0))
    return float(out_of_palm @ to_eyes) > _PALM_TO_EYES and float(head.forward @ -to_eyes) > _EYES_TO_PALM


def pinch_of(joints: Array) -> float:
    """0 open … 1 thumb and index finger together."""
    return _closeness(float(np.linalg.norm(joints[THUMB_TIP, :3] - joints[INDEX_TIP, :3])), *_PINCH_M)


def grasp_of(joints: Array) -> float:
    """0 open … 1 the other three fingers in the palm."""
    from_palm = np.linalg.norm(joints[_CURLING_TIPS, :3] - joints[PALM, :3], axis=1)
    return _closeness(float(from_palm.mean()), *_GRASP_M)


def _closeness(distance_m: float, together_m: float, apart_m: float) -> float:
    return float(np.clip((apart_m - distance_m) / (apart_m - together_m), 0, 1))


def _pointing(at: Array, head: Pose, hand: int) -> Array:
    side = maths.vec3(-1 if hand == LEFT else 1, 1, 1)
    heading = maths.quat_from_yaw_pitch(maths.yaw_of(head.orientation), 0)
    shoulder = head.position + maths.rotate(heading, _SHOULDER_M * side)
    return maths.look_at(shoulder, at)
