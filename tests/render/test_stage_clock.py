"""Stages of a frame: each is asked of the GPU in its turn, and what lies between them is not counted."""

from __future__ import annotations

from typing import Any

import pytest

from vrapp.render import stage_clock
from vrapp.render.stage_clock import StageClock


class FakeQuery:
    """Takes down in ``made`` when it begins and ends; each takes 2 ms."""

    elapsed = 2_000_000

    def __init__(self, made: list[str], name: str) -> None:
        self._made, self._name = made, name

    def __enter__(self) -> None:
        self._made.append(f"begin {self._name}")

    def __exit__(self, *_: object) -> None:
        self._made.append(f"end {self._name}")


class FakeContext:
    """Numbers its queries."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self._count = 0

    def query(self, time: bool) -> FakeQuery:
        assert time
        self._count += 1
        return FakeQuery(self.made, str(self._count))


def frame(clock: StageClock, *, with_sky: bool = True) -> None:
    clock.begin_frame()
    with clock.stage("objects"):
        if with_sky:
            clock.next("sky")
    with clock.stage("present"):
        pass


def test_a_stage_ends_where_the_next_begins_and_is_asked_every_fourth_frame() -> None:
    ctx = FakeContext()
    clock = StageClock(ctx)
    for _ in range(4):
        frame(clock)
    assert ctx.made == ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]
    assert clock.stage_ms() == {}  # nothing is read before it must have come
    frame(clock)
    assert clock.stage_ms() == {"objects": 2.0, "sky": 2.0, "present": 2.0}
    assert clock.gpu_ms == 6.0


def test_a_stage_that_did_not_run_took_nothing() -> None:
    clock = StageClock(FakeContext())
    for with_sky in (True, False, False, False, False, True, True, True, True):
        frame(clock, with_sky=with_sky)
    assert clock.stage_ms() == {"objects": 2.0, "sky": 0.0, "present": 2.0}
    assert clock.gpu_ms == 4.0


def test_cpu_time_is_counted_inside_stages_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([1.0, 3.5, 10.0, 10.25, 20.0, 21.0])
    fake: Any = type("Time", (), {"thread_time": staticmethod(lambda: next(now))})
    monkeypatch.setattr(stage_clock, "time", fake)
    clock = StageClock(FakeContext())
    frame(clock)
    assert clock.gl_cpu_s == 2.75
    clock.begin_frame()
    assert clock.gl_cpu_s == 0.0
