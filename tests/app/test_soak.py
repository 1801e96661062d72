"""The soak's own parts: its visitor is repeatable and lively, and its checks fail where they have to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scene_shapes import block, generated

from vrapp.app.soak_checks import Sample, growth_per_1000, judge
from vrapp.app.wanderer import Wanderer
from vrapp.core import maths
from vrapp.core.input import Button, InputSource, pack_snapshot
from vrapp.core.pose import Pose
from vrapp.scene.store import SceneStore

SAMPLE = Sample(0.0, 100, {"main": 400.0, "worker": 380.0}, 80, 2_000, 160, 170, 4, 80.0, 1.0, 120.0, 4.0)


def run(**grows: float) -> list[Sample]:
    """A run of 30 samples in which some fields grow by so much a sample."""
    return [
        replace(
            SAMPLE, time_s=float(i), placed=100 + 20 * i, **{k: getattr(SAMPLE, k) + v * i for k, v in grows.items()}
        )
        for i in range(30)
    ]


def failed(samples: list[Sample]) -> list[str]:
    return [check.name for check in judge(samples) if not check.passed]


def test_a_steady_run_passes() -> None:
    assert failed(run()) == []


@pytest.mark.parametrize(
    ("field", "by", "told"),
    [
        ("gl_objects", 1, "GL objects"),
        ("python_objects", 500, "Python objects"),
        ("meshes_without_object", 1, "meshes without"),
        ("arena_stray_mb", 2.0, "arena"),
        ("slots", 5, "slots"),
        ("main_ms", 0.2, "main_ms"),
    ],
)
def test_what_grows_is_told(field: str, by: float, told: str) -> None:
    assert [name for name in failed(run(**{field: by})) if told in name]


def test_memory_that_grows_and_processes_that_go_are_told() -> None:
    leaks = [replace(s, rss_mb={"main": 400.0, "worker": 380.0 + 3 * i}) for i, s in enumerate(run())]
    assert failed(leaks) == ["worker: MB more"]
    assert growth_per_1000(leaks, [s.rss_mb["worker"] for s in leaks]) == pytest.approx(150.0)
    gone = [*run()[:-1], replace(SAMPLE, placed=700, rss_mb={"main": 400.0})]
    assert failed(gone) == ["processes gone"]


def visit(seed: int, seconds: float) -> tuple[Wanderer, list[bytes], set[Button]]:
    store = SceneStore()
    store.add(generated(0, 1, block()), Pose(maths.vec3(0, 0.5, -2)), 1.0, 0, 0, grown=True)
    visitor = Wanderer(seed, store.arrays, Pose)
    snapshots = [visitor.poll(int(1e9 + i * 5e7)) for i in range(int(seconds * 20))]
    assert all(s.head.sound and all(h.grip.sound and h.aim.sound for h in s.hands) for s in snapshots)
    return visitor, [pack_snapshot(s) for s in snapshots], {s.buttons for s in snapshots}


def test_the_visitor_does_everything_and_the_same_again() -> None:
    visitor, records, buttons = visit(1, 400)
    assert isinstance(visitor, InputSource)
    assert len(visitor.acts) == 8
    assert {Button.KEEP, Button.DISMISS, Button.MORE, Button.TELEPORT} <= buttons
    assert np.unique(records).size > 1000
    assert visit(1, 20)[1] == records[:400]
    assert visit(2, 20)[1] != records[:400]
