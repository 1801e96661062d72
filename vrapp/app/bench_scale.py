"""``bench scale``: what the main thread costs from 100 to 10,000 objects, and whether memory grows."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from vrapp.app import hardware
from vrapp.app.bench import Rows, Summary
from vrapp.app.bench_frame import offscreen
from vrapp.app.options import Options
from vrapp.app.timers import percentiles
from vrapp.app.world import World
from vrapp.core import maths, resources, rng
from vrapp.core.errors import OutputError
from vrapp.core.generation import GeneratedObject
from vrapp.core.platform import return_free_memory
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState

COUNTS = (100, 300, 1_000, 3_000, 10_000)
PACE_HZ, FRAMES = 20.0, 200  # of virtual time: once through the recorded visit, the same for every row
SIZE = (320, 180)  # small: the main thread is measured, not the rasteriser
WARM_UP_OBJECTS, GENERATED_OBJECTS = 400, 800  # at about five a second
MEASURED_EVERY = 40
EMPTYING_FRAMES = 200  # at most
_KEY = 0x5CA1E
_CELLS, _CELL_M = 115, 1.2  # 13,225 places


def scale(options: Options) -> tuple[Rows, Summary, str | None]:
    """Main-thread time by number of objects; memory by number of generated objects."""
    options = replace(options, size=options.size or SIZE)
    with ExitStack() as owned:
        growth = _memory_growth(_world(offscreen(options, None), owned))
    with ExitStack() as owned:
        world = _world(replace(offscreen(options, PACE_HZ), clock="fixed"), owned)
        renderer = world.parts.renderer.renderer_name
        made = world.parts.start.cached()
        if not made:
            raise OutputError(f"bench scale copies the start set; {resources.cache_folder()} could not keep it.")
        shapes = [(each, world.parts.renderer.arena.add(each.mesh)) for each in made]
        _row(world, COUNTS[0], shapes)  # warms up, or the first row would pay for it, which the last is divided by
        rows = [_row(world, count, shapes) for count in COUNTS]
    main = {row["objects"]: row["main_ms_p50"] for row in rows}
    summary: Summary = {
        "main_ms_p50_300": main[300],
        "main_ms_growth_100_to_10000": round(main[10_000] / main[100], 3),
        "main_ms_p50_1000": main[1_000],
        "main_ms_p99_1000": next(r["main_ms_p99"] for r in rows if r["objects"] == 1_000),
        "mb_per_1000_objects": growth,
    }
    return rows, summary, renderer


def _world(options: Options, owned: ExitStack) -> World:
    world = World(options, owned)
    world.populate(time.perf_counter())
    return world


def _row(world: World, count: int, shapes: list[tuple[GeneratedObject, int]]) -> dict[str, Any]:
    """Fill the world up to ``count`` objects, which share the meshes that are there, and run frames."""
    _fill(world, count, shapes)
    for _ in range(10):
        world.loop.frame()
    world.loop.timers.restart()
    for _ in range(FRAMES):
        world.loop.frame()
    timers = world.loop.timers
    main, whole = percentiles(timers.main_ms.values()), percentiles(timers.frame_ms.values())
    return {
        "objects": count,
        "main_ms_p50": main["p50"] or 0.0,
        "main_ms_p99": main["p99"] or 0.0,
        "main_ms_p999": main["p999"],
        "frame_ms_p50": whole["p50"] or 0.0,
        "triangles": world.parts.renderer.triangles_drawn,
        "resident_mb": hardware.resident_mb() or 0.0,
    }


def _fill(world: World, count: int, shapes: list[tuple[GeneratedObject, int]]) -> None:
    """Objects in random cells of a lattice, clear of what stands there: none inside another."""
    store = world.parts.store
    draw = rng.generator(world.options.seed, _KEY, count)
    side = (np.arange(_CELLS) - _CELLS / 2 + 0.5) * _CELL_M
    cells = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    taken = store.arrays().position[:, [0, 2]]
    free = draw.permutation(cells[(np.abs(cells[:, None] - taken).max(2) > _CELL_M).all(1)])
    for i, (x, z) in enumerate(free[: max(count - len(store), 0)].tolist()):
        made, mesh_id = shapes[i % len(shapes)]
        size = float(draw.uniform(0.4, 1.0))
        pose = Pose(
            maths.vec3(x, -float(made.mesh.box[0, 1]) * size, z),
            maths.quat_from_axis_angle((0, 1, 0), float(draw.uniform(0, 6.28))),
        )
        handle = store.add(made, pose, size, mesh_id, 0, grown=True)
        store.kept[store.slot(handle)] = True  # never retired: its mesh belongs to several


def _memory_growth(world: World) -> float | None:
    """MB per 1,000 objects that came and went, after a warm-up; None where memory can't be read."""
    world.set_generator("full")
    world.parts.generator.set_pace("load")  # these frames are not timed
    world.parts.manager.hurry = True  # everything that is made is shown, and gives way again
    capacity = world.parts.bank.capacity
    seen: list[tuple[int, float]] = []
    while world.parts.manager.placed < WARM_UP_OBJECTS + GENERATED_OBJECTS:
        world.loop.frame()
        placed = world.parts.manager.placed
        if placed >= WARM_UP_OBJECTS and (not seen or placed >= seen[-1][0] + MEASURED_EVERY):
            _empty(world)
            return_free_memory()  # as the loop does every few seconds
            if (mb := hardware.resident_mb()) is None:
                return None
            seen.append((placed, mb))
            world.parts.bank.capacity = capacity
    world.set_generator("off")
    world.parts.manager.hurry = False
    objects, mb_seen = np.array(seen).T
    one, other = np.triu_indices(len(seen), 1)  # the median of all pairs' slopes: one odd moment does not turn it
    slope = float(np.median((mb_seen[other] - mb_seen[one]) / (objects[other] - objects[one])))
    alive = world.parts.store.arrays().state != ObjectState.FREE
    print(f"{int(objects[-1] - objects[0])} objects came, {int(alive.sum())} are there now")
    return round(slope * 1000, 3)


def _empty(world: World) -> None:
    """Until nothing is asked for and nothing waits for its place: what waits comes and goes by megabytes."""
    parts = world.parts
    parts.bank.capacity = 0
    for _ in range(EMPTYING_FRAMES):
        if not (parts.generator.figures.in_flight or len(parts.bank)):
            return
        world.loop.frame()
