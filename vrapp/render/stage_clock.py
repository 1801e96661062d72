"""How long each stage of a frame takes: on the GPU by timer queries, on the main thread by CPU time."""

from __future__ import annotations

import time
from typing import Any

_FRAMES_PER_QUERY = 4  # by the next query the GPU has finished the last, and reading it does not wait


class StageClock:
    """Times stages one after another; stages never nest, because ModernGL's timer queries cannot.

    ``with clock.stage("objects"):`` begins one, ``clock.next("grass")`` inside ends it and begins another: asking for
    the thread's time is a system call, and where one stage follows another at once nobody needs it. The GPU is asked
    every few frames. ``gl_cpu_s`` is the main thread's CPU time inside stages since ``begin_frame``: a software
    rasteriser does its work there. ``gpu_ms`` is what all stages took on the GPU, a few frames ago.
    """

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._queries: dict[str, Any] = {}
        self._asked: dict[str, Any] = {}  # made in the last frame that asked, and not read yet
        self._frame = -1
        self._asks = False  # in this frame
        self._name = ""
        self._start_s = 0.0
        self._ms: dict[str, float] = {}
        self.gpu_ms = 0.0
        self.gl_cpu_s = 0.0

    def begin_frame(self) -> None:
        """Start the frame's CPU count, and read the last queries where new ones are to be made."""
        self._frame += 1
        self.gl_cpu_s = 0.0
        self._asks = self._frame % _FRAMES_PER_QUERY == 0
        if self._asks and self._frame:
            asked, self._asked = self._asked, {}
            self._ms = {  # 0 for what did not run
                name: query.elapsed / 1e6 if name in asked else 0.0 for name, query in self._queries.items()
            }
            self.gpu_ms = sum(self._ms.values())

    def stage(self, name: str) -> StageClock:
        """The context in which this stage's GL calls are made; each name at most once a frame."""
        self._name = name
        return self

    def next(self, name: str) -> None:
        """Inside such a context: the stage ends, and this one begins."""
        self._end_query()
        self._name = name
        self._begin_query()

    def __enter__(self) -> None:
        self._start_s = time.thread_time()
        self._begin_query()

    def __exit__(self, *_: object) -> None:
        self._end_query()
        self.gl_cpu_s += time.thread_time() - self._start_s

    def _begin_query(self) -> None:
        if self._asks:
            query = self._queries.get(self._name)
            if query is None:
                query = self._queries[self._name] = self._ctx.query(time=True)
            query.__enter__()

    def _end_query(self) -> None:
        if self._asks:
            query = self._asked[self._name] = self._queries[self._name]
            query.__exit__()

    def stage_ms(self) -> dict[str, float]:
        """Milliseconds of each stage, a few frames old."""
        return dict(self._ms)
