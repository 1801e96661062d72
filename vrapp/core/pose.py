"""A rigid pose, and a view: a pose with a field of view and a place in a render target."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from vrapp.core import floats, maths
from vrapp.core.maths import Array
from vrapp.core.record import record

#: The nearest that is drawn, metres before the eye; the far end is infinitely far. ``depth_place.glsl`` has it, too.
NEAR_M = 0.05


@record
class Pose:
    """``parent_from_child``: position in metres (3,), orientation quaternion xyzw (4,), float32."""

    position: Array = field(default_factory=lambda: np.zeros(3, np.float32))
    orientation: Array = field(default_factory=lambda: maths.IDENTITY_QUATERNION)

    def __matmul__(self, child: Pose) -> Pose:
        """Compose: ``a_from_b @ b_from_c = a_from_c``.

        Six times a frame and more: in Python's floats.
        """
        q = self.orientation.tolist()
        x, y, z = self.position.tolist()
        a, b, c = floats.rotate(q, child.position.tolist())
        turn = floats.multiply(q, child.orientation.tolist())
        return Pose(np.array((x + a, y + b, z + c), np.float32), np.array(turn, np.float32))

    def inverse(self) -> Pose:
        """``child_from_parent``."""
        q = maths.quat_conjugate(self.orientation)
        return Pose(-maths.rotate(q, self.position), q)

    def apply(self, points: Array) -> Array:
        """Points ``(…, 3)`` of the child's frame in the parent's."""
        return self.position + maths.rotate(self.orientation, points)

    @property
    def sound(self) -> bool:
        """Is it made of numbers, with a quaternion of about unit length? Devices have given other things."""
        x, y, z, w = self.orientation.tolist()
        return math.isfinite(sum(self.position.tolist())) and abs(x * x + y * y + z * z + w * w - 1) < 0.1

    @property
    def forward(self) -> Array:
        """Unit vector along the pose's -Z."""
        return maths.forward(self.orientation)


@dataclass(frozen=True)
class Fov:
    """Tangents of the four signed half-angles, as in ``XrFovf``: left and down are negative."""

    tan_left: float
    tan_right: float
    tan_up: float
    tan_down: float

    @staticmethod
    def symmetric(vertical_rad: float, aspect: float) -> Fov:
        """A plain camera: full vertical angle in radians and width / height."""
        t = float(np.tan(vertical_rad / 2))
        return Fov(-t * aspect, t * aspect, t, -t)


@record
class View:
    """One eye (or the one camera of a window): where it is in the *stage* and what it sees.

    ``viewport`` is ``(x, y, width, height)`` in pixels inside the frame's target. ``hidden``: triangles (3T, 2)
    float32 in the plane z = -1 m before the eye that its lens does not show; the same array while it is the same.
    """

    pose: Pose
    fov: Fov
    viewport: tuple[int, int, int, int]
    hidden: Array | None = None

    def projection(self, near: float) -> Array:
        """Infinite reversed-Z projection (4, 4)."""
        return maths.projection_reversed_z(
            self.fov.tan_left, self.fov.tan_right, self.fov.tan_up, self.fov.tan_down, near
        )
