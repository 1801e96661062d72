"""What is held, thrown, dropped and stacked moves by MuJoCo; everything else stands still and costs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vrapp.core import maths
from vrapp.core.events import Act, Event
from vrapp.core.maths import Array
from vrapp.core.mesh import Mesh
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState, SceneArrays, handle_of, slot_of
from vrapp.physics.hull import Hull, box_hull, hull_of
from vrapp.physics.neighbours import resting_on, touching_boxes
from vrapp.physics.pool import BodyPool

SUBSTEP_S = 1 / 240
LONGEST_FRAME_S = 0.1  # a longer frame slows the world down rather than the world the frame
_STILL_M_S, _STILL_RAD_S, _STILL_S = 0.06, 0.25, 0.3
_LIFE_S = 12.0  # whatever has not come to rest by then is stopped
_MAX_M_S, _MAX_RAD_S = 15.0, 25.0
_WORLD_M = 1000.0
_UPRIGHT = 0.985  # cosine of 10°
_RIGHTING_S = 4.0  # how long a thing tries to stand up
_LIGHT_KG, _MOVABLE_KG = 4.0, 60.0


@dataclass
class _Moving:
    """One object in the pool."""

    handle: int
    body: int
    held: bool
    age_s: float = 0.0
    still_s: float = 0.0
    from_pose: Pose = field(default_factory=Pose)  # of what is held, at the last frame
    spin: Array = field(default_factory=lambda: np.zeros(3, np.float32))


class PhysicsWorld:
    """Moves held and flying objects, in place, in the scene's arrays; writes states HELD, FLYING and RESTING.

    ``moving``: how many objects can be in motion at once; ``fixed``: how many still ones near them count as
    obstacles. Deterministic given the calls. One thread.
    """

    def __init__(self, moving: int = 24, fixed: int = 40) -> None:
        self._pool = BodyPool(moving, fixed)
        self._moving: dict[int, _Moving] = {}  # by handle
        self._fixed: dict[int, int] = {}  # handle → body
        self._free_moving = list(range(moving))[::-1]
        self._free_fixed = list(range(moving, moving + fixed))[::-1]
        self._meshes: dict[int, Mesh] = {}  # of objects whose hull is not known yet
        self._hulls: dict[int, Hull] = {}
        self._leaving: set[int] = set()

    @property
    def active(self) -> int:
        """How many objects move or are held."""
        return len(self._moving)

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
        carried = {h: p for h, p in carried.items() if slot_of(arrays, h) is not None and _finite(p)}
        for handle in carried:
            self._hold(arrays, handle)
        self._let_go(arrays, events, carried)
        self._follow_leaving(arrays)
        if not self._moving or dt_s <= 0:
            return
        self._wake_ahead(arrays, dt_s)
        self._fix_near(arrays)
        before = {h: m.from_pose for h, m in self._moving.items() if m.held}
        steps = max(1, round(dt_s / SUBSTEP_S))
        for i in range(steps):
            self._carry(carried, before, (i + 1) / steps, dt_s)
            self._right(arrays)
            self._pool.step(dt_s / steps)
        self._write_back(arrays, carried, dt_s)

    # In and out of the pool.

    def _activate(self, arrays: SceneArrays, slot: int, held: bool) -> _Moving | None:
        handle = handle_of(arrays, slot)
        if handle in self._moving:
            return self._moving[handle]
        if not self._free_moving:
            loose = [m for m in self._moving.values() if not m.held]
            if not loose:
                return None
            oldest = max(loose, key=lambda m: m.age_s)
            self._rest(arrays, oldest)
        self._unfix(handle)
        body = self._free_moving.pop()
        pose = Pose(arrays.position[slot].copy(), arrays.orientation[slot].copy())
        self._pool.put(body, self._hull(handle, arrays, slot), float(arrays.size[slot]), *_parts(pose))
        self._moving[handle] = _Moving(handle, body, held, from_pose=pose)
        arrays.state[slot] = ObjectState.HELD if held else ObjectState.FLYING
        return self._moving[handle]

    def _drop(self, handle: int) -> None:
        moving = self._moving.pop(handle, None)
        if moving is not None:
            self._pool.park(moving.body)
            self._free_moving.append(moving.body)

    def _rest(self, arrays: SceneArrays, moving: _Moving) -> None:
        slot = slot_of(arrays, moving.handle)
        if slot is not None:
            arrays.state[slot] = ObjectState.RESTING
        self._drop(moving.handle)

    def _unfix(self, handle: int) -> None:
        body = self._fixed.pop(handle, None)
        if body is not None:
            self._pool.park(body)
            self._free_fixed.append(body)

    def _hull(self, handle: int, arrays: SceneArrays, slot: int) -> Hull:
        if handle not in self._hulls:
            mesh = self._meshes.pop(handle, None)
            box = arrays.box[slot]
            self._hulls[handle] = box_hull(box) if mesh is None else hull_of(mesh.hull, box)
        return self._hulls[handle]

    # What the hands do.

    def _hold(self, arrays: SceneArrays, handle: int) -> None:
        slot = slot_of(arrays, handle)
        moving = self._moving.get(handle)
        if slot is None or (moving is not None and moving.held):
            return
        self._wake(arrays, resting_on(arrays, slot))
        moving = moving or self._activate(arrays, slot, held=True)
        if moving is not None and not moving.held:
            moving.from_pose = Pose(arrays.position[slot].copy(), arrays.orientation[slot].copy())
            moving.held = True
        arrays.state[slot] = ObjectState.HELD

    def _let_go(self, arrays: SceneArrays, events: Sequence[Event], carried: Mapping[int, Pose]) -> None:
        velocity = {e.handle: e.velocity for e in events if e.act in (Act.RELEASE, Act.THROW)}
        for moving in list(self._moving.values()):
            if not moving.held or moving.handle in carried:
                continue
            slot = slot_of(arrays, moving.handle)
            if slot is None:
                self._drop(moving.handle)
                continue
            moving.held, moving.age_s, moving.still_s = False, 0.0, 0.0
            arrays.state[slot] = ObjectState.FLYING
            linear = velocity.get(moving.handle)
            v = np.zeros(3) if linear is None else np.nan_to_num(np.asarray(linear, float))
            self._pool.qvel[moving.body, :3] = v
            # A free joint's angular velocity is in the body's own frame, where the last carry left it.
            limit = min(1.0, 12.0 / max(float(np.linalg.norm(self._pool.qvel[moving.body, 3:])), 1e-6))
            self._pool.qvel[moving.body, 3:] *= limit if v.any() else 0.0

    def _carry(self, carried: Mapping[int, Pose], before: Mapping[int, Pose], share: float, dt_s: float) -> None:
        """Put what is held a share of the way to where the hand has it, moving as fast as the hand does."""
        for handle, start in before.items():
            moving, target = self._moving[handle], carried[handle]
            position = start.position + (target.position - start.position) * np.float32(share)
            turn = maths.quat_slerp(start.orientation, target.orientation, share)
            self._pool.place(moving.body, position, turn)
            self._pool.qvel[moving.body, :3] = (target.position - start.position) / dt_s
            self._pool.qvel[moving.body, 3:] = _spin(start.orientation, target.orientation, dt_s)
        _limit(self._pool.qvel)

    def _follow_leaving(self, arrays: SceneArrays) -> None:
        """What lies on something that shrinks away falls."""
        for slot in np.flatnonzero(arrays.state == ObjectState.SHRINKING):
            handle = handle_of(arrays, int(slot))
            if handle not in self._leaving:
                self._leaving.add(handle)
                self._drop(handle)
                self._unfix(handle)
                self._wake(arrays, resting_on(arrays, int(slot)))

    # What is near.

    def _wake(self, arrays: SceneArrays, slots: np.ndarray) -> None:
        for slot in slots:
            self._activate(arrays, int(slot), held=False)

    def _wake_ahead(self, arrays: SceneArrays, dt_s: float) -> None:
        """Wake what will be hit: a still obstacle would throw everything back like a wall."""
        for moving in list(self._moving.values()):
            slot = slot_of(arrays, moving.handle)
            speed = float(np.linalg.norm(self._pool.qvel[moving.body, :3]))
            if slot is None or (speed < 1.0 and not moving.held):
                continue
            near = touching_boxes(arrays, slot, 0.02 + speed * dt_s * 1.5)
            limit = _LIGHT_KG if moving.held else min(_MOVABLE_KG, 12 * float(self._pool.mass[moving.body]))
            volume = np.ptp(arrays.box[near], axis=1).prod(1) * arrays.size[near] ** 3
            self._wake(arrays, near[volume * 120.0 < limit])

    def _fix_near(self, arrays: SceneArrays) -> None:
        """Still objects that a moving one could meet soon become obstacles; the others leave the pool."""
        wanted: dict[int, int] = {}
        for moving in self._moving.values():
            slot = slot_of(arrays, moving.handle)
            if slot is not None:
                speed = float(np.linalg.norm(self._pool.qvel[moving.body, :3]))
                near = touching_boxes(arrays, slot, 0.15 + 0.1 * speed)
                wanted.update((handle_of(arrays, int(s)), int(s)) for s in near)
        for handle in [h for h in self._fixed if h not in wanted]:
            self._unfix(handle)
        for handle, slot in wanted.items():
            if handle not in self._fixed and self._free_fixed:
                body = self._fixed[handle] = self._free_fixed.pop()
                hull, size = self._hull(handle, arrays, slot), float(arrays.size[slot])
                self._pool.put(body, hull, size, arrays.position[slot], arrays.orientation[slot])

    # What happens to a moving one.

    def _right(self, arrays: SceneArrays) -> None:
        """Things that lie nearly still on their side get up: a torque strong enough to lift them over their edge."""
        touching = self._pool.touching()
        force = self._pool.data.xfrc_applied
        for moving in self._moving.values():
            force[moving.body + 1] = 0
            slot = slot_of(arrays, moving.handle)
            calm = np.linalg.norm(self._pool.qvel[moving.body, :3]) < 1.2 and moving.age_s < _RIGHTING_S
            if slot is None or moving.held or not calm or not touching[moving.body]:
                continue
            up = maths.rotate(np.asarray(self._pool.pose(moving.body)[1], np.float32), maths.vec3(0, 1, 0))
            if up[1] > _UPRIGHT:
                continue
            axis = np.array([-up[2], 0, up[0]], float)  # up × (0, 1, 0)
            axis = axis / np.linalg.norm(axis) if np.hypot(axis[0], axis[2]) > 1e-3 else np.array([1.0, 0, 0])
            reach = float(np.ptp(arrays.box[slot], axis=0).max() * arrays.size[slot]) / 2
            force[moving.body + 1, 3:] = axis * (1.6 * 9.81 * self._pool.mass[moving.body] * reach)

    def _write_back(self, arrays: SceneArrays, carried: Mapping[int, Pose], dt_s: float) -> None:
        _limit(self._pool.qvel)
        for moving in list(self._moving.values()):
            slot = slot_of(arrays, moving.handle)
            if slot is None:
                self._drop(moving.handle)
                continue
            if moving.held:
                moving.from_pose = carried[moving.handle]
                arrays.position[slot], arrays.orientation[slot] = _parts(moving.from_pose)
                continue
            position, turn = self._pool.pose(moving.body)
            if not self._sane(arrays, slot, position, turn):
                self._put_back(arrays, slot, moving)
                continue
            arrays.position[slot], arrays.orientation[slot] = position, turn
            moving.age_s += dt_s
            self._settle(arrays, moving, dt_s)

    def _settle(self, arrays: SceneArrays, moving: _Moving, dt_s: float) -> None:
        v = self._pool.qvel[moving.body]
        still = np.linalg.norm(v[:3]) < _STILL_M_S and np.linalg.norm(v[3:]) < _STILL_RAD_S
        moving.still_s = moving.still_s + dt_s if still else 0.0
        if moving.still_s > _STILL_S or moving.age_s > _LIFE_S:
            self._rest(arrays, moving)

    @staticmethod
    def _sane(arrays: SceneArrays, slot: int, position: np.ndarray, turn: np.ndarray) -> bool:
        finite = bool(np.isfinite(position).all() and np.isfinite(turn).all())
        return finite and bool(np.abs(position).max() < _WORLD_M) and position[1] > -0.5 * float(arrays.radius[slot])

    def _put_back(self, arrays: SceneArrays, slot: int, moving: _Moving) -> None:
        """A body that left the world or is not a number stands on the ground again where it last was."""
        upright = maths.quat_from_axis_angle((0, 1, 0), maths.yaw_of(arrays.orientation[slot]))
        x, _, z = np.clip(np.nan_to_num(arrays.position[slot]), -_WORLD_M, _WORLD_M)
        arrays.position[slot] = maths.vec3(x, -float(arrays.box[slot, 0, 1] * arrays.size[slot]), z)
        arrays.orientation[slot] = upright
        self._rest(arrays, moving)


def _finite(pose: Pose) -> bool:
    return bool(np.isfinite(pose.position).all() and np.isfinite(pose.orientation).all())


def _parts(pose: Pose) -> tuple[Array, Array]:
    return pose.position, pose.orientation


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
