"""Rings and percentiles: what every figure of a run goes through."""

import numpy as np
import pytest

from vrapp.app.timers import STAGES, FrameTimers, Ring, percentiles
from vrapp.core.display import FrameTiming


def test_a_ring_keeps_the_last_and_counts_all() -> None:
    ring = Ring(4)
    for i in range(10):
        ring.push(i)
    np.testing.assert_array_equal(ring.values(), [6, 7, 8, 9])
    np.testing.assert_array_equal(ring.last(3), [7, 8, 9])
    np.testing.assert_array_equal(ring.last(9), [6, 7, 8, 9])
    assert ring.total == 10


def test_a_ring_that_is_not_full_gives_what_it_has() -> None:
    ring = Ring(4, columns=2)
    ring.push(np.array([1, 2]))
    np.testing.assert_array_equal(ring.values(), [[1, 2]])


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles(np.zeros(0)) == {"p50": None, "p90": None, "p99": None, "p999": None, "max": None}
    assert percentiles(np.arange(101.0))["p90"] == pytest.approx(90)


def burn(cpu_s: float) -> None:
    import time

    end = time.thread_time() + cpu_s
    while time.thread_time() < end:
        pass


def test_gl_time_is_not_the_main_threads_own() -> None:
    timers = FrameTimers(capacity=8)
    timers.begin()
    burn(0.004)
    timers.stage(0)
    gl_s = timers.timed(STAGES.index("draw"), lambda: burn(0.02))
    timers.end(gl_s, FrameTiming(0, 0, 1_000_000))
    row = timers.stages.values()[0]
    assert row[STAGES.index("draw")] >= 19
    assert 3 <= timers.main_ms.values()[0] < 15
    timers.restart()
    assert timers.frame_ms.total == timers.late == 0


def test_a_hitch_is_kept_with_what_ran_in_it() -> None:
    timers = FrameTimers(capacity=8)
    for i in range(6):
        timers.begin()
        burn(0.03 if i == 4 else 0.001)
        timers.stage(STAGES.index("physics"))
        timers.end(0.0, FrameTiming(i, 0, 1_000_000))
    long = [hitch for hitch in timers.hitches if hitch.main_ms > 25]
    assert [hitch.frame for hitch in long] == [4]
    assert long[0].stages_ms["physics"] >= 29
    timers.restart()
    assert not timers.hitches


def late_of(predicted_ms: list[float], shown: list[bool] | None = None) -> int:
    """Late frames of a display of 100 Hz that predicted these times."""
    timers = FrameTimers(capacity=8)
    for i, at in enumerate(predicted_ms):
        timers.begin()
        timers.end(0.0, FrameTiming(i, round(at * 1e6), 10_000_000, shown is None or shown[i]))
    return timers.late


def test_a_frame_is_late_when_the_display_skipped_a_period() -> None:
    assert late_of([0, 10, 20, 30.4]) == 0
    assert late_of([0, 10, 30, 40, 70]) == 2
    assert late_of([0, 10, 5000, 5010], [True, False, True, True]) == 0  # nothing was to be shown meanwhile


def test_in_virtual_time_a_frame_is_late_by_its_length() -> None:
    timers = FrameTimers(capacity=8, virtual=True)
    for period_ns in (1, 10**12):
        timers.begin()
        timers.end(0.0, FrameTiming(0, 0, period_ns))
    assert timers.late == 1
