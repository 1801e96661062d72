"""Time in the world: the display's, less the pauses in which nobody was there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from vrapp.core.display import FrameTiming
from vrapp.core.events import Event

_LONGEST_STEP_S = 0.1  # after a stall nothing leaps


class WorldTime:
    """``now_ns`` and ``step_s`` of this frame; while paused the first stands still and the second is 0.

    Whoever comes back finds the world as it was: nothing has flown on, faded or been replaced. Recordings stay
    on the display's clock throughout (``on_display_clock``), with the pause in their snapshots (Valid.AWAY), so
    that no time is missing from them and a replay pauses alike.
    """

    def __init__(self) -> None:
        self.now_ns, self.step_s = 0, 0.0
        self._paused_ns = 0
        self._last_ns = 0

    def advance(self, timing: FrameTiming, paused: bool) -> None:
        """To the frame's predicted display time."""
        passed_ns = max(timing.predicted_time_ns - self._last_ns, 0) if self._last_ns else timing.period_ns
        self._last_ns = timing.predicted_time_ns
        if paused:
            self._paused_ns += passed_ns
        self.now_ns = self._last_ns - self._paused_ns
        self.step_s = 0.0 if paused else min(passed_ns / 1e9, _LONGEST_STEP_S)

    def on_display_clock(self, events: Iterable[Event]) -> Iterator[Event]:
        """Events of this frame as they are recorded."""
        for event in events:
            yield replace(event, time_ns=event.time_ns + self._paused_ns) if self._paused_ns else event
