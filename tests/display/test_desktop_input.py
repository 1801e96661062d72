"""Mouse and keys become a person: events in, snapshots out, no window needed."""

import glfw
import numpy as np
import pytest

from vrapp.core.comfort import Comfort
from vrapp.core.input import LEFT, RIGHT, Button, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import yaw_of
from vrapp.core.pose import Fov
from vrapp.display.desktop_input import DesktopInput
from vrapp.interaction.two_hands import TwoHanded, change_between

FRAME_NS = 10_000_000
FOV = Fov.symmetric(1.2, 2.0)


class Pointer:
    """A window's share in it."""

    logical_size = (800, 400)

    def __init__(self) -> None:
        self.captured = False

    def capture_pointer(self, captured: bool) -> None:
        self.captured = captured


class Desk:
    """Somebody at mouse and keys, and the source they drive."""

    def __init__(self) -> None:
        self.pointer = Pointer()
        self.source = DesktopInput(self.pointer, lambda: FOV)
        self.time_ns = 0

    def poll(self, frames: int = 1) -> InputSnapshot:
        for _ in range(frames):
            self.time_ns += FRAME_NS
            snapshot = self.source.poll(self.time_ns)
        return snapshot

    def key(self, key: int, action: int) -> None:
        self.source.keyboard_callback(None, key, 0, action, 0)

    def tap(self, key: int) -> None:
        self.key(key, glfw.PRESS)
        self.key(key, glfw.RELEASE)

    def button(self, button: int, action: int) -> None:
        self.source.mouse_button_callback(None, button, action, 0)

    def move(self, x: float, y: float) -> None:
        self.source.mouse_callback(None, x, y)

    def click(self) -> None:
        self.button(glfw.MOUSE_BUTTON_LEFT, glfw.PRESS)
        self.button(glfw.MOUSE_BUTTON_LEFT, glfw.RELEASE)

    def drag(self, dx: float, dy: float, start: tuple[float, float] = (400, 200)) -> None:
        self.move(*start)
        self.move(start[0] + dx, start[1] + dy)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_rest_pose_is_a_standing_person_looking_ahead(desk: Desk) -> None:
    s = desk.poll()
    assert s.source is SourceKind.DESKTOP
    assert s.valid == Valid.HEAD | Valid.RIGHT_HAND
    np.testing.assert_allclose(s.head.position, (0, 1.65, 0))
    np.testing.assert_allclose(s.head.forward, (0, 0, -1), atol=1e-6)
    grip = s.head.inverse().apply(s.hands[RIGHT].grip.position)
    assert grip[0] > 0.05  # to the right
    assert grip[1] < -0.05  # below the eyes
    assert -0.6 < grip[2] < -0.3
    # OpenXR's grip: -Z from the little finger to the thumb, which is up; -Y along the fingers, which are ahead.
    assert s.hands[RIGHT].grip.forward[1] > 0.7
    assert s.hands[RIGHT].grip.apply(np.array([0, -1, 0], np.float32))[2] < s.hands[RIGHT].grip.position[2] - 0.7


@pytest.mark.parametrize(
    ("keys", "stick"),
    [
        ([glfw.KEY_W], (0, 0.6)),
        ([glfw.KEY_S], (0, -0.6)),
        ([glfw.KEY_A], (-0.6, 0)),
        ([glfw.KEY_D, glfw.KEY_LEFT_SHIFT], (1, 0)),
        ([glfw.KEY_W, glfw.KEY_S], (0, 0)),
        ([glfw.KEY_W, glfw.KEY_D, glfw.KEY_RIGHT_SHIFT], (0.7071, 0.7071)),
    ],
)
def test_wasd_is_the_left_stick(desk: Desk, keys: list[int], stick: tuple[float, float]) -> None:
    for key in keys:
        desk.key(key, glfw.PRESS)
    assert desk.poll().hands[LEFT].stick == pytest.approx(stick, abs=1e-3)
    for key in keys:
        desk.key(key, glfw.RELEASE)
    assert desk.poll().hands[LEFT].stick == (0, 0)


