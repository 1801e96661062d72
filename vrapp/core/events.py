"""What the user did to the world: facts, frozen and stamped with the predicted display time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Act(StrEnum):
    """Kinds of events."""

    POINT = "point"  # the ray came to rest on it
    GAZE = "gaze"  # looked at for dwell_s (sent once per dwell)
    GRAB = "grab"
    RELEASE = "release"
    THROW = "throw"  # released with speed
    KEEP = "keep"
    DISMISS = "dismiss"
    MORE = "more"  # ask for more like this
    RESHAPE = "reshape"


@dataclass(frozen=True)
class Event:
    """One act. ``handle`` names the object (core.scene), ``hand`` is 0, 1 or -1 for the eyes.

    ``seconds`` is the dwell or holding time; ``velocity`` (3,) m/s for THROW; ``visible`` holds the
    handles of the choice set of a pick (in view, near and large enough), the chosen one included.
    """

    act: Act
    time_ns: int
    handle: int
    hand: int = -1
    seconds: float = 0.0
    velocity: np.ndarray | None = None
    visible: tuple[int, ...] = ()
