"""A person who does anything at all, in the loop's order: nothing breaks, sinks, leaks or piles up."""

from __future__ import annotations

import numpy as np
import pytest
from scene_shapes import CountingArena, InstantBank
from test_layout import CATEGORIES, TABLE, start_set

from vrapp.adaptation.adaptation import Adaptation
from vrapp.core import maths, rng
from vrapp.core.events import Act, Event
from vrapp.core.generation import GeneratedObject
from vrapp.core.input import Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState
from vrapp.interaction import feedback
from vrapp.interaction.gestures import Interaction
from vrapp.interaction.locomotion import Locomotion
from vrapp.physics.world import PhysicsWorld
from vrapp.scene.layout import Layout
from vrapp.scene.manager import SceneManager
from vrapp.scene.store import SceneStore
from vrapp.scene.worlds import load_world

MAX_OBJECTS = 120


class Bodies:
    """Tells physics what comes and goes."""

    def __init__(self, physics: PhysicsWorld) -> None:
        self._physics = physics

    def added(self, handle: int, made: GeneratedObject) -> None:
        self._physics.added(handle, made.mesh)

    def removed(self, handle: int) -> None:
        self._physics.removed(handle)


class Restless:
    """Snapshots of someone who wanders, looks about, grabs at what is near and presses everything."""

    def __init__(self, seed: int) -> None:
        self._draw = rng.generator(seed)
        self._yaw, self._walk, self._squeeze = 0.0, (0.0, 0.0), [0.0, 0.0]
        self._aim = np.zeros((2, 2))

    def next(self, now_ns: int) -> InputSnapshot:
        d = self._draw
        self._yaw += float(d.normal(0, 0.06))
        if d.uniform() < 0.03:
            self._walk = (float(d.uniform(-1, 1)), float(d.uniform(-0.3, 1)))
        head = Pose(maths.vec3(0, 1.65, 0), maths.quat_from_yaw_pitch(self._yaw, -0.3))
        hands = []
        for i in (0, 1):
            if d.uniform() < 0.06:
                self._squeeze[i] = 1.0 - self._squeeze[i]
            self._aim[i] = self._aim[i] * 0.9 + d.normal(0, 0.15, 2)
            turn = maths.quat_from_yaw_pitch(self._yaw + self._aim[i, 0], -0.5 + self._aim[i, 1])
            offset = maths.rotate(head.orientation, maths.vec3(0.3 * (2 * i - 1), -0.4, -0.4 - 0.2 * self._aim[i, 1]))
            grip = Pose(head.position + offset, turn)
            stick = self._walk if i == 0 else (float(d.uniform() < 0.02), float(d.uniform(-1, 1)))
            hands.append(HandState(grip, grip, squeeze=self._squeeze[i], stick=stick))
        buttons = Button(0)
        for button in (Button.KEEP, Button.DISMISS, Button.MORE, Button.TELEPORT, Button.RECENTRE):
            if d.uniform() < (0.02 if button is not Button.RECENTRE else 0.002):
                buttons |= button
        valid = Valid.HEAD | Valid.LEFT_HAND | Valid.RIGHT_HAND
        if d.uniform() < 0.02:
            valid = Valid.HEAD
        return InputSnapshot(now_ns, head, (hands[0], hands[1]), buttons, valid, SourceKind.SIMULATED)


def run(seed: int, seconds: float) -> tuple[SceneStore, CountingArena, list[Event]]:
    store, arena, physics = SceneStore(), CountingArena(), PhysicsWorld()
    layout = Layout(load_world("meadow", seed), CATEGORIES, TABLE, seed)
    adaptation = Adaptation(len(CATEGORIES), np.ones(6, np.float32), seed)
    manager = SceneManager(
        store, layout, InstantBank(), arena, adaptation, max_objects=MAX_OBJECTS, listeners=[Bodies(physics)]
    )
    manager.populate_from(start_set(layout))
    graspable = np.array([TABLE[name].graspable for name in CATEGORIES])
    hands, walk, person = Interaction(graspable), Locomotion(), Restless(seed)
    now, dt, seen = 1_000_000_000, 1 / 30, list[Event]()
    for frame in range(round(seconds / dt)):
        now += round(dt * 1e9)
        snapshot = person.next(now)
        arrays = store.arrays()
        walk.update(snapshot, arrays, dt, tuple(hands.carried))
        events = hands.update(snapshot, walk.world_from_stage, arrays, dt, now)
        feedback.write_marks(arrays, hands, events)
        adaptation.observe(events, store)
        physics.update(arrays, events, hands.carried, dt)
        manager.update(events, walk.world_from_stage @ snapshot.head, frame, now)
        seen += events
        check(store, arena)
    return store, arena, seen


def check(store: SceneStore, arena: CountingArena) -> None:
    a = store.arrays()
    alive = a.state != ObjectState.FREE
    assert np.isfinite(a.position).all()
    assert np.isfinite(a.orientation).all()
    assert np.abs(np.linalg.norm(a.orientation[alive], axis=1) - 1).max() < 1e-2
    assert (a.position[alive, 1] > -0.5 * a.radius[alive] - 0.05)[a.state[alive] != ObjectState.HELD].all()
    assert ((a.growth >= 0) & (a.growth <= 1)).all()
    assert len(arena.live) == int(alive.sum()) == len(store)
    assert len(store) <= MAX_OBJECTS + 2


@pytest.mark.parametrize(
    ("seed", "seconds"), [(1, 20), *[pytest.param(s, 120, marks=pytest.mark.slow) for s in (2, 3)]]
)
def test_a_restless_person_breaks_nothing(seed: int, seconds: float) -> None:
    store, _, events = run(seed, seconds)
    acts = {e.act for e in events}
    assert {Act.GRAB, Act.KEEP, Act.DISMISS, Act.MORE, Act.GAZE, Act.POINT} <= acts
    assert acts & {Act.THROW, Act.RELEASE}
    assert len(store) > 50


def test_the_same_person_in_the_same_world_sees_the_same() -> None:
    ends = [run(5, 4) for _ in range(2)]
    first, second = (store.arrays() for store, _, _ in ends)
    np.testing.assert_array_equal(first.position, second.position)
    np.testing.assert_array_equal(first.category, second.category)
    assert [(e.act, e.handle, e.time_ns) for e in ends[0][2]] == [(e.act, e.handle, e.time_ns) for e in ends[1][2]]
