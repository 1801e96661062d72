"""What the wearer does, through every kind of controller, bare hands and eyes."""

import time

import numpy as np
import pytest
import xr
from sim_input import HANDS, PROFILES
from sim_runtime import SimulatedRuntime
from sim_visit import Start

from vrapp.core.input import LEFT, RIGHT, Button, SourceKind, Valid
from vrapp.core.maths import forward, quat_from_axis_angle, quat_from_yaw_pitch, quat_multiply, vec3
from vrapp.core.pose import Pose
from vrapp.display.openxr.profiles import HAND_PROFILE

pytestmark = [pytest.mark.gl, pytest.mark.usefixtures("no_screen")]
L, R = HANDS
BOTH_HANDS = Valid.LEFT_HAND | Valid.RIGHT_HAND
FLOOR = xr.ReferenceSpaceType.LOCAL_FLOOR


def press(runtime: SimulatedRuntime, **inputs: object) -> None:
    """``right__trigger_value=1.0`` for /user/hand/right/input/trigger/value."""
    runtime.inputs = {}
    for name, value in inputs.items():
        hand, component = name.split("__")
        runtime.inputs[f"/user/hand/{hand}/input/{component.replace('_', '/')}"] = value


def test_poses_are_in_the_stage(runtime: SimulatedRuntime, start: Start) -> None:
    s = start().frames(4)
    assert s.source is SourceKind.HEADSET
    assert s.valid == Valid.HEAD | BOTH_HANDS
    stage = runtime.bases[FLOOR].inverse()
    for hand, path in enumerate(HANDS):
        grip = stage @ runtime.grips[path]
        np.testing.assert_allclose(s.hands[hand].grip.position, grip.position, atol=1e-5)
        np.testing.assert_allclose(forward(s.hands[hand].grip.orientation), grip.forward, atol=1e-5)
        aim = grip @ runtime.aim_from_grip
        np.testing.assert_allclose(s.hands[hand].aim.position, aim.position, atol=1e-5)
        np.testing.assert_allclose(s.hands[hand].aim.forward, aim.forward, atol=1e-5)


@pytest.mark.parametrize(
    ("profile", "pressed", "squeeze", "trigger"),
    [
        ("khr/simple_controller", {"right__select_click": 1.0}, 1, 0),
        ("oculus/touch_controller", {"right__squeeze_value": 0.8, "right__trigger_value": 0.3}, 0.8, 0.3),
        ("valve/index_controller", {"right__squeeze_value": 0.6}, 0.6, 0),
        ("htc/vive_controller", {"right__squeeze_click": 1.0, "right__trigger_value": 1.0}, 1, 1),
        ("microsoft/motion_controller", {"right__squeeze_click": 1.0}, 1, 0),
        ("hp/mixed_reality_controller", {"right__squeeze_value": 1.0}, 1, 0),
    ],
)
def test_grabbing_with_every_controller(
    runtime: SimulatedRuntime, start: Start, profile: str, pressed: dict[str, float], squeeze: float, trigger: float
) -> None:
    runtime.profiles = dict.fromkeys(HANDS, f"/interaction_profiles/{profile}")
    visit = start()
    visit.frames(4)
    press(runtime, **pressed)
    s = visit.frame()
    assert (s.hands[RIGHT].squeeze, s.hands[RIGHT].trigger) == (pytest.approx(squeeze), pytest.approx(trigger))
    assert (s.hands[LEFT].squeeze, s.hands[LEFT].trigger) == (0, 0)
    assert s.valid & BOTH_HANDS == BOTH_HANDS


@pytest.mark.parametrize(
    ("profile", "pressed", "button"),
    [
        ("oculus/touch_controller", "right__a_click", Button.KEEP),
        ("oculus/touch_controller", "left__x_click", Button.KEEP),
        ("oculus/touch_controller", "right__b_click", Button.DISMISS),
        ("oculus/touch_controller", "left__y_click", Button.DISMISS),
        ("oculus/touch_controller", "left__thumbstick_click", Button.MORE),
        ("oculus/touch_controller", "left__menu_click", Button.MENU),
        ("valve/index_controller", "left__a_click", Button.KEEP),
        ("valve/index_controller", "right__trackpad_force", Button.MENU),
        ("htc/vive_controller", "right__trackpad_click", Button.MORE),
        ("htc/vive_controller", "right__menu_click", Button.KEEP),
        ("microsoft/motion_controller", "right__menu_click", Button.DISMISS),
        ("khr/simple_controller", "left__menu_click", Button.MENU),
    ],
)
def test_buttons(runtime: SimulatedRuntime, start: Start, profile: str, pressed: str, button: Button) -> None:
    runtime.profiles = dict.fromkeys(HANDS, f"/interaction_profiles/{profile}")
    visit = start()
    visit.frames(4)
    press(runtime, **{pressed: 1.0})
    assert visit.frame().buttons == button
    press(runtime)
    assert visit.frame().buttons == Button(0)


