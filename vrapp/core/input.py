"""What the user does, the same from every source: headset, mouse and keys, or a recorded trace.

Poses are in the *stage*: metres, origin on the floor, +Y up. Locomotion moves the stage through the
world (``world_from_stage``, owned by ``interaction``), never the poses in a snapshot.
"""

from __future__ import annotations

import struct
from dataclasses import field
from enum import IntEnum, IntFlag
from typing import Protocol, runtime_checkable

import numpy as np

from vrapp.core.pose import Pose
from vrapp.core.record import record

LEFT, RIGHT = 0, 1


class Button(IntFlag):
    """Buttons held down, as gestures rather than as keys; each source maps its own keys to them."""

    KEEP = 1  # A / X, or K
    DISMISS = 2  # B / Y, or X
    MORE = 4  # thumbstick click, or M: more like this
    MENU = 8  # menu button, or Tab
    HELP = 16  # H
    RECENTRE = 32
    PANEL = 64  # F1: the developers' panel
    SCREENSHOT = 128  # F12
    POLICY = 256  # F2: next adaptation policy
    TELEPORT = 512  # held: aim; let go: jump there
    QUIT = 1024
    MIRROR = 2048  # F3: one eye or both in the window of a headset


class Valid(IntFlag):
    """Which parts of a snapshot are tracked now; an untracked part keeps its last value."""

    HEAD = 1
    LEFT_HAND = 2
    RIGHT_HAND = 4
    GAZE = 8
    LEFT_JOINTS = 16
    RIGHT_JOINTS = 32
    AWAY = 64  # nobody acts: the headset is off the head, or the runtime's own menu has the input


HAND_VALID = (Valid.LEFT_HAND, Valid.RIGHT_HAND)


class SourceKind(IntEnum):
    """Where a snapshot came from."""

    NONE = 0
    HEADSET = 1
    DESKTOP = 2
    TRACE = 3
    SIMULATED = 4


@record
class HandState:
    """One hand or controller. ``grip``: in the palm. ``aim``: pointing along its -Z.

    ``trigger`` and ``squeeze`` are 0…1 (grab is ``squeeze`` ≥ 0.5 on either); ``stick`` is x right, y
    forward, -1…1. ``joints`` is None, or (26, 8) float32: position, radius, quaternion (OpenXR order).
    """

    grip: Pose = field(default_factory=Pose)
    aim: Pose = field(default_factory=Pose)
    trigger: float = 0.0
    squeeze: float = 0.0
    stick: tuple[float, float] = (0.0, 0.0)
    joints: np.ndarray | None = None


@record
class InputSnapshot:
    """Everything known of the user at one instant. ``time_ns`` is when these poses are (or will be) seen."""

    time_ns: int
    head: Pose = field(default_factory=Pose)
    hands: tuple[HandState, HandState] = field(default_factory=lambda: (HandState(), HandState()))
    buttons: Button = Button(0)
    valid: Valid = Valid(0)
    source: SourceKind = SourceKind.NONE
    gaze: Pose = field(default_factory=Pose)

    def has(self, flag: Valid) -> bool:
        """Whether ``valid`` has this flag; in ints, as Python's flags are slow to combine."""
        return bool(int(self.valid) & int(flag))


_HAND = [
    ("grip_position", "<f4", 3),
    ("grip_orientation", "<f4", 4),
    ("aim_position", "<f4", 3),
    ("aim_orientation", "<f4", 4),
    ("trigger", "<f4"),
    ("squeeze", "<f4"),
    ("stick", "<f4", 2),
]

#: The record of one snapshot in a journal or an input trace: little-endian, fixed size.
INPUT_DTYPE = np.dtype(
    [
        ("time_ns", "<i8"),
        ("buttons", "<u4"),
        ("valid", "<u4"),
        ("source", "<u4"),
        ("reserved", "<u4"),
        ("head_position", "<f4", 3),
        ("head_orientation", "<f4", 4),
        ("gaze_position", "<f4", 3),
        ("gaze_orientation", "<f4", 4),
        ("left", _HAND),
        ("right", _HAND),
    ]
)

_HEADING = struct.Struct("<qIIII")
_FINGERS = struct.Struct("<ffff")


def pack_snapshot(s: InputSnapshot) -> bytes:
    """One ``INPUT_DTYPE`` record. Hand joints are not part of it (they go into a record of their own).

    Every frame of a recording passes here, so the parts are joined as they lie in memory.
    """
    parts = [_HEADING.pack(s.time_ns, s.buttons, s.valid, s.source, 0)]
    for pose in (s.head, s.gaze):
        parts += pose.position.tobytes(), pose.orientation.tobytes()
    for hand in s.hands:
        for pose in (hand.grip, hand.aim):
            parts += pose.position.tobytes(), pose.orientation.tobytes()
        parts.append(_FINGERS.pack(hand.trigger, hand.squeeze, *hand.stick))
    record = b"".join(parts)
    return record if len(record) == INPUT_DTYPE.itemsize else _pack_other_dtypes(s)


def _pack_other_dtypes(s: InputSnapshot) -> bytes:
    """Poses that are not float32 arrays are converted by numpy, three times as slowly."""
    hands = tuple(
        (h.grip.position, h.grip.orientation, h.aim.position, h.aim.orientation, h.trigger, h.squeeze, h.stick)
        for h in s.hands
    )
    head, gaze = s.head, s.gaze
    row = (s.time_ns, int(s.buttons), int(s.valid), int(s.source), 0)
    poses = (head.position, head.orientation, gaze.position, gaze.orientation)
    return np.array((*row, *poses, *hands), INPUT_DTYPE).tobytes()


def unpack_snapshot(record: bytes | np.void) -> InputSnapshot:
    """The inverse of ``pack_snapshot``. Raises ValueError where the size is wrong."""
    r = np.frombuffer(record, INPUT_DTYPE, 1)[0] if isinstance(record, bytes) else record

    def pose(position: np.ndarray, orientation: np.ndarray) -> Pose:
        return Pose(np.array(position, np.float32), np.array(orientation, np.float32))

    def hand(h: np.void) -> HandState:
        return HandState(
            pose(h["grip_position"], h["grip_orientation"]),
            pose(h["aim_position"], h["aim_orientation"]),
            float(h["trigger"]),
            float(h["squeeze"]),
            (float(h["stick"][0]), float(h["stick"][1])),
        )

    return InputSnapshot(
        int(r["time_ns"]),
        pose(r["head_position"], r["head_orientation"]),
        (hand(r["left"]), hand(r["right"])),
        Button(int(r["buttons"])),
        Valid(int(r["valid"])),
        SourceKind(int(r["source"])),
        pose(r["gaze_position"], r["gaze_orientation"]),
    )


@runtime_checkable
class InputSource(Protocol):
    """Anything that yields snapshots: headset, mouse and keys, recorded trace, simulated person."""

    def poll(self, predicted_time_ns: int) -> InputSnapshot:
        """The state as it will be when the frame is seen. Never waits."""

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """Haptic pulse in ``LEFT`` or ``RIGHT``; nothing where there is no motor."""

    def close(self) -> None:
        """Give everything back."""
