"""How long each stage of a frame takes: on the GPU by timer queries, on the main thread by CPU time."""

from __future__ import annotations

import time
from typing import Any

_RING = 4  # frames until a query is read: by then the GPU has finished it, and reading does not wait


class _Stage:
    """One stage's queries; a class of its own because a generator context costs several times more."""

    def __init__(self, clock: StageClock, queries: list[Any]) -> None:
        self._clock = clock
        self.queries = queries
        self.slot = 0
        self._start_s = 0.0

    def __enter__(self) -> None:
        self._start_s = time.thread_time()
        self.queries[self.slot].__enter__()

    def __exit__(self, *_: object) -> None:
        self.queries[self.slot].__exit__()
        self._clock.gl_cpu_s += time.thread_time() - self._start_s


class StageClock:
    """Times stages one after another; stages never nest, because ModernGL's timer queries cannot.

    ``gl_cpu_s`` is the main thread's CPU time inside stages since ``begin_frame``: a software
    rasteriser does its work there.
    """

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._stages: dict[str, _Stage] = {}
        self._frame = -1
        self._used: list[set[str]] = [set() for _ in range(_RING)]
        self._ms: dict[str, float] = {}
        self.gl_cpu_s = 0.0

    def begin_frame(self) -> None:
        """Read the queries of ``_RING`` frames ago, and start the frame's CPU count."""
        self._frame += 1
        self.gl_cpu_s = 0.0
        used = self._used[self._frame % _RING]
        for name in used:
            self._ms[name] = self._stages[name].queries[self._frame % _RING].elapsed / 1e6
        for name in self._ms.keys() - used:
            if self._frame >= _RING:
                self._ms[name] = 0.0  # a stage that did not run
        used.clear()

    def stage(self, name: str) -> _Stage:
        """A context that times the GL calls inside; each name at most once a frame."""
        stage = self._stages.get(name)
        if stage is None:
            stage = self._stages[name] = _Stage(self, [self._ctx.query(time=True) for _ in range(_RING)])
        self._used[self._frame % _RING].add(name)
        stage.slot = self._frame % _RING
        return stage

    def stage_ms(self) -> dict[str, float]:
        """Milliseconds of each stage, a few frames old."""
        return dict(self._ms)
