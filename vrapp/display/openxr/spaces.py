"""The stage's reference space: OpenXR 1.1, section 7.1 "Reference Spaces"."""

from __future__ import annotations

from typing import Any

import numpy as np
import xr

from vrapp.core.comfort import Comfort
from vrapp.core.pose import Pose
from vrapp.display.openxr.owned import Owned

_VALID = int(xr.SpaceLocationFlags.POSITION_VALID_BIT | xr.SpaceLocationFlags.ORIENTATION_VALID_BIT)


class Stage:
    """``space`` has its origin on the ground; ``kind`` says how that was found.

    LOCAL_FLOOR, as it is recentred by the user and has the floor's height; else STAGE. Without either, and for
    who sits, the ground lies ``Comfort.eye_height_m`` under the eyes: LOCAL, sunk. Its origin is "near the
    head", but at which height, and whether on a head at all, is the runtime's: so the eyes are *measured* in
    the first frame in which somebody wears the headset, and again after ``measure_again``.
    """

    def __init__(self, session: Any, comfort: Comfort) -> None:
        offered = set() if comfort.seated else {int(kind) for kind in xr.enumerate_reference_spaces(session)}
        kinds = (xr.ReferenceSpaceType.LOCAL_FLOOR, xr.ReferenceSpaceType.STAGE)
        found = next((kind for kind in kinds if kind.value in offered), xr.ReferenceSpaceType.LOCAL)
        self.kind = found.name
        self._session, self._eye_height_m = session, comfort.eye_height_m
        self._sunk_m = comfort.eye_height_m if self.floor_assumed else 0.0
        self._measured = False
        self._measure_from = 0  # XrTime
        with Owned() as made:
            self.space = _reference_space(session, found, -self._sunk_m)
            made.destroys(lambda: xr.destroy_space(self.space))  # whichever it is by then
            self.view = _reference_space(session, xr.ReferenceSpaceType.VIEW, 0.0)
            made.destroys(xr.destroy_space, self.view)
            self._owned = made.pop_all()

    @property
    def floor_assumed(self) -> bool:
        """No floor is known: the ground follows the eyes' height."""
        return bool(self.kind == "LOCAL")

    def measure_again(self, from_xr_time: int = 0) -> None:
        """The next head that is seen from then on has its eyes at the chosen height."""
        self._measured, self._measure_from = False, from_xr_time

    def settle(self, xr_time: int) -> None:
        """Somebody wears the headset: put the ground under the eyes, where that is still to be done."""
        if self._measured or not self.floor_assumed or xr_time < self._measure_from:
            return
        head = self.head(xr_time)
        if head is None:
            return
        self._measured = True
        self._sunk_m += self._eye_height_m - float(head.position[1])
        before, self.space = self.space, _reference_space(self._session, xr.ReferenceSpaceType.LOCAL, -self._sunk_m)
        xr.destroy_space(before)

    def locate(self, space: Any, xr_time: int) -> Pose | None:
        """``stage_from_space`` at a time, None where position or orientation is not known."""
        location = xr.locate_space(space, self.space, xr_time)
        if int(location.location_flags) & _VALID != _VALID:
            return None
        return pose_from(location.pose)

    def head(self, xr_time: int) -> Pose | None:
        """``stage_from_head``."""
        return self.locate(self.view, xr_time)

    def close(self) -> None:
        """Destroy both spaces."""
        self._owned.close()


def _reference_space(session: Any, kind: Any, height_m: float) -> Any:
    pose = xr.Posef(position=xr.Vector3f(0, height_m, 0))
    return xr.create_reference_space(
        session, xr.ReferenceSpaceCreateInfo(reference_space_type=kind, pose_in_reference_space=pose)
    )


def pose_from(pose: Any) -> Pose:
    """An XrPosef as a Pose."""
    p, q = pose.position, pose.orientation
    return Pose(np.array([p.x, p.y, p.z], np.float32), np.array([q.x, q.y, q.z, q.w], np.float32))
