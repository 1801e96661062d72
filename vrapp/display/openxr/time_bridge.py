"""XrTime and the program's monotonic clock, which count nanoseconds from different beginnings."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import xr

from vrapp.core.clock import Clock

#: Asked for when the instance is made; ``TimeBridge`` works without it, less exactly.
EXTENSION = (
    "XR_KHR_win32_convert_performance_counter_time" if sys.platform == "win32" else "XR_KHR_convert_timespec_time"
)


class TimeBridge:
    """A constant offset, measured once for a session.

    Exact where the runtime converts (``time.perf_counter_ns`` is CLOCK_MONOTONIC on Linux, and the
    performance counter on Windows). Otherwise the first predicted display time is taken to lie one
    period ahead, which is right to within a frame.
    """

    def __init__(self, clock: Clock, instance: Any, extensions: frozenset[str]) -> None:
        self._clock = clock
        self._offset_ns: int | None = None  # XrTime minus monotonic
        if EXTENSION in extensions:
            now_ns = clock.now_ns()
            try:
                self._offset_ns = _converted(instance, now_ns) - now_ns
            except xr.XrException:
                self._offset_ns = None

    def to_monotonic_ns(self, xr_time: int, period_ns: int) -> int:
        """A predicted display time on the program's clock."""
        if self._offset_ns is None:
            self._offset_ns = xr_time - (self._clock.now_ns() + period_ns)
        return xr_time - self._offset_ns

    def to_xr_time(self, monotonic_ns: int) -> int:
        """The inverse; at least 1, since 0 and below are invalid."""
        return max(monotonic_ns + (self._offset_ns or 0), 1)


if sys.platform == "win32":

    def _converted(instance: Any, monotonic_ns: int) -> int:
        ticks_per_s = ctypes.c_int64()
        ctypes.windll.kernel32.QueryPerformanceFrequency(ctypes.byref(ticks_per_s))
        ticks = ctypes.c_int64(monotonic_ns * ticks_per_s.value // 10**9)
        return int(xr.convert_win32_performance_counter_to_time_khr(instance, ticks).value)

else:

    def _converted(instance: Any, monotonic_ns: int) -> int:
        time = xr.timespec(*divmod(monotonic_ns, 10**9))
        return int(xr.convert_timespec_time_to_time_khr(instance, time).value)
