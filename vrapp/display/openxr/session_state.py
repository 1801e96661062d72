"""The life of a session as pure logic: OpenXR 1.1, section 9.3 "Session Lifecycle".

IDLE → READY ─begin→ SYNCHRONIZED ⇄ VISIBLE ⇄ FOCUSED
  ↑                       │
  └────end── STOPPING ←───┘          IDLE → EXITING        any → LOSS_PENDING
"""

from __future__ import annotations

import logging
from enum import Enum, IntEnum

_log = logging.getLogger(__name__)


class State(IntEnum):
    """The numbers are those of XrSessionState."""

    UNKNOWN = 0
    IDLE = 1
    READY = 2
    SYNCHRONIZED = 3
    VISIBLE = 4
    FOCUSED = 5
    STOPPING = 6
    LOSS_PENDING = 7
    EXITING = 8


class Duty(Enum):
    """What the program has to do on entering a state."""

    NOTHING = "nothing"
    BEGIN = "call xrBeginSession"
    END = "call xrEndSession"
    LEAVE = "destroy the session: the user has left"
    REMAKE = "destroy the session and make another: it is being lost"


_DUTIES = {
    State.READY: Duty.BEGIN,
    State.STOPPING: Duty.END,
    State.EXITING: Duty.LEAVE,
    State.LOSS_PENDING: Duty.REMAKE,
}

_NEXT = {
    State.UNKNOWN: {State.IDLE},
    State.IDLE: {State.READY, State.EXITING},
    State.READY: {State.SYNCHRONIZED, State.IDLE},
    State.SYNCHRONIZED: {State.VISIBLE, State.STOPPING},
    State.VISIBLE: {State.FOCUSED, State.SYNCHRONIZED},
    State.FOCUSED: {State.VISIBLE},
    State.STOPPING: {State.IDLE},
    State.LOSS_PENDING: set(),
    State.EXITING: set(),
}


class SessionStateMachine:
    """Follows the runtime's events. ``running`` is between xrBeginSession and xrEndSession."""

    def __init__(self) -> None:
        self.state = State.UNKNOWN
        self.running = False

    def enter(self, number: int) -> Duty:
        """The runtime says that the session is now in state ``number``.

        A transition that is not in the specification is told and followed: the runtime is the one
        who knows. A state of a newer specification changes nothing.
        """
        try:
            new = State(number)
        except ValueError:
            _log.warning("The OpenXR runtime names a session state %d that is not known; it is ignored.", number)
            return Duty.NOTHING
        if new not in _NEXT[self.state] and new is not State.LOSS_PENDING:
            _log.warning("The OpenXR runtime goes from %s to %s, against the specification.", self.state.name, new.name)
        self.state = new
        duty = _DUTIES.get(new, Duty.NOTHING)
        if (duty is Duty.BEGIN and self.running) or (duty is Duty.END and not self.running):
            return Duty.NOTHING
        return duty

    def began(self) -> None:
        """xrBeginSession has worked."""
        self.running = True

    def ended(self) -> None:
        """xrEndSession has worked."""
        self.running = False

    @property
    def focused(self) -> bool:
        """Input is the program's."""
        return self.running and self.state is State.FOCUSED

    @property
    def visible(self) -> bool:
        """The user sees the program."""
        return self.running and self.state in (State.VISIBLE, State.FOCUSED)
