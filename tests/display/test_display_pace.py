"""When frames are due."""

import pytest

from vrapp.core.clock import FixedClock
from vrapp.display.pace import NOMINAL_HZ, Pace


class Stopwatch:
    """A real clock whose time the test makes pass."""

    fixed = False

    def __init__(self) -> None:
        self.time_ns = 1000
        self.slept_ns = 0

    def now_ns(self) -> int:
        return self.time_ns

    def sleep_until_ns(self, time_ns: int) -> None:
        self.slept_ns += max(time_ns - self.time_ns, 0)
        self.time_ns = max(self.time_ns, time_ns)


def test_a_paced_frame_waits_for_its_slot() -> None:
    clock = Stopwatch()
    pace = Pace(clock, 100)
    first = pace.wait()
    assert (first.index, first.predicted_time_ns, first.period_ns) == (0, 1000 + 10_000_000, 10_000_000)
    clock.time_ns += 4_000_000
    second = pace.wait()
    assert clock.time_ns == 1000 + 10_000_000
    assert second.wait_s == pytest.approx(0.006)
    assert second.predicted_time_ns == 1000 + 20_000_000


@pytest.mark.parametrize(("work_ms", "slot"), [(11, 1), (19, 1), (25, 2), (1003, 100)])
def test_a_late_frame_starts_at_once_and_keeps_the_phase(work_ms: int, slot: int) -> None:
    clock = Stopwatch()
    pace = Pace(clock, 100)
    pace.wait()
    clock.time_ns += work_ms * 1_000_000
    late = pace.wait()
    assert late.wait_s == 0
    assert late.predicted_time_ns == 1000 + (slot + 1) * 10_000_000
    following = pace.wait()
    assert following.predicted_time_ns == 1000 + (slot + 2) * 10_000_000


def test_virtual_time_moves_by_exactly_one_period() -> None:
    clock = FixedClock(0)
    pace = Pace(clock, 50)
    times = [pace.wait().predicted_time_ns for _ in range(4)]
    assert times == [20_000_000, 40_000_000, 60_000_000, 80_000_000]
    assert pace.wait().wait_s == 0


@pytest.mark.parametrize("hz", [None, 0])
def test_virtual_time_moves_unpaced_too(hz: float | None) -> None:
    pace = Pace(FixedClock(0), hz)
    first, second = pace.wait(), pace.wait()
    assert second.predicted_time_ns - first.predicted_time_ns == round(1e9 / NOMINAL_HZ)


def test_unpaced_predicts_from_the_last_frame_and_never_sleeps() -> None:
    clock = Stopwatch()
    pace = Pace(clock, None)
    pace.wait()
    clock.time_ns += 30_000_000
    assert pace.wait().predicted_time_ns == clock.time_ns + 30_000_000
    clock.time_ns += 3_600_000_000_000  # the laptop slept
    after = pace.wait()
    assert after.predicted_time_ns <= clock.time_ns + 10 * after.period_ns
    assert clock.slept_ns == 0


def test_predictions_rise_even_if_no_time_passes() -> None:
    pace = Pace(Stopwatch(), None)
    times = [pace.wait().predicted_time_ns for _ in range(3)]
    assert times == sorted(set(times))