def test_stick_walks_and_a_push_of_the_right_one_aims_a_teleport(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    press(runtime, left__thumbstick=(0.3, 0.9), right__thumbstick=(0.1, 0.9))
    s = visit.frame()
    assert s.hands[LEFT].stick == pytest.approx((0.3, 0.9))
    assert s.buttons == Button.TELEPORT
    press(runtime, right__thumbstick=(0.0, 0.5))
    assert visit.frame().buttons == Button.TELEPORT  # hysteresis
    press(runtime)
    assert visit.frame().buttons == Button(0)
    press(runtime, right__thumbstick=(0.0, 0.9), right__squeeze_value=1.0)
    assert visit.frame().buttons == Button(0)  # it pushes what is held


def test_different_controllers_in_the_two_hands(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.profiles = {L: "/interaction_profiles/htc/vive_controller", R: None}
    visit = start()
    visit.frames(4)
    press(runtime, left__squeeze_click=1.0, right__squeeze_value=1.0)
    s = visit.frame()
    assert s.valid & BOTH_HANDS == Valid.LEFT_HAND
    assert (s.hands[LEFT].squeeze, s.hands[RIGHT].squeeze) == (1, 0)


def test_an_untracked_hand_keeps_its_place_and_lets_go(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    press(runtime, right__squeeze_value=1.0)
    before = visit.frame().hands[RIGHT]
    runtime.grips[R] = None
    s = visit.frame()
    assert s.valid & BOTH_HANDS == Valid.LEFT_HAND
    np.testing.assert_array_equal(s.hands[RIGHT].grip.position, before.grip.position)
    assert s.hands[RIGHT].squeeze == 0


def test_input_is_ours_only_with_the_focus(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    press(runtime, right__squeeze_value=1.0, right__a_click=1.0)
    assert visit.frame().hands[RIGHT].squeeze == 1
    runtime.go(xr.SessionState.VISIBLE)
    s = visit.frame()
    assert s.valid == Valid.HEAD | Valid.AWAY
    assert (s.hands[RIGHT].squeeze, s.buttons) == (0, Button(0))
    assert len(runtime.frames[-1].eyes) == 2  # still drawn
    runtime.go(xr.SessionState.SYNCHRONIZED)
    for _ in range(3):
        visit.frame()
        time.sleep(0.02)  # the runtime's frames go on in a thread
    assert runtime.frames[-1].eyes == []  # nobody sees it
    runtime.go(xr.SessionState.VISIBLE)
    runtime.go(xr.SessionState.FOCUSED)
    assert visit.frames(2).hands[RIGHT].squeeze == 1


def test_a_runtime_that_does_not_know_every_controller(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.refused_profiles = {f"/interaction_profiles/{name}" for name in PROFILES if "oculus" not in name}
    assert start().frames(4).valid & BOTH_HANDS == BOTH_HANDS


def test_haptics_reach_the_right_hand(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    visit.display.begin_frame()
    source = visit.display.input()
    source.vibrate(RIGHT, 0.5, 0.03)
    source.vibrate(LEFT, 7.0, -1.0)  # out of range: clamped, never an error
    visit.display.end_frame()
    assert runtime.haptics == [(R, 0.5, 30_000_000), (L, 1.0, -1)]
    source.vibrate(RIGHT, 0.5, 0.03)  # between frames: nothing to ask


def hand_joints(runtime: SimulatedRuntime, closed: bool) -> np.ndarray:
    """A right hand in the tracking frame, ahead of the wearer: flat, or pinching in a fist."""
    joints = np.zeros((26, 8), np.float32)
    base = runtime.bases[FLOOR] @ Pose(vec3(0.2, 1.25, -0.45))
    for k in range(26):
        finger, along = divmod(max(k - 1, 0), 5)
        if k == 5:  # the thumb's tip, away from the index finger's (its joints begin at 6)
            finger = -2
        reach = 0.02 * along if closed else 0.05 + 0.025 * along
        joints[k, :3] = base.apply(vec3(0.02 * finger, 0, -reach if k else 0.0))
        joints[k, 3] = 0.01
        joints[k, 4:] = base.orientation
    if closed:
        joints[5, :3] = joints[10, :3]
        for tip in (15, 20, 25):
            joints[tip, :3] = base.apply(vec3(0.02, -0.02, -0.02))
    return joints


@pytest.mark.parametrize(("closed", "strength"), [(False, 0.0), (True, 1.0)])
def test_bare_hands_point_pinch_and_grab(
    runtime: SimulatedRuntime, start: Start, closed: bool, strength: float
) -> None:
    runtime.hands_supported = True
    runtime.profiles = dict.fromkeys(HANDS)
    runtime.joints[2] = hand_joints(runtime, closed)
    s = start().frames(4)
    assert s.valid == Valid.HEAD | Valid.RIGHT_HAND | Valid.RIGHT_JOINTS
    hand = s.hands[RIGHT]
    assert hand.joints is not None
    assert hand.joints.shape == (26, 8)
    expected = runtime.bases[FLOOR].inverse().apply(runtime.joints[2][:, :3])
    np.testing.assert_allclose(hand.joints[:, :3], expected, atol=1e-5)
    np.testing.assert_allclose(hand.joints[:, 3], 0.01)
    assert hand.squeeze == pytest.approx(strength)
    assert hand.trigger == pytest.approx(strength)
    assert hand.aim.forward[2] < -0.5  # ahead, from the shoulder through the hand
    assert np.linalg.norm(hand.grip.orientation) == pytest.approx(1, abs=1e-5)


def palm_before_eyes(runtime: SimulatedRuntime, pinched: bool, towards: bool = True) -> np.ndarray:
    joints = hand_joints(runtime, pinched)
    shift = runtime.bases[FLOOR].apply(vec3(0, 1.5, -0.45)) - joints[0, :3]
    joints[:, :3] += shift
    up = quat_from_axis_angle((1, 0, 0), -np.pi / 2 if towards else np.pi / 2)
    joints[0, 4:] = quat_multiply(runtime.bases[FLOOR].orientation, up)
    return joints


@pytest.mark.parametrize("profile", [None, HAND_PROFILE])
def test_a_bare_hand_calls_the_menu_by_a_pinch_before_the_eyes(
    runtime: SimulatedRuntime, start: Start, profile: str | None
) -> None:
    runtime.hands_supported = True
    runtime.profiles = dict.fromkeys(HANDS, profile)
    runtime.inputs = {f"{R}/input/pinch_ext/value": 1.0, f"{R}/input/grasp_ext/value": 1.0}
    visit = start()
    runtime.joints[2] = palm_before_eyes(runtime, pinched=False)
    assert not visit.frames(4).buttons & Button.MENU
    runtime.joints[2] = palm_before_eyes(runtime, pinched=True)
    called = visit.frame()
    assert called.buttons & Button.MENU
    assert (called.hands[RIGHT].trigger, called.hands[RIGHT].squeeze) == (0, 0)  # and grabs nothing
    runtime.joints[2] = hand_joints(runtime, closed=True)  # turned away before the fingers open: once is once
    assert visit.frame().buttons & Button.MENU
    runtime.joints[2] = hand_joints(runtime, closed=False)
    assert not visit.frame().buttons & Button.MENU
    runtime.joints[2] = palm_before_eyes(runtime, pinched=True, towards=False)
    assert not visit.frame().buttons & Button.MENU


def test_fingers_around_a_controller_call_no_menu(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.hands_supported = True
    visit = start()
    runtime.joints[2] = palm_before_eyes(runtime, pinched=True)
    assert not visit.frames(4).buttons & Button.MENU
    runtime.profiles = dict.fromkeys(HANDS, HAND_PROFILE)  # laid down
    assert visit.frames(3).buttons & Button.MENU


def test_what_is_in_the_hands_is_on_record(
    runtime: SimulatedRuntime, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    visit = start()
    visit.frames(4)
    assert f"{R}: /interaction_profiles/oculus/touch_controller." in caplog.text
    runtime.profiles[R] = None
    visit.frames(2)
    assert f"{R}: nothing." in caplog.text


def test_a_controller_in_a_tracked_hand_is_the_controller_with_joints(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.hands_supported = True
    runtime.joints[2] = hand_joints(runtime, True)
    s = start().frames(4)
    assert s.valid == Valid.HEAD | BOTH_HANDS | Valid.RIGHT_JOINTS
    assert s.hands[RIGHT].squeeze == 0  # the controller's


def test_listed_is_not_supported(runtime: SimulatedRuntime, start: Start) -> None:
    start().frames(4)
    assert runtime.calls["xrCreateHandTrackerEXT"] == 0


def test_eyes_are_followed_where_the_system_can(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.eyes_supported = True
    visit = start()
    s = visit.frames(4)
    assert not s.valid & Valid.GAZE  # looking away
    np.testing.assert_array_equal(s.gaze.position, s.head.position)
    runtime.gaze = Pose(vec3(1, 1.6, 2), quat_from_yaw_pitch(0.8 + 0.3, -0.2))
    s = visit.frame()
    assert s.valid & Valid.GAZE
    np.testing.assert_allclose(s.gaze.forward, forward(quat_from_yaw_pitch(0.3, -0.2)), atol=1e-5)


def test_every_value_is_finite_and_of_unit_length(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.hands_supported = runtime.eyes_supported = True
    visit = start()
    for _ in range(8):
        s = visit.frame()
        for pose in (s.head, s.gaze, *(p for h in s.hands for p in (h.grip, h.aim))):
            assert np.isfinite(pose.position).all()
            assert np.linalg.norm(pose.orientation) == pytest.approx(1, abs=1e-4)
