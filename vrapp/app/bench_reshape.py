"""``bench reshape``: how often an object that both hands wring is redrawn, and whether frames notice."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import Any

import numpy as np

from vrapp.app.bench import Rows, Summary
from vrapp.app.bench_frame import SETTLE_FRAMES, held_hz, offscreen
from vrapp.app.options import Options
from vrapp.app.timers import percentiles
from vrapp.app.world import World
from vrapp.core import maths
from vrapp.core.pose import Pose
from vrapp.interaction.two_hands import TwoHanded

PAIRS = 4
SECONDS = 4.0  # of each half of a pair
_SPAN_M = 0.4
#: Each hand, to and fro, briskly and at one speed: so every frame wants another shape, at 120 Hz as well.
_LEAST_RAD, _WRING_RAD, _WRING_S = 0.05, 0.8, 0.9


def reshape(options: Options) -> tuple[Rows, Summary, str | None]:
    """Frame times with nothing in the hands and with an object in both, at a pace that the rasteriser holds."""
    pace_hz = min(90.0, held_hz(options))
    with ExitStack() as owned:
        world = World(offscreen(options, pace_hz), owned)
        world.populate(time.perf_counter())
        hands = world.parts.reshape = _Hands(world)  # type: ignore[assignment]
        rows: Rows = []
        for pair in range(PAIRS):
            for busy in (False, True) if pair % 2 == 0 else (True, False):
                hands.busy = busy
                rows.append({"pair": pair, "in hands": str(busy), **_segment(world, pace_hz)})
        renderer = world.parts.renderer.renderer_name
        latency_s = world.parts.generator.figures.reshape_latency_s
    quiet, busy_rows = ([row for row in rows if row["in hands"] == str(busy)] for busy in (False, True))
    ratios = [b["frame_ms_p99"] / q["frame_ms_p99"] for q, b in zip(quiet, busy_rows, strict=True)]
    told = percentiles(1e3 * np.array(latency_s))
    summary: Summary = {
        "reshapes_asked_per_s": round(float(np.median([row["asked_per_s"] for row in busy_rows])), 2),
        "reshapes_per_s": round(float(np.median([row["reshapes_per_s"] for row in busy_rows])), 2),
        "hand_to_shape_ms_p50": told["p50"],
        "hand_to_shape_ms_p99": told["p99"],
        "p99_in_hands_over_not": round(float(np.median(ratios)), 4),
        "late_not": sum(row["late"] for row in quiet),
        "late_in_hands": sum(row["late"] for row in busy_rows),
        "pace_hz": round(pace_hz, 2),
    }
    return rows, summary, renderer


class _Hands:
    """In the place of the loop's ``Reshape``: while ``busy``, tells it of two hands that wring the nearest object."""

    def __init__(self, world: World) -> None:
        self._reshape, self.busy = world.parts.reshape, False
        store = world.parts.store
        self._handle = min(
            store.handles(), key=lambda handle: float(np.linalg.norm(store.position[store.slot(handle)]))
        )
        self._began_s: float | None = None
        self._side = math.copysign(1.0, float(store.components[store.slot(self._handle), 0]))

    def update(self, _: TwoHanded | None) -> None:
        """Once a frame."""
        if not self.busy:
            self._began_s = None
        self._reshape.update(self._held() if self.busy else None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reshape, name)

    def _angle(self) -> float:
        """Of the right hand: none as it takes hold, then beyond what only carries, away from where the prior ends."""
        if self._began_s is None:
            self._began_s = time.perf_counter()
            return 0.0
        turns = (time.perf_counter() - self._began_s) / _WRING_S
        wrung = _LEAST_RAD + _WRING_RAD * (1 - abs(2 * (turns - math.floor(turns)) - 1))
        return -self._side * wrung

    def _held(self) -> TwoHanded:
        angle = self._angle()
        left, right = (
            Pose(maths.vec3(side * _SPAN_M / 2, 1.2, -0.5), maths.quat_from_axis_angle((1, 0, 0), side * angle))
            for side in (-1, 1)
        )
        return TwoHanded(self._handle, left, right)


def _segment(world: World, pace_hz: float) -> dict[str, float | int | None]:
    """One half of a pair."""
    for _ in range(SETTLE_FRAMES):
        world.loop.frame()
    timers, figures = world.loop.timers, world.parts.generator.figures
    timers.restart()
    asked, made, began = figures.reshape_asked, figures.reshape_made, time.perf_counter()
    for _ in range(int(SECONDS * pace_hz)):
        world.loop.frame()
    took_s = time.perf_counter() - began
    times = percentiles(timers.frame_ms.values())
    return {
        "frames": timers.frame_ms.total,
        "frame_ms_p50": times["p50"] or 0.0,
        "frame_ms_p99": times["p99"] or 0.0,
        "frame_ms_p999": times["p999"],
        "late": timers.late,
        "asked_per_s": round((figures.reshape_asked - asked) / took_s, 2),
        "reshapes_per_s": round((figures.reshape_made - made) / took_s, 2),
    }
