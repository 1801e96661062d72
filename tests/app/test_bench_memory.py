"""``bench memory``: objects that were made before come and go, and what they leave behind is found."""

from __future__ import annotations

import pytest

from vrapp.app import bench_memory
from vrapp.app.bench_memory import _Again, memory
from vrapp.app.options import Options
from vrapp.core.errors import OutputError
from vrapp.core.generation import GeneratedObject
from vrapp.scene.store import SceneStore

pytestmark = [pytest.mark.gl, pytest.mark.slow]


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_memory, "OBJECTS", 200)
    monkeypatch.setattr(bench_memory, "STEP", 20)


@pytest.mark.parametrize("keeps", [False, True])
def test_a_world_that_keeps_what_has_gone_is_found(monkeypatch: pytest.MonkeyPatch, keeps: bool) -> None:
    small(monkeypatch)
    kept: list[object] = []
    added = SceneStore.add

    def add(store: SceneStore, made: GeneratedObject, *rest: object, **more: object) -> int:
        kept.extend([made] * keeps)
        return added(store, made, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SceneStore, "add", add)
    rows, summary, _ = memory(Options(seed=7))
    assert rows[-1]["objects"] >= 200
    assert (summary["mb_per_1000_objects"] > 200) == keeps  # a mesh takes about half a megabyte


def test_a_world_that_takes_nothing_more_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    monkeypatch.setattr(bench_memory, "STALLED_FRAMES", 30)
    monkeypatch.setattr(_Again, "collect", lambda *_: [])
    with pytest.raises(OutputError, match="stopped to take objects after 0 of 200"):
        memory(Options(seed=7))
