"""When the next frame is due: a fixed rate on a clock, or as fast as frames can be made."""

from __future__ import annotations

from vrapp.core.clock import Clock
from vrapp.core.display import FrameTiming

#: Frames per second of virtual time, and the period told for unpaced runs, where nothing else says so.
NOMINAL_HZ = 90.0


class Pace:
    """Frame timings for displays without a compositor.

    Paced (``hz`` > 0), ``wait`` sleeps until the frame's slot. Slots lie on a grid, so a late frame
    takes the next slot and the phase stays. Unpaced on a real clock, it returns at once and predicts
    from the last frame's length. On a fixed clock it always advances virtual time by one period.
    """

    def __init__(self, clock: Clock, hz: float | None = None, nominal_hz: float = NOMINAL_HZ) -> None:
        self._clock = clock
        self._paced = clock.fixed or bool(hz)
        self._period_ns = round(1e9 / (hz or nominal_hz))
        self._due_ns: int | None = None
        self._predicted_ns = 0
        self._index = -1

    def wait(self, should_render: bool = True) -> FrameTiming:
        """Sleep until the next frame is due. ``predicted_time_ns`` rises strictly from call to call."""
        begin_ns = self._clock.now_ns()
        predicted_ns = self._wait_for_slot(begin_ns) if self._paced else self._predict_from_last(begin_ns)
        self._predicted_ns = max(predicted_ns, self._predicted_ns + 1)
        self._index += 1
        # Virtual sleep is no wait: nobody slept.
        wait_s = 0.0 if self._clock.fixed else (self._clock.now_ns() - begin_ns) / 1e9
        spent_ns = self._clock.now_ns() - self._due_ns if self._paced and self._due_ns is not None else None
        return FrameTiming(self._index, self._predicted_ns, self._period_ns, should_render, wait_s, spent_ns)

    def _wait_for_slot(self, now_ns: int) -> int:
        due_ns = now_ns if self._due_ns is None else self._due_ns + self._period_ns
        if now_ns > due_ns:
            due_ns += (now_ns - due_ns) // self._period_ns * self._period_ns
        self._clock.sleep_until_ns(due_ns)
        self._due_ns = due_ns
        return due_ns + self._period_ns

    def _predict_from_last(self, now_ns: int) -> int:
        # A pause (a breakpoint, a suspended laptop) must not predict a pause again.
        longest_ns = 10 * self._period_ns
        last_ns = self._period_ns if self._due_ns is None else min(now_ns - self._due_ns, longest_ns)
        self._due_ns = now_ns
        return now_ns + last_ns
