"""Who moves the user: the headset, or mouse and keys at its mirror window."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from vrapp.core.input import Button, HandState, InputSnapshot, InputSource, SourceKind, Valid

#: What the window's keys may do while the wearer is away: nothing in the world.
_TO_THE_PROGRAM = Button.MENU | Button.HELP | Button.PANEL | Button.SCREENSHOT | Button.POLICY | Button.QUIT


_NO_KEYS = Button(0)


class HeadsetWithWindow(Protocol):
    """What this source needs of the display."""

    @property
    def worn(self) -> bool:
        """Whether the present frame is the headset's."""

    @property
    def deserted(self) -> bool:
        """There is a headset but nobody wears it, nor uses the window."""

    def recentred(self) -> None:
        """The user asked for it."""

    def turn_mirror(self) -> None:
        """The user asked for both eyes in the window, or for one."""

    def read(self, predicted_time_ns: int) -> InputSnapshot | None:
        """The headset's snapshot, None where it has none in this frame."""

    def desk_input(self) -> InputSource | None:
        """Mouse and keys."""

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """A pulse in the headset's controller."""


class HeadsetOrDesk:
    """The InputSource of an OpenXRDisplay.

    A headset that was worn and is taken off leaves its user where they were, AWAY, until they are back or
    somebody clicks into the window. After a *loss* the window's own person goes on.
    """

    def __init__(self, display: HeadsetWithWindow) -> None:
        self._display = display
        self._last = InputSnapshot(0)
        self._keys = _NO_KEYS

    def poll(self, predicted_time_ns: int) -> InputSnapshot:
        """The headset's snapshot with the window's keys added, or the window's own."""
        desk = self._display.desk_input()
        from_desk = desk.poll(predicted_time_ns) if desk else None
        keys = self._follow_keys(from_desk)
        if self._display.worn:
            snapshot = self._last = self._worn(predicted_time_ns)
        elif from_desk is not None and not (self._display.deserted and self._last.source is SourceKind.HEADSET):
            return from_desk
        else:
            snapshot = self._nobody(predicted_time_ns)
        if not keys:
            return snapshot
        if snapshot.has(Valid.AWAY):
            keys &= _TO_THE_PROGRAM
        return replace(snapshot, buttons=snapshot.buttons | keys)

    def _follow_keys(self, desk: InputSnapshot | None) -> Button:
        """The window's keys that are down."""
        keys = desk.buttons if desk else _NO_KEYS
        if keys is not self._keys:  # members of an enum: one object for each combination
            pressed, self._keys = keys & ~self._keys, keys
            if pressed & Button.RECENTRE:
                self._display.recentred()
            if pressed & Button.MIRROR:
                self._display.turn_mirror()
        return keys

    def _worn(self, time_ns: int) -> InputSnapshot:
        from_headset = self._display.read(time_ns)
        if from_headset is None:  # the call failed: nobody moves until the frame is over
            return replace(self._last, time_ns=time_ns, valid=Valid(0))
        return from_headset

    def _nobody(self, time_ns: int) -> InputSnapshot:
        left, right = (HandState(hand.grip, hand.aim) for hand in self._last.hands)
        return replace(self._last, time_ns=time_ns, hands=(left, right), buttons=Button(0), valid=Valid.AWAY)

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """A pulse in the hand, where it has a motor."""
        self._display.vibrate(hand, amplitude, duration_s)

    def close(self) -> None:
        """The display owns everything."""
