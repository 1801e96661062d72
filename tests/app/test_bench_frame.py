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


@pytest.mark.parametrize(
    ("asked", "held", "paces", "late_on"),
    [
        (None, 8.5, [8.5], (None, None, None)),
        (None, 100.0, [72.0, 90.0], (144, 180, None)),
        (90.0, 8.5, [90.0], (None, None, None)),  # it was not held, so that lateness tells nothing
        (120.0, 500.0, [120.0], (None, None, 240)),
    ],
)
def test_paces_of_headsets_are_measured_where_they_are_held(
    monkeypatch: pytest.MonkeyPatch, asked: float | None, held: float, paces: list[float], late_on: tuple[Any, ...]
) -> None:
    monkeypatch.setattr(bench_frame, "held_hz", lambda _: held)
    monkeypatch.setattr(
        bench_frame, "_at", lambda _, hz, count: ([{"hz": hz, "frames": count}], {"late_on": round(2 * hz)}, "gl")
    )
    rows, summary, renderer = bench_frame.frame(Options(pace_hz=asked, seconds=2.0))
    assert rows == [{"hz": hz, "frames": int(2 * hz)} for hz in paces]
    assert (summary["held_hz"], summary["peer_ratio"], renderer) == (held, None, "gl")
    assert tuple(summary[f"late_on_{hz}"] for hz in (72, 90, 120)) == late_on


def test_the_device_is_named_where_torch_is_loaded_and_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(is_available=lambda: True, get_device_name=lambda index: "A card")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=card))
    assert hardware.describe_hardware()["cuda_device"] == "A card"
    card.is_available = lambda: False
    assert "cuda_device" not in hardware.describe_hardware()
    monkeypatch.delitem(sys.modules, "torch")
    assert "cuda_device" not in hardware.describe_hardware()
    assert "torch" not in sys.modules