def test_a_tap_within_one_frame_is_seen_once(desk: Desk) -> None:
    desk.tap(glfw.KEY_K)
    assert desk.poll().buttons == Button.KEEP
    assert desk.poll().buttons == Button(0)


@pytest.mark.parametrize(
    ("key", "button"),
    [
        (glfw.KEY_X, Button.DISMISS),
        (glfw.KEY_M, Button.MORE),
        (glfw.KEY_H, Button.HELP),
        (glfw.KEY_TAB, Button.MENU),
        (glfw.KEY_F1, Button.PANEL),
        (glfw.KEY_F2, Button.POLICY),
        (glfw.KEY_F12, Button.SCREENSHOT),
        (glfw.KEY_T, Button.TELEPORT),
        (glfw.KEY_HOME, Button.RECENTRE),
    ],
)
def test_keys_are_buttons_while_held(desk: Desk, key: int, button: Button) -> None:
    desk.key(key, glfw.PRESS)
    desk.key(key, glfw.REPEAT)
    assert desk.poll(5).buttons == button
    desk.key(key, glfw.RELEASE)
    assert desk.poll().buttons == Button(0)


def test_q_turns_left_at_the_same_speed_at_any_frame_rate(desk: Desk) -> None:
    desk.poll()
    desk.key(glfw.KEY_Q, glfw.PRESS)
    slow = Desk()
    slow.poll()
    slow.key(glfw.KEY_Q, glfw.PRESS)
    fine = yaw_of(desk.poll(10).head.orientation)
    slow.time_ns += 9 * FRAME_NS
    assert fine > 0.1
    assert yaw_of(slow.poll().head.orientation) == pytest.approx(fine, rel=1e-4)


def test_a_click_captures_the_pointer_and_escape_frees_then_quits(desk: Desk) -> None:
    desk.move(400, 200)
    desk.click()
    assert desk.pointer.captured
    assert desk.poll().hands[RIGHT].squeeze == 0  # the click was no grab
    desk.tap(glfw.KEY_ESCAPE)
    assert not desk.pointer.captured
    assert not desk.poll().buttons & Button.QUIT
    desk.tap(glfw.KEY_ESCAPE)
    assert desk.poll().buttons & Button.QUIT


def test_captured_mouse_turns_the_head_and_grabs_at_once(desk: Desk) -> None:
    desk.click()
    desk.move(100, 100)  # where the pointer was put: no motion
    np.testing.assert_allclose(desk.poll().head.forward, (0, 0, -1), atol=1e-6)
    desk.move(0, 0)
    f = desk.poll().head.forward
    assert f[0] < -0.1  # to the left
    assert f[1] > 0.1  # up
    desk.button(glfw.MOUSE_BUTTON_LEFT, glfw.PRESS)
    s = desk.poll()
    assert s.hands[RIGHT].squeeze == 1
    np.testing.assert_allclose(s.hands[RIGHT].aim.forward, s.head.forward, atol=1e-5)


def test_head_never_turns_over(desk: Desk) -> None:
    desk.click()
    desk.drag(0, 100_000)
    assert -1 < desk.poll().head.forward[1] < -0.9


@pytest.mark.parametrize(("x", "y"), [(0, 0), (800, 400), (600, 100), (400, 200)])
def test_free_pointer_aims_through_the_cursor(desk: Desk, x: float, y: float) -> None:
    desk.move(x, y)
    s = desk.poll()
    aim = s.head.inverse() @ s.hands[RIGHT].aim
    u, v = aim.forward[0] / -aim.forward[2], aim.forward[1] / -aim.forward[2]
    assert u == pytest.approx(FOV.tan_right * (x / 400 - 1), abs=1e-4)
    assert v == pytest.approx(-FOV.tan_up * (y / 200 - 1), abs=1e-4)
    # The ray passes through the eye, so that it hits exactly what the cursor is on.
    np.testing.assert_allclose(np.cross(aim.position, aim.forward), 0, atol=1e-5)


