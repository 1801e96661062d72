"""``bench generate``: from latent to drawable, beside decoder → host → marching cubes → vertex buffer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from vrapp.app.bench import Rows, Summary, require
from vrapp.app.options import Options
from vrapp.app.timers import percentiles
from vrapp.app.world import default_weights
from vrapp.core.clock import RealClock
from vrapp.core.generation import GeneratedObject
from vrapp.core.mesh import LEVELS, Mesh
from vrapp.display.offscreen import OffscreenDisplay
from vrapp.render.arena import MeshArena

OBJECTS = 24
ROUNDS = 42  # for a p99.9: a thousand of each way
WARM_UP = 5
THREADS = 2


def generate(options: Options) -> tuple[Rows, Summary, str | None]:
    """Both ways over the same latents, object by object in turn, on the same device and threads."""
    require("skimage", "scikit-image")
    from vrapp.generation.measure import Pipelines

    display = OffscreenDisplay((64, 64), RealClock())
    ways = Pipelines(options.weights or default_weights(), THREADS, display.ctx)
    objects = ways.drawn(OBJECTS, options.seed)
    arena = MeshArena(display.ctx)

    def shown(mesh: Mesh) -> None:
        """As the world does it."""
        mesh_id = arena.add(mesh)
        arena.pump(1 << 30)
        arena.release(mesh_id)

    def ours(drawn: GeneratedObject, levels: int = LEVELS) -> int:
        mesh = ways.ours(drawn, levels)
        shown(mesh)
        ways.wait()
        display.ctx.finish()
        return sum(level.triangles for level in mesh.levels)

    def otherwise(drawn: GeneratedObject, quick: bool = False) -> int:
        vertices, faces = ways.otherwise(drawn.latent, quick=quick)
        buffers = (display.ctx.buffer(vertices.tobytes()), display.ctx.buffer(faces.tobytes()))
        display.ctx.finish()
        for buffer in buffers:
            buffer.release()
        return len(faces)

    try:
        both = {"vrapp": ours, "scikit-image": otherwise}
        if ways.device.type == "cpu":
            both["scikit-image, our convolutions"] = partial(otherwise, quick=True)
            # As in the hand: as many levels as scikit-image makes.
            both["vrapp, finest level"] = partial(ours, levels=1)
        rows = _compare(both, objects)
        objects_per_s = ways.objects_per_s(objects * ROUNDS, shown)
        renderer = display.ctx.info["GL_RENDERER"]
    finally:
        arena.close()
        display.close()
    mine, peer, *more = rows
    quick, finest = more or (None, None)
    summary: Summary = {
        "latency_ms_p50": mine["ms_p50"],
        "latency_ms_p99": mine["ms_p99"],
        "objects_per_s": round(objects_per_s or 1e3 / mine["ms_p50"], 2),
        "speedup_over_naive": round(peer["ms_p50"] / mine["ms_p50"], 3),
        "speedup_over_naive_our_convolutions": round(quick["ms_p50"] / mine["ms_p50"], 3) if quick else None,
        "finest_level_ms_p50": finest["ms_p50"] if finest else None,
        "reshapes_per_s": round(1e3 / finest["ms_p50"], 2) if finest else None,
        **{f"cuda_{name}": mine[name] if ways.device.type == "cuda" else None for name in ("ms_p50", "ms_p99")},
        "cuda_objects_per_s": objects_per_s,
    }
    return rows, summary, renderer


def _compare(ways: Mapping[str, Callable[[GeneratedObject], int]], objects: list[GeneratedObject]) -> Rows:
    """Times of each way, interleaved so that both meet the same machine."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    triangles: dict[str, list[int]] = {name: [] for name in ways}
    for i, drawn in enumerate([*objects[:WARM_UP], *(objects * ROUNDS)]):
        for name, way in ways.items():
            began = time.perf_counter()
            count = way(drawn)
            if i >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - began))
                triangles[name].append(count)
    rows: Rows = []
    for name in ways:
        found = percentiles(np.array(times[name]))
        told = {f"ms_{share}": found[share] for share in ("p50", "p90", "p99", "p999")}
        rows.append({"way": name, **told, "triangles": int(np.median(triangles[name]))})
    return rows
