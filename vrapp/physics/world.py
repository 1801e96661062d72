"""What is held, thrown, dropped and stacked moves by MuJoCo; everything else stands still and costs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vrapp.core import maths
from vrapp.core.events import Act, Event
from vrapp.core.maths import Array
from vrapp.core.mesh import Mesh
from vrapp.core.pose import Pose
from vrapp.core.scene import NO_HANDLE, ObjectState, SceneArrays, handle_of, slot_of
from vrapp.physics.hull import Hull, box_hull, hull_of
from vrapp.physics.neighbours import near_still, resting_on
from vrapp.physics.pool import BodyPool

SUBSTEP_S = 1 / 240
LONGEST_FRAME_S = 0.1  # a longer frame slows the world down rather than the world the frame
_STILL_M_S, _STILL_RAD_S, _STILL_S = 0.06, 0.25, 0.3
_HULLS_A_FRAME = 2  # about 1 ms each
_LIFE_S = 12.0  # whatever has not come to rest by then is stopped
_MAX_M_S, _MAX_RAD_S = 15.0, 25.0
_RELEASE_RAD_S = 12.0
_WORLD_M = 1000.0
_UPRIGHT = 0.985  # cosine of 10°
_RIGHTING_RAD_S = 2.5  # how fast it gets up
_LIGHT_KG, _MOVABLE_KG, _KG_M3 = 4.0, 60.0, 120.0


class _Motion(NamedTuple):
    """Of one held body in one frame."""

    body: int
    start: Pose
    target: Pose
    velocity: np.ndarray  # (6,) as in qvel


class PhysicsWorld:
    """Moves held and flying objects, in place, in the scene's arrays; writes states HELD, FLYING and RESTING.

    ``moving``: how many objects can be in motion at once; ``fixed``: how many still ones near them count as
    obstacles. Deterministic given the calls. One thread.
    """

    def __init__(self, moving: int = 24, fixed: int = 40) -> None:
        self._pool = BodyPool(moving, fixed)
        # Columns by moving body:
        self._handle = np.full(moving, NO_HANDLE, np.int64)
        self._held = np.zeros(moving, bool)
        self._age_s = np.zeros(moving)
        self._still_s = np.zeros(moving)
        self._last: list[Pose] = [Pose()] * moving  # of what is held, a frame ago
        self._body: dict[int, int] = {}  # handle → moving body
        self._fixed: dict[int, int] = {}  # handle → fixed body
        self._free_fixed = list(range(moving, moving + fixed))[::-1]
        self._meshes: dict[int, Mesh] = {}  # of objects whose hull is not known yet
        self._hulls: dict[int, Hull] = {}
        self._leaving: set[int] = set()
        self._hulls_left = _HULLS_A_FRAME
        box_hull(np.array([[-0.5] * 3, [0.5] * 3], np.float32))  # MuJoCo's compiler starts now, not at the first grab

    @property
    def active(self) -> int:
        """How many objects move or are held."""
        return len(self._body)

    def added(self, handle: int, mesh: Mesh) -> None:
        """Tell the shape of an object. Its hull is worked out when it is first needed."""
        self._meshes[handle] = Mesh((), mesh.box, mesh.hull)

    def removed(self, handle: int) -> None:
        """Tell that the object is gone."""
        self._drop(handle)
        self._unfix(handle)
        self._meshes.pop(handle, None)
        self._hulls.pop(handle, None)
        self._leaving.discard(handle)

    def update(self, arrays: SceneArrays, events: Sequence[Event], carried: Mapping[int, Pose], dt_s: float) -> None:
        """One frame. ``carried``: world pose of what is in a hand, by handle; events RELEASE and THROW let go."""
        dt_s = float(np.clip(np.nan_to_num(dt_s), 0.0, LONGEST_FRAME_S))
        self._hulls_left = _HULLS_A_FRAME
        carried = {h: p for h, p in carried.items() if slot_of(arrays, h) is not None and _finite(p)}
        for handle in [h for h in self._body if slot_of(arrays, h) is None]:
            self._drop(handle)
        for handle in carried:
            self._hold(arrays, handle)
        self._let_go(arrays, events, carried)
        self._follow_leaving(arrays)
        if not self._body or dt_s <= 0:
            return
        self._prepare(arrays, dt_s)
        self._right(arrays)
        self._put_strays_back(arrays)
        steps = max(1, round(dt_s / SUBSTEP_S))
        motions = self._motions(carried, dt_s)
        for i in range(steps):
            self._carry(motions, (i + 1) / steps)
            self._pool.step(dt_s / steps)
        _limit(self._pool.qvel)
        self._write_back(arrays, carried)
        self._settle(arrays, dt_s)

    # In and out of the pool.

    def _activate(self, arrays: SceneArrays, slot: int, held: bool) -> None:
        handle = handle_of(arrays, slot)
        if handle in self._body:
            return
        if (self._handle != NO_HANDLE).all():
            if self._held.all():
                return
            oldest = int(np.argmax(np.where(self._held, -1, self._age_s)))
            self._rest(arrays, int(self._handle[oldest]))
        self._unfix(handle)
        body = int(np.flatnonzero(self._handle == NO_HANDLE)[0])
        pose = Pose(arrays.position[slot].copy(), arrays.orientation[slot].copy())
        hull, size = self._hull(handle, arrays, slot), float(arrays.size[slot])
        self._pool.put(body, hull, size, pose.position, pose.orientation)
        self._body[handle] = body
        self._handle[body], self._held[body], self._last[body] = handle, held, pose
        self._age_s[body] = self._still_s[body] = 0.0
        arrays.state[slot] = ObjectState.HELD if held else ObjectState.FLYING

    def _drop(self, handle: int) -> None:
        body = self._body.pop(handle, None)
        if body is not None:
            self._pool.park(body)
            self._handle[body], self._held[body] = NO_HANDLE, False

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

    def _hull(self, handle: int, arrays: SceneArrays, slot: int) -> Hull:
        """The object's hull, or its box where this frame has worked out enough hulls already."""
        if handle not in self._hulls:
            mesh, box = self._meshes.get(handle), arrays.box[slot]
            if mesh is None or self._hulls_left <= 0:
                return box_hull(box)
            self._hulls_left -= 1
            self._hulls[handle] = hull_of(self._meshes.pop(handle).hull, box)
        return self._hulls[handle]

    # What the hands do.

    def _hold(self, arrays: SceneArrays, handle: int) -> None:
        slot, body = slot_of(arrays, handle), self._body.get(handle)
        if slot is None or (body is not None and self._held[body]):
            return
        for above in resting_on(arrays, slot):
            self._activate(arrays, int(above), held=False)
        self._activate(arrays, slot, held=True)
        if body is not None:  # caught in flight
            self._last[body] = Pose(arrays.position[slot].copy(), arrays.orientation[slot].copy())
            self._held[body] = True
            arrays.state[slot] = ObjectState.HELD

    def _let_go(self, arrays: SceneArrays, events: Sequence[Event], carried: Mapping[int, Pose]) -> None:
        velocity = {e.handle: e.velocity for e in events if e.act in (Act.RELEASE, Act.THROW)}
        for body in np.flatnonzero(self._held):
            handle = int(self._handle[body])
            slot = slot_of(arrays, handle)
            if handle in carried or slot is None:
                continue
            self._held[body] = False
            self._age_s[body] = self._still_s[body] = 0.0
            arrays.state[slot] = ObjectState.FLYING
            linear = velocity.get(handle)
            v = np.zeros(3) if linear is None else np.nan_to_num(np.asarray(linear, float))
            spin = self._pool.qvel[body, 3:]  # in the body's own frame, as the last carry left it
            keep = _RELEASE_RAD_S / max(float(np.linalg.norm(spin)), _RELEASE_RAD_S) if v.any() else 0.0
            self._pool.qvel[body] = [*v, *(spin * keep)]
        _limit(self._pool.qvel)

    def _motions(self, carried: Mapping[int, Pose], dt_s: float) -> list[_Motion]:
        """How each held body moves this frame: from where it was to where the hand has it, as fast as the hand."""
        motions = []
        for body in np.flatnonzero(self._held):
            start, target = self._last[body], carried[int(self._handle[body])]
            linear = (target.position - start.position) / dt_s
            velocity = np.array([[*linear, *_spin(start.orientation, target.orientation, dt_s)]])
            _limit(velocity)
            motions.append(_Motion(int(body), start, target, velocity[0]))
        return motions

    def _carry(self, motions: list[_Motion], share: float) -> None:
        """Put what is held a share of the way along."""
        for m in motions:
            position = m.start.position + (m.target.position - m.start.position) * np.float32(share)
            self._pool.place(m.body, position, maths.quat_slerp(m.start.orientation, m.target.orientation, share))
            self._pool.qvel[m.body] = m.velocity

    def _follow_leaving(self, arrays: SceneArrays) -> None:
        """What lies on something that shrinks away falls."""
        for slot in np.flatnonzero(arrays.state == ObjectState.SHRINKING):
            handle = handle_of(arrays, int(slot))
            if handle not in self._leaving:
                self._leaving.add(handle)
                self._unfix(handle)
                for above in resting_on(arrays, int(slot)):
                    self._activate(arrays, int(above), held=False)

    # What is near.

    def _used(self) -> tuple[np.ndarray, np.ndarray]:
        """Bodies in use and the slots of their objects."""
        bodies = np.flatnonzero(self._handle != NO_HANDLE)
        return bodies, self._handle[bodies] & 0xFFFFFFFF

    def _prepare(self, arrays: SceneArrays, dt_s: float) -> None:
        """Wake what will be hit (or it would throw everything back like a wall); make obstacles of the rest."""
        bodies, slots = self._used()
        speed = np.linalg.norm(self._pool.qvel[bodies, :3], axis=1)
        i, near, gap = near_still(arrays, slots, 0.15 + 0.1 * speed)
        volume = np.ptp(arrays.box[near], axis=1).prod(1) * arrays.size[near] ** 3
        held = self._held[bodies][i]
        limit = np.where(held, _LIGHT_KG, np.minimum(_MOVABLE_KG, 12 * self._pool.mass[bodies][i]))
        hit = (volume * _KG_M3 < limit) & ((speed[i] > 1.0) | held) & (gap < 0.02 + 1.5 * dt_s * speed[i])
        for slot in sorted(set(near[hit].tolist())):
            self._activate(arrays, slot, held=False)
        still = near[arrays.state[near] == ObjectState.RESTING]
        self._fix({handle_of(arrays, s): s for s in sorted(set(still.tolist()))}, arrays)

    def _fix(self, wanted: dict[int, int], arrays: SceneArrays) -> None:
        for handle in [h for h in self._fixed if h not in wanted]:
            self._unfix(handle)
        for handle, slot in wanted.items():
            if handle not in self._fixed and self._free_fixed:
                body = self._fixed[handle] = self._free_fixed.pop()
                hull, size = self._hull(handle, arrays, slot), float(arrays.size[slot])
                self._pool.put(body, hull, size, arrays.position[slot], arrays.orientation[slot])

    # What happens to the moving ones.

    def _right(self, arrays: SceneArrays) -> None:
        """Things that lie on their side get up: turned calmly, with enough torque to lift them over their edge."""
        bodies, slots = self._used()
        calm = np.linalg.norm(self._pool.qvel[bodies, :3], axis=1) < 1.2
        calm &= self._pool.touching()[bodies] & ~self._held[bodies]
        if not calm.any():
            self._pool.turn(bodies, np.zeros((len(bodies), 3)), np.zeros(len(bodies)))
            return
        up = maths.rotate(arrays.orientation[slots], maths.vec3(0, 1, 0)).astype(float)
        calm &= up[:, 1] < _UPRIGHT
        axis = np.stack([-up[:, 2], 0 * up[:, 0], up[:, 0]], 1)  # up × (0, 1, 0)
        length = np.linalg.norm(axis, axis=1, keepdims=True)
        axis = np.where(length > 1e-3, axis / np.maximum(length, 1e-3), [1.0, 0, 0])
        sideways = np.stack([-axis[:, 2], 0 * up[:, 0], axis[:, 0]], 1)
        local = maths.rotate(maths.quat_conjugate(arrays.orientation[slots]), sideways)
        lever = np.einsum("nk,nk->n", np.abs(local), np.ptp(arrays.box[slots], axis=1)) * arrays.size[slots] / 2
        most = 1.6 * 9.81 * self._pool.mass[bodies] * lever * calm
        tilt = np.arccos(np.clip(up[:, 1], -1, 1))
        self._pool.turn(bodies, axis * (most * np.minimum(1.5 * tilt, 1.0))[:, None], most / _RIGHTING_RAD_S)

    def _write_back(self, arrays: SceneArrays, carried: Mapping[int, Pose]) -> None:
        bodies, slots = self._used()
        position, turn = self._pool.poses(bodies)
        sane = np.isfinite(position).all(1) & np.isfinite(turn).all(1)
        held = self._held[bodies]
        moved = sane & ~held
        arrays.position[slots[moved]], arrays.orientation[slots[moved]] = position[moved], turn[moved]
        for body, slot in zip(bodies[held], slots[held], strict=True):
            pose = self._last[body] = carried[int(self._handle[body])]
            arrays.position[slot], arrays.orientation[slot] = pose.position, pose.orientation

    def _settle(self, arrays: SceneArrays, dt_s: float) -> None:
        """Count how long each has been still, and put to rest what has been long enough."""
        loose = (self._handle != NO_HANDLE) & ~self._held
        v = self._pool.qvel
        still = (np.linalg.norm(v[:, :3], axis=1) < _STILL_M_S) & (np.linalg.norm(v[:, 3:], axis=1) < _STILL_RAD_S)
        self._age_s[loose] += dt_s
        self._still_s = np.where(still & loose, self._still_s + dt_s, 0.0)
        for body in np.flatnonzero(loose & ((self._still_s > _STILL_S) | (self._age_s > _LIFE_S))):
            self._rest(arrays, int(self._handle[body]))

    def _put_strays_back(self, arrays: SceneArrays) -> None:
        """Bodies that left the world, sank or are not numbers stand on the ground again where they last were."""
        bodies, slots = self._used()
        q, v = self._pool.qpos[bodies], self._pool.qvel[bodies]
        good = np.isfinite(q).all(1) & np.isfinite(v).all(1) & (np.abs(q[:, :3]) < _WORLD_M).all(1)
        good &= q[:, 1] > -0.5 * arrays.radius[slots]
        for body, slot in zip(bodies[~good], slots[~good], strict=True):
            if not self._held[body]:
                self._stand_up(arrays, int(slot), int(self._handle[body]))

    def _stand_up(self, arrays: SceneArrays, slot: int, handle: int) -> None:
        x, _, z = np.clip(np.nan_to_num(arrays.position[slot]), -_WORLD_M, _WORLD_M)
        arrays.position[slot] = maths.vec3(x, -float(arrays.box[slot, 0, 1] * arrays.size[slot]), z)
        arrays.orientation[slot] = maths.quat_from_axis_angle((0, 1, 0), maths.yaw_of(arrays.orientation[slot]))
        self._rest(arrays, handle)


def _finite(pose: Pose) -> bool:
    return bool(np.isfinite(pose.position).all() and np.isfinite(pose.orientation).all())


def _spin(a: Array, b: Array, dt_s: float) -> np.ndarray:
    """Angular velocity (3,) in the body's frame that turns ``a`` into ``b`` in ``dt_s``."""
    d = maths.quat_multiply(maths.quat_conjugate(a), b).astype(float)
    d = -d if d[3] < 0 else d
    length = float(np.linalg.norm(d[:3]))
    return np.zeros(3) if length < 1e-9 else d[:3] / length * (2 * np.arctan2(length, d[3]) / dt_s)


def _limit(qvel: np.ndarray) -> None:
    """Hold linear and angular speeds within bounds, in place."""
    for part, most in ((slice(0, 3), _MAX_M_S), (slice(3, 6), _MAX_RAD_S)):
        speed = np.linalg.norm(qvel[:, part], axis=1, keepdims=True)
        qvel[:, part] *= np.minimum(1.0, most / np.maximum(speed, 1e-9))
