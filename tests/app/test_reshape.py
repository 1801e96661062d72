"""Two hands on an object: its size and latent follow them, through a real worker with toy networks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import generation_toy as toy
import numpy as np
import pytest
from scene_shapes import CountingArena, InstantBank, RoundRobin

from vrapp.app.listeners import Bodies, Shown
from vrapp.app.reshape import Reshape, components_moved, size_stretched
from vrapp.core import maths
from vrapp.core.clock import FixedClock
from vrapp.core.generation import GeneratedObject, GenerationRequest, Steering
from vrapp.core.maths import Array
from vrapp.core.mesh import Mesh
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState
from vrapp.generation.service import RESHAPE_LATENCY_FRAMES, ModelSource, WorkerGenerator
from vrapp.interaction.two_hands import HandsChange, TwoHanded
from vrapp.physics.world import PhysicsWorld
from vrapp.scene.layout import Layout
from vrapp.scene.manager import SceneManager
from vrapp.scene.store import SceneStore
from vrapp.scene.worlds import World
from vrapp.study.journal import read_session
from vrapp.study.recorder import Recorder

BOX = 0
STILL = HandsChange(1.0, 0.0, 0.0)


class Table(CountingArena):
    """Remembers the shapes that took another's place."""

    def __init__(self) -> None:
        super().__init__()
        self.replaced: list[Mesh] = []

    def replace(self, mesh_id: int, mesh: Mesh) -> None:
        assert mesh_id in self.live
        self.replaced.append(mesh)


class Room:
    """One object in somebody's hands, with everything that follows its shape."""

    def __init__(self, folder: Path, decode_category: int = BOX) -> None:
        self.generator = WorkerGenerator(
            Path("toy.safetensors"), source=ModelSource(toy.describe, toy.load), fixed_latency_frames=20
        )
        self.store, self.arena, self.physics = SceneStore(), Table(), PhysicsWorld()
        self.recorder = Recorder(folder, {"seed": 7})
        layout = Layout(World("empty", "Empty", ()), ("table", "barrel", "chair", "crate_box"), {}, 7)
        bank, listeners = InstantBank(0), [Bodies(self.physics), Shown(self.recorder, FixedClock())]
        self.manager = SceneManager(self.store, layout, bank, self.arena, RoundRobin(1), listeners=listeners)
        self.reshape = Reshape(self.generator, self.manager, np.tile([0.5, 1.0], (4, 1)), 7)
        self.frame = 0
        made = self.first(decode_category)
        self.handle = self.manager._add(made, Pose(maths.vec3(0, 1, -1)), 0.8, 0, grown=True)
        self.slot = self.store.slot(self.handle)
        self.store.state[self.slot] = ObjectState.HELD

    def first(self, category: int) -> GeneratedObject:
        self.generator.submit(GenerationRequest(0, 7, Steering(BOX)))
        (made,) = self.generator.collect(20)
        latent = made.latent.copy()
        latent[3] = category  # what the toy decodes: nothing, for the broken one
        self.frame = 20
        return GeneratedObject(0, BOX, latent, made.components, made.mesh, made.mesh_hash)

    def play(self, held: TwoHanded | None, frames: int = 1) -> None:
        for _ in range(frames):
            self.frame += 1
            self.generator.collect(self.frame)
            self.reshape.update(held)

    def hands(self, apart_m: float = 0.4, twist: float = 0.0, tilt: float = 0.0) -> TwoHanded:
        left, right = (maths.vec3(x, 1, -1) for x in (-apart_m / 2, apart_m / 2))
        return TwoHanded(self.handle, Pose(left), Pose(right, turn(twist, tilt)))

    def told(self) -> list[dict[str, object]]:
        """The recording's decisions about reshaped objects."""
        self.recorder.close()
        said = [json.loads(m.content) for m in read_session(self.recorder.path.parent) if m.topic == "/decisions"]
        return [one for one in said if one["kind"] == "reshaped"]

    def close(self) -> None:
        self.generator.close()
        self.recorder.close()


def turn(twist: float, tilt: float) -> Array:
    return maths.quat_multiply(
        maths.quat_from_axis_angle((0, 0, -1), tilt), maths.quat_from_axis_angle((1, 0, 0), twist)
    )


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    opened = Room(tmp_path / "visit")
    yield opened
    opened.close()


def test_turning_moves_the_leading_components_within_the_prior() -> None:
    start = np.array([0.5, -3.0], np.float32)
    np.testing.assert_array_equal(components_moved(start, STILL), start)
    np.testing.assert_array_equal(components_moved(start, HandsChange(1.0, 0.05, -0.05)), start)  # only carried
    twisted = components_moved(start, HandsChange(1.0, 1.0, 0.0))
    assert twisted[0] > 1.2
    assert twisted[1] == start[1], "it was far out already, and stays there"
    np.testing.assert_allclose(components_moved(start, HandsChange(1.0, 3.0, 3.0)), (2.5, -3 + 1.2 * 2.92), atol=1e-3)
    np.testing.assert_allclose(components_moved(start, HandsChange(1.0, -9.0, -9.0)), (-2.5, -3.0))


