"""Tidying memory is part of the frame that it lengthens."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from test_bench_reshape import WORLD, Sculptor

from vrapp.app import loop, world
from vrapp.app.options import Options
from vrapp.app.timers import STAGES

pytestmark = pytest.mark.gl


def test_tidying_is_a_stage_of_the_frame_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def burn(in_use: bool) -> None:
        until_s = time.thread_time() + 0.03
        while time.thread_time() < until_s:
            pass

    place = tmp_path / "two.toml"
    place.write_text(WORLD)
    monkeypatch.setattr(world, "open_generator", Sculptor)
    monkeypatch.setattr(loop, "return_free_memory", burn)
    with ExitStack() as owned:
        visit = world.World(
            Options(display="offscreen", clock="real", frames=2, size=(64, 64), world=str(place)), owned
        )
        visit.populate(0.0)
        visit.loop.frame_index = loop.TIDY_FRAMES - 1
        visit.loop.frame()
        visit.loop.frame()
    timers = visit.loop.timers
    assert [ms >= 29 for ms in timers.stages.values()[:, STAGES.index("tidy")]] == [True, False]
    assert timers.main_ms.values()[0] >= 29
    assert timers.frame_ms.values()[0] >= 29
