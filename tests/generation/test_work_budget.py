"""How much of a frame the generator takes, from made-up frame times."""

from __future__ import annotations

import pytest

from vrapp.generation.work_budget import Allowance, SliceTimes, WorkBudget

PERIOD_MS = 10.0


def budget_after(*gpu_ms: float | None) -> WorkBudget:
    budget = WorkBudget()
    for ms in gpu_ms:
        budget.measured(ms)
    return budget


def test_nothing_before_a_frame_was_measured():
    assert budget_after().for_frame(PERIOD_MS) == 0
    assert budget_after(None).for_frame(PERIOD_MS) == 0


@pytest.mark.parametrize(("gpu_ms", "expected"), [(2.0, 1.0), (6.9, 0.6), (7.5, 0.0), (9.0, 0.0)])
def test_never_over_three_quarters_of_the_period(gpu_ms, expected):
    assert budget_after(gpu_ms).for_frame(PERIOD_MS) == pytest.approx(expected)


def test_a_long_frame_counts_at_once_and_is_forgotten_slowly():
    budget = budget_after(2.0, 9.0)
    assert budget.for_frame(PERIOD_MS) == 0
    budget.measured(2.0)
    assert budget.for_frame(PERIOD_MS) == 0
    for _ in range(40):
        budget.measured(2.0)
    assert budget.for_frame(PERIOD_MS) == 1.0


def ran(allowance: Allowance, budget_ms: float, slices_ms: list[float], room_ms: float = 5.0) -> int:
    """How many of the slices a frame takes."""
    allowance.begin(budget_ms, room_ms)
    count = 0
    while count < len(slices_ms) and allowance.takes(slices_ms[count]):
        count += 1
    return count


def test_whole_slices_within_the_budget():
    assert ran(Allowance(), 1.0, [0.4, 0.4, 0.4]) == 2


def test_a_slice_longer_than_every_budget_runs_at_its_average_share():
    allowance = Allowance()
    frames = [ran(allowance, 1.0, [2.5]) for _ in range(20)]
    assert 0 < sum(frames) <= 20 / 2.5


def test_what_was_saved_up_runs_only_where_the_frame_has_room_for_it():
    """Never over three quarters of a period, and no burst once there is room."""
    allowance = Allowance()
    assert sum(ran(allowance, 0.1, [2.5], room_ms=0.1) for _ in range(200)) == 0
    assert ran(allowance, 1.0, [2.5] * 8, room_ms=6.0) == 1
    assert ran(allowance, 0.0, [2.5], room_ms=0.0) == 0


def test_a_busy_frame_takes_nothing_and_idle_ones_save_up_no_burst():
    allowance = Allowance()
    assert ran(allowance, 0.0, [0.1]) == 0
    for _ in range(50):
        assert ran(allowance, 1.0, []) == 0
    assert ran(allowance, 1.0, [0.5] * 20) == 2


def test_a_slice_that_something_else_held_up_once_runs_again():
    """It is only measured when it runs."""
    times, allowance = SliceTimes(1, first_guess_ms=1.0), Allowance()
    times.took(0, 12.0)
    frames = 0
    while not ran(allowance, 1.0, [times[0]], room_ms=4.3):
        times.waits(0)
        frames += 1
    assert 0 < frames < 100


def test_times_rise_quickly_and_fall_slowly():
    times = SliceTimes(2, first_guess_ms=1.0)
    times.took(0, 2.0)
    times.took(1, 0.0)
    assert times[0] - 1.0 > 1.0 - times[1] > 0
