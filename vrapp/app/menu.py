"""The menu in the world: opened by the menu button, pointed at by a ray (a hand's, else the head's), clicked.

Pure of any display: it reads snapshots and answers boards, so it works with controllers, bare hands, the mouse's
hand and a recorded trace alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from vrapp.app.follow import LazyFollow
from vrapp.app.menu_pages import WIDTH_M, WIDTH_PX, Do, MenuFacts, MenuState, Page, Sheet, sheet_of
from vrapp.app.menu_pages import Button as SheetButton
from vrapp.core.comfort import Comfort
from vrapp.core.display import Board
from vrapp.core.input import HAND_VALID, Button, HandState, InputSnapshot, Valid
from vrapp.core.maths import Array, vec3
from vrapp.core.pose import Pose
from vrapp.interaction.feedback import Pulse
from vrapp.interaction.gestures import EYES
from vrapp.render.pictures import dot_picture, frame_picture

DWELL_S = 1.2  # of the head's ray on a button, where no hand is tracked
_DISTANCE_M, _BELOW_M = 1.1, 0.12
_PRESS_ON, _PRESS_OFF = 0.5, 0.35
_TICK, _CLICK = (0.15, 0.01), (0.5, 0.03)  # of the hand: amplitude, seconds
_DOT_M = 0.018
_M_PER_PX = WIDTH_M / WIDTH_PX


class Ask(Enum):
    """What a click asks of the program."""

    RECENTRE = auto()
    LEAVE = auto()
    COMFORT = auto()  # ``Menu.comfort`` is another now


@dataclass(frozen=True)
class Pointer:
    """A ray on the menu: whose (0, 1 or EYES), from where to where in the stage, and the pixel that it meets."""

    who: int
    origin: Array
    point: Array
    pixel: tuple[float, float]


class Menu:
    """``occupied``: the hands (and EYES) that are at it, and do nothing in the world. ``pulses``: of this frame."""

    def __init__(
        self,
        comfort: Comfort | None = None,
        facts: Callable[[], MenuFacts] = MenuFacts,
        help_lines: Callable[[Comfort], tuple[str, ...]] = lambda _: (),
    ) -> None:
        """``facts`` and ``help_lines`` are asked whenever a page is painted."""
        self.comfort = comfort or Comfort()
        self.is_open = self.paused = False
        self.occupied: frozenset[int] = frozenset()
        self.pointer: Pointer | None = None
        self.pulses: list[Pulse] = []
        self._facts, self._help_lines = facts, help_lines
        self._page, self._sure = Page.MAIN, False
        self._sheet: Sheet
        self._pose = Pose()
        self._follow = LazyFollow(_DISTANCE_M, _BELOW_M)
        self._hovered: SheetButton | None = None
        self._rested_s, self._fresh = 0.0, True
        self._pressing = [True, True]
        self._buttons = Button(0)
        self._dot, self._frame = dot_picture(), np.zeros((0, 0, 4), np.uint8)
        for page in reversed(Page):  # what is painted for the first time takes longer than a frame
            self._turn_to(page)

    def open(self, page: Page = Page.MAIN) -> None:
        """Put it straight before the user."""
        self._follow.forget()
        self.is_open, self._pressing = True, [True, True]  # who presses now has to let go first
        self._turn_to(page)

    def close(self) -> None:
        """Away with it. A pause goes on: its own button ends it."""
        self.is_open, self.pointer, self.occupied, self._hovered = False, None, frozenset(), None

    def update(self, snapshot: InputSnapshot, dt_s: float, holding: tuple[bool, bool] = (False, False)) -> list[Ask]:
        """One frame. ``holding``: hands that carry something are not at the menu."""
        self.pulses = []
        if snapshot.buttons != self._buttons:  # seldom, and Python's flags are slow to combine
            pressed, self._buttons = snapshot.buttons & ~self._buttons, snapshot.buttons
            if pressed & Button.MENU:
                self.close() if self.is_open else self.open()
        if not self.is_open or not snapshot.head.sound:
            return []
        self._pose = self._follow.update(snapshot.head, dt_s)
        if snapshot.has(Valid.AWAY):
            self.pointer, self.occupied, self._hovered = None, frozenset(), None
            return []
        clicked = self._point(snapshot, holding, dt_s)
        return [] if clicked is None else self._click(clicked)

    def _point(self, snapshot: InputSnapshot, holding: tuple[bool, bool], dt_s: float) -> SheetButton | None:
        """Find out who is at the menu. Returns the button that is clicked in this frame."""
        main = self.comfort.main_hand
        hands = [hand for hand in (main, 1 - main) if snapshot.valid & HAND_VALID[hand]]
        at_it = [self._met(h, snapshot.hands[h].aim) for h in hands if not holding[h]]
        eye = self._met(EYES, snapshot.gaze if snapshot.has(Valid.GAZE) else snapshot.head)
        pressed = [hand for hand in (0, 1) if self._presses(hand, snapshot.hands[hand])]
        met = [pointer for pointer in at_it if pointer is not None]
        self.occupied = frozenset(pointer.who for pointer in (*met, eye) if pointer is not None)
        # Who presses is meant; else the main hand; the head only where there is no hand at all.
        met.sort(key=lambda pointer: pointer.who not in pressed)
        self.pointer = met[0] if met else eye if not hands else None
        self._hover(dt_s)
        if self.pointer is None or self._hovered is None:
            return None
        dwelt = self.pointer.who == EYES and self._rested_s - dt_s < DWELL_S <= self._rested_s
        return self._hovered if dwelt or self.pointer.who in pressed else None

    def _met(self, who: int, ray: Pose) -> Pointer | None:
        """Where a ray in the stage meets the front of the sheet, if it does."""
        if not ray.sound:
            return None
        local = self._pose.inverse() @ ray
        x, y, z = local.position.tolist()
        dx, dy, dz = local.forward.tolist()
        if z <= 0 or dz >= -1e-4:
            return None
        x, y = x - dx * z / dz, y - dy * z / dz
        height, width = self._sheet.pixels.shape[:2]
        pixel = x / _M_PER_PX + width / 2, height / 2 - y / _M_PER_PX
        if not (0 <= pixel[0] < width and 0 <= pixel[1] < height):
            return None
        return Pointer(who, ray.position, self._pose.apply(vec3(x, y, 0)), pixel)

    def _presses(self, hand: int, state: HandState) -> bool:
        """Whether trigger or grip has just closed."""
        was = self._pressing[hand]
        closed = max(state.trigger, state.squeeze)
        self._pressing[hand] = closed >= (_PRESS_OFF if was else _PRESS_ON)
        return self._pressing[hand] and not was

    def _hover(self, dt_s: float) -> None:
        before, self._hovered = self._hovered, None
        if self.pointer is not None:
            self._hovered = next((b for b in self._sheet.buttons if b.holds(*self.pointer.pixel)), None)
        if self._hovered == before:
            self._rested_s += dt_s
        else:  # what is under the eyes as a page appears was not chosen: it has waited too long already
            self._rested_s = 2 * DWELL_S if self._fresh else 0.0
        self._fresh = False
        if self._hovered is not None and self._hovered != before:
            self._pulse(*_TICK)

    def _pulse(self, amplitude: float, duration_s: float) -> None:
        if self.pointer is not None and self.pointer.who != EYES:
            self.pulses.append(Pulse(self.pointer.who, amplitude, duration_s))

    def _click(self, button: SheetButton) -> list[Ask]:
        self._pulse(*_CLICK)
        meaning, sure, self._sure = button.meaning, self._sure, False
        if isinstance(meaning, Page):
            self._turn_to(meaning)
            return []
        if isinstance(meaning, tuple):
            field, value = meaning
            self.comfort = replace(self.comfort, **{field: value})
            self._paint()
            return [Ask.COMFORT]
        return self._do(meaning, sure)

    def _do(self, act: Do, sure: bool) -> list[Ask]:
        if act is Do.CLOSE:
            self.paused = False
            self.close()
            return []
        if act is Do.RECENTRE:
            self.close()
            return [Ask.RECENTRE]
        if act is Do.LEAVE and sure:
            return [Ask.LEAVE]
        if act is Do.PAUSE:
            self.paused = not self.paused
        self._sure = act is Do.LEAVE
        self._paint()
        return []

    def _turn_to(self, page: Page) -> None:
        self._page, self._sure, self._hovered, self._fresh = page, False, None, True
        self._paint()

    def _paint(self) -> None:
        self._sheet = sheet_of(
            MenuState(self._page, self.comfort, self._facts(), self._help_lines(self.comfort), self.paused, self._sure)
        )

    def boards(self) -> list[Board]:
        """In the stage, the nearest last: sheet, what is hovered, the dot under the ray."""
        if not self.is_open:
            return []
        boards = [Board("menu", self._sheet.pixels, self._pose, WIDTH_M)]
        if self._hovered is not None:
            boards.append(self._highlight(self._hovered))
        if self.pointer is not None:
            left = max(1 - self._rested_s / DWELL_S, 0.0) if self.pointer.who == EYES and self._hovered else 0.0
            place = Pose(self.pointer.point, self._pose.orientation) @ Pose(vec3(0, 0, 0.002))
            boards.append(Board("dot", self._dot, place, _DOT_M * (1 + 1.5 * left)))
        return boards

    def _highlight(self, button: SheetButton) -> Board:
        if self._frame.shape[:2] != (button.height, button.width):
            self._frame = frame_picture(button.width, button.height)
        height, width = self._sheet.pixels.shape[:2]
        x = (button.x + button.width / 2 - width / 2) * _M_PER_PX
        y = (height / 2 - button.y - button.height / 2) * _M_PER_PX
        return Board("hovered", self._frame, self._pose @ Pose(vec3(x, y, 0.001)), button.width * _M_PER_PX)
