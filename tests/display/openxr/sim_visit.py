"""A display on the simulated runtime, and the program's loop around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sim_runtime import SimulatedRuntime

from vrapp.core.clock import FixedClock
from vrapp.core.display import Board
from vrapp.core.input import InputSnapshot
from vrapp.core.pose import View
from vrapp.display.openxr.display import OpenXRDisplay


class Visit:
    """A display on the simulated runtime, and its loop."""

    def __init__(self, runtime: SimulatedRuntime, clock: FixedClock, **options: Any) -> None:
        self.runtime, self.clock = runtime, clock
        self.display = OpenXRDisplay(clock, (96, 64), "test", **options)
        self.counts: list[int] = []
        self.snapshot = InputSnapshot(0)
        self.views: tuple[View, ...] = ()
        self.boards: tuple[Board, ...] = ()  # to be shown
        self.rest: Sequence[Board] = ()  # of them, what the display left to the picture

    def frame(self) -> InputSnapshot:
        """One frame as the program's loop does it: each eye cleared to a colour of its own."""
        display = self.display
        timing = display.begin_frame()
        try:
            self.snapshot = display.input().poll(timing.predicted_time_ns)
            views = self.views = display.views(self.snapshot)
            self.counts.append(len(views))
            if timing.should_render:
                self.rest = display.show(self.boards)
                target = display.target()
                for i, (view, framebuffer) in enumerate(zip(views, target.framebuffers, strict=True)):
                    framebuffer.clear(0.25 + 0.5 * i, 0.5, 0.75 - 0.5 * i, 1.0, viewport=view.viewport)
        finally:
            display.end_frame()
        return self.snapshot

    def frames(self, count: int) -> InputSnapshot:
        for _ in range(count):
            self.frame()
        return self.snapshot

    def wait_s(self, seconds: float) -> None:
        """Time passes."""
        self.clock.sleep_until_ns(self.clock.now_ns() + round(seconds * 1e9))


Start = Callable[..., Visit]