def test_holding_or_dragging_the_free_pointer_grabs(desk: Desk) -> None:
    desk.move(400, 200)
    desk.button(glfw.MOUSE_BUTTON_LEFT, glfw.PRESS)
    assert desk.poll().hands[RIGHT].squeeze == 0
    assert desk.poll(30).hands[RIGHT].squeeze == 1
    desk.button(glfw.MOUSE_BUTTON_LEFT, glfw.RELEASE)
    assert desk.poll(2).hands[RIGHT].squeeze == 0
    desk.button(glfw.MOUSE_BUTTON_LEFT, glfw.PRESS)
    desk.move(420, 200)
    assert desk.poll().hands[RIGHT].squeeze == 1
    assert not desk.pointer.captured


def test_wheel_pushes_the_hand_smoothly_and_it_returns_when_idle(desk: Desk) -> None:
    rest = desk.poll().hands[RIGHT].grip.position[2]
    desk.key(glfw.KEY_SPACE, glfw.PRESS)
    desk.source.scroll_callback(None, 0, 5)
    steps = [desk.poll().hands[RIGHT].grip.position[2] for _ in range(60)]
    assert steps[-1] < rest - 0.3
    assert np.abs(np.diff([rest, *steps])).max() < 0.15  # no leap
    desk.source.scroll_callback(None, 0, -1000)
    assert desk.poll(100).hands[RIGHT].grip.position[2] < 0  # never behind the head
    desk.key(glfw.KEY_SPACE, glfw.RELEASE)
    assert desk.poll(200).hands[RIGHT].grip.position[2] == pytest.approx(rest, abs=0.01)


def test_right_button_moves_the_hand_and_not_the_head(desk: Desk) -> None:
    desk.click()
    before = desk.poll()
    desk.button(glfw.MOUSE_BUTTON_RIGHT, glfw.PRESS)
    desk.drag(100, -50)
    after = desk.poll(50)
    moved = after.hands[RIGHT].grip.position - before.hands[RIGHT].grip.position
    assert moved[0] > 0.1
    assert moved[1] > 0.05
    np.testing.assert_allclose(after.head.orientation, before.head.orientation)


@pytest.mark.parametrize("how", ["middle", "F"])
def test_middle_button_or_f_turns_the_palm(desk: Desk, how: str) -> None:
    before = desk.poll().hands[RIGHT]
    desk.button(glfw.MOUSE_BUTTON_MIDDLE, glfw.PRESS) if how == "middle" else desk.key(glfw.KEY_F, glfw.PRESS)
    desk.drag(200, 0)
    after = desk.poll(50).hands[RIGHT]
    assert abs(after.grip.orientation @ before.grip.orientation) < 0.9  # by more than 50°
    np.testing.assert_allclose(after.grip.position, before.grip.position, atol=1e-5)
    np.testing.assert_allclose(after.aim.forward, before.aim.forward, atol=1e-5)


def test_losing_the_focus_lets_everything_go(desk: Desk) -> None:
    desk.click()
    desk.key(glfw.KEY_W, glfw.PRESS)
    desk.button(glfw.MOUSE_BUTTON_LEFT, glfw.PRESS)
    desk.source.focus_changed(False)
    s = desk.poll()
    assert not desk.pointer.captured
    assert s.hands[LEFT].stick == (0, 0)
    assert s.hands[RIGHT].squeeze == 0


def test_a_panel_keeps_what_it_wants_but_never_a_release(desk: Desk) -> None:
    desk.key(glfw.KEY_W, glfw.PRESS)
    desk.source.wants_keyboard = desk.source.wants_mouse = lambda: True
    desk.key(glfw.KEY_K, glfw.PRESS)
    desk.move(400, 200)
    desk.click()
    desk.button(glfw.MOUSE_BUTTON_LEFT, glfw.PRESS)
    s = desk.poll(50)
    assert s.buttons == Button(0)
    assert s.hands[RIGHT].squeeze == 0
    assert not desk.pointer.captured
    desk.key(glfw.KEY_W, glfw.RELEASE)
    assert desk.poll().hands[LEFT].stick == (0, 0)


