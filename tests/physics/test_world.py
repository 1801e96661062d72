"""Dropped, thrown, stacked and pushed objects behave, whatever is done to them."""

from __future__ import annotations

import time

import mujoco
import numpy as np
import pytest

from vrapp.core import maths, rng
from vrapp.core.events import Act, Event
from vrapp.core.mesh import Mesh
from vrapp.core.pose import Pose
from vrapp.core.scene import NO_HANDLE, ObjectState, SceneArrays, handle_of
from vrapp.physics.pool import BodyPool
from vrapp.physics.world import PhysicsWorld

DT = 1 / 90
CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)


class Scene:
    """Boxes (or hulls) in plain arrays, with a physics world that knows them."""

    def __init__(self, count: int = 64, few: tuple[int, int] = (4, 12)) -> None:
        self.a = SceneArrays(
            count, np.zeros(count, np.int8), np.zeros(count, np.int32), np.zeros((count, 3), np.float32),
            np.tile(maths.IDENTITY_QUATERNION, (count, 1)), np.ones(count, np.float32), np.zeros(count, np.float32),
            np.full(count, -1, np.int32), np.zeros(count, np.uint8), np.zeros(count, np.int16),
            np.zeros(count, np.float32), np.zeros((count, 2, 3), np.float32),
        )  # fmt: skip
        self.world = PhysicsWorld(few=few)
        self._n = 0

    def box(
        self, centre: tuple[float, float, float], extent: tuple[float, float, float], hull: np.ndarray | None = None
    ) -> int:
        """A still box of ``extent`` metres; returns its handle."""
        slot, size = self._n, max(extent) / 0.875
        self._n += 1
        half = np.array(extent, np.float32) / size / 2
        self.a.state[slot], self.a.growth[slot], self.a.size[slot] = ObjectState.RESTING, 1, size
        self.a.position[slot], self.a.box[slot] = centre, [-half, half]
        self.a.radius[slot] = size * np.linalg.norm(half)
        handle = handle_of(self.a, slot)
        points = CORNERS * half if hull is None else hull
        self.world.added(handle, Mesh((), self.a.box[slot].copy(), points))
        return handle

    def let_go(self, handle: int, velocity: tuple[float, float, float] = (0, 0, 0)) -> None:
        """Grabbed in one frame, let go in the next."""
        pose = Pose(self.a.position[handle].copy(), self.a.orientation[handle].copy())
        self.world.update(self.a, [], {handle: pose}, DT)
        act = Event(Act.THROW, 0, handle, 0, 1.0, np.array(velocity, np.float32))
        self.world.update(self.a, [act], {}, DT)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / DT)):
            self.world.update(self.a, [], {}, DT)

    def lowest(self, slot: int) -> float:
        lower, upper = self.a.box[slot]
        corners = (CORNERS + 1) / 2 * (upper - lower) + lower
        return float(
            (maths.rotate(self.a.orientation[slot], corners)[:, 1] * self.a.size[slot]).min() + self.a.position[slot, 1]
        )

    def up(self, slot: int) -> float:
        return float(maths.rotate(self.a.orientation[slot], maths.vec3(0, 1, 0))[1])


def test_a_dropped_box_falls_and_rests_on_the_ground() -> None:
    s = Scene()
    b = s.box((0, 1.5, 0), (0.3, 0.2, 0.3))
    s.let_go(b)
    assert s.a.state[b] == ObjectState.FLYING
    s.run(0.3)
    assert 0.5 < s.a.position[b, 1] < 1.4
    s.run(3)
    assert s.a.state[b] == ObjectState.RESTING
    assert s.world.active == 0
    assert s.lowest(b) == pytest.approx(0, abs=0.01)
    assert s.up(b) > 0.98


def test_free_fall_takes_as_long_as_gravity_says() -> None:
    s = Scene()
    b = s.box((0, 5, 0), (0.3, 0.3, 0.3))
    s.let_go(b)
    start = float(s.a.position[b, 1])
    s.run(0.5)
    assert start - s.a.position[b, 1] == pytest.approx(0.5 * 9.81 * 0.25, rel=0.12)


def test_a_thrown_box_flies_along_its_velocity_and_ends_upright() -> None:
    s = Scene()
    b = s.box((0, 1.4, 0), (0.4, 0.3, 0.2))
    s.let_go(b, (1, 3, -5))
    s.run(6)
    assert s.a.position[b, 2] < -3
    assert s.a.position[b, 0] > 0.3
    assert s.a.state[b] == ObjectState.RESTING
    assert s.up(b) > 0.95
    assert s.lowest(b) == pytest.approx(0, abs=0.02)


