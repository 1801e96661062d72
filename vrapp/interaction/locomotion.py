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
_RECENTRE, _TELEPORT = int(Button.RECENTRE), int(Button.TELEPORT)


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
        self._velocity = (0.0, 0.0)  # along x and z, m/s
        self._snap_ready = True
        self._buttons = 0

    def update(self, snapshot: InputSnapshot, arrays: SceneArrays, dt_s: float, held: tuple[int, ...] = ()) -> Pose:
        """Move by one frame's input; returns ``world_from_stage``. ``held`` objects are no obstacle."""
        head = snapshot.head
        if not head.sound:
            return self.world_from_stage
        if snapshot.has(Valid.AWAY):
            self._stand_still()
            return self.world_from_stage
        buttons, before = int(snapshot.buttons), self._buttons
        self._buttons = buttons
        if buttons & ~before & _RECENTRE:
            self.recentre(head)
        turning = self._turn(snapshot, dt_s)
        self._walk(snapshot, arrays, dt_s, held)
        if before & ~buttons & _TELEPORT and self.teleport is not None and self.teleport.free:
            x, _, z = self.teleport.target.tolist()
            self._put_head_at(x, z, head)
        aiming = buttons & _TELEPORT and self._comfort.move != "walk"
        self.teleport = self._aim_teleport(snapshot, arrays, held) if aiming else None
        speed = max(math.hypot(*self._velocity) / SPEED_M_S, turning)
        wanted = min(1.0, 0.8 * speed) * self._comfort.vignette if snapshot.source == SourceKind.HEADSET else 0.0
        self.vignette += (wanted - self.vignette) * (1 - math.exp(-dt_s / 0.15))
        return self.world_from_stage

    def use(self, comfort: Comfort) -> None:
        """How the user likes to be moved from now on."""
        self._comfort, self._main = comfort, comfort.main_hand

    def recentre(self, head: Pose) -> None:
        """Put the head back to the start, looking the way it began."""
        turn = self._start_yaw - maths.yaw_of(head.orientation)
        self.world_from_stage = Pose(np.zeros(3, np.float32), maths.quat_from_axis_angle((0, 1, 0), turn))
        self._velocity = (0.0, 0.0)
        self._put_head_at(*self._start, head)

    def _stand_still(self) -> None:
        """Nobody is there: what was begun is dropped, so that nothing happens on coming back."""
        self._velocity = (0.0, 0.0)
        self._buttons, self.teleport, self.vignette = 0, None, 0.0

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
        aside, ahead = map(_axis, snapshot.hands[1 - self._main].stick)
        length = math.hypot(aside, ahead)
        walks = length > _DEAD and self._comfort.move != "teleport"
        if not walks and self._velocity == (0.0, 0.0):
            return
        speed = SPEED_M_S / max(length, 1.0) if walks else 0.0
        head = self.world_from_stage @ snapshot.head
        yaw = maths.yaw_of(head.orientation)
        c, s = math.cos(yaw), math.sin(yaw)
        share = 1 - math.exp(-dt_s / _SMOOTH_S)
        vx, vz = self._velocity
        vx += (speed * (c * aside - s * ahead) - vx) * share
        vz += (speed * (-s * aside - c * ahead) - vz) * share
        if math.hypot(vx, vz) < 1e-3:
            self._velocity = (0.0, 0.0)
            return
        self._velocity = vx, vz
        x, _, z = head.position.tolist()
        there_x, there_z = _pushed_out(x + vx * dt_s, z + vz * dt_s, arrays, held)
        # Pushed out softly: no faster than walking, so that nothing throws the user about.
        step = math.hypot(there_x - x, there_z - z)
        share = min(1.0, SPEED_M_S * dt_s / max(step, 1e-9))
        self._put_head_at(x + (there_x - x) * share, z + (there_z - z) * share, snapshot.head)

    def _put_head_at(self, x: float, z: float, head: Pose) -> None:
        offset = maths.rotate(self.world_from_stage.orientation, head.position)
        position = maths.vec3(x - float(offset[0]), self.world_from_stage.position[1], z - float(offset[2]))
        self.world_from_stage = Pose(position, self.world_from_stage.orientation)

    def _aim_teleport(self, snapshot: InputSnapshot, arrays: SceneArrays, held: tuple[int, ...]) -> TeleportAim | None:
        hand = snapshot.has(HAND_VALID[self._main])
        aim = self.world_from_stage @ (snapshot.hands[self._main].aim if hand else snapshot.head)
        if not aim.sound:
            return None
        p, v = aim.position.astype(float), aim.forward.astype(float) * _ARC_M_S
        seconds = (v[1] + math.sqrt(v[1] ** 2 + 2 * _GRAVITY * max(float(p[1]), 0.0))) / _GRAVITY
        t = np.linspace(0, seconds, 24)[:, None]
        arc = (p + v * t - np.array([0, _GRAVITY / 2, 0]) * t**2).astype(np.float32)
        x, _, z = arc[-1].tolist()
        free = _pushed_out(x, z, arrays, held) == (x, z)
        return TeleportAim(maths.vec3(x, 0, z), free, arc)


def _axis(value: float) -> float:
    """A stick's, -1…1; 0 for what is not a number."""
    return 0.0 if math.isnan(value) else min(max(value, -1.0), 1.0)


def _pushed_out(x: float, z: float, arrays: SceneArrays, held: tuple[int, ...]) -> tuple[float, float]:
    """A place moved out of the footprints of what is tall enough to be in the way, by at most two of them."""
    dx, dz = arrays.position[:, 0] - x, arrays.position[:, 2] - z
    limit = arrays.radius + np.float32(2 * BODY_M)
    near = np.flatnonzero(dx * dx + dz * dz < limit * limit)
    if not len(near):
        return x, z
    f = footprints(arrays, near)
    in_the_way = np.flatnonzero((f.high > _STEP_OVER_M) & (f.low < _HEAD_ROOM_M))
    solid = [
        (f.centre[i].tolist(), f.half[i].tolist(), float(f.yaw[i]))
        for i in in_the_way
        if handle_of(arrays, int(f.slots[i])) not in held
    ]
    for _ in range(min(2, len(solid))):
        gap, out_x, out_z = min(_way_out(x, z, *rectangle) for rectangle in solid)
        if gap >= BODY_M:
            break
        x, z = x + out_x * (BODY_M - gap), z + out_z * (BODY_M - gap)
    return x, z


def _way_out(x: float, z: float, centre: list[float], half: list[float], yaw: float) -> tuple[float, float, float]:
    """Of a place and a rectangle: the gap in metres, negative inside, and the direction of the shortest way off."""
    c, s = math.cos(yaw), math.sin(yaw)
    dx, dz = x - centre[0], z - centre[1]
    u, v = c * dx - s * dz, s * dx + c * dz
    over_u, over_v = abs(u) - half[0], abs(v) - half[1]
    out_u, out_v = max(over_u, 0.0), max(over_v, 0.0)
    gap = math.hypot(out_u, out_v)
    if gap < 1e-6:  # inside: leave by the nearest side
        gap = max(over_u, over_v)
        out_u, out_v, length = (1.0, 0.0, 1.0) if over_u >= over_v else (0.0, 1.0, 1.0)
    else:
        length = gap
    out_u, out_v = math.copysign(out_u / length, u), math.copysign(out_v / length, v)
    return gap, c * out_u + s * out_v, -s * out_u + c * out_v
