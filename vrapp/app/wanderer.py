"""A simulated visitor for soak tests: walks, looks, points, grabs, throws, keeps, dismisses, all by a seed.

No model of people (that is ``generation``'s behaviour model): it does everything that a user can do, in any order,
for as long as one likes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from vrapp.core import maths, rng
from vrapp.core.input import LEFT, RIGHT, Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState, SceneArrays
from vrapp.display.grip import AIM_FROM_GRIP

_KEY = 0x50A4
_REACH_M = 12.0
_SHOULDER_M = 0.22
_HEAD_TURN = 4.0  # share of the way to where it wants to look, per second
_TRACKED = Valid.HEAD | Valid.LEFT_HAND | Valid.RIGHT_HAND

#: An act yields once a frame until it is over.
Acting = Iterator[None]


class Wanderer:
    """An ``InputSource``. ``scene`` and ``world_from_stage`` tell what is there and where the stage stands."""

    def __init__(self, seed: int, scene: Callable[[], SceneArrays], world_from_stage: Callable[[], Pose]) -> None:
        self.acts: dict[str, int] = {}  # how often each was begun
        self._scene, self._world_from_stage = scene, world_from_stage
        self._draw = rng.generator(seed, _KEY)
        self._time_ns = 0
        self._step_s = 0.0
        self._head = maths.vec3(0, 1.65, 0)
        self._looks_at: Array = maths.vec3(0, 1.4, -3)  # in the stage
        self._look: Array = self._looks_at
        self._valid = _TRACKED
        self._lower_hands()
        self._acting: Acting = iter(())

    def poll(self, predicted_time_ns: int) -> InputSnapshot:
        """What the visitor does now; another act is begun when one is over."""
        self._step_s = min((predicted_time_ns - self._time_ns) / 1e9, 0.1) if self._time_ns else 0.0
        self._time_ns = predicted_time_ns
        for _ in self._acting:
            break
        else:
            self._acting = self._next_act()
        self._look = self._look + (self._looks_at - self._look) * min(1.0, _HEAD_TURN * self._step_s)
        head = Pose(self._head, maths.look_at(self._head, self._look))
        hands = (self._hand(LEFT), self._hand(RIGHT))
        return InputSnapshot(predicted_time_ns, head, hands, self._buttons, self._valid, SourceKind.SIMULATED, head)

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """Nobody feels it."""

    def close(self) -> None:
        """Nothing to give back."""

    def _hand(self, index: int) -> HandState:
        at = self._hands[index]
        aim = maths.look_at(at, self._aims[index])
        aim = maths.quat_multiply(aim, maths.quat_from_axis_angle((0, 0, 1), self._rolls[index]))
        grip = Pose(at, maths.quat_multiply(aim, AIM_FROM_GRIP))
        return HandState(grip, Pose(at, aim), 0.0, self._squeeze[index], self._sticks[index])

    def _lower_hands(self) -> None:
        self._buttons = Button(0)
        self._squeeze, self._rolls = [0.0, 0.0], [0.0, 0.0]
        self._sticks = [(0.0, 0.0), (0.0, 0.0)]
        self._hands = [self._shoulder(LEFT), self._shoulder(RIGHT)]
        self._aims = [at + maths.vec3(0, -0.8, -0.6) for at in self._hands]

    def _shoulder(self, index: int) -> Array:
        """Where a hand is held, before the body and in the direction of the look."""
        ahead = self._look - self._head
        length = math.hypot(float(ahead[0]), float(ahead[2])) or 1.0
        x, z = float(ahead[0]) / length, float(ahead[2]) / length
        side = _SHOULDER_M if index == RIGHT else -_SHOULDER_M
        return self._head + maths.vec3(0.4 * x - side * z, -0.35, 0.4 * z + side * x)

    def _next_act(self) -> Acting:
        self._lower_hands()
        acts = (self._walk, self._look_about, self._carry, self._press, self._reshape, self._turn, self._teleport,
                self._leave)  # fmt: skip
        act = acts[int(self._draw.choice(len(acts), p=(0.2, 0.2, 0.28, 0.12, 0.03, 0.09, 0.06, 0.02)))]
        name = act.__name__.strip("_")
        self.acts[name] = self.acts.get(name, 0) + 1
        return act()

    def _for(self, low_s: float, high_s: float) -> Acting:
        """Let a random time pass."""
        left_s = float(self._draw.uniform(low_s, high_s))
        while left_s > 0:
            left_s -= self._step_s or 0.01
            yield

    def _target(self) -> Callable[[], Array] | None:
        """Where something near that can be seen is, in the stage, as long as it exists; else where it was."""
        scene = self._scene()
        eye = self._world_from_stage().apply(self._head)
        distance = np.linalg.norm(scene.position - eye, axis=1)
        near = np.flatnonzero((scene.state == int(ObjectState.RESTING)) & (distance < _REACH_M))
        if not len(near):
            return None
        slot = int(self._draw.choice(near))
        return lambda: self._world_from_stage().inverse().apply(self._scene().position[slot])

    # The acts.

    def _walk(self) -> Acting:
        self._sticks[LEFT] = (float(self._draw.uniform(-0.4, 0.4)), float(self._draw.uniform(0.4, 1.0)))
        yield from self._for(0.5, 4.0)

    def _look_about(self) -> Acting:
        target = self._target()
        if target is None or self._draw.random() < 0.3:
            turn = float(self._draw.uniform(-math.pi, math.pi))
            self._looks_at = self._head + maths.vec3(3 * math.sin(turn), float(self._draw.uniform(-1, 0.5)),
                                                     -3 * math.cos(turn))  # fmt: skip
        else:
            self._looks_at = target()
        yield from self._for(0.5, 2.5)

    def _aim_at(self, hands: tuple[int, ...]) -> Iterator[None]:
        """Turn to something near and point at it; it is left out where there is nothing."""
        target = self._target()
        if target is None:
            return
        for _ in self._for(0.6, 1.2):
            self._looks_at = target()
            for index in hands:
                self._hands[index], self._aims[index] = self._shoulder(index), target()
            yield

    def _carry(self) -> Acting:
        """Grab with either hand, wave, then lay down or throw."""
        index = int(self._draw.integers(2))
        yield from self._aim_at((index,))
        self._squeeze[index] = 1.0
        start, aim = self._hands[index], self._aims[index]
        sway, speed = self._draw.uniform(-0.5, 0.5, 3).astype(np.float32), float(self._draw.uniform(1, 5))
        began_ns = self._time_ns
        for _ in self._for(0.3, 3.0):
            phase = math.sin(speed * (self._time_ns - began_ns) / 1e9)
            self._hands[index] = start + sway * np.float32(0.4 * phase)
            self._aims[index] = aim + sway * np.float32(3 * phase)
            self._rolls[index] = phase
            yield
        if self._draw.random() < 0.5:
            fling = self._draw.uniform(-1, 1, 3).astype(np.float32) + maths.vec3(0, 0.5, 0)
            for _ in self._for(0.15, 0.3):
                self._hands[index] = self._hands[index] + fling * np.float32(6 * self._step_s)
                self._aims[index] = self._aims[index] + fling * np.float32(30 * self._step_s)
                yield
        self._squeeze[index] = 0.0
        yield

    def _press(self) -> Acting:
        """Keep, dismiss, or ask for more like what is pointed at."""
        yield from self._aim_at((RIGHT,))
        choices = (Button.KEEP, Button.DISMISS, Button.MORE, Button.POLICY)
        self._buttons = choices[int(self._draw.choice(4, p=(0.2, 0.5, 0.25, 0.05)))]
        yield
        self._buttons = Button(0)
        yield from self._for(0.1, 0.5)

    def _reshape(self) -> Acting:
        """Take hold with both hands, pull apart, wring."""
        yield from self._aim_at((LEFT, RIGHT))
        self._squeeze = [1.0, 1.0]
        pull, wring = float(self._draw.uniform(-0.15, 0.3)), float(self._draw.uniform(-1, 1))
        left, right = self._hands
        for _ in self._for(0.5, 2.0):
            apart = (right - left) * np.float32(pull * self._step_s)
            left, right = left - apart, right + apart
            self._hands = [left, right]
            self._rolls = [self._rolls[0] - wring * self._step_s, self._rolls[1] + wring * self._step_s]
            yield
        self._squeeze[int(self._draw.integers(2))] = 0.0  # one lets go first
        yield from self._for(0.1, 0.5)

    def _turn(self) -> Acting:
        self._sticks[RIGHT] = (float(self._draw.choice((-1.0, 1.0))), 0.0)
        yield
        yield from self._for(0.1, 0.3)

    def _teleport(self) -> Acting:
        self._buttons = Button.TELEPORT
        self._aims[RIGHT] = self._shoulder(RIGHT) + maths.vec3(0, -0.2, -1)
        yield from self._for(0.2, 0.6)
        self._buttons = Button.RECENTRE if self._draw.random() < 0.15 else Button(0)
        yield

    def _leave(self) -> Acting:
        """The headset comes off, or a hand is out of sight."""
        lost = (Valid.LEFT_HAND, Valid.RIGHT_HAND, Valid.AWAY)[int(self._draw.integers(3))]
        self._valid = _TRACKED ^ lost
        yield from self._for(0.3, 2.0)
        self._valid = _TRACKED
