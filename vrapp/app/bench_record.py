"""``bench record``: what recording costs the main thread, with and without, in interleaved pairs."""

from __future__ import annotations

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from vrapp.app.bench import Rows, Summary
from vrapp.app.bench_frame import offscreen
from vrapp.app.options import Options
from vrapp.app.timers import percentiles
from vrapp.app.world import World
from vrapp.study.recorder import Recorder

PAIRS = 7
FRAMES = 150


def record(options: Options) -> tuple[Rows, Summary, str | None]:
    """Main-thread time with the recorder off and on."""
    rows: Rows = []
    with ExitStack() as owned:
        folder = Path(owned.enter_context(tempfile.TemporaryDirectory(prefix="vrapp-bench-")))
        world = World(offscreen(options, None), owned)
        world.populate(time.perf_counter())
        recorder = Recorder(folder / "recording", {"seed": options.seed})
        owned.callback(recorder.close)
        for pair in range(PAIRS):
            for on in (False, True) if pair % 2 == 0 else (True, False):
                world.parts.recorder = recorder if on else None
                world.loop.timers.restart()
                for _ in range(FRAMES):
                    world.loop.frame()
                main = percentiles(world.loop.timers.main_ms.values())
                rows.append({"pair": pair, "recording": "on" if on else "off", "main_ms_p50": main["p50"],
                             "main_ms_p99": main["p99"]})  # fmt: skip
        world.parts.recorder = None
        renderer = world.parts.renderer.renderer_name
    summary: Summary = {}
    for name in ("p50", "p99"):
        of = {(r["pair"], r["recording"]): r[f"main_ms_{name}"] for r in rows}
        costs = [of[pair, "on"] - of[pair, "off"] for pair in range(PAIRS)]
        summary[f"main_ms_{name}_cost"] = round(float(np.median(costs)), 4)
    return rows, summary, renderer
