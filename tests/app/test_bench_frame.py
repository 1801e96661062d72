"""``bench frame``: how long and at which rate, p99.9 where there are frames enough, and on what hardware."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from vrapp.app import bench, bench_frame, hardware
from vrapp.app.cli import main
from vrapp.app.options import Options
from vrapp.app.timers import FrameTimers
from vrapp.core.display import FrameTiming
from vrapp.core.errors import UsageError
from vrapp.core.generation import GeneratorFigures


def test_pace_seconds_and_objects_are_options(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Options]] = []
    monkeypatch.setattr(bench, "run", lambda what, options, _: asked.append((what, options)) or 0)
    assert main(["bench", "frame", "--pace", "120", "--seconds", "225", "--objects", "300"]) == 0
    assert main(["bench", "frame"]) == 0
    assert main(["bench", "soak", "--rate", "10"]) == 0
    assert [(o.pace_hz, o.seconds) for _, o in asked] == [(120.0, 225.0), (None, None), (10.0, None)]
    assert [o.objects for _, o in asked] == [300, None, None]


def test_more_frames_than_are_kept_are_refused() -> None:
    with pytest.raises(UsageError, match="48000 frames are more than the 36000"):
        bench_frame.frame(Options(pace_hz=120.0, seconds=400.0))


@pytest.mark.parametrize("count", [999, 1000])
def test_p999_of_a_thousand_frames_and_more(count: int) -> None:
    timers = FrameTimers()

    def frame() -> None:
        timers.begin()
        timers.end(0.0, FrameTiming(0, 0, 1_000_000))

    parts = SimpleNamespace(generator=SimpleNamespace(figures=GeneratorFigures()), store=())
    world: Any = SimpleNamespace(
        set_generator=lambda mode: None, loop=SimpleNamespace(frame=frame, timers=timers), parts=parts
    )
    row = bench_frame._segment(world, "full", count)
    assert row["frames"] == count
    for name in ("frame_ms_p999", "main_ms_p999"):
        assert (row[name] is not None) == (count >= 1000)


def test_the_device_is_named_where_torch_is_loaded_and_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(is_available=lambda: True, get_device_name=lambda index: "A card")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=card))
    assert hardware.describe_hardware()["cuda_device"] == "A card"
    card.is_available = lambda: False
    assert "cuda_device" not in hardware.describe_hardware()
    monkeypatch.delitem(sys.modules, "torch")
    assert "cuda_device" not in hardware.describe_hardware()
    assert "torch" not in sys.modules
