"""The stage's reference space: OpenXR 1.1, section 7.1 "Reference Spaces"."""

from __future__ import annotations

from ctypes import byref
from typing import Any

import numpy as np
import xr

from vrapp.core import maths
from vrapp.core.comfort import Comfort
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.display.openxr.calls import prepared
from vrapp.display.openxr.owned import Owned
from vrapp.display.openxr.results import check

_SPACES = xr.ReferenceSpaceType
_VALID = int(xr.SpaceLocationFlags.POSITION_VALID_BIT | xr.SpaceLocationFlags.ORIENTATION_VALID_BIT)


class Stage:
    """``space`` has its origin on the ground; ``kind`` says how that was found.

    LOCAL_FLOOR has the floor's height and lies where the user last recentred. Where it is not offered, it is
    made of STAGE, for the floor, and LOCAL, for place and heading, as XR_EXT_local_floor describes. Without
    either, and for who sits, the ground lies ``Comfort.eye_height_m`` under the eyes. LOCAL's origin is "near the
    head", but at which height, and whether on a head at all, is the runtime's: so the eyes are *measured*.
    Both are done in the first frame in which somebody wears the headset, and again after ``measure_again``.
    """

    def __init__(self, session: Any, comfort: Comfort) -> None:
        offered = set() if comfort.seated else {int(kind) for kind in xr.enumerate_reference_spaces(session)}
        best = next((kind for kind in (_SPACES.LOCAL_FLOOR, _SPACES.STAGE) if kind.value in offered), _SPACES.LOCAL)
        self.kind = best.name
        self._session, self._best, self._eye_height_m = session, best, comfort.eye_height_m
        self._measured = best is _SPACES.LOCAL_FLOOR
        self._measure_from = 0  # XrTime
        self._locate, self._location = prepared("xrLocateSpace"), xr.SpaceLocation()
        self._location_at = byref(self._location)
        self._floats = floats_of(self._location, xr.SpaceLocation.pose.offset)
        with Owned() as made:
            self._base, self._local, self._view = (
                self._kept(made, kind) for kind in (best, _SPACES.LOCAL, _SPACES.VIEW)
            )
            sunk_m = self._eye_height_m if best is _SPACES.LOCAL else 0.0
            self.space = _reference_space(session, best, Pose(maths.vec3(0, -sunk_m, 0)))
            made.destroys(lambda: xr.destroy_space(self.space))  # whichever it is by then
            self._owned = made.pop_all()

    def _kept(self, made: Owned, kind: Any) -> Any:
        space = _reference_space(self._session, kind, Pose())
        made.destroys(xr.destroy_space, space)
        return space

    def measure_again(self, from_xr_time: int = 0) -> None:
        """The ground is put anew under whoever wears the headset from then on."""
        self._measured, self._measure_from = self._best is _SPACES.LOCAL_FLOOR, from_xr_time

    def settle(self, xr_time: int) -> None:
        """Somebody wears the headset: put the ground under them, where that is still to be done."""
        if self._measured or xr_time < self._measure_from:
            return
        ground = self._ground(xr_time)
        if ground is None:
            return
        self._measured = True
        before, self.space = self.space, _reference_space(self._session, self._best, ground)
        xr.destroy_space(before)

    def _ground(self, xr_time: int) -> Pose | None:
        """``base_from_stage``, None while it cannot be known."""
        if self._best is _SPACES.LOCAL:
            head = self._located(self._view, self._base, xr_time)
            return None if head is None else Pose(maths.vec3(0, float(head.position[1]) - self._eye_height_m, 0))
        local = self._located(self._local, self._base, xr_time)
        if local is None:
            return None
        x, _, z = local.position.tolist()
        return Pose(maths.vec3(x, 0, z), maths.quat_from_yaw_pitch(maths.yaw_of(local.orientation), 0))

    def locate(self, space: Any, xr_time: int) -> Pose | None:
        """``stage_from_space`` at a time, None where position or orientation is not known."""
        return self._located(space, self.space, xr_time)

    def _located(self, space: Any, base: Any, xr_time: int) -> Pose | None:
        """xrLocateSpace into a structure that is made once: six of these calls are made in a frame."""
        check(self._locate(space, base, xr_time, self._location_at))
        if self._location._location_flags & _VALID != _VALID:
            return None
        return pose_from(self._floats.copy())

    def head(self, xr_time: int) -> Pose | None:
        """``stage_from_head``."""
        return self.locate(self._view, xr_time)

    def close(self) -> None:
        """Destroy all spaces."""
        self._owned.close()


def _reference_space(session: Any, kind: Any, pose: Pose) -> Any:
    x, y, z = pose.position.tolist()
    a, b, c, w = pose.orientation.tolist()
    placed = xr.Posef(orientation=xr.Quaternionf(a, b, c, w), position=xr.Vector3f(x, y, z))
    info = xr.ReferenceSpaceCreateInfo(reference_space_type=kind, pose_in_reference_space=placed)
    return xr.create_reference_space(session, info)


def floats_of(structure: Any, offset: int, count: int = 7) -> Array:
    """(count,) float32 of the memory of a ctypes structure from byte ``offset`` on: of an XrPosef without more."""
    return np.frombuffer(structure, np.float32, count, offset)


def pose_from(floats: Array) -> Pose:
    """An XrPosef, as it lies in memory, as a Pose on the same memory."""
    return Pose(floats[4:7], floats[:4])
