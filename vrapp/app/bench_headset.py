"""``bench headset``: what a frame on a headset costs the main thread beyond the same frame offscreen.

The thread's own CPU time of whole frames, from the display's wait to the submitted picture, without the GL work of
the renderer and the mirror (a software rasteriser works inside those calls). The part of it spent inside the OpenXR
runtime's own functions (waiting for the compositor, handing it the pictures) is told apart, and so is offscreen's
handing of the picture to the driver. What comes after a wait finds the caches cold: so offscreen is held to the rate
that the headset had, by sleeping before what is measured.
"""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from vrapp.app.bench import Rows, Summary
from vrapp.app.options import Options
from vrapp.app.timers import percentiles
from vrapp.app.world import World
from vrapp.core.errors import DisplayUnavailable, GraphicsError
from vrapp.core.input import InputSnapshot, SourceKind
from vrapp.display.openxr.meter import Meter, metered

log = logging.getLogger(__name__)

ROUNDS = 3
FRAMES = 100
SETTLE_FRAMES = 20
MOST_FRAMES_UNTIL_WORN = 600


class StillInput:
    """Somebody who stands as they stood in one snapshot: the same user for the display without a headset."""

    def __init__(self, snapshot: InputSnapshot) -> None:
        self._snapshot = snapshot

    def poll(self, predicted_time_ns: int) -> InputSnapshot:
        """The same at any time."""
        return replace(self._snapshot, time_ns=predicted_time_ns)

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """Nobody feels it."""

    def close(self) -> None:
        """Nothing is open."""


def headset(options: Options) -> tuple[Rows, Summary, str | None]:
    """Headset and offscreen in turn, with the same world, user and size. Nulls where there is no headset."""
    rows: Rows = []
    renderer: str | None = None
    for round_ in range(ROUNDS):
        try:
            row, size, snapshot = _on_headset(options)
        except (DisplayUnavailable, GraphicsError) as e:
            log.info(f"No headset: {e}")
            return [{"display": "openxr", "own_ms_p50": None}], _summary([]), None
        rows.append({"round": round_, "display": "openxr", **row})
        row, renderer = _offscreen(replace(options, size=size, pace_hz=None), snapshot, row["rate_hz"])
        rows.append({"round": round_, "display": "offscreen", **row})
    return rows, _summary(rows), renderer


def _on_headset(options: Options) -> tuple[dict[str, float], tuple[int, int], InputSnapshot]:
    with ExitStack() as owned:
        runtime = owned.enter_context(metered())
        world = World(replace(options, display="openxr", clock="real", generator="off"), owned)
        world.populate(time.perf_counter())
        for _ in range(MOST_FRAMES_UNTIL_WORN):
            if world.loop.snapshot.source is SourceKind.HEADSET and world.parts.display.view_count == 2:
                return _measured(world, runtime), world.parts.display.size, world.loop.snapshot
            world.loop.frame()
    raise DisplayUnavailable("The headset is not worn; put it on and start again.")


def _offscreen(options: Options, snapshot: InputSnapshot, rate_hz: float) -> tuple[dict[str, float], str]:
    with ExitStack() as owned:
        offscreen = replace(options, display="offscreen", clock="real", generator="off", stereo=True, frames=1)
        world = World(offscreen, owned)
        world.populate(time.perf_counter())
        world.parts.source = StillInput(snapshot)
        driver, display = Meter(), world.parts.display
        display.end_frame = driver.around(display.end_frame)  # type: ignore[method-assign]
        return _measured(world, driver, 1 / rate_hz), world.parts.renderer.renderer_name


def _measured(world: World, runtime: Meter, period_s: float = 0.0) -> dict[str, float]:
    """``runtime``: of the calls that hand in the picture. ``period_s``: of frames, where the display does not wait."""
    loop, parts = world.loop, world.parts
    for _ in range(SETTLE_FRAMES):
        loop.frame()
    loop.timers.restart()
    due_s = time.perf_counter()
    own, inside, began_s = np.empty(FRAMES), np.empty(FRAMES), time.perf_counter()
    for i in range(FRAMES):
        time.sleep(max(due_s - time.perf_counter(), 0.0))
        due_s = max(due_s + period_s, time.perf_counter())
        before, inside_before_s = time.thread_time(), runtime.cpu_s
        loop.frame()
        mirror_s: float = getattr(parts.display, "mirror_cpu_s", 0.0)
        inside[i] = runtime.cpu_s - inside_before_s
        own[i] = time.thread_time() - before - parts.renderer.draw_cpu_s - mirror_s - inside[i]
    rate_hz = FRAMES / (time.perf_counter() - began_s)
    ms, wait = percentiles(own * 1e3), percentiles(loop.timers.wait_ms.values())
    runtime_ms, whole = percentiles(inside * 1e3), percentiles((own + inside) * 1e3)
    return {
        "own_ms_p50": ms["p50"] or 0.0,
        "own_ms_p99": ms["p99"] or 0.0,
        "runtime_ms_p50": runtime_ms["p50"] or 0.0,
        "with_runtime_ms_p50": whole["p50"] or 0.0,
        "wait_ms_p50": wait["p50"] or 0.0,
        "rate_hz": round(rate_hz, 2),
    }


def _summary(rows: Rows) -> Summary:
    def of(display: str, key: str) -> np.ndarray:
        return np.array([row[key] for row in rows if row["display"] == display])

    on, off = of("openxr", "own_ms_p50"), of("offscreen", "own_ms_p50")
    summary: Summary = {
        "own_ms_openxr": _median(on),
        "own_ms_offscreen": _median(off),
        "runtime_ms_openxr": _median(of("openxr", "runtime_ms_p50")),
        # Each round's two are neighbours in time, so they are compared with each other.
        "openxr_over_offscreen_ms": _median(on - off),
        "openxr_over_offscreen_ms_low": round(float((on - off).min()), 4) if len(on) else None,
        "openxr_over_offscreen_ms_high": round(float((on - off).max()), 4) if len(on) else None,
        "with_runtime_over_offscreen_ms": _median(
            of("openxr", "with_runtime_ms_p50") - of("offscreen", "with_runtime_ms_p50")
        ),
    }
    return summary


def _median(values: np.ndarray) -> float | None:
    return round(float(np.median(values)), 4) if len(values) else None
