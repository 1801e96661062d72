"""One hand: whether it grips, what it points at, and how what it carries moves.

What is taken from afar hangs on a lever along the ray; stretching or bending the arm (or the mouse
wheel) lengthens or shortens it in proportion: HOMER, Bowman & Hodges 1997.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vrapp.core.input import HandState
from vrapp.core.maths import IDENTITY_QUATERNION, Array, quat_conjugate, quat_multiply, quat_slerp, vec3
from vrapp.core.pose import Pose
from vrapp.core.scene import NO_HANDLE
from vrapp.scene.queries import Hit

GRIP_ON, GRIP_OFF = 0.5, 0.35  # apart, so that a trembling finger lets nothing fall
THROW_WINDOW_NS = 80_000_000
MAX_THROW_M_S = 12.0
_LEVER_SPEED = 1.5  # lever lengths a second at full stick
_LEVER_M = (0.25, 12.0)


@dataclass
class Hand:
    """State of one hand between frames. Poses are in the world."""

    index: int
    grip: Pose = field(default_factory=Pose)
    aim: Pose = field(default_factory=Pose)
    tracked: bool = False
    gripping: bool = False
    hit: Hit | None = None
    held: int = NO_HANDLE
    held_since_ns: int = 0
    lost_since_ns: int = 0
    carried: Pose = field(default_factory=Pose)
    _object_from_hand: Pose = field(default_factory=Pose)
    _object_from_grip: Array = field(default_factory=lambda: IDENTITY_QUATERNION)
    _lever_m: float = 0.0  # 0: in the hand itself
    _arm_m: float = 1.0  # hand to chest, when the lever had its length
    _trail: deque[tuple[int, Array]] = field(default_factory=lambda: deque(maxlen=32))

    def follow(self, state: HandState, world_from_stage: Pose, tracked: bool, now_ns: int) -> tuple[bool, bool]:
        """Take the new state. Returns (grip just closed, grip just opened)."""
        if self.tracked and not tracked:
            self.lost_since_ns = now_ns
            self._trail.clear()  # how it moved before says nothing about a throw after
        self.tracked = tracked
        if not tracked:
            return False, False
        self.grip, self.aim = world_from_stage @ state.grip, world_from_stage @ state.aim
        squeeze = max(_finite(state.squeeze), _finite(state.trigger))
        was = self.gripping
        self.gripping = squeeze >= (GRIP_OFF if was else GRIP_ON)
        return self.gripping and not was, was and not self.gripping

    def take(self, handle: int, pose: Pose, distance_m: float, chest: Array, now_ns: int) -> None:
        """Begin to carry the object at ``pose``, ``distance_m`` away along the ray (0: touched by the hand)."""
        self.held, self.held_since_ns, self._lever_m = handle, now_ns, distance_m
        self._arm_m = self._arm(chest)
        self._trail.clear()
        self.regrip(pose)

    def regrip(self, pose: Pose) -> None:
        """Carry on with the object at ``pose``, which the hand did not give it alone."""
        shift = pose.position - self.carried.position  # which is no throw
        self._trail = deque([(t, p + shift) for t, p in self._trail], self._trail.maxlen)
        self._object_from_hand = self._holder().inverse() @ pose
        self._object_from_grip = quat_multiply(quat_conjugate(self.grip.orientation), pose.orientation)
        self.carried = pose

    def carry(
        self, stick_y: float, chest: Array, lowest_m: Callable[[Array], float], dt_s: float, now_ns: int,
        alone: bool = True,
    ) -> Pose:  # fmt: skip
        """Where the carried object is to be now: rigid in the hand; on a lever at a distance, a little smoothed.

        ``lowest_m``: height of its lowest point over its position at an orientation: nothing is pushed into
        the ground. Not ``alone``: arms that pull it apart do not push it away.
        """
        if self._lever_m > 0 and alone:
            self._lengthen(stick_y, chest, dt_s)
        elif self._lever_m > 0:
            self._arm_m = self._arm(chest)
        target = (self._holder() @ self._object_from_hand).position.tolist()
        # A hand's tremble is multiplied by the lever: smooth in proportion, never what is in the hand itself.
        lag_s = 0.012 * min(self._lever_m, 5.0)
        share = 1.0 if lag_s <= 0 else 1 - math.exp(-dt_s / lag_s)
        x, y, z = (a + (b - a) * share for a, b in zip(self.carried.position.tolist(), target, strict=True))
        # The wrist turns it, near and far: a bare hand's ray follows the arm and has no roll of its own.
        turn = quat_multiply(self.grip.orientation, self._object_from_grip)
        turn = quat_slerp(self.carried.orientation, turn, share) if share < 1 else turn
        self.carried = Pose(vec3(x, max(y, -lowest_m(turn)), z), turn)
        self._trail.append((now_ns, self.carried.position))
        return self.carried

    def _lengthen(self, stick_y: float, chest: Array, dt_s: float) -> None:
        """The lever follows the arm and the stick, in proportion."""
        arm = self._arm(chest)
        push = 1 + (_LEVER_SPEED * stick_y * dt_s if abs(stick_y) > 0.15 else 0.0)
        longer_m = min(max(self._lever_m * push * arm / self._arm_m, _LEVER_M[0]), _LEVER_M[1]) - self._lever_m
        self._arm_m = arm
        self._lever_m += longer_m
        x, y, z = self._object_from_hand.position.tolist()
        self._object_from_hand = Pose(vec3(x, y, z - longer_m), self._object_from_hand.orientation)

    def let_go(self, now_ns: int) -> tuple[float, Array]:
        """Stop carrying. Returns (seconds held, velocity (3,) m/s over the last 80 ms)."""
        self.held = NO_HANDLE
        return (now_ns - self.held_since_ns) / 1e9, self._velocity(now_ns)

    def _arm(self, chest: Array) -> float:
        return max(math.dist(self.grip.position.tolist(), chest.tolist()), 0.1)

    def _holder(self) -> Pose:
        return self.aim if self._lever_m > 0 else self.grip

    def _velocity(self, now_ns: int) -> Array:
        """Least-squares slope of the carried position, so that one bad sample throws nothing."""
        recent = [(t, p) for t, p in self._trail if now_ns - t <= THROW_WINDOW_NS]
        if len(recent) < 3:
            return np.zeros(3, np.float32)
        t = np.array([(t - now_ns) / 1e9 for t, _ in recent])
        p = np.array([p for _, p in recent], float)
        t = t - t.mean()
        spread = float(t @ t)
        v = (t @ (p - p.mean(0))) / spread if spread > 1e-9 else np.zeros(3)
        speed = float(np.linalg.norm(v))
        return np.asarray(v * min(1.0, MAX_THROW_M_S / max(speed, 1e-6)), np.float32)


def _finite(value: float) -> float:
    """0 for what is no number."""
    return value if math.isfinite(value) else 0.0
