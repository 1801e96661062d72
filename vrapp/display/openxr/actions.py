"""Controllers: OpenXR 1.1, chapter 11 "Input and Haptics"."""

from __future__ import annotations

import logging
from contextlib import suppress
from ctypes import byref
from typing import Any

import xr

from vrapp.core.input import Button
from vrapp.core.pose import Pose
from vrapp.display.openxr.calls import prepared
from vrapp.display.openxr.meter import Call
from vrapp.display.openxr.owned import Owned
from vrapp.display.openxr.profiles import (
    ACTIONS,
    GAZE,
    GAZE_BINDING,
    GAZE_PROFILE,
    HAND_PROFILE,
    HANDS,
    PROFILES,
    Action,
    Kind,
)  # fmt: skip
from vrapp.display.openxr.results import check, nicety
from vrapp.display.openxr.spaces import Stage

_log = logging.getLogger(__name__)

_NOT_FOCUSED = xr.Result.SESSION_NOT_FOCUSED.value

_TYPES = {
    Kind.POSE: xr.ActionType.POSE_INPUT,
    Kind.FLOAT: xr.ActionType.FLOAT_INPUT,
    Kind.VECTOR: xr.ActionType.VECTOR2F_INPUT,
    Kind.BOOLEAN: xr.ActionType.BOOLEAN_INPUT,
    Kind.VIBRATION: xr.ActionType.VIBRATION_OUTPUT,
}
_STATES = {
    Kind.FLOAT: ("xrGetActionStateFloat", xr.ActionStateFloat),
    Kind.VECTOR: ("xrGetActionStateVector2f", xr.ActionStateVector2f),
    Kind.BOOLEAN: ("xrGetActionStateBoolean", xr.ActionStateBoolean),
}
_NONE_HELD = Button(0)
_BUTTONS = {"keep": Button.KEEP, "dismiss": Button.DISMISS, "more": Button.MORE, "menu": Button.MENU}


