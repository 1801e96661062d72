"""What must stay true of a world however long it runs: looked at while it runs, judged over the whole run."""

from __future__ import annotations

import ctypes
import gc
import math
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vrapp.app import hardware
from vrapp.app.world import World
from vrapp.core.scene import ObjectState

EYES_M = 1.65  # of the visitor
_FARTHEST_M = 5_000.0  # a visitor who walks for an hour gets 9 km at most, and never straight on
_HIGHEST_M = 200.0
_SUNK_M = 0.06  # into the ground, of what rests
_LONGEST_FLIGHT_S = 60.0  # physics stops everything after 12, unless it is hit again
_GROWTH_MB, _GROWTH_ARENA_MB = 16.0, 8.0  # over the last two thirds of a run
_GROWTH_GL, _GROWTH_PYTHON, _GROWTH_MESHES, _GROWTH_SLOTS = 4, 2_000, 4, 16
_SLOWER = 1.3
_GL_KINDS = ("Buffer", "Texture", "Framebuffer", "VertexArray", "Program", "Renderbuffer", "Query")
_GL_NAMES = 2048  # drivers give out the lowest free name


@dataclass(frozen=True)
class Sample:
    """One look at everything that could grow. Memory in MB."""

    time_s: float
    placed: int
    rss_mb: dict[str, float]  # by process
    gl_objects: int
    python_objects: int
    objects: int
    slots: int
    meshes_without_object: int
    arena_used_mb: float
    arena_stray_mb: float  # in use, but by no mesh that can be drawn
    arena_mb: float
    main_ms: float


def look(world: World, time_s: float, main_ms: float) -> Sample:
    """A sample of ``world`` now, as the loop itself has tidied it."""
    parts = world.parts
    arena, scene = parts.renderer.arena, parts.store.arrays()
    return Sample(
        time_s, parts.manager.placed, _resident_mb(), _gl_objects(parts.display.ctx), len(gc.get_objects()),
        len(parts.store), scene.count, arena.count - len(parts.store), arena.bytes_used / 1e6,
        (arena.bytes_used - arena.bytes_resident) / 1e6, arena.bytes_capacity / 1e6, main_ms,
    )  # fmt: skip


def _resident_mb() -> dict[str, float]:
    """Of this process and its children, where the system tells."""
    found = {"main": hardware.resident_mb()}
    found |= {child.name: hardware.resident_mb(child.pid) for child in multiprocessing.active_children()}
    return {name: mb for name, mb in found.items() if mb is not None}


def _gl_objects(ctx: Any) -> int:
    """How many GL objects exist, asked of the driver itself."""
    load = ctx.mglo._context.load
    asked = (ctypes.CFUNCTYPE(ctypes.c_ubyte, ctypes.c_uint)(load(f"glIs{kind}")) for kind in _GL_KINDS)
    return sum(int(exists(name)) for exists in asked for name in range(1, _GL_NAMES))


