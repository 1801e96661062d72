"""Moving through the world without moving in the room: stick, turn, teleport. Owns ``world_from_stage``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vrapp.core import maths
from vrapp.core.comfort import Comfort
from vrapp.core.input import HAND_VALID, Button, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.core.scene import SceneArrays, handle_of
from vrapp.scene.footprints import footprints

SPEED_M_S = 2.4  # at full stick
SMOOTH_TURN_RAD_S = math.radians(90)  # at full stick
BODY_M = 0.28  # radius of the user's body
_SMOOTH_S = 0.12
_SNAP_ON, _SNAP_OFF = 0.7, 0.4
_DEAD = 0.12
_STEP_OVER_M = 0.35  # lower things do not stop anyone
_HEAD_ROOM_M = 1.9
_ARC_M_S = 7.0
_GRAVITY = 9.81


@dataclass(frozen=True)
class TeleportAim:
    """Where a teleport would land: ``target`` (3,) on the ground, whether there is room, and the arc (n, 3)."""

    target: Array
    free: bool
    arc: Array


class Locomotion:
    """Moves the stage. ``start``: where the user's head begins (x, z metres) and which way it looks (yaw)."""

    def __init__(
        self, start: tuple[float, float] = (0.0, 0.0), start_yaw_rad: float = 0.0, comfort: Comfort | None = None
    ) -> None:
        self._comfort = comfort or Comfort()
        self._main = self._comfort.main_hand
        self._start, self._start_yaw = start, start_yaw_rad
        self.world_from_stage = Pose()
        self.teleport: TeleportAim | None = None
        self.vignette = 0.0
        self._velocity = np.zeros(2)
        self._snap_ready = True
        self._buttons = Button(0)

    def update(self, snapshot: InputSnapshot, arrays: SceneArrays, dt_s: float, held: tuple[int, ...] = ()) -> Pose:
        """Move by one frame's input; returns ``world_from_stage``. ``held`` objects are no obstacle."""
        head = snapshot.head
        if not np.isfinite(head.position).all() or not np.isfinite(head.orientation).all():
            return self.world_from_stage
        if snapshot.valid & Valid.AWAY:
            self._stand_still()
            return self.world_from_stage
        pressed, let_go = snapshot.buttons & ~self._buttons, self._buttons & ~snapshot.buttons
        self._buttons = snapshot.buttons
        if pressed & Button.RECENTRE:
            self.recentre(head)
        turning = self._turn(snapshot, dt_s)
        self._walk(snapshot, arrays, dt_s, held)
        if let_go & Button.TELEPORT and self.teleport is not None and self.teleport.free:
            self._put_head_at(self.teleport.target[[0, 2]], head)
        aiming = snapshot.buttons & Button.TELEPORT and self._comfort.move != "walk"
        self.teleport = self._aim_teleport(snapshot, arrays, held) if aiming else None
        speed = max(float(np.linalg.norm(self._velocity)) / SPEED_M_S, turning)
        wanted = min(1.0, 0.8 * speed) * self._comfort.vignette if snapshot.source == SourceKind.HEADSET else 0.0
        self.vignette += (wanted - self.vignette) * (1 - math.exp(-dt_s / 0.15))
        return self.world_from_stage

    def recentre(self, head: Pose) -> None:
        """Put the head back to the start, looking the way it began."""
        turn = self._start_yaw - maths.yaw_of(head.orientation)
        self.world_from_stage = Pose(np.zeros(3, np.float32), maths.quat_from_axis_angle((0, 1, 0), turn))
        self._velocity[:] = 0
        self._put_head_at(np.array(self._start), head)

    def _stand_still(self) -> None:
        """Nobody is there: what was begun is dropped, so that nothing happens on coming back."""
        self._velocity[:] = 0
        self._buttons, self.teleport, self.vignette = Button(0), None, 0.0

    def _turn(self, snapshot: InputSnapshot, dt_s: float) -> float:
        """By the main hand's stick; returns how fast, 0…1 (a snap is over at once)."""
        x, y = map(_axis, snapshot.hands[self._main].stick)
        if self._comfort.turn_deg:
            self._snap_turn(x, snapshot.head)
        elif abs(x) > max(_DEAD, abs(y)):  # pushed forward it aims a teleport
            self._turn_by(-x * SMOOTH_TURN_RAD_S * dt_s, snapshot.head)
            return abs(x)
        return 0.0

    def _snap_turn(self, x: float, head: Pose) -> None:
        if abs(x) < _SNAP_OFF:
            self._snap_ready = True
        elif abs(x) > _SNAP_ON and self._snap_ready:
            self._snap_ready = False
            self._turn_by(-math.copysign(math.radians(self._comfort.turn_deg), x), head)

    def _turn_by(self, angle_rad: float, head: Pose) -> None:
        """About the head, so that it stays where it is."""
        turn = maths.quat_from_axis_angle((0, 1, 0), angle_rad)
        about = self.world_from_stage.apply(head.position)
        w = self.world_from_stage
        self.world_from_stage = Pose(
            about + maths.rotate(turn, w.position - about),
            maths.normalise(maths.quat_multiply(turn, w.orientation)),
        )

    def _walk(self, snapshot: InputSnapshot, arrays: SceneArrays, dt_s: float, held: tuple[int, ...]) -> None:
        stick = np.array([_axis(v) for v in snapshot.hands[1 - self._main].stick])
        length = float(np.hypot(*stick))
        walks = length > _DEAD and self._comfort.move != "teleport"
        stick = stick / max(length, 1.0) if walks else np.zeros(2)
        yaw = maths.yaw_of((self.world_from_stage @ snapshot.head).orientation)
        ahead, aside = np.array([-math.sin(yaw), -math.cos(yaw)]), np.array([math.cos(yaw), -math.sin(yaw)])
        wanted = SPEED_M_S * (aside * stick[0] + ahead * stick[1])
        self._velocity += (wanted - self._velocity) * (1 - math.exp(-dt_s / _SMOOTH_S))
        if np.linalg.norm(self._velocity) < 1e-3:
            self._velocity[:] = 0
            return
        here = self.world_from_stage.apply(snapshot.head.position)[[0, 2]].astype(float)
        moved = _pushed_out(here + self._velocity * dt_s, arrays, held)
        # Pushed out softly: no faster than walking, so that nothing throws the user about.
        step = moved - here
        longest = SPEED_M_S * dt_s
        self._put_head_at(here + step * min(1.0, longest / max(float(np.linalg.norm(step)), 1e-9)), snapshot.head)

    def _put_head_at(self, xz: Array, head: Pose) -> None:
        offset = maths.rotate(self.world_from_stage.orientation, head.position)
        position = maths.vec3(xz[0] - offset[0], self.world_from_stage.position[1], xz[1] - offset[2])
        self.world_from_stage = Pose(position, self.world_from_stage.orientation)

    def _aim_teleport(self, snapshot: InputSnapshot, arrays: SceneArrays, held: tuple[int, ...]) -> TeleportAim | None:
        hand = bool(snapshot.valid & HAND_VALID[self._main])
        aim = self.world_from_stage @ (snapshot.hands[self._main].aim if hand else snapshot.head)
        if not np.isfinite(aim.position).all() or not np.isfinite(aim.forward).all():
            return None
        p, v = aim.position.astype(float), aim.forward.astype(float) * _ARC_M_S
        seconds = (v[1] + math.sqrt(v[1] ** 2 + 2 * _GRAVITY * max(float(p[1]), 0.0))) / _GRAVITY
        t = np.linspace(0, seconds, 24)[:, None]
        arc = (p + v * t - np.array([0, _GRAVITY / 2, 0]) * t**2).astype(np.float32)
        target = maths.vec3(arc[-1, 0], 0, arc[-1, 2])
        room = _pushed_out(target[[0, 2]].astype(float), arrays, held)
        return TeleportAim(target, bool(np.linalg.norm(room - target[[0, 2]]) < 1e-6), arc)


