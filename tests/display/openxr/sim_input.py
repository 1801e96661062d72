"""Actions of the simulated runtime: OpenXR 1.1, chapter 11, with suggestions, profiles and sub-action paths."""

from __future__ import annotations

import re
from ctypes import POINTER, cast
from typing import Any

import numpy as np
import xr
from sim_base import R, Refused, SimBase, Thing, number
from sim_base import handle_value as xr_value

HANDS = ("/user/hand/left", "/user/hand/right")
_BOTH = "input/grip/pose input/aim/pose output/haptic "
_STICK = "input/thumbstick input/thumbstick/x input/thumbstick/y input/thumbstick/click "

#: Component paths of each interaction profile, from the specification: (both hands, left only, right only).
PROFILES: dict[str, tuple[str, str, str]] = {
    "khr/simple_controller": (_BOTH + "input/select/click input/menu/click", "", ""),
    "oculus/touch_controller": (
        _BOTH + _STICK + "input/squeeze/value input/trigger/value input/trigger/touch input/thumbstick/touch",
        "input/x/click input/x/touch input/y/click input/y/touch input/menu/click",
        "input/a/click input/a/touch input/b/click input/b/touch input/system/click",
    ),
    "valve/index_controller": (
        _BOTH + _STICK + "input/system/click input/a/click input/b/click input/squeeze/value input/squeeze/force "
        "input/trigger/click input/trigger/value input/trackpad input/trackpad/x input/trackpad/y input/trackpad/force",
        "", "",
    ),
    "htc/vive_controller": (
        _BOTH + "input/system/click input/squeeze/click input/menu/click input/trigger/click input/trigger/value "
        "input/trackpad input/trackpad/x input/trackpad/y input/trackpad/click input/trackpad/touch",
        "", "",
    ),
    "microsoft/motion_controller": (
        _BOTH + _STICK + "input/menu/click input/squeeze/click input/trigger/value input/trackpad input/trackpad/x "
        "input/trackpad/y input/trackpad/click input/trackpad/touch",
        "", "",
    ),
    "hp/mixed_reality_controller": (
        _BOTH + _STICK + "input/menu/click input/squeeze/value input/trigger/value",
        "input/x/click input/y/click",
        "input/a/click input/b/click",
    ),
    "ext/hand_interaction_ext": (
        "input/grip/pose input/aim/pose input/pinch_ext/pose input/poke_ext/pose input/pinch_ext/value "
        "input/pinch_ext/ready_ext input/aim_activate_ext/value input/grasp_ext/value input/grasp_ext/ready_ext",
        "", "",
    ),
}  # fmt: skip
GAZE_PROFILE = "/interaction_profiles/ext/eye_gaze_interaction"
GAZE_PATH = "/user/eyes_ext/input/gaze_ext/pose"
_NEEDS = {
    "hp/mixed_reality_controller": "XR_EXT_hp_mixed_reality_controller",
    "ext/hand_interaction_ext": "XR_EXT_hand_interaction",
}
_TYPES = xr.ActionType


def known_paths(profile: str) -> set[str]:
    """Every binding path of a profile."""
    if profile == GAZE_PROFILE:
        return {GAZE_PATH}
    both, *own = PROFILES.get(profile.removeprefix("/interaction_profiles/"), ("", "", ""))
    return {f"{hand}/{c}" for hand, alone in zip(HANDS, own, strict=True) for c in f"{both} {alone}".split()}


def fits(path: str, kind: xr.ActionType) -> bool:
    """Whether a component can feed an action of this type (with the conversions that the specification allows)."""
    if path.endswith("/pose"):
        return kind == _TYPES.POSE_INPUT
    if path.endswith("/haptic"):
        return kind == _TYPES.VIBRATION_OUTPUT
    if path.endswith(("/thumbstick", "/trackpad")):
        return kind == _TYPES.VECTOR2F_INPUT
    return kind in (_TYPES.FLOAT_INPUT, _TYPES.BOOLEAN_INPUT)