def test_a_sliding_box_stops() -> None:
    s = Scene()
    b = s.box((0, 0.1, 0), (0.4, 0.2, 0.4))
    s.let_go(b, (3, 0, 0))
    s.run(4)
    assert s.a.state[b] == ObjectState.RESTING
    assert 0.2 < s.a.position[b, 0] < 2.5


def test_three_boxes_stack_and_stay() -> None:
    s = Scene()
    boxes = [s.box((0.01 * i, 0.16 + 0.33 * i, 0), (0.4, 0.3, 0.4)) for i in range(3)]
    for b in boxes:
        s.let_go(b)
    s.run(4)
    assert [s.a.state[b] for b in boxes] == [ObjectState.RESTING] * 3
    assert [float(s.a.position[b, 1]) for b in boxes] == pytest.approx([0.15, 0.45, 0.75], abs=0.02)


def test_things_are_put_on_a_table_and_fall_when_it_goes() -> None:
    s = Scene()
    table = s.box((0, 0.4, 0), (1.2, 0.8, 0.8))
    cup = s.box((0.1, 1.0, 0.1), (0.12, 0.15, 0.12))
    s.let_go(cup)
    s.run(2)
    assert s.a.state[cup] == ObjectState.RESTING
    assert s.lowest(cup) == pytest.approx(0.8, abs=0.02)
    s.a.state[table] = ObjectState.SHRINKING
    s.run(2)
    assert s.lowest(cup) == pytest.approx(0, abs=0.02)


def test_what_lies_on_a_grabbed_crate_falls_off_when_it_is_turned_over() -> None:
    s = Scene()
    crate = s.box((0, 0.25, 0), (0.5, 0.5, 0.5))
    book = s.box((0, 0.55, 0), (0.2, 0.1, 0.2))
    for i in range(180):
        turn = maths.quat_from_axis_angle((1, 0, 0), min(i, 90) * np.pi / 90)
        s.world.update(s.a, [], {crate: Pose(maths.vec3(0, 0.25 + i * 0.005, 0), turn)}, DT)
    s.run(0.5)
    assert s.a.state[crate] in (ObjectState.FLYING, ObjectState.RESTING)
    assert s.lowest(book) < 0.3


def test_what_wakes_late_in_a_session_wakes_gently() -> None:
    """Bodies that waited in the pool must not have fallen all that time."""
    s = Scene()
    ball = s.box((9, 1, 9), (0.3, 0.3, 0.3))
    crate, book = s.box((0, 0.25, 0), (0.5, 0.5, 0.5)), s.box((0, 0.55, 0), (0.2, 0.1, 0.2))
    for _ in range(4):
        s.a.position[ball] = (9, 3, 9)
        s.let_go(ball)
        s.run(1.5)
    for _ in range(60):
        s.world.update(s.a, [], {crate: Pose(maths.vec3(0, 0.25, 0), maths.IDENTITY_QUATERNION)}, DT)
        assert s.a.position[book, 1] == pytest.approx(0.55, abs=0.01)


def test_a_held_object_is_where_the_hand_has_it() -> None:
    s = Scene()
    b = s.box((0, 1, 0), (0.3, 0.3, 0.3))
    for i in range(30):
        pose = Pose(maths.vec3(0.1 * i, 1.2, -0.5), maths.quat_from_axis_angle((0, 1, 0), 0.1 * i))
        s.world.update(s.a, [], {b: pose}, DT)
        assert s.a.state[b] == ObjectState.HELD
        np.testing.assert_array_equal(s.a.position[b], pose.position)
        np.testing.assert_array_equal(s.a.orientation[b], pose.orientation)


def test_a_thrown_box_knocks_over_a_tower() -> None:
    s = Scene()
    tower = [s.box((0, 0.1 + 0.2 * i, -2), (0.2, 0.2, 0.2)) for i in range(4)]
    ball = s.box((0, 0.6, 0), (0.3, 0.3, 0.3))
    s.let_go(ball, (0, 1.0, -8))
    s.run(8)  # what is wedged tries for a while to get up
    assert s.a.position[tower[3], 1] < 0.6
    assert all(s.a.state[t] == ObjectState.RESTING for t in [*tower, ball])
    assert all(s.lowest(t) > -0.02 for t in [*tower, ball])


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_many_throws_stay_above_the_ground_and_come_to_rest(count: int) -> None:
    s = Scene(110)
    draw = rng.generator(5)
    for _ in range(6):
        s.box((float(draw.uniform(-4, 4)), 0.4, float(draw.uniform(-4, 4))), (1.0, 0.8, 0.7))
    thrown = []
    for _ in range(count):
        extent = tuple(draw.uniform(0.06, 0.6, 3))
        b = s.box((float(draw.uniform(-3, 3)), 1.5, float(draw.uniform(-3, 3))), extent)
        points = draw.normal(size=(40, 3))
        half = s.a.box[b, 1]
        s.world.added(b, Mesh((), s.a.box[b].copy(), (points / np.abs(points).max(0) * half).astype(np.float32)))
        s.a.state[b] = ObjectState.FREE
        thrown.append(b)
    for b in thrown:
        s.a.state[b] = ObjectState.RESTING
        s.let_go(b, tuple(draw.uniform(-12, 12, 3)))
        for _ in range(6):
            s.world.update(s.a, [], {}, 1 / 30)
            assert np.isfinite(s.a.position[: s._n]).all()
            assert s.a.position[:, 1].min() > -0.05
    for _ in range(500):
        if s.world.active:
            s.world.update(s.a, [], {}, 1 / 30)
    assert s.world.active == 0
    assert (s.a.state[thrown] == ObjectState.RESTING).all()
    assert np.abs(s.a.position[: s._n]).max() < 100
    assert min(s.lowest(b) for b in thrown) > -0.35, "a hull lies inside its box"
    assert np.mean([s.up(b) > 0.9 for b in thrown]) > 0.6, "most get up again"


