"""Spaces, views and hand joints of the simulated runtime, in a tracking frame that no base space agrees with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xr
from sim_base import R, Refused, handle_value, number, put_pose, take_pose
from sim_input import GAZE_PATH, SimInput

from vrapp.core.maths import quat_from_yaw_pitch, vec3
from vrapp.core.pose import Pose

SPACES = xr.ReferenceSpaceType
POSE_VALID = 15  # position and orientation, valid and tracked
EYE_OFFSET_M = 0.032
FOVS = ((-0.9, 0.7, 0.75, -0.8), (-0.7, 0.9, 0.75, -0.8))  # left, right, up, down, radians

Mask = tuple[list[tuple[float, float]], list[int]]  # vertices, indices of triangles


class SimSpace(SimInput):
    """``bases``: reference spaces; ``head``, ``grips``, ``gaze``, ``joints``: the user; None is not tracked."""

    def __init__(self) -> None:
        self.hands_supported = self.eyes_supported = False
        self.reference_spaces = [SPACES.VIEW, SPACES.LOCAL, SPACES.STAGE, SPACES.LOCAL_FLOOR]
        turned = quat_from_yaw_pitch(0.8, 0)
        self.bases = {
            SPACES.STAGE: Pose(vec3(0.3, 0, -0.2), quat_from_yaw_pitch(-0.4, 0)),
            SPACES.LOCAL_FLOOR: Pose(vec3(1, 0, 2), turned),
            SPACES.LOCAL: Pose(vec3(1, 1.5, 2), turned),
        }
        self.head: Callable[[int], Pose | None] = lambda time: Pose(vec3(1, 1.6, 2), turned)
        self.grips: dict[str, Pose | None] = {
            "/user/hand/left": Pose(vec3(0.8, 1.2, 1.7), turned), "/user/hand/right": Pose(vec3(1.2, 1.2, 1.7), turned),
        }  # fmt: skip
        self.aim_from_grip = Pose(vec3(0, 0.02, -0.05), quat_from_yaw_pitch(0, -0.5))
        self.gaze: Pose | None = None
        self.joints: dict[int, np.ndarray | None] = {1: None, 2: None}  # (26, 8) in the tracking frame
        self.masks: list[Mask] = [([], []), ([], [])]
        super().__init__()

    # Spaces and views.

    def xrEnumerateReferenceSpaces(self, session: Any, capacity: int, count: Any, out: Any) -> None:
        if self.room_for(capacity, count, len(self.reference_spaces)):
            for k, kind in enumerate(self.reference_spaces):
                out[k] = kind.value

    def xrCreateReferenceSpace(self, session: Any, info: Any, out: Any) -> None:
        kind = SPACES(info.contents._reference_space_type)
        if kind not in self.reference_spaces:
            raise Refused(R.ERROR_REFERENCE_SPACE_UNSUPPORTED, kind.name)
        self.get(session, "session")
        self.new("space", session, out, base=kind, offset=take_pose(info.contents.pose_in_reference_space))

    def xrCreateActionSpace(self, session: Any, info: Any, out: Any) -> None:
        i = info.contents
        action = self.get(i.action, "action")
        if action.type != xr.ActionType.POSE_INPUT:
            raise Refused(R.ERROR_ACTION_TYPE_MISMATCH, "space of an action that is no pose")
        subpath = self.text_of(i.subaction_path)
        self.new(
            "space", session, out, base=(handle_value(i.action), subpath), offset=take_pose(i.pose_in_action_space)
        )

    def xrDestroySpace(self, space: Any) -> None:
        self.destroy(space, "space")

    def _tracked(self, space: Any, time: int) -> Pose | None:
        """The space in the tracking frame."""
        thing = self.get(space, "space")
        base = thing.base
        if base == SPACES.VIEW:
            pose = self.head(time)
        elif isinstance(base, SPACES):
            pose = self.bases[base]
        else:
            pose = self._action_pose(self.things[base[0]], base[1])
        return None if pose is None else pose @ thing.offset

    def _action_pose(self, action: Any, subpath: str) -> Pose | None:
        if self.synced is None:
            return None
        for path in self.source(action, subpath):
            if path == GAZE_PATH:
                return self.gaze
            grip = self.grips[path.split("/input")[0]]
            return grip @ self.aim_from_grip if grip is not None and "/aim/" in path else grip
        return None

    def xrLocateSpace(self, space: Any, base: Any, time: Any, out: Any) -> None:
        if number(time) <= 0:
            raise Refused(R.ERROR_TIME_INVALID, "time is not positive")
        located, reference = self._tracked(space, number(time)), self._tracked(base, number(time))
        known = located is not None and reference is not None
        out.contents._location_flags = POSE_VALID if known else 0
        if located is not None and reference is not None:
            put_pose(out.contents.pose, reference.inverse() @ located)

    def xrLocateViews(self, session: Any, info: Any, state: Any, capacity: int, count: Any, out: Any) -> None:
        time = number(info.contents.display_time)
        if time <= 0:
            raise Refused(R.ERROR_TIME_INVALID, "time is not positive")
        head, base = self.head(time), self._tracked(info.contents.space, time)
        state.contents._view_state_flags = POSE_VALID if head is not None else 0
        if self.room_for(capacity, count, 2) and head is not None and base is not None:
            for k, fov in enumerate(FOVS):
                offset = Pose(vec3(EYE_OFFSET_M * (2 * k - 1), 0, 0))
                put_pose(out[k].pose, base.inverse() @ head @ offset)
                f = out[k].fov
                f.angle_left, f.angle_right, f.angle_up, f.angle_down = fov

    def xrGetVisibilityMaskKHR(self, session: Any, views: Any, eye: Any, kind: Any, mask: Any) -> None:
        self.get(session, "session")
        if "XR_KHR_visibility_mask" not in self._on:
            raise Refused(R.ERROR_FUNCTION_UNSUPPORTED, "the visibility mask is not enabled")
        if number(kind) != xr.VisibilityMaskTypeKHR.HIDDEN_TRIANGLE_MESH.value:
            raise Refused(R.ERROR_VALIDATION_FAILURE, "not the hidden triangles")
        vertices, indices = self.masks[number(eye)]
        m = mask.contents
        m.vertex_count_output, m.index_count_output = len(vertices), len(indices)
        if m.vertex_capacity_input == 0 and m.index_capacity_input == 0:
            return
        if m.vertex_capacity_input < len(vertices) or m.index_capacity_input < len(indices):
            raise Refused(R.ERROR_SIZE_INSUFFICIENT, "buffer too small")
        for k, (x, y) in enumerate(vertices):
            m.vertices[k].x, m.vertices[k].y = x, y
        for k, index in enumerate(indices):
            m.indices[k] = index

    # Hands.

    def xrCreateHandTrackerEXT(self, session: Any, info: Any, out: Any) -> None:
        if "XR_EXT_hand_tracking" not in self._on:
            raise Refused(R.ERROR_FUNCTION_UNSUPPORTED, "hand tracking is not enabled")
        if not self.hands_supported:
            raise Refused(R.ERROR_FEATURE_UNSUPPORTED, "the system follows no hands")
        self.new("hand tracker", session, out, hand=number(info.contents._hand))

    def xrDestroyHandTrackerEXT(self, tracker: Any) -> None:
        self.destroy(tracker, "hand tracker")

    def xrLocateHandJointsEXT(self, tracker: Any, info: Any, out: Any) -> None:
        o = out.contents
        if not o._joint_locations or o.joint_count != 26:
            raise Refused(R.ERROR_VALIDATION_FAILURE, "no room for 26 joints")
        joints = self.joints[self.get(tracker, "hand tracker").hand]
        base = self._tracked(info.contents.base_space, number(info.contents.time))
        o.is_active = joints is not None
        for k in range(26):
            location = o._joint_locations[k]
            location._location_flags = POSE_VALID if joints is not None else 0
            if joints is not None and base is not None:
                put_pose(location.pose, base.inverse() @ Pose(joints[k, :3], joints[k, 4:]))
                location.radius = joints[k, 3]
