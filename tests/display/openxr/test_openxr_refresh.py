"""The headset's frame rate."""

import pytest
from sim_runtime import SimulatedRuntime
from sim_visit import Start

from vrapp.display.openxr.refresh import nearest_rate
from vrapp.display.openxr.wishes import Wishes


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [([72, 90, 120], 90, 90), ([72, 90, 120], 1000, 120), ([72, 90], 81, 90), ([72], 10, 72), ([], 90, None)],
)
def test_the_nearest_rate_is_chosen(offered: list[float], wanted: float, chosen: float | None) -> None:
    assert nearest_rate(offered, wanted) == chosen


@pytest.mark.gl
@pytest.mark.usefixtures("no_screen")
class TestRequest:
    def test_it_is_asked_for_and_shows_in_the_period(self, runtime: SimulatedRuntime, start: Start) -> None:
        visit = start(wishes=Wishes(refresh_hz=118.0))
        visit.frames(2)
        timing = visit.display.begin_frame()
        visit.display.end_frame()
        assert timing.period_ns == round(1e9 / 120)

    def test_without_a_wish_the_users_own_rate_stays(self, runtime: SimulatedRuntime, start: Start) -> None:
        start().frames(2)
        assert runtime.calls["xrRequestDisplayRefreshRateFB"] == 0

    def test_a_runtime_without_the_choice_is_fine(self, runtime: SimulatedRuntime, start: Start) -> None:
        runtime.extensions.remove("XR_FB_display_refresh_rate")
        visit = start(wishes=Wishes(refresh_hz=90.0))
        visit.frames(4)
        assert visit.counts[-1] == 2

    def test_no_rates_at_all_is_fine(self, runtime: SimulatedRuntime, start: Start) -> None:
        runtime.rates_hz = []
        visit = start(wishes=Wishes(refresh_hz=90.0))
        visit.frames(4)
        assert visit.counts[-1] == 2

    def test_another_rate_in_the_middle_is_followed(self, runtime: SimulatedRuntime, start: Start) -> None:
        """By the user, in the runtime's settings: the frames' own period tells, whatever events there are."""
        visit = start()
        visit.frames(4)
        runtime.change_rate(72.0)
        visit.frames(2)
        timing = visit.display.begin_frame()
        visit.display.end_frame()
        following = visit.display.begin_frame()
        visit.display.end_frame()
        assert following.period_ns == round(1e9 / 72)
        assert following.predicted_time_ns - timing.predicted_time_ns == following.period_ns  # nothing is late
        assert visit.display.lost is None