def test_stretching_is_size_within_what_is_real() -> None:
    limits = (0.5, 2.0)
    assert size_stretched(1.0, STILL, limits) == 1.0
    assert size_stretched(1.0, HandsChange(1.03, 0, 0), limits) == 1.0  # only carried
    assert size_stretched(1.0, HandsChange(1.6, 0, 0), limits) == pytest.approx(1.52, abs=0.01)
    assert size_stretched(1.0, HandsChange(0.7, 0, 0), limits) == pytest.approx(0.736, abs=0.01)
    assert size_stretched(1.0, HandsChange(9.0, 0, 0), limits) == 2.0
    assert size_stretched(3.0, HandsChange(9.0, 0, 0), limits) == 3.0  # was larger already


def test_shape_and_size_follow_the_hands_and_the_recording_tells_it(room: Room) -> None:
    before = room.store.latent[room.slot].copy()
    room.play(room.hands())
    room.play(room.hands(0.6), 2)
    assert room.store.size[room.slot] > 1.1, "at once"
    assert not room.arena.replaced
    asked = 2 * RESHAPE_LATENCY_FRAMES + 1
    for i in range(asked):
        room.play(room.hands(0.6, twist=-0.02 * i, tilt=0.3))
    assert len(room.arena.replaced) == 2, "one at a time"
    assert all(len(mesh.levels) == 1 for mesh in room.arena.replaced)
    np.testing.assert_array_equal(room.store.box[room.slot], room.arena.replaced[-1].box)
    room.play(None, 3 * RESHAPE_LATENCY_FRAMES)
    last = room.arena.replaced[-1]
    assert len(last.levels) == 3
    np.testing.assert_array_equal(room.store.box[room.slot], last.box)
    moved = room.store.latent[room.slot] - before
    np.testing.assert_allclose(moved[:2], (-1.2 * (0.02 * (asked - 1) - 0.08), 1.2 * 0.22), atol=0.02)
    np.testing.assert_allclose(moved[2:], 0, atol=1e-5)
    np.testing.assert_array_equal(room.store.components[room.slot], room.store.latent[room.slot, :6])
    (told,) = room.told()
    assert told["handle"] == room.handle
    assert told["size"] == pytest.approx(float(room.store.size[room.slot]))


def test_who_only_carries_with_both_hands_changes_nothing(room: Room) -> None:
    room.play(room.hands(), 3)
    room.play(room.hands(0.41, 0.03, -0.02), 30)
    room.play(None, 30)
    assert not room.arena.replaced
    assert room.store.size[room.slot] == np.float32(0.8)
    assert room.told() == []


def test_what_the_gate_refuses_leaves_the_old_shape(tmp_path: Path) -> None:
    room = Room(tmp_path / "visit", toy.CATEGORIES.index("broken"))
    before = room.store.latent[room.slot].copy()
    room.play(room.hands())
    room.play(room.hands(twist=0.8), 30)
    room.play(None, 60)
    assert not room.arena.replaced
    np.testing.assert_array_equal(room.store.latent[room.slot], before)
    assert room.reshape.idle
    room.close()


def test_what_is_sent_away_meanwhile_is_forgotten(room: Room) -> None:
    room.play(room.hands())
    room.play(room.hands(twist=0.8), 3)
    room.manager.dismiss(room.handle)
    room.play(room.hands(twist=0.9), 2)
    room.play(None, 40)
    assert not room.arena.replaced
    assert room.reshape.idle


def test_the_same_hands_give_the_same_shapes(tmp_path: Path) -> None:
    latents = []
    for visit in ("one", "two"):
        room = Room(tmp_path / visit)
        for i in range(30):
            room.play(room.hands(0.4 + 0.005 * i, twist=0.03 * i))
        room.play(None, 20)
        latents.append([room.store.latent[room.slot].copy(), *(mesh.box for mesh in room.arena.replaced)])
        room.close()
    assert len(latents[0]) == len(latents[1]) > 3
    for a, b in zip(*latents, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_body_of_what_was_put_down_takes_the_new_shape(room: Room) -> None:
    """Its lowest point stays, physics lets it settle, and it lies on the ground at the end."""
    store, arrays = room.store, room.store.arrays()
    low = -float(store.box[room.slot, 0, 1] * store.size[room.slot])
    store.position[room.slot, 1] = low
    store.state[room.slot] = ObjectState.RESTING
    room.play(room.hands())
    room.play(room.hands(0.6, tilt=-0.9), 12)
    room.play(None, 30)
    for _ in range(240):
        room.physics.update(arrays, [], {}, 1 / 60)
    assert store.state[room.slot] == ObjectState.RESTING
    lowest = store.position[room.slot, 1] + store.box[room.slot, 0, 1] * store.size[room.slot]
    assert lowest == pytest.approx(0, abs=0.02)
