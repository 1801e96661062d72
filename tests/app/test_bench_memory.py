"""``bench memory``: objects that were made before come and go, and what they leave behind is found."""

from __future__ import annotations

import pytest

from vrapp.app import bench_memory, hardware
from vrapp.app.bench_memory import _Again, memory
from vrapp.app.options import Options
from vrapp.core.errors import OutputError

pytestmark = [pytest.mark.gl, pytest.mark.slow]


def small(monkeypatch: pytest.MonkeyPatch, leak_mb: float) -> None:
    monkeypatch.setattr(bench_memory, "OBJECTS", 100)
    monkeypatch.setattr(bench_memory, "STEP", 20)
    seen: list[float] = []

    def resident_mb() -> float:
        seen.append(300.0 + leak_mb * len(seen))
        return seen[-1]

    monkeypatch.setattr(hardware, "resident_mb", resident_mb)


@pytest.mark.parametrize("leak_mb", [0.0, 0.5])  # every 20 objects
def test_what_grows_is_told(monkeypatch: pytest.MonkeyPatch, leak_mb: float) -> None:
    small(monkeypatch, leak_mb)
    rows, summary, _ = memory(Options(seed=7))
    assert rows[-1]["objects"] >= 100
    assert rows[-1]["frames"] >= 100 / 2
    assert summary["mb_per_1000_objects"] == pytest.approx(50 * leak_mb, rel=0.2, abs=1e-6)


def test_a_world_that_takes_nothing_more_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, 0.0)
    monkeypatch.setattr(bench_memory, "STALLED_FRAMES", 30)
    monkeypatch.setattr(_Again, "collect", lambda *_: [])
    with pytest.raises(OutputError, match="stopped to take objects after 0 of 100"):
        memory(Options(seed=7))
