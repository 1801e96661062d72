"""What is held, thrown, dropped and stacked moves by MuJoCo; everything else stands still and costs nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

import numpy as np

from vrapp.core import floats, maths
from vrapp.core.events import Act, Event
from vrapp.core.maths import Array
from vrapp.core.mesh import Mesh
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState, SceneArrays, handle_of, slot_of
from vrapp.physics.hull import Hull, box_hull, hull_of
from vrapp.physics.moving import Motion, Moving
from vrapp.physics.neighbours import Neighbourhood, resting_on
from vrapp.physics.pool import MAX_M_S, MAX_RAD_S, BodyPool, limited

SUBSTEP_S = 1 / 150
LONGEST_FRAME_S = 0.1  # a longer frame slows the world down rather than the world the frame
_STILL_M_S, _STILL_RAD_S, _STILL_S = 0.06, 0.25, 0.3
_LIFE_S = 12.0  # whatever has not come to rest by then is stopped
_RELEASE_RAD_S = 12.0
_WORLD_M = 1000.0
_UPRIGHT, _QUITE_UPRIGHT = 0.985, 0.998  # cosines of 10° and 4°: what gets up goes on past the angle it began at
_CALM_M_S = 1.2
_FIXED_AHEAD = 3  # obstacles made a frame, 0.1 ms each, beside those that may be touched at once
_EFFORT_S = 3.0  # so long something tries to get up: half a turn takes 1.3 s, and what stands on an edge can't
_RIGHTING_RAD_S = 2.5  # how fast it gets up
_SHRINKING = bytes((ObjectState.SHRINKING,))  # of SceneArrays.state
_LIGHT_KG, _MOVABLE_KG, _KG_M3 = 4.0, 60.0, 120.0


class PhysicsWorld:
    """Moves held and flying objects, in place, in the scene's arrays; writes states HELD, FLYING and RESTING.

    ``moving``: how many objects can be in motion at once; ``fixed``: how many still ones near them count as
    obstacles; ``few``: the same of the pool that serves until one of its numbers is passed, as a step costs by
    the bodies that a pool has. Deterministic given the calls. One thread.
    """

    def __init__(self, moving: int = 16, fixed: int = 24, few: tuple[int, int] = (4, 12)) -> None:
        self._small, self._large = BodyPool(*few), BodyPool(moving, fixed)
        self._moving: dict[int, Moving] = {}  # by handle
        self._around = Neighbourhood()
        self._fixed: dict[int, int] = {}  # handle → fixed body
        self._enter(self._small)
        self._supports: dict[int, Array] = {}  # support points by handle, in the unit cube
        self._hulls: dict[int, Hull] = {}
        self._leaving: set[int] = set()
        self._reshaped: set[int] = set()

    @property
    def active(self) -> int:
        """How many objects move or are held."""
        return len(self._moving)

    def added(self, handle: int, mesh: Mesh) -> None:
        """Tell the shape of an object. Its hull is worked out now (about 1 ms): one object comes in a frame at most,
        but one throw may need the hulls of a dozen."""
        self._supports[handle], self._hulls[handle] = mesh.hull, hull_of(mesh.hull, mesh.box)

    def reshaped(self, handle: int, mesh: Mesh) -> None:
        """Tell that an object has another shape; what stood still settles anew. A new size shows by itself."""
        self.added(handle, mesh)
        self._reshaped.add(handle)

    def removed(self, handle: int) -> None:
        """Tell that the object is gone."""
        self._drop(handle)
        self._unfix(handle)
        self._supports.pop(handle, None)
        self._hulls.pop(handle, None)
        self._leaving.discard(handle)
        self._reshaped.discard(handle)

    def lowest_m(self, arrays: SceneArrays, slot: int) -> float:
        """Metres over the ground of the lowest of a known object's support points (its box's corners may be lower)."""
        points = maths.rotate(arrays.orientation[slot], self._supports[handle_of(arrays, slot)])
        return float(points[:, 1].min()) * float(arrays.size[slot]) + float(arrays.position[slot, 1])

    def update(
        self, arrays: SceneArrays, events: Sequence[Event], carried: Mapping[int, Pose], dt_s: float,
        budget_s: float = math.inf,
    ) -> None:  # fmt: skip
        """One frame. ``carried``: world pose of what is in a hand, by handle; events RELEASE and THROW let go.

        ``budget_s``: where steps have taken so long, what is loose goes on in the next frame, more slowly than time.
        """
        idle = self._pool is self._small and not (carried or self._moving or self._reshaped)
        if idle and _SHRINKING not in arrays.state.tobytes():  # as in many frames; numpy would take three times as long
            return
        dt_s = 0.0 if math.isnan(dt_s) else min(max(dt_s, 0.0), LONGEST_FRAME_S)
        carried = {h: p for h, p in carried.items() if slot_of(arrays, h) is not None and p.sound}
        for handle in [h for h in self._moving if slot_of(arrays, h) is None]:
            self._drop(handle)
        for handle in carried:
            self._hold(arrays, handle)
        self._let_go(arrays, events, carried)
        self._follow_leaving(arrays)
        self._refit(arrays)
        if not self._moving and self._pool is self._large:
            self._change_pool(self._small, arrays)
        if not self._moving or dt_s <= 0:
            return
        self._prepare(arrays, dt_s)
        self._right(arrays, dt_s)
        loose = any(not moving.held for moving in self._moving.values())
        steps = max(1, round(dt_s / SUBSTEP_S)) if loose else 1
        motions = self._motions(carried, dt_s)
        sound, share = self._step(motions, steps, dt_s, loose, time.perf_counter() + budget_s)
        dt_s *= share
        for moving in list(self._moving.values()):
            if moving.held:
                pose = moving.last = carried[moving.handle]
                arrays.position[moving.slot], arrays.orientation[moving.slot] = pose.position, pose.orientation
            elif sound:
                self._write_back(arrays, moving, dt_s)
            else:
                self._stand_up(arrays, moving.slot, moving.handle)

    def _step(self, motions: list[Motion], steps: int, dt_s: float, loose: bool, ends_s: float) -> tuple[bool, float]:
        """Whether MuJoCo is still sound, and the share of ``dt_s`` that there was time for."""
        sound, done = True, 0
        while done < steps and (done == 0 or time.perf_counter() < ends_s):
            done += 1
            self._carry(motions, done / steps)
            if loose and sound:
                sound = self._pool.step(dt_s / steps)
        if done < steps:
            self._carry(motions, 1.0)  # what is held goes where the hands go
        return sound, done / steps

    # In and out of the pool.

    def _enter(self, pool: BodyPool) -> None:
        self._pool = pool
        self._free_moving = list(range(pool.moving))  # a heap
        self._free_fixed = list(range(pool.moving, pool.moving + pool.fixed))[::-1]

    def _change_pool(self, pool: BodyPool, arrays: SceneArrays) -> None:
        """What moves goes on in another pool; obstacles are made anew when they are next asked for."""
        for handle in list(self._fixed):
            self._unfix(handle)
        before = self._pool
        self._enter(pool)
        for m in self._moving.values():
            velocity = before.qvel[m.body].copy()
            before.park(m.body)
            m.body, m.turned = heappop(self._free_moving), False
            self._put(m.body, arrays, m.slot)
            pool.qvel[m.body] = velocity

    def _activate(self, arrays: SceneArrays, slot: int, held: bool) -> None:
        handle = handle_of(arrays, slot)
        if handle in self._moving:
            return
        if not self._free_moving and self._pool is self._small:
            self._change_pool(self._large, arrays)
        if not self._free_moving:
            loose = [m for m in self._moving.values() if not m.held]
            if not loose:
                return
            self._rest(arrays, max(loose, key=lambda m: m.age_s).handle)
        self._unfix(handle)
        body = heappop(self._free_moving)
        pose = Pose(arrays.position[slot].copy(), arrays.orientation[slot].copy())
        self._put(body, arrays, slot)
        self._moving[handle] = Moving(handle, body, held, pose, float(arrays.size[slot]))
        arrays.state[slot] = ObjectState.HELD if held else ObjectState.FLYING

    def _refit(self, arrays: SceneArrays) -> None:
        """Bodies follow their objects' shape and size."""
        for handle in sorted(self._reshaped):
            slot = slot_of(arrays, handle)
            if slot is not None:
                self._activate(arrays, slot, held=False)
        for m in self._moving.values():
            size = float(arrays.size[m.slot])
            if size != m.size or m.handle in self._reshaped:
                self._put(m.body, arrays, m.slot)
                m.size = size
        self._reshaped.clear()

    def _drop(self, handle: int) -> None:
        moving = self._moving.pop(handle, None)
        if moving is not None:
            self._pool.park(moving.body)
            heappush(self._free_moving, moving.body)

    def _rest(self, arrays: SceneArrays, handle: int) -> None:
        slot = slot_of(arrays, handle)
        if slot is not None:
            arrays.state[slot] = ObjectState.RESTING
        self._drop(handle)

    def _unfix(self, handle: int) -> None:
        body = self._fixed.pop(handle, None)
        if body is not None:
            self._pool.park(body)
            self._free_fixed.append(body)

    def _put(self, body: int, arrays: SceneArrays, slot: int) -> None:
        """Give a body the object's shape, size and pose."""
        hull = self._hulls.get(handle_of(arrays, slot)) or box_hull(arrays.box[slot])
        self._pool.put(body, hull, float(arrays.size[slot]), arrays.position[slot], arrays.orientation[slot])

    # What the hands do.

    def _hold(self, arrays: SceneArrays, handle: int) -> None:
        slot, moving = slot_of(arrays, handle), self._moving.get(handle)
        if slot is None or (moving is not None and moving.held):
            return
        for above in resting_on(arrays, slot):
            self._activate(arrays, above, held=False)
        self._activate(arrays, slot, held=True)
        if moving is not None:  # caught in flight
            moving.last = Pose(arrays.position[slot].copy(), arrays.orientation[slot].copy())
            moving.held = True
            arrays.state[slot] = ObjectState.HELD

    def _let_go(self, arrays: SceneArrays, events: Sequence[Event], carried: Mapping[int, Pose]) -> None:
        for moving in self._moving.values():
            if not moving.held or moving.handle in carried:
                continue
            moving.held = False
            moving.age_s = moving.still_s = moving.effort_s = 0.0
            arrays.state[moving.slot] = ObjectState.FLYING
            told = [e.velocity for e in events if e.handle == moving.handle and e.act in (Act.RELEASE, Act.THROW)]
            linear = np.zeros(3) if not told or told[-1] is None else np.nan_to_num(np.asarray(told[-1], float))
            spin = self._pool.qvel[moving.body, 3:]  # in the body's own frame, as the last carry left it
            keep = _RELEASE_RAD_S / max(float(np.linalg.norm(spin)), _RELEASE_RAD_S) if linear.any() else 0.0
            self._pool.qvel[moving.body] = limited([*linear.tolist(), *(spin * keep).tolist()])

    def _motions(self, carried: Mapping[int, Pose], dt_s: float) -> list[Motion]:
        """How each held body moves this frame: from where it was to where the hand has it, as fast as the hand."""
        motions = []
        for moving in self._moving.values():
            if moving.held:
                start, end = (
                    self._pool.inertial(moving.body, pose.position.tolist(), pose.orientation.tolist())
                    for pose in (moving.last, carried[moving.handle])
                )
                linear = [(b - a) / dt_s for a, b in zip(start[0], end[0], strict=True)]
                velocity = limited([*linear, *floats.spin(start[1], end[1], dt_s)])
                motions.append(Motion(moving.body, start, end, velocity))
        return motions

    def _carry(self, motions: list[Motion], share: float) -> None:
        """Put what is held a share of the way along."""
        for m in motions:
            at = [a + (b - a) * share for a, b in zip(m.start[0], m.end[0], strict=True)]
            self._pool.move(m.body, at, floats.slerp(m.start[1], m.end[1], share), m.velocity)

    def _follow_leaving(self, arrays: SceneArrays) -> None:
        """What lies on something that shrinks away falls."""
        leaving = arrays.slots_in(ObjectState.SHRINKING).tolist() if _SHRINKING in arrays.state.tobytes() else ()
        for slot in leaving:
            handle = handle_of(arrays, slot)
            if handle not in self._leaving:
                self._leaving.add(handle)
                self._unfix(handle)
                for above in resting_on(arrays, slot):
                    self._activate(arrays, above, held=False)

    # What is near.

    def _prepare(self, arrays: SceneArrays, dt_s: float) -> None:
        """Wake what will be hit (or it would throw everything back like a wall); make obstacles of the rest."""
        moving = list(self._moving.values())
        speeds = [math.hypot(*self._pool.qvel[m.body, :3].tolist()) for m in moving]
        near: set[int] = set()
        soon: set[int] = set()  # may be touched before the next frame
        hit: set[int] = set()
        reach_m = [0.15 + 0.1 * speed for speed in speeds]
        for i, slot, gap in self._around.near(arrays, [m.handle for m in moving], reach_m):
            near.add(slot)
            if gap < 0.02 + 1.5 * dt_s * speeds[i]:
                soon.add(slot)
                if (moving[i].held or speeds[i] > 1.0) and self._movable(arrays, slot, moving[i]):
                    hit.add(slot)
        for slot in sorted(hit):
            self._activate(arrays, slot, held=False)
        first = sorted(near, key=lambda slot: (slot not in soon, slot))
        still = {handle_of(arrays, s): s for s in first if int(arrays.state[s]) == ObjectState.RESTING}
        self._fix(still, arrays, len(soon) + _FIXED_AHEAD)

    def _movable(self, arrays: SceneArrays, slot: int, by: Moving) -> bool:
        """Is a still object light enough to give way?"""
        (a, b, c), (d, e, f) = arrays.box[slot].tolist()
        mass_kg: float = _KG_M3 * (d - a) * (e - b) * (f - c) * float(arrays.size[slot]) ** 3
        return mass_kg < (_LIGHT_KG if by.held else min(_MOVABLE_KG, 12 * self._pool.mass[by.body]))

    def _fix(self, wanted: dict[int, int], arrays: SceneArrays, most: int) -> None:
        """Make obstacles of these, by handle, of the first ``most`` that are not yet; the others can wait a frame.

        What else is an obstacle stays it until its body is needed: it stands still.
        """
        if len(wanted) > self._pool.fixed and self._pool is self._small:
            self._change_pool(self._large, arrays)
        for handle, slot in wanted.items():
            if handle in self._fixed:
                continue
            if most <= 0:
                return
            if not self._free_fixed:
                unwanted = next((h for h in self._fixed if h not in wanted), None)
                if unwanted is None:
                    return
                self._unfix(unwanted)
            most -= 1
            body = self._fixed[handle] = self._free_fixed.pop()
            self._put(body, arrays, slot)

    # What happens to the moving ones.

    def _right(self, arrays: SceneArrays, dt_s: float) -> None:
        """Things that lie on their side get up: turned calmly, with enough torque to lift them over their edge."""
        lying = {}
        for m in self._moving.values():
            axes = floats.axes(arrays.orientation[m.slot].tolist())
            enough = _QUITE_UPRIGHT if m.turned else _UPRIGHT
            if not m.held and axes[1][1] < enough and math.hypot(*self._pool.qvel[m.body, :3].tolist()) < _CALM_M_S:
                lying[m.body] = axes
        touching = self._pool.touching() if lying else ()
        for m in self._moving.values():
            if m.body in lying and m.body in touching and m.effort_s < _EFFORT_S:
                m.turned = True
                m.effort_s += dt_s
                self._get_up(arrays, m, lying[m.body])
            elif m.turned:
                m.turned = False
                self._pool.turn(m.body, (0.0, 0.0, 0.0), 0.0)

    def _get_up(self, arrays: SceneArrays, moving: Moving, axes: Sequence[floats.Vector]) -> None:
        """Turn an object, whose axes these are, towards upright."""
        x, y, z = axes[1]
        length = math.hypot(x, z)
        about_x, about_z = (-z / length, x / length) if length > 1e-3 else (1.0, 0.0)  # up × (0, 1, 0)
        lower, upper = arrays.box[moving.slot]
        extent = (upper - lower).tolist()
        sideways = [abs(about_x * axis[2] - about_z * axis[0]) for axis in axes]
        lever_m = sum(map(float.__mul__, sideways, extent)) * float(arrays.size[moving.slot]) / 2
        most = 1.6 * 9.81 * self._pool.mass[moving.body] * lever_m
        torque = most * min(1.5 * math.acos(min(max(y, -1.0), 1.0)), 1.0)
        self._pool.turn(moving.body, (about_x * torque, 0.0, about_z * torque), most / _RIGHTING_RAD_S)

    def _write_back(self, arrays: SceneArrays, moving: Moving, dt_s: float) -> None:
        """Take over a loose body's pose, and put to rest what has been still long enough.

        Bodies that left the world, sank or are not numbers stand on the ground again where they last were.
        """
        body, slot = moving.body, moving.slot
        at, velocity = self._pool.qpos[body].tolist(), self._pool.qvel[body].tolist()
        inside = max(map(abs, at[:3])) < _WORLD_M and at[1] > -0.5 * float(arrays.radius[slot])
        if not inside or not all(map(math.isfinite, (*at, *velocity))):
            self._stand_up(arrays, slot, moving.handle)
            return
        arrays.position[slot], arrays.orientation[slot] = self._pool.pose(body)
        linear, angular = math.hypot(*velocity[:3]), math.hypot(*velocity[3:])
        if linear > MAX_M_S or angular > MAX_RAD_S:
            self._pool.qvel[body] = limited(velocity)
        moving.age_s += dt_s
        moving.still_s = moving.still_s + dt_s if linear < _STILL_M_S and angular < _STILL_RAD_S else 0.0
        if moving.still_s > _STILL_S or moving.age_s > _LIFE_S:
            self._rest(arrays, moving.handle)

    def _stand_up(self, arrays: SceneArrays, slot: int, handle: int) -> None:
        x, _, z = np.clip(np.nan_to_num(arrays.position[slot]), -_WORLD_M, _WORLD_M)
        arrays.position[slot] = maths.vec3(x, -float(arrays.box[slot, 0, 1] * arrays.size[slot]), z)
        arrays.orientation[slot] = maths.quat_from_axis_angle((0, 1, 0), maths.yaw_of(arrays.orientation[slot]))
        self._rest(arrays, handle)
