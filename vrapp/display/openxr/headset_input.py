"""Head, hands, eyes and buttons of a running headset as one snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vrapp.core import maths
from vrapp.core.comfort import Comfort
from vrapp.core.input import HAND_VALID, Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.display.openxr.actions import Controllers
from vrapp.display.openxr.hands import HandTracker, calls_menu, hand_from
from vrapp.display.openxr.owned import Owned
from vrapp.display.openxr.results import nicety
from vrapp.display.openxr.spaces import Stage

_NOTHING = Valid(0)
_JOINTS_VALID = (Valid.LEFT_JOINTS, Valid.RIGHT_JOINTS)
#: The main hand's stick pushed forward aims a teleport; letting it back goes there.
_TELEPORT_ON, _TELEPORT_OFF = 0.7, 0.4


class HeadsetInput:
    """Reads everything at one XrTime. What is not tracked keeps its last value, its ``Valid`` bit off."""

    def __init__(self, instance: Any, session: Any, stage: Stage, comfort: Comfort) -> None:
        """``instance``: display.openxr.instance.Instance. Raises xr.XrException."""
        self._stage, self._main = stage, comfort.main_hand
        self._trackers: list[HandTracker] = []
        with Owned() as made:
            self._controllers = Controllers(instance, session, instance.eye_gaze)
            made.destroys(self._controllers.close)
            if instance.hand_tracking:
                self._track_hands(instance, session, made)
            self._owned = made.pop_all()
        head = Pose(maths.vec3(0, comfort.eye_height_m, 0))
        self._last = InputSnapshot(0, head, gaze=head, source=SourceKind.HEADSET)
        self._teleporting = False
        self._calling = [False, False]  # the menu, with a bare hand

    def _track_hands(self, instance: Any, session: Any, made: Owned) -> None:
        trackers = []
        with nicety("The headset does not follow bare hands"):
            for hand in (0, 1):
                trackers.append(HandTracker(instance.handle, session, hand))
                made.destroys(trackers[-1].close)
            self._trackers = trackers

    def read(self, xr_time: int, time_ns: int, attended: bool) -> InputSnapshot:
        """The user at ``xr_time``, stamped ``time_ns``. Without attention (headset off, menu) nobody acts: AWAY."""
        self._controllers.sync()
        valid, last = _NOTHING if attended else Valid.AWAY, self._last
        if attended:
            self._stage.settle(xr_time)
        head = self._stage.head(xr_time)
        valid |= Valid.HEAD if head is not None else _NOTHING
        head = head if head is not None else last.head
        left, right = (self._hand(i, xr_time, head, attended) for i in (0, 1))
        buttons = self._controllers.buttons() if attended else Button(0)
        gaze = self._controllers.gaze(self._stage, xr_time) if attended else None
        valid |= left[1] | right[1] | (Valid.GAZE if gaze is not None else _NOTHING)
        buttons |= self._teleport((left, right)[self._main][0])
        buttons |= Button.MENU if any(self._calling) else Button(0)
        self._last = InputSnapshot(
            time_ns, head, (left[0], right[0]), buttons, valid, SourceKind.HEADSET, gaze if gaze is not None else head
        )  # fmt: skip
        return self._last

    def _hand(self, hand: int, xr_time: int, head: Pose, attended: bool) -> tuple[HandState, Valid]:
        last = self._last.hands[hand]
        if not attended:
            return _resting(last), _NOTHING
        joints = self._joints(hand, xr_time)
        self._calling[hand] = joints is not None and calls_menu(joints, head, self._calling[hand])
        valid = _JOINTS_VALID[hand] if joints is not None else _NOTHING
        poses = self._controllers.poses(hand, self._stage, xr_time)
        if poses is None:
            if joints is None:
                return _resting(last), valid
            state = hand_from(joints, head, hand)
            if self._calling[hand]:
                state = replace(state, trigger=0.0, squeeze=0.0)
            return state, valid | HAND_VALID[hand]
        trigger, squeeze = (self._controllers.value(name, hand) for name in ("trigger", "squeeze"))
        if not self._controllers.bare[hand]:
            self._calling[hand] = False  # fingers around a controller may lie as in a pinch
        elif self._calling[hand]:
            trigger = squeeze = 0.0
        state = HandState(*poses, trigger, squeeze, self._controllers.stick(hand), joints)
        return state, valid | HAND_VALID[hand]

    def _joints(self, hand: int, xr_time: int) -> Array | None:
        if not self._trackers:
            return None
        with nicety("The headset no longer follows bare hands"):
            return self._trackers[hand].joints(self._stage.space, xr_time)
        self._trackers = []  # closed with the session
        return None

    def _teleport(self, main: HandState) -> Button:
        """While something is held the same stick pushes it away instead."""
        limit = _TELEPORT_OFF if self._teleporting else _TELEPORT_ON
        holding = max(main.squeeze, main.trigger) >= 0.35
        self._teleporting = main.stick[1] > limit and (self._teleporting or not holding)
        return Button.TELEPORT if self._teleporting else Button(0)

    def settle(self, stage: Stage, comfort: Comfort) -> None:
        """From now on poses are in ``stage``."""
        self._stage, self._main, self._teleporting = stage, comfort.main_hand, False

    def look_at_profiles(self) -> None:
        """The user has taken up other controllers, or laid them down."""
        with nicety("The OpenXR runtime does not tell what is in the hands"):
            self._controllers.look_at_profiles()

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """A haptic pulse."""
        self._controllers.vibrate(hand, amplitude, duration_s)

    def close(self) -> None:
        """Destroy trackers, then actions."""
        self._owned.close()


def _resting(hand: HandState) -> HandState:
    """Where it was, doing nothing."""
    if not (hand.trigger or hand.squeeze or any(hand.stick)) and hand.joints is None:
        return hand
    return replace(hand, trigger=0.0, squeeze=0.0, stick=(0.0, 0.0), joints=None)
