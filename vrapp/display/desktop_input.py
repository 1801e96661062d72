"""Mouse and keys as a person in the stage: head, hands and buttons like a headset's.

The pointer has two modes. *Free*: the hand points through the cursor; press and hold (or drag) grabs
what is under it. A short click *captures* the pointer: now the mouse turns the head, the hand points
at the middle, and the button grabs at once. Escape frees the pointer, and quits when it is free. While a menu
is open the pointer is free, the button presses at once, and Escape closes the menu.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import glfw
import numpy as np

from vrapp.core import maths
from vrapp.core.comfort import Comfort
from vrapp.core.input import HAND_VALID, Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import Array
from vrapp.core.pose import Fov, Pose
from vrapp.display.keyboard import KEYS, Held
from vrapp.display.mouse_hand import LEFT_REST, MouseHand

_LOOK_RAD_PER_PIXEL = 0.0022
_TURN_RAD_PER_S = 1.6
_PITCH_LIMIT_RAD = 1.45
_WALK, _RUN = 0.6, 1.0  # of the stick's way
_HOLD_S, _DRAG_PX = 0.2, 4.0  # a press longer or wider than this is no click
_LONGEST_STEP_S = 0.1  # after a stall nothing leaps

# Mouse buttons share the set of held keys; GLFW's own numbers overlap with nothing below 32.
_LEFT, _RIGHT, _MIDDLE = glfw.MOUSE_BUTTON_LEFT, glfw.MOUSE_BUTTON_RIGHT, glfw.MOUSE_BUTTON_MIDDLE


class PointerWindow(Protocol):
    """What this source needs of a window."""

    @property
    def logical_size(self) -> tuple[int, int]:
        """Width and height in the pointer's coordinates."""

    def capture_pointer(self, captured: bool) -> None:
        """Hide and hold the pointer, or give it back."""


def nobody_wants_it() -> bool:
    """The default filter: no panel takes the mouse or the keys."""
    return False


