"""What is known of the objects that move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vrapp.core import floats
from vrapp.core.pose import Pose


@dataclass
class Moving:
    """An object that has a moving body. ``last``: the pose of what is held, a frame ago."""

    handle: int
    body: int
    held: bool
    last: Pose
    size: float  # that its body has
    age_s: float = 0.0
    still_s: float = 0.0
    turned: bool = False  # a torque is on it
    effort_s: float = 0.0  # how long it has been getting up

    @property
    def slot(self) -> int:
        """Its place in the scene's arrays."""
        return self.handle & 0xFFFFFFFF


class Motion(NamedTuple):
    """Of one held body in one frame: its inertial frame (xyzw) from where to where, and ``velocity`` as in qvel."""

    body: int
    start: tuple[floats.Vector, floats.Quaternion]
    end: tuple[floats.Vector, floats.Quaternion]
    velocity: Sequence[float]
