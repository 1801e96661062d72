"""From mouse and keys to both hands on one object, at the distances where one takes things with a mouse."""

from __future__ import annotations

import glfw
import numpy as np
import pytest

from vrapp.core import maths
from vrapp.core.generation import GeneratedObject
from vrapp.core.mesh import LATENT_DIM, Mesh
from vrapp.core.pose import Fov, Pose
from vrapp.display.desktop_input import DesktopInput
from vrapp.interaction.gestures import Interaction
from vrapp.interaction.two_hands import change_between
from vrapp.scene.store import SceneStore

FRAME_NS = 16_000_000


class Window:
    logical_size = (800, 400)

    def capture_pointer(self, captured: bool) -> None: ...


class Visit:
    """A person at mouse and keys before one crate."""

    def __init__(self, at: tuple[float, float, float]) -> None:
        self.source, self.hands = DesktopInput(Window(), lambda: Fov.symmetric(1.2, 2.0)), Interaction()
        self.store, self.now = SceneStore(), 0
        half = np.full(3, 0.4, np.float32)
        made = GeneratedObject(
            0, 0, np.zeros(LATENT_DIM, np.float32), np.zeros(6, np.float32), Mesh((), np.array([-half, half]), half), ""
        )
        self.crate = self.store.add(made, Pose(maths.vec3(*at)), 0.5, 0, 0, grown=True)

    def key(self, key: int, action: int) -> None:
        self.source.keyboard_callback(None, key, 0, action, 0)

    def frames(self, count: int) -> None:
        for _ in range(count):
            self.now += FRAME_NS
            snapshot, arrays = self.source.poll(self.now), self.store.arrays()
            self.hands.update(snapshot, Pose(), arrays, FRAME_NS / 1e9, self.now)
            for handle, pose in self.hands.carried.items():
                slot = self.store.slot(handle)
                arrays.position[slot], arrays.orientation[slot] = pose.position, pose.orientation

    @property
    def pose(self) -> np.ndarray:
        slot = self.store.slot(self.crate)
        return np.concatenate([self.store.position[slot], self.store.orientation[slot]])


@pytest.mark.parametrize("at", [(0, 1.65, -1.2), (0.1, 1.6, -3.0), (0, 1.5, -9.0)])
def test_r_and_the_mouse_wring_and_stretch_what_is_held(at: tuple[float, float, float]) -> None:
    visit = Visit(at)
    visit.key(glfw.KEY_SPACE, glfw.PRESS)
    visit.frames(5)
    assert list(visit.hands.carried) == [visit.crate]
    visit.key(glfw.KEY_R, glfw.PRESS)
    visit.frames(2)
    began, pose = visit.hands.two_handed, visit.pose
    assert began is not None
    assert began.handle == visit.crate
    visit.source.mouse_callback(None, 400, 200)
    visit.source.mouse_callback(None, 500, 120)
    visit.source.scroll_callback(None, 0, 3)
    visit.frames(60)
    now = visit.hands.two_handed
    assert now is not None
    change = change_between(began, now)
    assert change.stretch > 1.3
    assert min(abs(change.twist_rad), abs(change.tilt_rad)) > 0.3
    np.testing.assert_allclose(visit.pose, pose, atol=0.02)  # it stays before one's eyes while it changes
    visit.key(glfw.KEY_R, glfw.RELEASE)
    visit.frames(30)
    assert visit.hands.two_handed is None
    assert list(visit.hands.carried) == [visit.crate]
    np.testing.assert_allclose(visit.pose, pose, atol=0.02)
