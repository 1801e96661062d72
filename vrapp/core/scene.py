"""The scene as a structure of arrays: what the renderer, physics and interaction share.

A handle is ``generation << 32 | slot``; a slot's generation number rises when it is freed, so that an
old handle never names a newer object.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

import numpy as np

NO_HANDLE = -1


class ObjectState(IntEnum):
    """Life of an object. FREE → GROWING → RESTING ⇄ HELD/FLYING → SHRINKING → FREE."""

    FREE = 0
    GROWING = 1
    RESTING = 2
    HELD = 3
    FLYING = 4  # let go of or falling: physics moves it
    SHRINKING = 5


class Mark(IntFlag):
    """How an object is shown to be chosen."""

    NONE = 0
    POINTED = 1
    GAZED = 2
    HELD = 4
    KEPT = 8


@dataclass(frozen=True)
class SceneArrays:
    """Views onto the first ``count`` slots (not copies; do not keep them over a frame).

    ``size`` is the edge in metres of the object's unit cube; drawn scale = size · growth.
    """

    count: int
    state: np.ndarray  # (N,) int8 ObjectState
    generation: np.ndarray  # (N,) int32
    position: np.ndarray  # (N, 3) float32, world, of the object cube's centre
    orientation: np.ndarray  # (N, 4) float32 xyzw
    size: np.ndarray  # (N,) float32
    growth: np.ndarray  # (N,) float32 0…1
    mesh_id: np.ndarray  # (N,) int32, -1 none (not drawn)
    mark: np.ndarray  # (N,) uint8 Mark
    category: np.ndarray  # (N,) int16
    radius: np.ndarray  # (N,) float32, bounding sphere about position, metres at full growth
    box: np.ndarray  # (N, 2, 3) float32, object space