class SimInput(SimBase):
    """``profiles``: what is in each hand (None: nothing). ``inputs``: component path → value (or (x, y))."""

    def __init__(self) -> None:
        self.profiles: dict[str, str | None] = dict.fromkeys(HANDS, "/interaction_profiles/oculus/touch_controller")
        self.inputs: dict[str, Any] = {}
        self.refused_profiles: set[str] = set()
        self.haptics: list[tuple[str, float, int]] = []
        self.synced: dict[str, Any] | None = None  # inputs as of the last sync; None without focus
        super().__init__()

    def focused(self) -> bool:
        raise NotImplementedError

    def tell_profiles(self, session: Any) -> None:
        raise NotImplementedError

    def extensions_on(self) -> set[str]:
        raise NotImplementedError

    # Making.

    def xrCreateActionSet(self, instance: Any, info: Any, out: Any) -> None:
        name = info.contents.action_set_name.decode()
        self._check_name(name, [t for t in self.things.values() if t.kind == "action set"])
        self.get(instance, "instance")
        self.new("action set", instance, out, name=name, attached=False)

    def xrDestroyActionSet(self, handle: Any) -> None:
        self.destroy(handle, "action set")

    def xrCreateAction(self, action_set: Any, info: Any, out: Any) -> None:
        owner, i = self.get(action_set, "action set"), info.contents
        if owner.attached:
            raise Refused(R.ERROR_ACTIONSETS_ALREADY_ATTACHED, "action made after the set was attached")
        parent = xr_value(action_set)
        siblings = [t for t in self.things.values() if t.kind == "action" and t.parent == parent]
        self._check_name(i.action_name.decode(), siblings)
        title = i.localized_action_name.decode()
        if not title or title in [t.title for t in siblings]:
            raise Refused(R.ERROR_LOCALIZED_NAME_DUPLICATED, f"title {title!r}")
        subpaths = [self.text_of(i._subaction_paths[k]) for k in range(i.count_subaction_paths)]
        kind = _TYPES(i._action_type)
        name = i.action_name.decode()
        self.new("action", action_set, out, name=name, title=title, type=kind, subpaths=subpaths, bound={})

    def xrDestroyAction(self, handle: Any) -> None:
        self.destroy(handle, "action")

    @staticmethod
    def _check_name(name: str, siblings: list[Thing]) -> None:
        if not re.fullmatch(r"[a-z0-9_./-]+", name):
            raise Refused(R.ERROR_PATH_FORMAT_INVALID, f"name {name!r}")
        if name in [t.name for t in siblings]:
            raise Refused(R.ERROR_NAME_DUPLICATED, f"name {name!r}")

    def xrSuggestInteractionProfileBindings(self, instance: Any, info: Any) -> None:
        self.get(instance, "instance")
        i = info.contents
        profile = self.text_of(i.interaction_profile)
        short = profile.removeprefix("/interaction_profiles/")
        extension = "XR_EXT_eye_gaze_interaction" if profile == GAZE_PROFILE else _NEEDS.get(short)
        if profile in self.refused_profiles:
            raise Refused(R.ERROR_PATH_UNSUPPORTED)
        if (extension and extension not in self.extensions_on()) or not known_paths(profile):
            raise Refused(R.ERROR_PATH_UNSUPPORTED, f"profile {profile} is not enabled")
        for k in range(i.count_suggested_bindings):
            suggested = i._suggested_bindings[k]
            action, path = self.get(suggested.action, "action"), self.text_of(suggested.binding)
            if self.things[action.parent].attached:
                raise Refused(R.ERROR_ACTIONSETS_ALREADY_ATTACHED, "suggestion after attaching")
            if path not in known_paths(profile):
                raise Refused(R.ERROR_PATH_UNSUPPORTED, f"{path} is not in {profile}")
            if not fits(path, action.type):
                raise Refused(R.ERROR_PATH_UNSUPPORTED, f"{path} cannot feed {action.type.name}")
            action.bound.setdefault(profile, []).append(path)

    def xrAttachSessionActionSets(self, session: Any, info: Any) -> None:
        owner = self.get(session, "session")
        if owner.fields.get("action_sets"):
            raise Refused(R.ERROR_ACTIONSETS_ALREADY_ATTACHED, "attached twice")
        sets = [info.contents._action_sets[k] for k in range(info.contents.count_action_sets)]
        for action_set in sets:
            self.get(action_set, "action set").fields["attached"] = True
        owner.fields["action_sets"] = [xr_value(s) for s in sets]

    # Reading.

    def xrSyncActions(self, session: Any, info: Any) -> xr.Result | None:
        owner = self.get(session, "session")
        for k in range(info.contents.count_active_action_sets):
            active = info.contents._active_action_sets[k]
            if xr_value(active.action_set) not in owner.fields.get("action_sets", []):
                raise Refused(R.ERROR_ACTIONSET_NOT_ATTACHED, "synced a set that is not attached")
        if not self.focused():
            self.synced = None
            return R.SESSION_NOT_FOCUSED
        if owner.fields.get("told") != self.profiles:
            owner.fields["told"] = dict(self.profiles)
            self.tell_profiles(session)
        self.synced = dict(self.inputs)
        return None

    def source(self, action: Thing, subpath: str) -> list[str]:
        """Component paths that feed the action now: of the profiles in the hands, under the sub-action path."""
        sources = []
        for hand, profile in self.profiles.items():
            paths = action.bound.get(profile, [])
            sources += [p for p in paths if p.startswith(hand + "/") and (not subpath or p.startswith(subpath + "/"))]
        return sources + [p for p in action.bound.get(GAZE_PROFILE, []) if not subpath]

    def _values(self, session: Any, info: Any, kind: xr.ActionType) -> list[Any]:
        owner, i = self.get(session, "session"), info.contents
        action = self.get(i.action, "action")
        if action.parent not in owner.fields.get("action_sets", []):
            raise Refused(R.ERROR_ACTIONSET_NOT_ATTACHED, "state of an action that is not attached")
        if action.type != kind:
            raise Refused(R.ERROR_ACTION_TYPE_MISMATCH, f"{action.name} is no {kind.name}")
        subpath = self.text_of(i.subaction_path)
        if subpath and subpath not in action.subpaths:
            raise Refused(R.ERROR_PATH_UNSUPPORTED, f"{action.name} has no sub-action path {subpath}")
        if self.synced is None:
            return []
        return [self.synced.get(path, 0.0) for path in self.source(action, subpath)]

    def xrGetActionStateBoolean(self, session: Any, info: Any, out: Any) -> None:
        values = self._values(session, info, _TYPES.BOOLEAN_INPUT)
        out.contents.is_active, out.contents.current_state = bool(values), any(v > 0.5 for v in values)

    def xrGetActionStateFloat(self, session: Any, info: Any, out: Any) -> None:
        values = self._values(session, info, _TYPES.FLOAT_INPUT)
        out.contents.is_active, out.contents.current_state = bool(values), max(map(float, values), default=0.0)

    def xrGetActionStateVector2f(self, session: Any, info: Any, out: Any) -> None:
        values = [v if isinstance(v, tuple) else (0.0, 0.0) for v in self._values(session, info, _TYPES.VECTOR2F_INPUT)]
        longest = max(values, key=lambda v: float(np.hypot(*v)), default=(0.0, 0.0))
        out.contents.is_active = bool(values)
        out.contents.current_state.x, out.contents.current_state.y = longest

    def xrGetActionStatePose(self, session: Any, info: Any, out: Any) -> None:
        out.contents.is_active = bool(self._values(session, info, _TYPES.POSE_INPUT))

    def xrGetCurrentInteractionProfile(self, session: Any, path: Any, out: Any) -> None:
        profile = self.profiles.get(self.text_of(path))
        out.contents.interaction_profile = self.path_of(profile) if profile else xr.NULL_PATH

    def xrApplyHapticFeedback(self, session: Any, info: Any, feedback: Any) -> xr.Result | None:
        action = self.get(info.contents.action, "action")
        if action.type != _TYPES.VIBRATION_OUTPUT:
            raise Refused(R.ERROR_ACTION_TYPE_MISMATCH, "haptics on an input")
        if not self.focused():
            return R.SESSION_NOT_FOCUSED
        pulse = cast(feedback, POINTER(xr.HapticVibration)).contents
        if not 0 <= pulse.amplitude <= 1:
            raise Refused(R.ERROR_VALIDATION_FAILURE, "haptic amplitude out of range")
        if self.source(action, self.text_of(info.contents.subaction_path)):
            self.haptics.append((self.text_of(info.contents.subaction_path), pulse.amplitude, number(pulse.duration)))
        return None

    def xrStopHapticFeedback(self, session: Any, info: Any) -> None:
        self.get(session, "session")
