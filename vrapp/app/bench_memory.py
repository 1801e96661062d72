"""``bench memory``: whether 20,000 objects that come and go leave memory behind in the program.

No machine makes that many while one waits, so the world's own start set comes again and again: real objects, by the way
of all others (bank, placing, upload, physics, retiring), as fast as the world takes them. What the worker that makes
them keeps is looked at by ``bench soak`` and ``bench scale``.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from vrapp.app import hardware
from vrapp.app.bench import Rows, Summary
from vrapp.app.bench_frame import offscreen
from vrapp.app.bench_soak import Seldom
from vrapp.app.options import Options
from vrapp.app.world import World
from vrapp.core import maths, resources
from vrapp.core.errors import OutputError
from vrapp.core.generation import GeneratedObject, GenerationRequest, Generator
from vrapp.core.input import InputSnapshot, InputSource
from vrapp.core.mesh import Mesh, MeshLevel
from vrapp.core.platform import return_free_memory
from vrapp.core.pose import Pose

OBJECTS, STEP = 20_000, 500
PACE_HZ = 20.0  # of virtual time
SIZE = (64, 64)
SETTLED = 0.1  # share of the objects after which nothing should grow
STALLED_FRAMES = 5_000  # without a step
_QUEUE, _A_FRAME = 8, 2
_LOOK_FRAMES, _TURN_RAD = 60, 1.9  # what is out of sight gives way, so the visitor has to look about


def memory(options: Options) -> tuple[Rows, Summary, str | None]:
    """Rows: objects that came, frames, resident MB. Raises OutputError where the start set cannot be kept, or the
    world takes no more."""
    with ExitStack() as owned:
        world = World(replace(offscreen(replace(options, size=SIZE), PACE_HZ), clock="fixed"), owned)
        world.populate(time.perf_counter())
        parts = world.parts
        made = parts.start.cached()
        if not made:
            raise OutputError(f"bench memory copies the start set; {resources.cache_folder()} could not keep it.")
        parts.bank.generator = _Again(parts.generator, made)
        parts.source, parts.display = _Looker(parts.source), Seldom(parts.display)
        parts.manager.hurry = True
        world.set_generator("full")
        rows = _rows(world)
        renderer = parts.renderer.renderer_name
    settled = [row for row in rows if row["objects"] >= SETTLED * OBJECTS and row["resident_mb"]]
    objects, mb = (np.array([row[name] for row in settled], float) for name in ("objects", "resident_mb"))
    slope = 1000 * float(np.polyfit(objects, mb, 1)[0]) if len(settled) > 2 else None
    summary: Summary = {
        "mb_per_1000_objects": slope,
        "objects": rows[-1]["objects"],
        "frames": rows[-1]["frames"],
        "resident_mb_settled": float(mb[0]) if len(mb) else None,
        "resident_mb_last": float(mb[-1]) if len(mb) else None,
    }
    return rows, summary, renderer


def _rows(world: World) -> list[dict[str, Any]]:
    manager, rows = world.parts.manager, list[dict[str, Any]]()
    start, frames, since = manager.placed, 0, 0
    while manager.placed - start < OBJECTS:
        world.loop.frame()
        frames, since = frames + 1, since + 1
        if since > STALLED_FRAMES:
            raise OutputError(f"The world has stopped to take objects after {manager.placed - start} of {OBJECTS}.")
        if manager.placed - start >= STEP * len(rows):
            return_free_memory()
            rows.append({"objects": manager.placed - start, "frames": frames, "resident_mb": hardware.resident_mb()})
            since = 0
    return rows


def _copy(made: GeneratedObject, request_id: int) -> GeneratedObject:
    """With arrays of its own: whoever keeps them keeps as much as in a visit."""
    mesh = made.mesh
    levels = tuple(MeshLevel(level.vertices.copy(), level.indices.copy()) for level in mesh.levels)
    copied = Mesh(levels, mesh.box.copy(), mesh.hull.copy())
    latent, components = made.latent.copy(), made.components.copy()
    return replace(made, request_id=request_id, latent=latent, components=components, mesh=copied)


class _Again:
    """In a generator's place: for each request, an object of its category that was made before."""

    def __init__(self, generator: Generator, made: list[GeneratedObject]) -> None:
        self.figures = generator.figures
        self._made = made
        self._of: dict[int, list[GeneratedObject]] = {}
        for one in made:
            self._of.setdefault(one.category, []).append(one)
        self._queue: deque[GenerationRequest] = deque()
        self._given = 0

    def submit(self, request: GenerationRequest) -> bool:
        """See ``core.generation.Generator``."""
        if len(self._queue) >= _QUEUE:
            return False
        self._queue.append(request)
        self.figures.in_flight = len(self._queue)
        return True

    def collect(self, frame_index: int) -> list[GeneratedObject]:
        """See ``core.generation.Generator``."""
        ready = []
        for _ in range(min(_A_FRAME, len(self._queue))):
            request = self._queue.popleft()
            alike = self._of.get(request.steering.category, self._made)
            self._given += 1
            ready.append(_copy(alike[self._given % len(alike)], request.request_id))
        self.figures.in_flight = len(self._queue)
        return ready


class _Looker:
    """The visit as it is, but for where the visitor looks."""

    def __init__(self, source: InputSource) -> None:
        self._source, self._polls = source, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def poll(self, predicted_time_ns: int) -> InputSnapshot:
        """See ``core.input.InputSource``."""
        found = self._source.poll(predicted_time_ns)
        turned = maths.quat_from_axis_angle((0, 1, 0), _TURN_RAD * (self._polls // _LOOK_FRAMES))
        self._polls += 1
        return replace(found, head=Pose(found.head.position, turned))
