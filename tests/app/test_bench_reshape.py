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
from vrapp.app.reshape import _NEW_SIGMA as NEW_SIGMA
from vrapp.app.reshape import components_moved
from vrapp.core.generation import GeneratedObject, GenerationRequest
from vrapp.interaction.two_hands import change_between

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
        self.figures.reshape_latency_s[:] = [0.125]  # it keeps a bounded number
        self.figures.reshape_asked += 1
        self.figures.reshape_made += 1
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
    monkeypatch.setattr(bench_reshape, "time", SimpleNamespace(perf_counter=count(0.0, 0.07).__next__))
    for name, value in {"PAIRS": 2, "SECONDS": 0.112, "SETTLE_FRAMES": 1}.items():
        monkeypatch.setattr(bench_reshape, name, value)
    rows, summary, renderer = bench_reshape.reshape(Options(size=(96, 64), world=str(place), seed=3))
    assert renderer is not None
    assert [(row["pair"], row["in hands"]) for row in rows] == [(0, "False"), (0, "True"), (1, "True"), (1, "False")]
    assert [row["frames"] for row in rows] == [10] * 4
    # In the first frames with empty hands what they last wanted may still be on its way.
    assert rows[0]["reshapes_per_s"] == 0
    assert min(row["reshapes_per_s"] for row in rows[1:3]) > rows[3]["reshapes_per_s"]
    assert summary["reshapes_asked_per_s"] >= summary["reshapes_per_s"] > 0
    assert len(np.unique([latent[0] for latent in Sculptor.asked])) > 5
    assert summary["hand_to_shape_ms_p50"] == summary["hand_to_shape_ms_p99"] == 125.0
    assert summary["reshapes_per_s"] == pytest.approx(np.median([row["reshapes_per_s"] for row in rows[1:3]]), abs=0.01)
    assert summary["pace_hz"] == 90.0  # more is not asked of hands


@pytest.mark.parametrize("start", [-2.0, 0.0, 2.0])
@pytest.mark.parametrize("rate_hz", [72.0, 90.0, 120.0])
def test_nearly_every_frame_of_the_wringing_wants_another_shape(
    monkeypatch: pytest.MonkeyPatch, rate_hz: float, start: float
) -> None:
    """With a generator that answers in the next frame as many are asked for as there are frames."""
    components = np.array([start, 0.0], np.float32)
    grip: dict[str, Any] = {"asked": components}
    asked: list[np.ndarray] = []

    def follow(held: Any) -> None:
        began = grip.setdefault("began", held)
        wanted = components_moved(components, change_between(began, held))
        if np.abs(wanted - grip["asked"]).max() > NEW_SIGMA:
            asked.append(wanted)
            grip["asked"] = wanted

    store = SimpleNamespace(
        handles=lambda: [0], slot=lambda handle: handle, position=np.zeros((1, 3)), components=components[None]
    )
    hands = bench_reshape._Hands(
        SimpleNamespace(parts=SimpleNamespace(reshape=SimpleNamespace(update=follow), store=store))  # type: ignore[arg-type]
    )
    hands.busy = True
    monkeypatch.setattr(bench_reshape, "time", SimpleNamespace(perf_counter=count(0.0, 1 / rate_hz).__next__))
    for _ in range(400):
        hands.update(None)
    assert len(asked) > 0.95 * 400
