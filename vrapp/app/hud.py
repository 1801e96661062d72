"""Everything drawn beside the scene's objects: hands, rays, help, messages."""

from __future__ import annotations

from collections import deque
from typing import Literal

from vrapp.core.comfort import Comfort
from vrapp.core.input import LEFT, Button, InputSnapshot, SourceKind, Valid
from vrapp.interaction.gestures import Interaction
from vrapp.interaction.locomotion import Locomotion
from vrapp.render.extras import FrameExtras, GroundRing, HandLook, PanelText, RayLook

MESSAGE_S = 4.0
HINT_S = 8.0
FREE, BLOCKED = (0.35, 0.85, 1.0), (1.0, 0.25, 0.15)

_HELP_DESKTOP = (
    "Help",
    "W A S D  walk      Shift  faster      Q E  turn",
    "Click, then mouse  look around      Esc  free the mouse",
    "Left button  take and carry, let go in motion to throw",
    "Wheel  nearer, farther      Right button  move the hand",
    "R and mouse  reshape it      R and wheel  resize it",
    "K  keep      X  send away      M  more like this",
    "T  teleport      Home  recentre      F2  policy",
    "F1  panel      F12  picture      H  this help",
)
_AWAY = ("Paused", "Put the headset on, or click into the window")


def _help_headset(comfort: Comfort) -> tuple[str, ...]:
    walk, main = ("Right", "Left") if comfort.left_handed else ("Left", "Right")
    sticks = {
        "both": (f"{walk} stick  walk      {main} stick  turn", "Push that forward and let go  teleport"),
        "walk": (f"{walk} stick  walk      {main} stick  turn",),
        "teleport": (f"{main} stick  turn, push forward and let go  teleport",),
    }
    return (
        "Help",
        *sticks[comfort.move],
        "Grip or trigger  take and carry, throw",
        "Both hands  pull: size, wring and bend: shape",
        "A / X  keep      B / Y  send away",
        "Press a stick  more like this",
    )


class Hud:
    """Holds the messages and whether the help is open; ``extras`` builds what the renderer draws."""

    def __init__(self, comfort: Comfort | None = None) -> None:
        self._help = False
        self._help_headset = _help_headset(comfort or Comfort())
        self._held = Button(0)
        self._messages: deque[tuple[float, str]] = deque(maxlen=3)
        self._began_s: float | None = None
        self.loading: tuple[int, int] | None = None

    def say(self, text: str, now_s: float) -> None:
        """Show a line for a few seconds."""
        self._messages.append((now_s + MESSAGE_S, text))

    def extras(
        self, snapshot: InputSnapshot, now_s: float, interaction: Interaction, locomotion: Locomotion
    ) -> FrameExtras:
        """Of this frame."""
        if self._began_s is None:
            self._began_s = now_s
        self._toggle_help(snapshot)
        aim = locomotion.teleport
        return FrameExtras(
            time_s=now_s,
            hands=_hands(snapshot, interaction),
            rays=tuple(RayLook(start, end) for start, end in interaction.rays()),
            rings=() if aim is None else (GroundRing(aim.target, colour=FREE if aim.free else BLOCKED),),
            panels=self._panels(snapshot, now_s),
            vignette=locomotion.vignette,
        )

    def _toggle_help(self, snapshot: InputSnapshot) -> None:
        if snapshot.buttons & ~self._held & (Button.HELP | Button.MENU):
            self._help = not self._help
        self._held = snapshot.buttons

    def _panels(self, snapshot: InputSnapshot, now_s: float) -> tuple[PanelText, ...]:
        panels = [PanelText(_AWAY, "centre", title=True)] if snapshot.valid & Valid.AWAY else []
        in_headset = snapshot.source is SourceKind.HEADSET
        if self._help and not panels:
            panels.append(PanelText(self._help_headset if in_headset else _HELP_DESKTOP, "centre", title=True))
        elif now_s - (self._began_s or now_s) < HINT_S and snapshot.source is SourceKind.DESKTOP:
            panels.append(PanelText(("H  help",), "bottom-left"))
        if self.loading is not None:
            made, total = self.loading
            panels.append(PanelText(("The networks are making this world", f"{made} of {total}"), "top", title=True))
        while self._messages and self._messages[0][0] < now_s:
            self._messages.popleft()
        if self._messages:
            panels.append(PanelText(tuple(text for _, text in self._messages), "bottom"))
        return tuple(panels)


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
    fingers = snapshot.valid & (Valid.LEFT_JOINTS if hand == LEFT else Valid.RIGHT_JOINTS)
    return "controller" if snapshot.source is SourceKind.HEADSET and not fingers else "hand"
