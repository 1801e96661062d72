"""Monotonic time: real, or virtual for simulation, ``--input`` and replay."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Nanoseconds that never go back."""

    fixed: bool

    def now_ns(self) -> int:
        """The time now."""

    def sleep_until_ns(self, time_ns: int) -> None:
        """Return at ``time_ns`` (at once where it is past)."""


class RealClock:
    """The machine's monotonic clock."""

    fixed = False

    def now_ns(self) -> int:
        """``time.perf_counter_ns``."""
        return time.perf_counter_ns()

    def sleep_until_ns(self, time_ns: int) -> None:
        """Sleep, then spin through the last 0.3 ms: sleeping alone wakes late."""
        while (left := time_ns - time.perf_counter_ns()) > 0:
            if left > 300_000:
                time.sleep((left - 300_000) / 1e9)


class FixedClock:
    """Virtual time that moves only when someone sleeps: equal runs see equal times."""

    fixed = True

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The virtual time."""
        return self._now_ns

    def sleep_until_ns(self, time_ns: int) -> None:
        """Jump there."""
        self._now_ns = max(self._now_ns, time_ns)
