"""``bench scale``: what warms up is not counted."""

from types import SimpleNamespace
from typing import Any

import pytest

from vrapp.app import bench_scale
from vrapp.app.options import Options


def test_the_first_row_does_not_pay_for_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []

    def row(world: Any, count: int, shapes: Any) -> dict[str, float]:
        measured.append(count)
        return {"objects": count, "main_ms_p50": 3.0 if len(measured) == 1 else 1.5, "main_ms_p99": 2.0}

    made = SimpleNamespace(mesh=None)
    parts = SimpleNamespace(
        renderer=SimpleNamespace(renderer_name="r", arena=SimpleNamespace(add=lambda mesh: 0)),
        start=SimpleNamespace(cached=lambda: [made]),
    )
    monkeypatch.setattr(bench_scale, "_world", lambda options, owned: SimpleNamespace(parts=parts))
    monkeypatch.setattr(bench_scale, "_memory_growth", lambda world: None)
    monkeypatch.setattr(bench_scale, "_row", row)
    rows, summary, _ = bench_scale.scale(Options())
    assert [row["objects"] for row in rows] == list(bench_scale.COUNTS)
    assert measured == [bench_scale.COUNTS[0], *bench_scale.COUNTS]
    assert summary["main_ms_growth_100_to_10000"] == 1.0
