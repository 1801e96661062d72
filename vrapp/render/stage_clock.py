"""How long each stage of a frame takes: on the GPU by timer queries, on the main thread by CPU time."""

from __future__ import annotations

import time
from typing import Any

_FRAMES_PER_QUERY = 4  # by the next query the GPU has finished the last, and reading it does not wait


class _Stage:
    """One stage's query; a class of its own because a generator context costs several times more."""

    def __init__(self, clock: StageClock, query: Any) -> None:
        self._clock = clock
        self.query = query
        self.asked = False  # the query was made, and not read yet
        self._start_s = 0.0

    def __enter__(self) -> None:
        self._start_s = time.thread_time()
        if self._clock.asks:
            self.query.__enter__()

    def __exit__(self, *_: object) -> None:
        if self._clock.asks:
            self.query.__exit__()
            self.asked = True
        self._clock.gl_cpu_s += time.thread_time() - self._start_s


class StageClock:
    """Times stages one after another; stages never nest, because ModernGL's timer queries cannot.

    The GPU is asked every few frames. ``gl_cpu_s`` is the main thread's CPU time inside stages since
    ``begin_frame``: a software rasteriser does its work there.
    """

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._stages: dict[str, _Stage] = {}
        self._frame = -1
        self._ms: dict[str, float] = {}
        self.asks = False  # in this frame
        self.gl_cpu_s = 0.0

    def begin_frame(self) -> None:
        """Start the frame's CPU count, and read the last queries where new ones are to be made."""
        self._frame += 1
        self.gl_cpu_s = 0.0
        self.asks = self._frame % _FRAMES_PER_QUERY == 0
        if self.asks and self._frame:
            for name, stage in self._stages.items():
                self._ms[name] = stage.query.elapsed / 1e6 if stage.asked else 0.0  # it did not run
                stage.asked = False

    def stage(self, name: str) -> _Stage:
        """A context that times the GL calls inside; each name at most once a frame."""
        stage = self._stages.get(name)
        if stage is None:
            stage = self._stages[name] = _Stage(self, self._ctx.query(time=True))
        return stage

    def stage_ms(self) -> dict[str, float]:
        """Milliseconds of each stage, a few frames old."""
        return dict(self._ms)
