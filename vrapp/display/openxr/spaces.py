"""The stage's reference space: OpenXR 1.1, section 7.1 "Reference Spaces"."""

from __future__ import annotations

from typing import Any

import numpy as np
import xr

from vrapp.core.pose import Pose
from vrapp.display.openxr.owned import Owned

#: Height of the eyes over the floor where the runtime knows no floor (LOCAL alone).
ASSUMED_EYE_HEIGHT_M = 1.65

_VALID = int(xr.SpaceLocationFlags.POSITION_VALID_BIT | xr.SpaceLocationFlags.ORIENTATION_VALID_BIT)


class Stage:
    """``space`` has its origin on the floor; ``kind`` says how the floor was found.

    LOCAL_FLOOR, as it is recentred by the user and has the floor's height; else STAGE; else LOCAL, sunk by
    an assumed height of the eyes.
    """

    def __init__(self, session: Any, eye_height_m: float = ASSUMED_EYE_HEIGHT_M) -> None:
        offered = {int(kind) for kind in xr.enumerate_reference_spaces(session)}
        kinds = (xr.ReferenceSpaceType.LOCAL_FLOOR, xr.ReferenceSpaceType.STAGE)
        found = next((kind for kind in kinds if kind.value in offered), xr.ReferenceSpaceType.LOCAL)
        sunk_m = eye_height_m if found is xr.ReferenceSpaceType.LOCAL else 0.0
        self.kind = found.name
        with Owned() as made:
            self.space = _reference_space(session, found, -sunk_m)
            made.destroys(xr.destroy_space, self.space)
            self.view = _reference_space(session, xr.ReferenceSpaceType.VIEW, 0.0)
            made.destroys(xr.destroy_space, self.view)
            self._owned = made.pop_all()

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
