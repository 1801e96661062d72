"""``bench frame``: does the generator make frames late? Off, on and at full work, in interleaved rounds."""

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
from vrapp.core.scene import ObjectState

RATES = (72, 90, 120)  # of headsets
ROUNDS = 5
MODES = ("off", "auto", "full")  # auto: as a visit has it
SECONDS = 24.0  # of each mode in a round
FILLING_FRAMES = 1_500  # at most
SETTLE_FRAMES = 20
CALIBRATION_FRAMES = 60
#: The pace leaves the rasteriser this much room over the slowest tenth of its frames.
ROOM = 1.4
SIZE = (960, 540)


def frame(options: Options) -> tuple[Rows, Summary, str | None]:
    """Frame times with the generator off, on and at full work; ``options.seconds`` for each in every round, among
    ``options.objects``.

    At the pace asked for, or at those of ``RATES`` that the rasteriser holds, or at one that it holds: the summary is
    of the last. Raises UsageError for more frames than are kept.
    """
    seconds = options.seconds or SECONDS
    if (most := int(seconds * (options.pace_hz or 0))) > KEPT_FRAMES:
        raise UsageError(f"{most} frames are more than the {KEPT_FRAMES} that are kept of each; lower --seconds.")
    held = held_hz(options)
    paces = [options.pace_hz] if options.pace_hz else [float(hz) for hz in RATES if hz <= held] or [held]
    rows: Rows = []
    late_on = dict.fromkeys(f"late_on_{hz}" for hz in RATES)  # None: not held
    for pace_hz in paces:
        found, summary, renderer = _at(options, pace_hz, int(min(seconds * pace_hz, KEPT_FRAMES)))
        rows += found
        if pace_hz in RATES and pace_hz <= held:
            late_on[f"late_on_{pace_hz:.0f}"] = summary["late_on"]
    return rows, {**summary, **late_on, "held_hz": round(held, 2), "peer_ratio": None}, renderer


def _at(options: Options, pace_hz: float, count: int) -> tuple[Rows, Summary, str]:
    """``count`` frames in each mode of each round, at one pace."""
    rows: Rows = []
    times: dict[str, list[np.ndarray]] = {mode: [] for mode in MODES}
    with ExitStack() as owned:
        world = World(offscreen(options, pace_hz), owned)
        world.populate(time.perf_counter())
        _fill(world, options.objects)
        for turn in range(ROUNDS):
            for mode in np.roll(MODES, turn).tolist():  # none is always the first
                row = _segment(world, mode, count)
                rows.append({"pace_hz": round(pace_hz, 2), "round": turn, "generator": mode, **row})
                times[mode].append(world.loop.timers.frame_ms.values())
        renderer = world.parts.renderer.renderer_name
    at_work = _ratios(rows, "full")
    low, high = np.percentile(at_work, [25, 75])
    of_full = [row for row in rows if row["generator"] == "full"]
    late = {mode: sum(row["late"] for row in rows if row["generator"] == mode) for mode in MODES}
    summary: Summary = {
        "p99_on_over_off": round(float(np.median(at_work)), 4),  # on: at full work
        "p99_on_over_off_p25": round(float(low), 4),
        "p99_on_over_off_p75": round(float(high), 4),
        "p99_auto_over_off": round(float(np.median(_ratios(rows, "auto"))), 4),
        **{f"frame_ms_p999_{mode}": percentiles(np.concatenate(of_mode))["p999"] for mode, of_mode in times.items()},
        "late_off": late["off"],
        "late_auto": late["auto"],
        "late_on": late["full"],
        "main_ms_p50": float(np.median([row["main_ms_p50"] for row in of_full])),
        "main_ms_p99": float(np.median([row["main_ms_p99"] for row in of_full])),
        "pace_hz": round(pace_hz, 2),
        "objects": max(row["objects"] for row in rows),
        "generated": sum(row["generated"] for row in rows),
    }
    return rows, summary, renderer


def offscreen(options: Options, pace_hz: float | None) -> Options:
    """``options`` for a measured world: offscreen, real time, the generator off until it is asked for."""
    return replace(
        options, display="offscreen", clock="real", pace_hz=pace_hz, size=options.size or SIZE, generator="off"
    )


def held_hz(options: Options) -> float:
    """A pace that the rasteriser holds."""
    with ExitStack() as owned:
        world = World(offscreen(options, None), owned)
        world.populate(time.perf_counter())
        for _ in range(CALIBRATION_FRAMES):
            world.loop.frame()
        return 1e3 / (ROOM * float(np.percentile(world.loop.timers.frame_ms.values()[10:], 90)))


def _fill(world: World, objects: int | None) -> None:
    """As many objects as the world shows at once, so that all draw the same number."""
    manager = world.parts.manager
    if objects is not None:
        manager.max_objects = objects
        for slot in world.parts.store.arrays().slots_in(ObjectState.RESTING)[objects:].tolist():
            manager.dismiss(world.parts.store.handle(slot))
    world.set_generator("full")
    world.parts.generator.set_pace("load")  # these frames are not timed
    manager.hurry = True
    for _ in range(FILLING_FRAMES):
        if len(world.parts.store) >= manager.max_objects:
            break
        world.loop.frame()
    manager.hurry = False


def _segment(world: World, mode: str, count: int) -> dict[str, float | int | None]:
    """``count`` frames in one mode."""
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
        "frame_ms_p999": times["p999"],
        "late": timers.late,
        "main_ms_p50": main["p50"] or 0.0,
        "main_ms_p99": main["p99"] or 0.0,
        "main_ms_p999": main["p999"],
        "objects": len(world.parts.store),
        "generated": _answered(world) - made,
    }


def _answered(world: World) -> int:
    """Requests that the generator has answered so far."""
    figures = world.parts.generator.figures
    return figures.requested - figures.in_flight


def _ratios(rows: Rows, mode: str) -> np.ndarray:
    """p99 in a mode over p99 off, for each round."""
    p99 = {(row["round"], row["generator"]): row["frame_ms_p99"] for row in rows}
    return np.array([p99[turn, mode] / p99[turn, "off"] for turn in range(ROUNDS)])