def test_bad_input_is_survived() -> None:
    s = Scene()
    flat = s.box((0, 1, 0), (0.5, 0.001, 0.5), hull=np.zeros((8, 3), np.float32))
    nan = s.box((3, 1, 0), (0.5, 0.5, 0.5), hull=np.full((8, 3), np.nan, np.float32))
    none = s.box((6, 1, 0), (0.5, 0.5, 0.5), hull=np.zeros((0, 3), np.float32))
    for b in (flat, nan, none):
        s.let_go(b, (np.nan, 1e9, 0))
    s.world.update(s.a, [Event(Act.THROW, 0, 40, 0, 1.0, None)], {NO_HANDLE: Pose(), 40 << 32: Pose()}, float("nan"))
    for dt in (0.0, -1.0, 5.0, 1e-9):
        s.world.update(s.a, [], {}, dt)
    s.run(8)
    assert np.isfinite(s.a.position).all()
    assert all(s.a.state[b] == ObjectState.RESTING and s.lowest(b) > -0.02 for b in (flat, nan, none))


def test_steps_that_take_long_slow_what_is_loose_and_not_the_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second has 15 steps; here each takes as long as the budget of one frame."""
    slow, usual = Scene(), Scene()
    now_s = 0.0
    step = BodyPool.step

    def slow_step(pool: BodyPool, dt_s: float) -> bool:
        nonlocal now_s
        now_s += 0.003
        return step(pool, dt_s)

    monkeypatch.setattr(BodyPool, "step", slow_step)
    monkeypatch.setattr(time, "perf_counter", lambda: now_s)
    for s in (slow, usual):
        dropped, held = s.box((0, 1.5, 0), (0.3, 0.2, 0.3)), s.box((2, 1, 0), (0.2, 0.2, 0.2))
        s.let_go(dropped)
        for i in range(1, 5):
            pose = Pose(maths.vec3(2, 1 + 0.05 * i, 0), maths.IDENTITY_QUATERNION)
            s.world.update(s.a, [], {held: pose}, 0.1, 0.0025 if s is slow else np.inf)
            assert s.a.position[held] == pytest.approx(pose.position)
            body = s.world._moving[held].body  # where MuJoCo has it: others bump into it there
            assert s.world._pool.qpos[body, 1] == pytest.approx(pose.position[1], abs=0.02)
    fallen = [1.5 - float(s.a.position[dropped, 1]) for s in (slow, usual)]
    assert 0.001 < fallen[0] < 0.05 * fallen[1]


def test_what_stands_on_a_tip_comes_to_rest() -> None:
    s = Scene()
    tips = np.concatenate([np.eye(3), -np.eye(3)])
    tips[4, 0] = 0.5  # the lowest is not under the middle
    b = s.box((0, 0.6, 0), (0.3, 0.3, 0.3), 0.4375 * tips)
    s.let_go(b)
    s.run(9)
    assert s.a.state[b] == ObjectState.RESTING


def test_what_moves_goes_on_when_more_bodies_are_needed() -> None:
    worlds = [Scene(few=few) for few in ((1, 1), (16, 24))]
    for s in worlds:
        boxes = [s.box((0.7 * i, 1.5, 0), (0.3, 0.2, 0.3)) for i in range(4)]
        for b in boxes:
            s.let_go(b, (0.5, 2, 0))
            s.run(0.1)
    small, large = worlds
    assert small.world._pool.moving == large.world._pool.moving == 16
    np.testing.assert_allclose(small.a.position, large.a.position, atol=1e-3)
    for s in worlds:
        s.run(8)
        assert s.world.active == 0
    assert small.world._pool.moving == 1
    np.testing.assert_allclose(small.a.position, large.a.position, atol=0.02)


def test_what_moves_is_put_down_where_mujoco_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    s = Scene()
    thrown, held = s.box((1, 1, 2), (0.3, 0.4, 0.3)), s.box((3, 1, 2), (0.3, 0.4, 0.3))
    s.let_go(thrown)
    with monkeypatch.context() as broken:
        broken.setattr(mujoco, "mj_step", _gives_up)
        s.world.update(s.a, [], {held: Pose(maths.vec3(3, 2, 2))}, DT)
    assert s.a.position[thrown] == pytest.approx([1, 0.2, 2], abs=0.05)
    assert s.a.state[thrown] == ObjectState.RESTING
    assert s.a.position[held] == pytest.approx([3, 2, 2])
    s.let_go(thrown, (0, 3, 0))
    s.run(0.2)
    assert s.a.position[thrown, 1] > 0.4
    assert np.isfinite(s.a.position).all()


def _gives_up(*_: object) -> None:
    raise mujoco.FatalError("xaxis of contact frame undefined")


def test_a_body_that_left_the_world_is_put_back_on_the_ground() -> None:
    s = Scene()
    b = s.box((1, 1, 2), (0.3, 0.4, 0.3))
    s.let_go(b)
    s.world._pool.qpos[s.world._moving[b].body, :3] = np.nan
    s.world.update(s.a, [], {}, DT)
    assert s.a.position[b] == pytest.approx([1, 0.2, 2], abs=0.05)
    assert s.a.state[b] == ObjectState.RESTING
    s.let_go(b)
    s.run(1)
    assert np.isfinite(s.a.position[b]).all()


def test_removed_objects_leave_the_pool_and_the_pool_never_runs_out() -> None:
    s = Scene(80)
    boxes = [s.box((0.5 * i, 1, 0), (0.2, 0.2, 0.2)) for i in range(60)]
    for b in boxes:
        s.let_go(b, (0, 4, 0))
    assert s.world.active <= 24
    for b in boxes:
        s.world.removed(b)
        s.a.state[b] = ObjectState.FREE
    assert s.world.active == 0
    s.run(0.1)


def test_equal_calls_give_equal_motion() -> None:
    ends = []
    for _ in range(2):
        s = Scene()
        s.box((0, 0.4, -3), (1.0, 0.8, 0.7))
        b = s.box((0, 1.4, 0), (0.4, 0.3, 0.2))
        s.let_go(b, (0.3, 3, -5))
        s.run(3)
        ends.append(np.concatenate([s.a.position[b], s.a.orientation[b]]))
    assert np.array_equal(*ends)


def test_a_body_follows_its_objects_size_and_shape() -> None:
    s = Scene()
    crate = s.box((0, 1, 0), (0.4, 0.4, 0.4))
    s.let_go(crate)
    s.a.size[crate] *= 2  # while it falls
    s.run(3.0)
    assert s.lowest(crate) == pytest.approx(0, abs=0.02)
    assert s.a.position[crate, 1] == pytest.approx(0.4, abs=0.02)


def test_what_is_reshaped_at_rest_settles_anew() -> None:
    s = Scene()
    crate = s.box((0, 0.4, 0), (0.8, 0.8, 0.8))
    half = np.array([0.4375, 0.2, 0.4375], np.float32)
    s.a.box[crate] = [-half, half]
    s.world.reshaped(crate, Mesh((), s.a.box[crate].copy(), CORNERS * half))
    s.run(3.0)
    assert s.a.state[crate] == ObjectState.RESTING
    assert s.lowest(crate) == pytest.approx(0, abs=0.02)
    assert s.world.active == 0


def test_obstacles_out_of_reach_are_made_a_few_a_frame() -> None:
    s = Scene()
    b = s.box((0, 3, 0), (0.3, 0.3, 0.3))
    around = [s.box((x, y, z), (0.3, 0.3, 0.3)) for x in (-0.45, 0.45) for y in (2.8, 3.2) for z in (-0.4, 0, 0.4)]
    s.let_go(b)
    made = [len(s.world._fixed)]
    for _ in range(8):
        s.world.update(s.a, [], {}, DT)
        made.append(len(s.world._fixed))
    assert 0 < made[0] < len(around)
    assert max(np.diff(made)) <= 4
    assert made[-1] == len(around)


def test_what_may_be_touched_before_the_next_frame_is_an_obstacle_at_once() -> None:
    s = Scene()
    b = s.box((0, 3, 0), (0.3, 0.3, 0.3))
    around = {s.box((x, 3, z), (0.3, 0.3, 0.3)) for x, z in ((-0.31, 0), (0.31, 0), (0, -0.31), (0, 0.31), (0, -0.6))}
    pose = Pose(s.a.position[b].copy(), s.a.orientation[b].copy())
    s.world.update(s.a, [], {b: pose}, DT)
    known = set(s.world._fixed) | set(s.world._moving)
    assert around - {max(around)} <= known