def test_a_stall_or_time_going_back_makes_no_leap(desk: Desk) -> None:
    desk.poll()
    desk.key(glfw.KEY_Q, glfw.PRESS)
    desk.time_ns += 3_600_000_000_000
    assert abs(yaw_of(desk.poll().head.orientation)) < 0.2
    desk.time_ns = 0
    assert np.isfinite(desk.poll().head.orientation).all()


def test_close_gives_the_pointer_back(desk: Desk) -> None:
    desk.click()
    desk.source.close()
    assert not desk.pointer.captured


def test_r_brings_the_second_hand_to_what_the_first_holds(desk: Desk) -> None:
    desk.key(glfw.KEY_R, glfw.PRESS)
    assert not desk.poll().valid & Valid.LEFT_HAND  # nothing is held
    desk.key(glfw.KEY_SPACE, glfw.PRESS)
    before = desk.poll()
    left, right = before.hands
    assert before.valid & Valid.LEFT_HAND
    assert left.squeeze == right.squeeze == 1
    np.testing.assert_allclose(left.aim.position, right.aim.position)  # it points at the same thing
    assert right.grip.position[0] - left.grip.position[0] == pytest.approx(0.3, abs=1e-4)
    desk.source.scroll_callback(None, 0, 5)
    desk.drag(100, -50)
    left, right = desk.poll(100).hands
    change = change_between(TwoHanded(0, *(h.grip for h in before.hands)), TwoHanded(0, left.grip, right.grip))
    assert change.stretch == pytest.approx(np.exp(5 * 0.12), rel=0.01)
    assert abs(change.tilt_rad) == pytest.approx(0.6, abs=0.05)  # sideways
    assert abs(change.twist_rad) == pytest.approx(0.3, abs=0.05)  # up and down
    # Neither the hands' middle nor their mean turn moves, so what they hold stays where it is.
    np.testing.assert_allclose(middle(before), (left.grip.position + right.grip.position) / 2, atol=1e-4)


def test_when_r_comes_up_the_first_hand_stays_as_it_is(desk: Desk) -> None:
    desk.key(glfw.KEY_SPACE, glfw.PRESS)
    desk.key(glfw.KEY_R, glfw.PRESS)
    desk.poll()
    desk.drag(150, 80)
    turn = desk.poll(100).hands[RIGHT].grip.orientation
    desk.key(glfw.KEY_R, glfw.RELEASE)
    last = desk.poll()
    assert last.valid & Valid.LEFT_HAND  # open, so that it lets go at once
    assert last.hands[LEFT].squeeze == 0
    after = desk.poll()
    assert not after.valid & Valid.LEFT_HAND
    assert abs(after.hands[RIGHT].grip.orientation @ turn) == pytest.approx(1, abs=1e-3)
    assert abs(desk.poll(100).hands[RIGHT].grip.orientation @ turn) == pytest.approx(1, abs=1e-3)


def middle(snapshot: InputSnapshot) -> np.ndarray:
    left, right = snapshot.hands
    return (left.grip.position + right.grip.position) / 2


def test_an_open_menu_frees_the_pointer_and_takes_a_short_click_at_once(desk: Desk) -> None:
    desk.click()
    desk.poll()
    assert desk.source.captured
    desk.source.menu_open(True)
    assert not desk.source.captured
    assert not desk.pointer.captured
    desk.move(100, 200)
    desk.click()
    assert desk.poll().hands[RIGHT].squeeze == 1
    assert desk.poll().hands[RIGHT].squeeze == 0
    assert not desk.source.captured


def test_escape_closes_an_open_menu_and_does_not_quit(desk: Desk) -> None:
    desk.source.menu_open(True)
    desk.tap(glfw.KEY_ESCAPE)
    assert desk.poll().buttons == Button.MENU
    assert desk.poll().buttons == Button(0)
    desk.source.menu_open(False)
    desk.tap(glfw.KEY_ESCAPE)
    assert desk.poll().buttons == Button.QUIT


def test_the_main_hand_can_change(desk: Desk) -> None:
    desk.source.comfort = Comfort(left_handed=True, eye_height_m=1.2)
    snapshot = desk.poll()
    assert snapshot.valid == Valid.HEAD | Valid.LEFT_HAND
    assert snapshot.head.position[1] == pytest.approx(1.2)