class Controllers:
    """The action set of a session, attached once; ``sync`` each frame, then read.

    ``gaze`` tells whether the system follows eyes; then the set has an action for them, too.
    """

    def __init__(self, instance: Any, session: Any, gaze: bool) -> None:
        """``instance``: display.openxr.instance.Instance."""
        self._session = session
        self._hands = [xr.string_to_path(instance.handle, path) for path in HANDS]
        self._actions: dict[str, Any] = {}
        self._spaces: dict[tuple[str, int], Any] = {}
        self._gaze_space: Any = None
        self._instance = instance.handle
        self.bare = [False, False]  # the hand itself is the controller
        with Owned() as made:
            self._make_actions(instance, made, gaze)
            self._suggest(instance, gaze)
            attach = xr.SessionActionSetsAttachInfo(count_action_sets=1, action_sets=[self._set])
            xr.attach_session_action_sets(session, attach)
            for name in ("grip", "aim"):
                for hand in (0, 1):
                    self._spaces[name, hand] = self._space(name, self._hands[hand], made)
            if gaze:
                self._gaze_space = self._space(GAZE.name, xr.NULL_PATH, made)
            self._owned = made.pop_all()
        self._read = self._readers()

    def _make_actions(self, instance: Any, made: Owned, gaze: bool) -> None:
        info = xr.ActionSetCreateInfo(action_set_name="world", localized_action_set_name="World", priority=0)
        self._set = xr.create_action_set(instance.handle, info)
        made.destroys(xr.destroy_action_set, self._set)
        self._active = [xr.ActiveActionSet(self._set, xr.NULL_PATH)]
        self._sync = prepared("xrSyncActions")
        self._sync_info = xr.ActionsSyncInfo(count_active_action_sets=1, active_action_sets=self._active)
        for action in (*ACTIONS, GAZE) if gaze else ACTIONS:
            created = self._create(action, [] if action is GAZE else self._hands)
            made.destroys(xr.destroy_action, created)
            self._actions[action.name] = created

    def _create(self, action: Action, paths: list[Any]) -> Any:
        info = xr.ActionCreateInfo(
            action_name=action.name, action_type=_TYPES[action.kind], localized_action_name=action.title,
            count_subaction_paths=len(paths), subaction_paths=paths or None,
        )  # fmt: skip
        return xr.create_action(self._set, info)

    def _space(self, name: str, path: Any, made: Owned) -> Any:
        info = xr.ActionSpaceCreateInfo(
            action=self._actions[name], subaction_path=path, pose_in_action_space=xr.Posef()
        )
        space = xr.create_action_space(self._session, info)
        made.destroys(xr.destroy_space, space)
        return space

    def _suggest(self, instance: Any, gaze: bool) -> None:
        offers = [(p.path, p.bindings()) for p in PROFILES if p.available(instance.api_version, instance.extensions)]
        if gaze:
            offers.append((GAZE_PROFILE, [(GAZE.name, GAZE_BINDING)]))
        for profile, pairs in offers:
            bindings = [
                xr.ActionSuggestedBinding(self._actions[name], xr.string_to_path(instance.handle, path))
                for name, path in pairs
            ]
            suggested = xr.InteractionProfileSuggestedBinding(
                interaction_profile=xr.string_to_path(instance.handle, profile),
                count_suggested_bindings=len(bindings),
                suggested_bindings=bindings,
            )
            # A runtime need not know every controller; those that it knows are enough.
            with nicety(f"The OpenXR runtime does not take {profile}"):
                xr.suggest_interaction_profile_bindings(instance.handle, suggested)

    def sync(self) -> None:
        """Take the controllers' state for this frame. Without the focus everything reads as inactive."""
        code = self._sync(self._session, byref(self._sync_info))
        if code != _NOT_FOCUSED:
            check(code)

    def look_at_profiles(self) -> None:
        """Find out what is in each hand; the runtime says when that changes."""
        for hand, path in enumerate(self._hands):
            profile = xr.get_current_interaction_profile(self._session, path).interaction_profile
            name = xr.path_to_string(self._instance, profile) if profile != xr.NULL_PATH else "nothing"
            self.bare[hand] = name == HAND_PROFILE
            _log.info("%s: %s.", HANDS[hand], name)

    def poses(self, hand: int, stage: Stage, xr_time: int) -> tuple[Pose, Pose] | None:
        """(grip, aim) in the stage, None where the controller is not tracked."""
        grip = stage.locate(self._spaces["grip", hand], xr_time)
        if grip is None:
            return None
        aim = stage.locate(self._spaces["aim", hand], xr_time)
        return grip, aim if aim is not None else grip

    def gaze(self, stage: Stage, xr_time: int) -> Pose | None:
        """Where the eyes look (-Z), None where they are not followed now."""
        return None if self._gaze_space is None else stage.locate(self._gaze_space, xr_time)

    def value(self, name: str, hand: int) -> float:
        """A trigger, 0…1; 0 while inactive."""
        state = self._state(name, hand)
        return min(max(state.current_state, 0.0), 1.0) if state.is_active else 0.0

    def stick(self, hand: int) -> tuple[float, float]:
        """x right, y forward, -1…1."""
        state = self._state("stick", hand)
        if not state.is_active:
            return 0.0, 0.0
        return float(state.current_state.x), float(state.current_state.y)

    def buttons(self) -> Button:
        """Buttons held down on either hand."""
        held = _NONE_HELD
        for name, button in _BUTTONS.items():
            state = self._state(name, None)
            if state.is_active and state.current_state:
                held |= button
        return held

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """A pulse at the motor's own frequency."""
        pulse = xr.HapticVibration(
            amplitude=min(max(amplitude, 0.0), 1.0),
            duration=max(round(duration_s * 1e9), 0) or xr.MIN_HAPTIC_DURATION,
            frequency=xr.FREQUENCY_UNSPECIFIED,
        )
        info = xr.HapticActionInfo(action=self._actions["haptic"], subaction_path=self._hands[hand])
        with nicety("The controller does not vibrate"), suppress(xr.SessionNotFocused):  # lost since the last events
            xr.apply_haptic_feedback(self._session, info, pulse)

    def _readers(self) -> dict[tuple[str, int | None], tuple[Call, Any, Any]]:
        """The call, its question and its answer, by action and hand; None is either hand. Made once: see ``calls``."""
        made: dict[tuple[str, int | None], tuple[Call, Any, Any]] = {}
        for action in ACTIONS:
            if action.kind not in _STATES:
                continue
            name, kind_of_state = _STATES[action.kind]
            call, state = prepared(name), kind_of_state()
            for hand in (0, 1, None):
                path = xr.NULL_PATH if hand is None else self._hands[hand]
                info = xr.ActionStateGetInfo(action=self._actions[action.name], subaction_path=path)
                made[action.name, hand] = call, info, state
        return made

    def _state(self, name: str, hand: int | None) -> Any:
        """The XrActionState… of an action, valid until it is asked for again."""
        call, info, state = self._read[name, hand]
        check(call(self._session, byref(info), byref(state)))
        return state

    def close(self) -> None:
        """Destroy spaces, actions and set, last made first."""
        self._owned.close()