class DesktopInput:
    """An InputSource and a ``window.WindowListener``."""

    def __init__(self, window: PointerWindow, fov: Callable[[], Fov], comfort: Comfort | None = None) -> None:
        self.wants_mouse: Callable[[], bool] = nobody_wants_it
        self.wants_keyboard: Callable[[], bool] = nobody_wants_it
        self.quit_asked = False
        self.captured = False
        self._window, self._fov, self.comfort = window, fov, comfort or Comfort()
        self._held, self._hand = Held(), MouseHand()
        self._yaw = self._pitch = 0.0
        self._cursor: tuple[float, float] | None = None  # at the last event, None after a jump
        self._pointer_held = False
        self._aimed_at: tuple[float, float] | None = None  # where the free pointer was last
        self._pressed_for_s: float | None = None  # a press on the free pointer that may still be a click
        self._pressed_at = (0.0, 0.0)
        self._last_ns: int | None = None
        self._was_helping = False  # in the last frame
        self._menu_is_open = False

    # Events, as WindowListener.

    def keyboard_callback(self, window: Any, key: int, scancode: int, action: int, mods: int) -> None:
        """Keys go down only where no panel types; they always come up."""
        if action == glfw.RELEASE:
            self._held.release(key)
        elif action == glfw.PRESS and not self.wants_keyboard():
            self._held.press(key)
            if key == glfw.KEY_ESCAPE:
                self._escape()
        self._hold_pointer()

    def char_callback(self, window: Any, char: int) -> None:
        """Text is for panels."""

    def mouse_callback(self, window: Any, x: float, y: float) -> None:
        """Motion goes to the hand, to what it holds, or to the head."""
        last, self._cursor = self._cursor, (x, y)
        if not self._pointer_held:
            self._aimed_at = (x, y)
        if last is None:
            return
        dx, dy = x - last[0], y - last[1]
        if self._held.is_down(_RIGHT):
            self._hand.move(dx, dy)
        elif self._helping():
            self._hand.wring(dx, dy)
        elif self._rotating():
            self._hand.rotate(dx, dy)
        elif self.captured:
            self._look(-dx * _LOOK_RAD_PER_PIXEL, -dy * _LOOK_RAD_PER_PIXEL)

    def mouse_button_callback(self, window: Any, button: int, action: int, mods: int) -> None:
        """Left grabs, or as a short click captures the pointer; right and middle change what motion does."""
        if action == glfw.PRESS:
            if self.captured or not self.wants_mouse():
                self._press(button)
        else:
            self._held.release(button)
            if button == _LEFT and self._pressed_for_s is not None:
                self._pressed_for_s = None
                self.captured = True
        self._hold_pointer()

    def scroll_callback(self, window: Any, x: float, y: float) -> None:
        """Push away or pull near; with both hands, pull apart or together."""
        if self._helping():
            self._hand.part(y)
        elif self.captured or not self.wants_mouse():
            self._hand.reach(y)

    def focus_changed(self, focused: bool) -> None:
        """Without the focus nothing is held and the pointer is free."""
        if not focused:
            self._held.release_all()
            self._pressed_for_s = None
            self.captured = False
            self._hold_pointer()

    def free_pointer(self) -> None:
        """Nobody looks around by mouse now: somebody wears the headset whose mirror this is."""
        if self.captured:
            self.captured = False
            self._hold_pointer()

    def menu_open(self, is_open: bool) -> None:
        """Called every frame. Opening it frees the pointer."""
        if is_open and not self._menu_is_open:
            self.free_pointer()
        self._menu_is_open = is_open

    def _press(self, button: int) -> None:
        if button == _LEFT and not self.captured and not self._menu_is_open:
            self._pressed_for_s, self._pressed_at = 0.0, self._aimed_at or (0.0, 0.0)
        else:
            self._held.press(button)

    def _escape(self) -> None:
        if self._menu_is_open and not self.captured:
            self._held.press(glfw.KEY_TAB)  # as long as a tap: it closes the menu that it opened
            self._held.release(glfw.KEY_TAB)
            return
        self.quit_asked = not self.captured
        self.captured = False

    def _hold_pointer(self) -> None:
        """The window holds the pointer while it is captured, or while the mouse moves the hand."""
        held = self.captured or self._held.is_down(_RIGHT) or self._rotating() or self._helping()
        if held != self._pointer_held:
            self._pointer_held = held
            self._cursor = None  # the pointer jumps now: no motion
            self._window.capture_pointer(held)

    # The person, once a frame.

    def poll(self, predicted_time_ns: int) -> InputSnapshot:
        """The state at ``predicted_time_ns``; turning and easing go by the time since the last poll."""
        elapsed_ns = 0 if self._last_ns is None else predicted_time_ns - self._last_ns
        self._last_ns = predicted_time_ns
        dt_s = min(max(elapsed_ns / 1e9, 0.0), _LONGEST_STEP_S)
        self._hold_becomes_grab(dt_s)
        held = self._held.latch()
        self._turn_by_keys(held, dt_s)
        grabbing = _LEFT in held or glfw.KEY_SPACE in held
        helping, before = self._helping(), self._was_helping
        self._was_helping = helping
        if before and not helping:
            self._hand.end_help()
        self._hand.advance(dt_s, busy=grabbing or _RIGHT in held or self._rotating())
        # In its last frame the second hand is open: one that is merely gone lets go after a while only.
        second = float(helping) if helping or before else None
        return self._snapshot(predicted_time_ns, held, grabbing, second)

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """A mouse has no motor."""

    def close(self) -> None:
        """Give the pointer back."""
        self._held.release_all()
        self.captured = False
        self._hold_pointer()

    def _snapshot(self, time_ns: int, held: frozenset[int], grabbing: bool, second: float | None) -> InputSnapshot:
        """``second``: how much the second hand squeezes, None where there is none."""
        orientation = maths.quat_from_yaw_pitch(self._yaw, self._pitch)
        head = Pose(maths.vec3(0, self.comfort.eye_height_m, 0), orientation)
        grip, aim = self._hand.poses(head, self._pointer_ray())
        second_poses = head @ LEFT_REST, head
        if second is not None:
            second_poses = self._hand.second_poses(head, self._pointer_ray())
        main, other = (
            HandState(grip, aim, squeeze=float(grabbing)),
            HandState(*second_poses, squeeze=second or 0.0, stick=_stick(held)),
        )
        buttons = Button(0)
        for key in held:
            buttons |= KEYS.get(key, Button(0))
        if self.quit_asked:
            buttons |= Button.QUIT
        hands = (main, other) if self.comfort.left_handed else (other, main)
        valid = Valid.HEAD | HAND_VALID[self.comfort.main_hand]
        if second is not None:
            valid |= HAND_VALID[1 - self.comfort.main_hand]
        return InputSnapshot(time_ns, head, hands, buttons, valid, SourceKind.DESKTOP, gaze=head)

    def _hold_becomes_grab(self, dt_s: float) -> None:
        if self._pressed_for_s is None:
            return
        self._pressed_for_s += dt_s
        if self._pressed_for_s > _HOLD_S or math.dist(self._aimed_at or (0.0, 0.0), self._pressed_at) > _DRAG_PX:
            self._pressed_for_s = None
            self._held.press(_LEFT)

    def _turn_by_keys(self, held: frozenset[int], dt_s: float) -> None:
        left, right = held & {glfw.KEY_Q, glfw.KEY_LEFT}, held & {glfw.KEY_E, glfw.KEY_RIGHT}
        up, down = glfw.KEY_UP in held, glfw.KEY_DOWN in held
        step = _TURN_RAD_PER_S * dt_s
        self._look((bool(left) - bool(right)) * step, (up - down) * step)

    def _look(self, yaw_rad: float, pitch_rad: float) -> None:
        self._yaw = math.remainder(self._yaw + yaw_rad, math.tau)
        self._pitch = float(np.clip(self._pitch + pitch_rad, -_PITCH_LIMIT_RAD, _PITCH_LIMIT_RAD))

    def _rotating(self) -> bool:
        return self._held.is_down(_MIDDLE) or self._held.is_down(glfw.KEY_F)

    def _helping(self) -> bool:
        """Whether the second hand is at what the first one holds."""
        grabbing = self._held.is_down(_LEFT) or self._held.is_down(glfw.KEY_SPACE)
        return grabbing and self._held.is_down(glfw.KEY_R)

    def _pointer_ray(self) -> Array:
        """Direction under the cursor in the head's frame; straight ahead while the pointer is captured."""
        if self.captured or self._aimed_at is None:
            return maths.vec3(0, 0, -1)
        width, height = self._window.logical_size
        u = min(max(self._aimed_at[0] / max(width, 1), 0.0), 1.0)
        v = min(max(self._aimed_at[1] / max(height, 1), 0.0), 1.0)
        fov = self._fov()
        x = fov.tan_left + (fov.tan_right - fov.tan_left) * u
        y = fov.tan_up + (fov.tan_down - fov.tan_up) * v
        return maths.normalise((x, y, -1.0))


def _stick(held: frozenset[int]) -> tuple[float, float]:
    """WASD as a thumbstick: x right, y forward, no faster on the diagonal."""
    x = (glfw.KEY_D in held) - (glfw.KEY_A in held)
    y = (glfw.KEY_W in held) - (glfw.KEY_S in held)
    way = _RUN if held & {glfw.KEY_LEFT_SHIFT, glfw.KEY_RIGHT_SHIFT} else _WALK
    length = math.hypot(x, y) or 1.0
    return x / length * way, y / length * way
