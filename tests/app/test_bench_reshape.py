"""``bench reshape``: its hands reshape the nearest object, and only while they are busy."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from generation_shapes import QueueGenerator, small_object

from vrapp.app import bench_reshape, world
from vrapp.app.options import Options
from vrapp.core.generation import GeneratedObject, GenerationRequest

pytestmark = pytest.mark.gl
WORLD = """
label = "two"
[[cluster]]
name = "two"
at = [0.0, 0.0]
items = [
  { of = "crate_box", at = [0.3, -1.2], size = 0.1, turn = 0 },
  { of = "crate_box", at = [-2.5, -2.5], size = 0.1, turn = 0 },
]
"""


class Sculptor(QueueGenerator):
    """Has what hands ask for in the next frame; remembers what latents they were."""

    latent_basis = np.eye(6, 704, dtype=np.float32)
    asked: list[np.ndarray]

    def __init__(self, *_: Any) -> None:
        super().__init__()
        self.categories = ("crate_box", "barrel")
        self._decoded: dict[int, GeneratedObject | None] = {}

    def submit(self, request: GenerationRequest) -> bool:
        if request.latent is None:
            return super().submit(request)
        self.asked.append(request.latent)
        self._decoded[request.request_id] = small_object(request.request_id, request.steering.category)
        self.figures.reshape_latency_s.append(0.125)
        return True

    def decoded(self) -> dict[int, GeneratedObject | None]:
        decoded, self._decoded = self._decoded, {}
        return decoded

    def work(self, gpu_ms: float | None, period_ms: float) -> None:
        pass


def test_busy_hands_reshape_and_empty_ones_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "two.toml"
    place.write_text(WORLD)
    monkeypatch.setattr(Sculptor, "asked", [], raising=False)
    monkeypatch.setattr(world, "open_generator", Sculptor)
    monkeypatch.setattr(bench_reshape, "held_hz", lambda _: 200.0)
    monkeypatch.setattr(bench_reshape, "time", SimpleNamespace(perf_counter=count(0.0, 0.1).__next__))
    for name, value in {"PAIRS": 2, "SECONDS": 0.05, "SETTLE_FRAMES": 1}.items():
        monkeypatch.setattr(bench_reshape, name, value)
    rows, summary, renderer = bench_reshape.reshape(Options(size=(96, 64), world=str(place), seed=3))
    assert renderer is not None
    assert [(row["pair"], row["in hands"]) for row in rows] == [(0, "False"), (0, "True"), (1, "True"), (1, "False")]
    assert [row["frames"] for row in rows] == [10] * 4
    # In the first frames with empty hands what they last wanted may still be on its way.
    assert rows[0]["reshapes_per_s"] == 0
    assert min(row["reshapes_per_s"] for row in rows[1:3]) > rows[3]["reshapes_per_s"]
    assert len(np.unique([latent[0] for latent in Sculptor.asked])) > 5
    assert summary["hand_to_shape_ms_p50"] == summary["hand_to_shape_ms_p99"] == 125.0
    assert summary["reshapes_per_s"] == pytest.approx(np.median([row["reshapes_per_s"] for row in rows[1:3]]), abs=0.01)
    assert summary["pace_hz"] == 200.0
