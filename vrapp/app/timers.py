"""Per-stage timing of the frame: always on, a few microseconds a stage, no allocation in the frame."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vrapp.core.display import FrameTiming

KEPT_FRAMES = 36_000  # of a run: ten minutes at 60 Hz
STAGES = ("input", "interact", "adapt", "physics", "scene", "generate", "draw", "panel", "end", "observe", "tidy")

#: A hitch: the main thread's own work took a frame of 90 Hz, or the frame three times as long as usual.
HITCH_MS, HITCH_RATIO = 1e3 / 90, 3.0
_KEPT_HITCHES = 20
ENOUGH_FOR_P999 = 1_000
_TOLD_EVERY_S = 10.0  # at most
_USUAL_SHARE = 0.05  # of each frame in what is usual

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hitch:
    """A frame that took long, and the stages of it that took a millisecond of CPU time and more. ``gpu_ms``: the
    picture's stages on the GPU, of the last frame that was asked about, some frames before."""

    frame: int
    frame_ms: float
    usual_ms: float
    main_ms: float
    stages_ms: dict[str, float]
    gpu_ms: dict[str, float]

    def __str__(self) -> str:
        ran = ", ".join(f"{name} {ms:.0f}" for name, ms in self.stages_ms.items()) or "nothing of this thread's"
        on_gpu = ", ".join(f"{name} {ms:.0f}" for name, ms in self.gpu_ms.items() if ms >= 1)
        told = f"Frame {self.frame} took {self.frame_ms:.0f} ms, usually {self.usual_ms:.0f} (ms of CPU: {ran})"
        return f"{told[:-1]}; of the GPU: {on_gpu})" if on_gpu else told


class Ring:
    """The last ``capacity`` numbers, and how many there were in all."""

    def __init__(self, capacity: int, columns: int = 0) -> None:
        # Written at once: pages touched one by one would look like a leak for the first minutes.
        self._values = np.full((capacity, columns) if columns else capacity, 0, np.float32)
        self.total = 0

    def push(self, value: float | Sequence[float] | np.ndarray) -> None:
        """Append, overwriting the oldest."""
        self._values[self.total % len(self._values)] = value
        self.total += 1

    def values(self) -> np.ndarray:
        """Oldest first, a copy."""
        return self.last(len(self._values))

    def last(self, count: int) -> np.ndarray:
        """The last ``count`` of them, or as many as there are, oldest first: a copy."""
        n = len(self._values)
        first = max(self.total - min(count, n), 0)
        return self._values[np.arange(first, self.total) % n]


class FrameTimers:
    """CPU time of the main thread by stage, and wall time by frame, over the last ``capacity`` frames.

    CPU time is the thread's own (``time.thread_time_ns``): a stage that was pre-empted by the worker
    does not look expensive. ``gl_s`` is the part spent inside GL draw, clear, blit, read and swap calls,
    where a software rasteriser does its work; ``main_ms`` is the frame's CPU time less that.

    A frame is late when it ends after its period; where a compositor keeps the pace, which may have more than one
    frame in work, when its predicted times skip a period between it and the one before.
    """

    def __init__(self, capacity: int = KEPT_FRAMES) -> None:
        self._before: FrameTiming | None = None
        self._capacity = capacity
        self._row = [0] * len(STAGES)  # ns of this frame
        self._mark = self._cpu_start = self._wall_start = 0
        self.restart()

    def restart(self, *, tells: bool = False) -> None:
        """Forget everything so far: bounded runs count from the populated world. ``tells``: of hitches, in the log."""
        self.stages = Ring(self._capacity, len(STAGES))
        self.frame_ms = Ring(self._capacity)
        self.main_ms = Ring(self._capacity)
        self.wait_ms = Ring(self._capacity)
        self.late = 0
        self.hitches: list[Hitch] = []  # the longest ones, longest first
        self._usual_ms = 0.0
        self._next_told_s = 0.0 if tells else math.inf

    def begin(self) -> None:
        """The frame's own work starts (after the display's wait)."""
        self._row = [0] * len(STAGES)
        self._wall_start = time.perf_counter_ns()
        self._cpu_start = self._mark = time.thread_time_ns()

    def stage(self, index: int) -> None:
        """What ran since the last mark belongs to ``STAGES[index]``."""
        now = time.thread_time_ns()
        self._row[index] += now - self._mark
        self._mark = now

    def timed(self, index: int, call: Callable[[], object]) -> float:
        """Run ``call``, which belongs to ``STAGES[index]`` as does what ran since the last mark.

        Answers the seconds of this thread's CPU time that the call itself took.
        """
        before = time.thread_time_ns()
        call()
        now = time.thread_time_ns()
        self._row[index] += now - self._mark
        self._mark = now
        return (now - before) / 1e9

    def end(self, gl_s: float, timing: FrameTiming, gpu_ms: Callable[[], dict[str, float]] = dict) -> float:
        """Close the frame, which ended with its last stage; answers its wall time in ms."""
        cpu_ms = (self._mark - self._cpu_start) / 1e6
        wall_ms = (time.perf_counter_ns() - self._wall_start) / 1e6
        self.stages.push([ns / 1e6 for ns in self._row])
        self.frame_ms.push(wall_ms)
        main_ms = max(0.0, cpu_ms - gl_s * 1e3)
        self.main_ms.push(main_ms)
        if main_ms > HITCH_MS or 0 < HITCH_RATIO * self._usual_ms < wall_ms:
            self._keep_hitch(wall_ms, main_ms, gpu_ms())
        self._usual_ms += (wall_ms - self._usual_ms) * (_USUAL_SHARE if self._usual_ms else 1.0)
        self.wait_ms.push(timing.wait_s * 1e3)
        self.late += self._is_late(wall_ms, timing)
        self._before = timing
        return wall_ms

    def _keep_hitch(self, wall_ms: float, main_ms: float, gpu_ms: dict[str, float]) -> None:
        took = {name: round(ns / 1e6, 2) for name, ns in zip(STAGES, self._row, strict=True) if ns >= 1e6}
        rounded = {name: round(ms, 2) for name, ms in gpu_ms.items()}
        hitch = Hitch(
            self.frame_ms.total - 1, round(wall_ms, 2), round(self._usual_ms, 2), round(main_ms, 2), took, rounded
        )
        if (now_s := time.monotonic()) >= self._next_told_s:
            log.info("%s.", hitch)
            self._next_told_s = now_s + _TOLD_EVERY_S
        self.hitches = sorted([*self.hitches, hitch], key=lambda h: -h.frame_ms)[:_KEPT_HITCHES]

    def _is_late(self, wall_ms: float, timing: FrameTiming) -> bool:
        """Did its picture miss its time, or one between the last frame and this one? Not where none was to be shown."""
        before = self._before
        if timing.spent_ns is not None:
            return timing.should_render and timing.spent_ns + wall_ms * 1e6 > timing.period_ns
        if before is None or not (before.should_render and timing.should_render):
            return False
        return timing.predicted_time_ns - before.predicted_time_ns > 1.5 * timing.period_ns


def percentiles(values: np.ndarray) -> dict[str, float | None]:
    """``p50 … max`` of a sample, None of an empty one; p99.9 of a thousand and more."""
    names = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9, "max": 100}
    if not len(values):
        return dict.fromkeys(names)
    found = np.percentile(values, list(names.values()))
    told: dict[str, float | None] = {name: round(float(v), 4) for name, v in zip(names, found, strict=True)}
    return told if len(values) >= ENOUGH_FOR_P999 else {**told, "p999": None}
