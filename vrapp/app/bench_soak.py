"""``bench soak``: a simulated visitor for a simulated hour, as fast as it goes: no leak, no drift, no error."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from vrapp.app.bench import Rows, Summary
from vrapp.app.options import Options
from vrapp.app.soak_checks import Sample, StateWatch, growth_per_1000, judge, look
from vrapp.app.wanderer import Wanderer
from vrapp.app.world import World
from vrapp.core.display import FrameTiming

SECONDS = 3600.0
RATE_HZ = 20.0  # of simulated frames; physics divides them further
SIZE = (64, 64)  # the world is run, not the rasteriser
_SAMPLES = 60
_FRAMES_A_PICTURE = 10

log = logging.getLogger(__name__)


def soak(options: Options) -> tuple[Rows, Summary, str | None]:
    """``options.seconds`` of simulated time at ``options.pace_hz`` frames a second. Rows are the checks."""
    rate_hz, seconds = options.pace_hz or RATE_HZ, options.seconds or SECONDS
    frames = max(_SAMPLES, round(seconds * rate_hz))
    began = time.perf_counter()
    with ExitStack() as owned:
        asked = replace(options, display="offscreen", clock="fixed", pace_hz=rate_hz, size=SIZE, generator="auto")
        world = World(asked, owned)
        world.populate(began)
        store, locomotion = world.parts.store, world.parts.locomotion
        visitor = Wanderer(options.seed, store.arrays, lambda: locomotion.world_from_stage)
        world.parts.source = visitor
        world.parts.display = Seldom(world.parts.display)
        world.parts.generator.set_pace("load")  # nobody waits for frames here
        watch = StateWatch(world)
        world.loop.frame()  # the first one is due at once
        start_ns = world.clock.now_ns()
        samples = _run(world, watch, frames, rate_hz)
        off_ns = abs(world.clock.now_ns() - start_ns - frames * round(1e9 / rate_hz))
        renderer = world.parts.renderer.renderer_name
        made = world.parts.generator.figures
    if off_ns:
        watch.faults["time"] = f"the world's clock is off by {off_ns} ns"
    rows: Rows = [
        {"check": check.name, "found": f"{check.found:.3f}", "limit": f"{check.limit:g}", "passed": check.passed}
        for check in judge(samples)
    ]
    rows += [{"check": "state", "found": told, "limit": "never", "passed": False} for told in watch.faults.values()]
    rows.append({"check": "faults of state", "found": str(len(watch.faults)), "limit": "0", "passed": not watch.faults})
    summary = {
        "checks_failed": sum(not row["passed"] for row in rows),
        "simulated_s": round(frames / rate_hz, 1),
        "rate_hz": rate_hz,
        "frames": frames,
        "wall_s": round(time.perf_counter() - began, 1),
        "acts": sum(visitor.acts.values()),
        "generated": made.requested - made.in_flight,
        "rejected": made.rejected,
        **_figures(samples),
    }
    log.info("acts: %s", ", ".join(f"{count} {name}" for name, count in sorted(visitor.acts.items())))
    return rows, summary, renderer


class Seldom:
    """A display that wants a picture of every tenth frame: an hour of pictures would take an hour."""

    def __init__(self, display: Any) -> None:
        self._display, self._frames = display, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._display, name)

    def begin_frame(self) -> FrameTiming:
        """As the display's own."""
        timing: FrameTiming = self._display.begin_frame()
        self._frames += 1
        return replace(timing, should_render=self._frames % _FRAMES_A_PICTURE == 0)


def _run(world: World, watch: StateWatch, frames: int, rate_hz: float) -> list[Sample]:
    """Run the frames; what has grown is looked at ``_SAMPLES`` times."""
    samples: list[Sample] = []
    timers = world.loop.timers
    for frame in range(1, frames + 1):
        world.loop.frame()
        watch.each_frame(frame / rate_hz)
        if frame % max(1, round(rate_hz)) == 0:
            watch.each_second(frame / rate_hz)
        if frame % (frames // _SAMPLES) == 0:
            samples.append(look(world, frame / rate_hz, float(np.median(timers.main_ms.values()))))
            timers.restart()
            if len(samples) % 6 == 0:
                log.info("%.0f of %.0f s, %d objects came", frame / rate_hz, frames / rate_hz, samples[-1].placed)
    return samples


def _figures(samples: list[Sample]) -> Summary:
    settled = samples[len(samples) // 3 :]
    slopes: Summary = {
        f"{name}_mb_per_1000_objects": round(growth_per_1000(settled, [s.rss_mb[name] for s in settled]), 3)
        for name in settled[-1].rss_mb
        if all(name in s.rss_mb for s in settled)
    }
    fifth = max(1, len(samples) // 5)
    return {
        "objects_came": samples[-1].placed,
        "objects_there": samples[-1].objects,
        **slopes,
        **{f"{name}_mb": round(mb, 1) for name, mb in samples[-1].rss_mb.items()},
        "arena_used_mb": round(samples[-1].arena_used_mb, 1),
        "arena_mb": round(samples[-1].arena_mb, 1),
        "gl_objects": samples[-1].gl_objects,
        "python_objects": samples[-1].python_objects,
        "main_ms_early": round(float(np.median([s.main_ms for s in samples[:fifth]])), 3),
        "main_ms_late": round(float(np.median([s.main_ms for s in samples[-fifth:]])), 3),
    }
