"""What answers a gesture: a pulse in the hand, a mark on the object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vrapp.core.events import Act, Event
from vrapp.core.scene import Mark, SceneArrays, slot_of
from vrapp.interaction.gestures import Interaction


@dataclass(frozen=True)
class Pulse:
    """A haptic pulse: ``hand`` 0 or 1, ``amplitude`` 0…1."""

    hand: int
    amplitude: float
    duration_s: float


_KEPT, _POINTED, _GAZED, _HELD = map(np.uint8, (Mark.KEPT, Mark.POINTED, Mark.GAZED, Mark.HELD))
_PULSES = {
    Act.POINT: (0.12, 0.01),
    Act.GRAB: (0.5, 0.03),
    Act.RELEASE: (0.2, 0.02),
    Act.THROW: (0.4, 0.03),
    Act.KEEP: (0.8, 0.08),
    Act.DISMISS: (0.6, 0.05),
    Act.MORE: (0.6, 0.06),
    Act.RESHAPE: (0.3, 0.03),
}


def pulses(events: Sequence[Event]) -> list[Pulse]:
    """The haptic answer to a frame's events; none for what only the eyes did."""
    return [Pulse(e.hand, *_PULSES[e.act]) for e in events if e.hand >= 0 and e.act in _PULSES]


def write_marks(arrays: SceneArrays, interaction: Interaction, events: Sequence[Event]) -> None:
    """Mark what is pointed at, looked at, held and kept, in place. KEPT stays; the others are of this frame."""
    np.bitwise_and(arrays.mark, _KEPT, out=arrays.mark)
    for event in events:
        if event.act is Act.KEEP:
            _add(arrays, event.handle, _KEPT)
    for hit in interaction.pointed:
        if hit is not None:
            _add(arrays, hit.handle, _POINTED)
    _add(arrays, interaction.gazed, _GAZED)
    for handle in interaction.carried:
        _add(arrays, handle, _HELD)


def _add(arrays: SceneArrays, handle: int, mark: np.uint8) -> None:
    slot = slot_of(arrays, handle)
    if slot is not None:
        arrays.mark[slot] |= mark
