"""``bench frame``: does the generator make frames late? Off and at full work, in interleaved pairs."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from vrapp.app.bench import Rows, Summary
from vrapp.app.options import Options
from vrapp.app.timers import KEPT_FRAMES, percentiles
from vrapp.app.world import World
from vrapp.core.errors import UsageError

PAIRS = 5
SECONDS = 16.0  # of each half of a pair
ENOUGH_FOR_P999 = 1_000  # frames
FILLING_FRAMES = 1_500  # at most
SETTLE_FRAMES = 20
CALIBRATION_FRAMES = 60
#: The pace leaves the rasteriser this much room over the slowest tenth of its frames.
ROOM = 1.4
SIZE = (960, 540)


def frame(options: Options) -> tuple[Rows, Summary, str | None]:
    """Frame times with the generator off and at full work, at the pace asked for or one that the rasteriser holds;
    ``options.seconds`` for each half of a pair. Raises UsageError for more frames than are kept."""
    pace_hz = options.pace_hz or held_hz(options)
    count = int((options.seconds or SECONDS) * pace_hz)
    if count > KEPT_FRAMES:
        raise UsageError(f"{count} frames are more than the {KEPT_FRAMES} that are kept of a half; lower --seconds.")
    with ExitStack() as owned:
        world = World(offscreen(options, pace_hz), owned)
        world.populate(time.perf_counter())
        _fill(world)
        rows: Rows = []
        for pair in range(PAIRS):
            for mode in ("off", "full") if pair % 2 == 0 else ("full", "off"):
                rows.append({"pair": pair, "generator": mode, **_segment(world, mode, count)})
        renderer = world.parts.renderer.renderer_name
    ratios = _ratios(rows)
    low, high = np.percentile(ratios, [25, 75])
    main = [r["main_ms_p50"] for r in rows if r["generator"] == "full"]
    main_p99 = [r["main_ms_p99"] for r in rows if r["generator"] == "full"]
    summary: Summary = {
        "p99_on_over_off": round(float(np.median(ratios)), 4),
        "p99_on_over_off_p25": round(float(low), 4),
        "p99_on_over_off_p75": round(float(high), 4),
        "late_off": sum(r["late"] for r in rows if r["generator"] == "off"),
        "late_on": sum(r["late"] for r in rows if r["generator"] == "full"),
        "main_ms_p50": float(np.median(main)),
        "main_ms_p99": float(np.median(main_p99)),
        "pace_hz": round(pace_hz, 2),
        "generated": sum(r["generated"] for r in rows),
        "peer_ratio": None,
    }
    return rows, summary, renderer


def offscreen(options: Options, pace_hz: float | None) -> Options:
    """``options`` for a measured world: offscreen, real time, the generator off until it is asked for."""
    return replace(
        options, display="offscreen", clock="real", pace_hz=pace_hz, size=options.size or SIZE, generator="off"
    )


def held_hz(options: Options) -> float:
    """A pace that the rasteriser holds, 90 Hz at most."""
    with ExitStack() as owned:
        world = World(offscreen(options, None), owned)
        world.populate(time.perf_counter())
        for _ in range(CALIBRATION_FRAMES):
            world.loop.frame()
        return min(90.0, 1e3 / (ROOM * float(np.percentile(world.loop.timers.frame_ms.values()[10:], 90))))


def _fill(world: World) -> None:
    """As many objects as the world ever shows at once, so that both halves of every pair draw the same number."""
    manager = world.parts.manager
    world.set_generator("full")
    world.parts.generator.set_pace("load")  # these frames are not timed
    manager.hurry = True
    for _ in range(FILLING_FRAMES):
        if len(world.parts.store) >= manager.max_objects:
            break
        world.loop.frame()
    manager.hurry = False


def _segment(world: World, mode: str, count: int) -> dict[str, float | int | None]:
    """One half of a pair: ``count`` frames."""
    world.set_generator(mode)
    for _ in range(SETTLE_FRAMES):
        world.loop.frame()
    timers = world.loop.timers
    timers.restart()
    made = _answered(world)
    for _ in range(count):
        world.loop.frame()
    times, main = percentiles(timers.frame_ms.values()), percentiles(timers.main_ms.values())
    return {
        "frames": timers.frame_ms.total,
        "frame_ms_p50": times["p50"] or 0.0,
        "frame_ms_p99": times["p99"] or 0.0,
        "frame_ms_p999": times["p999"] if timers.frame_ms.total >= ENOUGH_FOR_P999 else None,
        "late": timers.late,
        "main_ms_p50": main["p50"] or 0.0,
        "main_ms_p99": main["p99"] or 0.0,
        "main_ms_p999": main["p999"] if timers.main_ms.total >= ENOUGH_FOR_P999 else None,
        "objects": len(world.parts.store),
        "generated": _answered(world) - made,
    }


def _answered(world: World) -> int:
    """Requests that the generator has answered so far."""
    figures = world.parts.generator.figures
    return figures.requested - figures.in_flight


def _ratios(rows: Rows) -> np.ndarray:
    """p99 at full work over p99 off, for each pair."""
    p99 = {(r["pair"], r["generator"]): r["frame_ms_p99"] for r in rows}
    return np.array([p99[pair, "full"] / p99[pair, "off"] for pair in range(PAIRS)])
