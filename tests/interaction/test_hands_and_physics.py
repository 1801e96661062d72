"""Hands, physics and the scene together, as the loop runs them: take it, carry it, throw it, it lies there."""

from __future__ import annotations

import numpy as np
import pytest
from test_gestures import BOTH, DT, FRAME_NS, HEAD, IDLE, hand

from vrapp.core import maths
from vrapp.core.events import Act, Event
from vrapp.core.generation import GeneratedObject
from vrapp.core.input import Button, HandState, InputSnapshot
from vrapp.core.mesh import LATENT_DIM, Mesh
from vrapp.core.pose import Pose
from vrapp.core.scene import Mark, ObjectState
from vrapp.interaction import feedback
from vrapp.interaction.gestures import Interaction
from vrapp.physics.world import PhysicsWorld
from vrapp.scene.store import SceneStore

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)


class Room:
    """A store, physics and hands, stepped in the loop's order."""

    def __init__(self) -> None:
        self.store, self.physics, self.hands = SceneStore(), PhysicsWorld(), Interaction()
        self.now = 1_000_000_000
        self.events: list[Event] = []

    def put(self, at: tuple[float, float, float], extent: tuple[float, float, float]) -> int:
        size = max(extent) / 0.875
        half = np.array(extent, np.float32) / size / 2
        mesh = Mesh((), np.array([-half, half]), CORNERS * half)
        made = GeneratedObject(0, 0, np.zeros(LATENT_DIM, np.float32), np.zeros(6, np.float32), mesh, "")
        handle = self.store.add(made, Pose(maths.vec3(*at)), size, 1, 0, grown=True)
        self.physics.added(handle, mesh)
        return handle

    def step(self, right: HandState = IDLE, seconds: float = DT, buttons: Button | None = None) -> None:
        for _ in range(max(1, round(seconds / DT))):
            self.now += FRAME_NS
            arrays = self.store.arrays()
            snapshot = InputSnapshot(self.now, HEAD, (IDLE, right), buttons or Button(0), BOTH)
            events = self.hands.update(snapshot, Pose(), arrays, DT, self.now)
            feedback.write_marks(arrays, self.hands, events)
            self.physics.update(arrays, events, self.hands.carried, DT)
            for event in events:
                if event.act is Act.DISMISS:
                    self.store.shrink(event.handle)
            for slot in self.store.advance(DT):
                handle = self.store.handle(slot)
                self.physics.removed(handle)
                self.store.remove(handle)
            self.events += events

    def position(self, handle: int) -> np.ndarray:
        return self.store.position[self.store.slot(handle)]

    def state(self, handle: int) -> int:
        return int(self.store.state[self.store.slot(handle)])


FROM = (0.2, 1.3, -0.3)


def test_a_far_crate_is_taken_lifted_thrown_and_comes_to_rest() -> None:
    room = Room()
    crate = room.put((0.8, 0.25, -3.0), (0.5, 0.5, 0.5))
    room.step(hand(FROM, (0.8, 0.25, -3)), 0.2)
    room.step(hand(FROM, (0.8, 0.25, -3), 1.0), 0.2)
    assert room.state(crate) == ObjectState.HELD
    assert room.store.mark[room.store.slot(crate)] & Mark.HELD
    room.step(hand(FROM, (0.8, 1.25, -3), 1.0), 0.4)
    assert room.position(crate)[1] == pytest.approx(1.25, abs=0.15)
    for i in range(9):
        room.step(hand(FROM, (0.8 + 0.12 * i, 1.25 + 0.05 * i, -3), 1.0))
    room.step(hand(FROM, (1.8, 1.7, -3), 0.0))
    assert room.events[-1].act is Act.THROW
    assert room.state(crate) == ObjectState.FLYING
    room.step(seconds=0.15)
    room.step(seconds=6)
    assert room.state(crate) == ObjectState.RESTING
    assert room.position(crate)[0] > 2.2
    assert room.position(crate)[1] == pytest.approx(0.25, abs=0.02)


def test_a_cup_is_set_down_on_a_table_and_stays() -> None:
    room = Room()
    room.put((0, 0.4, -1.0), (1.2, 0.8, 0.8))
    cup = room.put((0.3, 0.075, -0.4), (0.1, 0.15, 0.1))
    room.step(hand((0.3, 0.12, -0.35), (0.3, 0.1, -9)))
    room.step(hand((0.3, 0.12, -0.35), (0.3, 0.1, -9), 1.0))
    for i in range(60):
        t = i / 59
        at = (0.3 - 0.2 * t, 0.12 + 0.78 * t, -0.35 - 0.55 * t)
        room.step(hand(at, (at[0], at[1], -9), 1.0))
    room.step(hand(at, (at[0], at[1], -9), 1.0), 0.3)
    room.step(hand(at, (at[0], at[1], -9), 0.0))
    room.step(seconds=2)
    assert room.state(cup) == ObjectState.RESTING
    assert room.position(cup)[1] == pytest.approx(0.875, abs=0.02)


def test_a_thing_sent_away_from_the_hand_is_gone_and_the_hand_is_free() -> None:
    room = Room()
    ball = room.put((0.3, 1.0, -0.6), (0.2, 0.2, 0.2))
    at = (0.3, 1.0, -0.45)
    room.step(hand(at, (0.3, 1, -9)))
    room.step(hand(at, (0.3, 1, -9), 1.0), 0.1)
    room.step(hand(at, (0.3, 1, -9), 1.0), buttons=Button.DISMISS)
    room.step(hand(at, (0.3, 1, -9), 1.0), 1.0)
    assert not room.store.alive(ball)
    assert room.physics.active == 0
    other = room.put((0.3, 1.0, -0.6), (0.2, 0.2, 0.2))
    room.step(hand(at, (0.3, 1, -9), 0.0))
    room.step(hand(at, (0.3, 1, -9), 1.0))
    assert list(room.hands.carried) == [other]


def test_caught_in_flight() -> None:
    room = Room()
    ball = room.put((0.3, 2.0, -0.6), (0.2, 0.2, 0.2))
    slot = room.store.slot(ball)
    pose = Pose(room.store.position[slot].copy(), room.store.orientation[slot].copy())
    room.physics.update(room.store.arrays(), [], {ball: pose}, DT)
    room.step(seconds=0.25)
    assert room.state(ball) == ObjectState.FLYING
    here = tuple(float(v) for v in room.position(ball))
    near = (here[0], here[1] - 0.05, here[2] + 0.12)
    room.step(hand(near, (near[0], near[1], -9), 0.0))
    room.step(hand(near, (near[0], near[1], -9), 1.0))
    assert room.state(ball) == ObjectState.HELD
    room.step(hand(near, (near[0], near[1], -9), 1.0), 0.5)
    assert np.linalg.norm(room.position(ball) - here) < 0.3