class StateWatch:
    """Looks at the state of a world while it runs; ``faults`` tells each kind of fault once, with its first time."""

    def __init__(self, world: World) -> None:
        self.faults: dict[str, str] = {}
        self._world = world
        self._time_s = 0.0
        self._flying_since: dict[int, float] = {}
        self._before: dict[str, np.ndarray] = {}

    def each_frame(self, time_s: float) -> None:
        """What rests must not creep."""
        self._time_s = time_s
        scene = self._world.parts.store.arrays()
        now = {name: getattr(scene, name).copy() for name in ("state", "generation", "mesh_id", "box", "position")}
        if self._before:
            n = min(len(self._before["state"]), scene.count)
            still = now["state"][:n] == int(ObjectState.RESTING)
            for name in ("state", "generation", "mesh_id"):
                still &= now[name][:n] == self._before[name][:n]
            still &= (now["box"][:n] == self._before["box"][:n]).all((1, 2))  # not just reshaped
            moved = (now["position"][:n] != self._before["position"][:n]).any(1)
            for slot in np.flatnonzero(still & moved)[:1].tolist():
                way = now["position"][slot] - self._before["position"][slot]
                self._fault("creeps", True, f"{self._called(slot)} at rest moved by {way.round(4).tolist()} m")
        self._before = now

    def each_second(self, time_s: float) -> None:
        """Everything that can be told of one moment."""
        self._time_s = time_s
        self._check_numbers()
        self._check_resting()
        self._check_flying()
        parts = self._world.parts
        head = parts.interaction.head
        upright = head.sound and abs(float(head.position[1]) - EYES_M) < 0.05
        self._fault("head", not upright, f"the head is at {head.position.tolist()}")
        error = parts.display.ctx.error
        self._fault("gl", error != "GL_NO_ERROR", f"OpenGL says {error}")

    def _check_numbers(self) -> None:
        scene = self._world.parts.store.arrays()
        alive = np.flatnonzero(scene.state != int(ObjectState.FREE))
        for name in ("position", "orientation", "size", "growth", "radius", "box"):
            self._fault(name, not np.isfinite(getattr(scene, name)[alive]).all(), f"{name} is not finite")
        length = np.linalg.norm(scene.orientation[alive], axis=1)
        self._fault("turn", bool((np.abs(length - 1) > 1e-3).any()), "an orientation is no unit quaternion")
        away = float(np.abs(scene.position[alive][:, [0, 2]]).max(initial=0.0))
        self._fault("away", away > _FARTHEST_M, f"an object is {away:.0f} m away")
        high = float(scene.position[alive][:, 1].max(initial=0.0))
        self._fault("high", high > _HIGHEST_M, f"an object is {high:.0f} m high")

    def _check_resting(self) -> None:
        """On the ground or on something."""
        scene = self._world.parts.store.arrays()
        for slot in scene.slots_in(ObjectState.RESTING).tolist():
            depth = -self._world.parts.physics.lowest_m(scene, slot)
            self._fault("sunk", depth > _SUNK_M, f"{self._called(slot)} at rest reaches {depth:.2f} m into the ground")

    def _check_flying(self) -> None:
        store = self._world.parts.store
        flying = {store.handle(slot) for slot in store.arrays().slots_in(ObjectState.FLYING).tolist()}
        self._flying_since = {handle: self._flying_since.get(handle, self._time_s) for handle in flying}
        longest_s = max((self._time_s - since for since in self._flying_since.values()), default=0.0)
        self._fault("flying", longest_s > _LONGEST_FLIGHT_S, f"an object flies for {longest_s:.0f} s")

    def _called(self, slot: int) -> str:
        parts = self._world.parts
        return f"{parts.categories[int(parts.store.category[slot])]} {int(parts.store.request_id[slot])}"

    def _fault(self, kind: str, is_wrong: bool, told: str) -> None:
        if is_wrong and kind not in self.faults:
            self.faults[kind] = f"{told} (at {self._time_s:.0f} s)"


@dataclass(frozen=True)
class Check:
    """One verdict: ``found`` must not be over ``limit``."""

    name: str
    found: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether it is within the limit (a value that is no number is not)."""
        return self.found <= self.limit


def growth_per_1000(samples: Sequence[Sample], values: Sequence[float]) -> float:
    """Slope of ``values`` by objects that came into the world, times 1,000 (least squares)."""
    placed = np.array([sample.placed for sample in samples], float)
    if np.ptp(placed) == 0:
        return 0.0
    return float(np.polyfit(placed, np.asarray(values, float), 1)[0]) * 1000


def judge(samples: Sequence[Sample]) -> list[Check]:
    """Verdicts over a run. Growth counts from its second third on: caches and pages have filled by then."""
    settled = samples[len(samples) // 3 :]
    memory = [
        Check(f"{name}: MB more", _growth([s.rss_mb.get(name, math.inf) for s in settled]), _GROWTH_MB)
        for name in samples[-1].rss_mb
    ]
    return [
        *memory,
        Check("processes gone", len(set(samples[0].rss_mb) - set(samples[-1].rss_mb)), 0),
        Check("GL objects more", _growth([s.gl_objects for s in settled]), _GROWTH_GL),
        Check("Python objects more", _growth([s.python_objects for s in settled]), _GROWTH_PYTHON),
        Check("meshes without an object more", _growth([s.meshes_without_object for s in settled]), _GROWTH_MESHES),
        Check("arena in use for nothing, MB more", _growth([s.arena_stray_mb for s in settled]), _GROWTH_ARENA_MB),
        Check("slots more", _growth([s.slots for s in settled]), _GROWTH_SLOTS),
        Check("main_ms late over early", _late_over_early([s.main_ms for s in samples]), _SLOWER),
    ]


def _growth(values: Sequence[float]) -> float:
    """Median of the last third less median of the first."""
    third = max(1, len(values) // 3)
    return float(np.median(values[-third:]) - np.median(values[:third]))


def _late_over_early(values: Sequence[float]) -> float:
    third = max(1, len(values) // 3)
    return float(np.median(values[-third:]) / np.median(values[:third]))
