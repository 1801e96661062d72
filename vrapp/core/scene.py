"""The scene as a structure of arrays: what the renderer, physics and interaction share.

A handle is ``generation << 32 | slot``; a slot's generation number rises when it is freed, so that an
old handle never names a newer object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple, Protocol

import numpy as np

from vrapp.core.record import record

NO_HANDLE = -1


class ObjectState(IntEnum):
    """Life of an object. FREE → GROWING → RESTING ⇄ HELD/FLYING → SHRINKING → FREE.

    What rests stands still: the renderer looks at a row again only while it is in another state, or has just
    left one.
    """

    FREE = 0
    GROWING = 1
    RESTING = 2
    HELD = 3
    FLYING = 4  # let go of or falling: physics moves it
    SHRINKING = 5


_GONE = (int(ObjectState.FREE), int(ObjectState.SHRINKING))


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

    def slots_in(self, state: ObjectState) -> np.ndarray:
        """Slots of all objects in this state."""
        found: np.ndarray = (self.state == int(state)).nonzero()[0]  # numpy takes 10 µs over an enum
        return found


def handle_of(arrays: SceneArrays, slot: int) -> int:
    """The handle that names what is in ``slot`` now."""
    return int(arrays.generation[slot]) << 32 | int(slot)


def slot_of(arrays: SceneArrays, handle: int) -> int | None:
    """The slot of an object that lives and does not shrink, or None."""
    slot = handle & 0xFFFFFFFF
    if handle < 0 or slot >= arrays.count or int(arrays.generation[slot]) != handle >> 32:
        return None
    return None if int(arrays.state[slot]) in _GONE else slot


@record
class ObjectFacts:
    """What the networks and the layout made of one object: what adaptation and the panel read.

    ``latent`` (704,) and ``components`` (k,) float32; ``size_m``: longest side in metres.
    """

    handle: int
    request_id: int
    category: int
    latent: np.ndarray
    components: np.ndarray
    size_m: float
    kept: bool = False


class Traits(NamedTuple):
    """Of several objects what a choice between them is learnt from: ``category`` (n,) int, ``components`` (n, k)
    float32, ``size_m`` (n,) float64, the longest sides in metres."""

    category: np.ndarray
    components: np.ndarray
    size_m: np.ndarray


class ObjectLookup(Protocol):
    """Facts by handle; the scene store is one."""

    def facts(self, handle: int) -> ObjectFacts | None:
        """The object's facts, or None where the handle no longer names one."""

    def traits(self, chosen: int, others: Sequence[int]) -> Traits | None:
        """Of what was chosen, then of those of the others that are there still and not kept; None if it is gone."""
