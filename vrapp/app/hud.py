"""Everything drawn beside the scene's objects: hands, rays, the menu, help, messages.

Where there is a screen, text has its place on it. Before two eyes it stands on boards that follow lazily.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np

from vrapp.app.follow import LazyFollow
from vrapp.app.menu import Menu
from vrapp.app.menu_pages import MenuFacts, Page
from vrapp.core.comfort import Comfort
from vrapp.core.display import Board
from vrapp.core.input import LEFT, Button, InputSnapshot, SourceKind, Valid
from vrapp.core.pose import Pose
from vrapp.interaction.gestures import Interaction
from vrapp.interaction.locomotion import Locomotion
from vrapp.render.extras import FrameExtras, GroundRing, HandLook, PanelText, RayLook
from vrapp.render.pictures import text_picture

MESSAGE_S = 4.0
HINT_S = 8.0
FREE, BLOCKED = (0.35, 0.85, 1.0), (1.0, 0.25, 0.15)

#: Letters of 24 mrad (an em of a line), about 28 pixels in a headset of 20 pixels a degree: read without effort.
TEXT_DISTANCE_M, LINE_M = 1.3, 0.040
LINE_PX = 56  # a texel for each pixel up to 32 a degree
_TEXT_BELOW_M, _UNDER_MENU_M = 0.28, 0.2
_STEP_PX = 128  # pictures of messages differ in width by whole steps: few sizes, whose images are kept

_HELP_DESKTOP = (
    "Help",
    "W A S D  walk      Shift  faster      Q E  turn",
    "Click, then mouse  look around      Esc  free the mouse",
    "Left button  take and carry, let go in motion to throw",
    "Wheel  nearer, farther      Right button  move the hand",
    "R and mouse  reshape it      R and wheel  resize it",
    "K  keep      X  send away      M  more like this",
    "T  teleport      Home  recentre      F2  policy",
    "Tab  menu      F1  panel      F12  picture      H  this help",
)
_AWAY = ("Paused", "Put the headset on, or click into the window")
_PAUSED = ("Paused", "Go on: in the menu")


def help_in_headset(comfort: Comfort) -> tuple[str, ...]:
    """What the controllers do."""
    walk, main = ("Right", "Left") if comfort.left_handed else ("Left", "Right")
    sticks = {
        "both": (f"{walk} stick  walk      {main} stick  turn", "Push that forward and let go  teleport"),
        "walk": (f"{walk} stick  walk      {main} stick  turn",),
        "teleport": (f"{main} stick  turn, push forward and let go  teleport",),
    }
    return (
        *sticks[comfort.move],
        "Grip or trigger  take and carry, throw",
        "Both hands  pull: size, wring and bend: shape",
        "A / X  keep      B / Y  send away",
        "Press a stick  more like this",
        "Bare hands  pinch or grasp; menu: palm to your eyes, pinch",
    )


class Hud:
    """Holds the menu, the messages and whether the help is open; ``extras`` builds what the renderer draws."""

    def __init__(self, comfort: Comfort | None = None, facts: Callable[[], MenuFacts] = MenuFacts) -> None:
        """``facts``: asked when the menu shows them."""
        self.menu = Menu(comfort, facts, help_in_headset)
        self._help = False
        self._held = Button(0)
        self._messages: deque[tuple[float, str]] = deque(maxlen=3)
        self._began_s: float | None = None
        self._last_s = 0.0
        self._follow = LazyFollow(TEXT_DISTANCE_M, _TEXT_BELOW_M)
        self.loading: tuple[str, ...] = ()  # what the user waits for, line by line

    def say(self, text: str, now_s: float) -> None:
        """Show a line for a few seconds."""
        self._messages.append((now_s + MESSAGE_S, text))

    def extras(
        self, snapshot: InputSnapshot, now_s: float, interaction: Interaction, locomotion: Locomotion,
        boards: Sequence[Board] = (), eyes: int = 1,
    ) -> FrameExtras:  # fmt: skip
        """Of this frame. ``boards``: in the stage, those that are to be drawn; ``eyes``: with two no screen text."""
        self._toggle_help(snapshot, eyes)
        aim, world = locomotion.teleport, locomotion.world_from_stage
        rays = [RayLook(start, end) for start, end in interaction.rays()]
        if (pointer := self.menu.pointer) is not None and pointer.who in (0, 1):
            rays.append(RayLook(world.apply(pointer.origin), world.apply(pointer.point)))
        return FrameExtras(
            time_s=now_s,
            hands=_hands(snapshot, interaction),
            rays=tuple(rays),
            rings=() if aim is None else (GroundRing(aim.target, colour=FREE if aim.free else BLOCKED),),
            panels=self._panels(snapshot, now_s) if eyes == 1 else (),
            boards=tuple(replace(board, pose=world @ board.pose) for board in boards),
            vignette=locomotion.vignette,
        )

    def boards(self, snapshot: InputSnapshot, now_s: float, eyes: int) -> list[Board]:
        """The menu; before two eyes also what a screen would show as text. In the stage, the nearest last."""
        dt_s, self._last_s = min(max(now_s - self._last_s, 0.0), 0.1), now_s
        panels = self._panels(snapshot, now_s) if eyes == 2 else ()
        if not panels:
            self._follow.forget()
            return self.menu.boards()
        place = self._follow.update(snapshot.head, dt_s)
        texts: list[Board] = []
        top_m = -_UNDER_MENU_M if self.menu.is_open else 0.0
        for panel in panels:  # one under the other
            pixels = _message(panel.lines, panel.title)
            height_m, width_m = (side * LINE_M / LINE_PX for side in pixels.shape[:2])
            lower = Pose(np.array([0, top_m - height_m / 2, 0], np.float32))
            texts.append(Board(f"text {len(texts)}", pixels, place @ lower, width_m))
            top_m -= height_m + LINE_M / 4
        return [*texts, *self.menu.boards()]

    def _toggle_help(self, snapshot: InputSnapshot, eyes: int) -> None:
        if snapshot.buttons == self._held:
            return
        pressed, self._held = snapshot.buttons & ~self._held, snapshot.buttons
        if pressed & Button.HELP:
            if eyes == 2:
                self.menu.open(Page.HELP)
            else:
                self._help = not self._help

    def _panels(self, snapshot: InputSnapshot, now_s: float) -> tuple[PanelText, ...]:
        if self._began_s is None:
            self._began_s = now_s
        away = snapshot.has(Valid.AWAY)
        panels = [PanelText(_AWAY, "centre", title=True)] if away else []
        if self.menu.paused and not away:
            panels.append(PanelText(_PAUSED, "top", title=True))
        if self._help and not panels and snapshot.source is not SourceKind.HEADSET:
            panels.append(PanelText(_HELP_DESKTOP, "centre", title=True))
        elif now_s - self._began_s < HINT_S and snapshot.source is SourceKind.DESKTOP:
            panels.append(PanelText(("H  help      Tab  menu",), "bottom-left"))
        if self.loading:
            panels.append(PanelText(self.loading, "top", title=True))
        while self._messages and self._messages[0][0] < now_s:
            self._messages.popleft()
        if self._messages:
            panels.append(PanelText(tuple(text for _, text in self._messages), "bottom"))
        return tuple(panels)


@lru_cache(maxsize=16)
def _message(lines: tuple[str, ...], title: bool) -> np.ndarray:
    return text_picture(lines, LINE_PX, title, _STEP_PX)


def _hands(snapshot: InputSnapshot, interaction: Interaction) -> tuple[HandLook, ...]:
    return tuple(
        HandLook(
            _kind(snapshot, hand.index), hand.grip, squeeze=max(state.squeeze, state.trigger), left=hand.index == LEFT
        )
        for hand, state in zip(interaction.hands, snapshot.hands, strict=True)
        if hand.tracked
    )


def _kind(snapshot: InputSnapshot, hand: int) -> Literal["hand", "controller"]:
    """A headset that sees the fingers shows a hand."""
    fingers = Valid.LEFT_JOINTS if hand == LEFT else Valid.RIGHT_JOINTS
    return "controller" if snapshot.source is SourceKind.HEADSET and not snapshot.has(fingers) else "hand"