def _axis(value: float) -> float:
    return float(np.clip(np.nan_to_num(value), -1, 1))


def _pushed_out(xz: np.ndarray, arrays: SceneArrays, held: tuple[int, ...]) -> np.ndarray:
    """``xz`` moved out of the footprints of what is tall enough to be in the way, by at most two of them."""
    near = np.flatnonzero(np.linalg.norm(arrays.position[:, [0, 2]] - xz, axis=1) < arrays.radius + 1.0)
    if not len(near):
        return xz
    f = footprints(arrays, near)
    solid = (f.high > _STEP_OVER_M) & (f.low < _HEAD_ROOM_M)
    solid &= np.array([handle_of(arrays, int(s)) not in held for s in f.slots], bool)
    for _ in range(2):
        c, s = np.cos(f.yaw), np.sin(f.yaw)
        d = xz - f.centre
        local = np.stack([c * d[:, 0] - s * d[:, 1], s * d[:, 0] + c * d[:, 1]], 1)
        outside = np.abs(local) - f.half
        gap = np.linalg.norm(np.maximum(outside, 0), axis=1) + np.minimum(outside.max(1, initial=-np.inf), 0)
        gap = np.where(solid, gap, np.inf)
        if not len(gap) or gap.min() >= BODY_M:
            return xz
        i = int(np.argmin(gap))
        nearest = np.clip(local[i], -f.half[i], f.half[i])
        out = local[i] - nearest
        if float(np.hypot(*out)) < 1e-6:  # inside: leave by the nearest side
            axis = int(np.argmax(outside[i]))
            out = np.zeros(2)
            out[axis] = 1.0 if local[i, axis] >= 0 else -1.0
        out = out / np.hypot(*out) * (BODY_M - gap[i])
        xz = xz + np.array([c[i] * out[0] + s[i] * out[1], -s[i] * out[0] + c[i] * out[1]])
    return xz
