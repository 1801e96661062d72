"""What objects cover of the ground: oriented rectangles with a height interval, and whether they overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.scene import ObjectState, SceneArrays

_UPRIGHT = 0.996  # cosine of 5°: beyond that a box counts with the rectangle around it


@dataclass(frozen=True)
class Footprints:
    """n rectangles: ``centre`` (n, 2) in x and z, ``half`` (n, 2), ``yaw`` (n,) rad, ``low`` and ``high`` (n,) m."""

    centre: Array
    half: Array
    yaw: Array
    low: Array
    high: Array
    slots: np.ndarray  # (n,) of the objects that they belong to

    def __len__(self) -> int:
        return len(self.yaw)

    def without(self, slot: int) -> Footprints:
        """All but one object's."""
        keep = self.slots != slot
        return Footprints(
            self.centre[keep], self.half[keep], self.yaw[keep], self.low[keep], self.high[keep], self.slots[keep]
        )


def footprints(arrays: SceneArrays, among: np.ndarray | None = None) -> Footprints:
    """The footprints of all objects (or of the slots ``among``) that are not leaving, at full growth."""
    slots = np.arange(arrays.count) if among is None else among
    state = arrays.state[slots]
    slots = slots[(state != int(ObjectState.FREE)) & (state != int(ObjectState.SHRINKING))]
    q, size = arrays.orientation[slots], arrays.size[slots][:, None]
    lower, upper = arrays.box[slots, 0], arrays.box[slots, 1]
    half = (upper - lower) / 2 * size
    middle = arrays.position[slots] + maths.rotate(q, (lower + upper) / 2 * size)
    # A growing object's position still lies low; its growth will lift it: count from where it will end.
    growing = arrays.state[slots] == int(ObjectState.GROWING)
    m = maths.matrices_from(middle, q)[:, :3, :3]
    upright = m[:, 1, 1] > _UPRIGHT
    around = np.einsum("nij,nj->ni", np.abs(m), half)
    yaw = np.where(upright, np.arctan2(m[:, 0, 2], m[:, 2, 2]), 0).astype(np.float32)
    half_xz = np.where(upright[:, None], half, around)[:, [0, 2]]
    tall = around[:, 1]
    low = middle[:, 1] - tall
    if growing.any():
        base = arrays.position[slots, 1] + lower[:, 1] * size[:, 0] * arrays.growth[slots]
        low = np.where(growing, base, low)
    return Footprints(middle[:, [0, 2]], half_xz, yaw, low, low + 2 * tall, slots)


def overlaps(centre: Array, half: Array, yaw: Array, low: Array, high: Array, other: Footprints, gap: float) -> Array:
    """(m,) bool: does candidate i (centre (m, 2), half (m, 2), yaw, low, high (m,)) come within ``gap`` metres
    of any of ``other``? Separating axes of two rectangles; things one above the other do not touch."""
    m = len(yaw)
    if not len(other):
        return np.zeros(m, bool)
    d = other.centre[None] - centre[:, None]  # (m, n, 2)
    reach = np.linalg.norm(half, axis=1)[:, None] + np.linalg.norm(other.half, axis=1)[None] + gap
    near = (np.einsum("mnk,mnk->mn", d, d) < reach**2) & (low[:, None] < other.high - 0.01)
    i, j = np.nonzero(near & (high[:, None] > other.low + 0.01))
    if not len(i):
        return np.zeros(m, bool)
    ha, hb, delta = half[i] + gap, other.half[j], d[i, j]
    turn = other.yaw[j] - yaw[i]
    c, s = np.abs(np.cos(turn))[:, None], np.abs(np.sin(turn))[:, None]
    hit_a = np.abs(_into(delta, yaw[i])) <= ha + hb * c + hb[:, ::-1] * s
    hit_b = np.abs(_into(delta, other.yaw[j])) <= hb + ha * c + ha[:, ::-1] * s
    hit = np.zeros(m, bool)
    hit[i[(hit_a & hit_b).all(1)]] = True
    return hit


def _into(v: Array, yaw: Array) -> Array:
    """(n, 2) world x, z in the axes of rectangles turned by ``yaw`` about +Y."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack([c * v[:, 0] - s * v[:, 1], s * v[:, 0] + c * v[:, 1]], axis=1)
