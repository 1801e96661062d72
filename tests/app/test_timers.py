"""Rings and percentiles: what every figure of a run goes through."""

import time

import numpy as np
import pytest

from tests.display.test_display_pace import Stopwatch
from vrapp.app.timers import STAGES, FrameTimers, Ring, percentiles
from vrapp.core.display import FrameTiming
from vrapp.display.pace import Pace


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


def test_where_the_display_keeps_the_pace_a_frame_is_late_when_it_ends_after_its_period() -> None:
    timers = FrameTimers(capacity=8)
    for period_ns, spent_ns, shown in [(1, 0, True), (10**12, 0, True), (10**12, 10**12, True), (1, 0, False)]:
        timers.begin()
        timers.end(0.0, FrameTiming(0, 0, period_ns, shown, 0.0, spent_ns))
    assert timers.late == 2


@pytest.mark.parametrize(("work_ms", "late"), [(9.0, 0), (15.0, 1), (19.0, 2), (25.0, 1)])
def test_a_paced_frame_that_passes_its_slot_is_late_even_where_none_is_skipped(work_ms: float, late: int) -> None:
    """The next begins at once, in the slot that has begun; it is late only if it does not make up for that."""
    clock = Stopwatch()
    pace, timers = Pace(clock, 100), FrameTimers(capacity=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter_ns", clock.now_ns)
        for frame in range(6):
            timing = pace.wait()
            timers.begin()
            clock.time_ns += round((work_ms if frame == 2 else 2.0) * 1e6)
            timers.end(0.0, timing)
    assert timers.late == late


def test_a_hitch_is_told_with_what_ran_in_it_but_not_every_one(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    clock = Stopwatch()
    for name in ("perf_counter_ns", "thread_time_ns"):
        monkeypatch.setattr(time, name, clock.now_ns)
    for tells in (False, True):
        timers = FrameTimers(capacity=16)
        timers.restart(tells=tells)
        for i in range(12):
            timers.begin()
            clock.time_ns += 30_000_000 if i in (5, 9) else 1_000_000
            timers.stage(STAGES.index("physics"))
            timers.end(0.0, FrameTiming(i, 0, 1_000_000), lambda: {"sky": 4.2, "ground": 0.1})
        assert [hitch.frame for hitch in timers.hitches] == [5, 9]
    (record,) = caplog.records
    assert record.message == "Frame 5 took 30 ms, usually 1 (ms of CPU: physics 30; of the GPU: sky 4)."
