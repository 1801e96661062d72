"""The world's time stands still while nobody is there; recordings stay on the display's clock."""

from __future__ import annotations

import pytest

from vrapp.app.world_time import WorldTime
from vrapp.core.display import FrameTiming
from vrapp.core.events import Act, Event

PERIOD_NS = 10_000_000
START_NS = 5_000_000_000


def timing(frame: int) -> FrameTiming:
    return FrameTiming(frame, START_NS + frame * PERIOD_NS, PERIOD_NS)


def test_without_pauses_it_is_the_displays_clock() -> None:
    world = WorldTime()
    for frame in range(3):
        world.advance(timing(frame), paused=False)
        assert world.now_ns == timing(frame).predicted_time_ns
        assert world.step_s == pytest.approx(0.01)


def test_a_pause_takes_no_time_and_coming_back_is_one_step() -> None:
    world = WorldTime()
    world.advance(timing(0), paused=False)
    before = world.now_ns
    for frame in range(1, 1000):
        world.advance(timing(frame), paused=True)
        assert (world.now_ns, world.step_s) == (before, 0.0)
    world.advance(timing(1000), paused=False)
    assert world.now_ns == before + PERIOD_NS
    assert world.step_s == pytest.approx(0.01)
    event = Event(Act.GRAB, world.now_ns, 1)
    assert [e.time_ns for e in world.on_display_clock([event])] == [timing(1000).predicted_time_ns]


def test_a_stall_is_a_short_step() -> None:
    world = WorldTime()
    world.advance(timing(0), paused=False)
    world.advance(timing(500), paused=False)
    assert world.step_s == pytest.approx(0.1)
