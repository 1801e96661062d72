"""Which still objects are near moving ones, and which lie on them: all at once, by world-aligned boxes."""

from __future__ import annotations

import numpy as np

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.scene import ObjectState, SceneArrays


def bounds(arrays: SceneArrays, slots: np.ndarray) -> tuple[Array, Array]:
    """World-aligned centres (n, 3) and half extents (n, 3), metres, at full growth."""
    size, q = arrays.size[slots][:, None], arrays.orientation[slots]
    lower, upper = arrays.box[slots, 0], arrays.box[slots, 1]
    centre = arrays.position[slots] + maths.rotate(q, (lower + upper) / 2 * size)
    turn = np.abs(maths.matrices_from(centre, q)[:, :3, :3])
    return centre, np.einsum("nij,nj->ni", turn, (upper - lower) / 2 * size)


def near_still(arrays: SceneArrays, slots: np.ndarray, reach_m: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(i, slot, gap in metres) of still objects whose bounds come within ``reach_m[i]`` of those of ``slots[i]``."""
    still = np.flatnonzero(arrays.state == ObjectState.RESTING)
    apart = arrays.position[slots][:, None] - arrays.position[still][None]
    limit = arrays.radius[slots][:, None] + arrays.radius[still][None] + reach_m[:, None]
    close = (np.einsum("ank,ank->an", apart, apart) < limit**2) & (slots[:, None] != still[None])
    i, j = np.nonzero(close)
    if not len(i):
        return i, j, np.zeros(0, np.float32)
    centre, half = bounds(arrays, slots)
    near = np.flatnonzero(close.any(0))  # np.unique would import numpy.ma, 30 ms, in the middle of a frame
    back = np.searchsorted(near, j)
    other_centre, other_half = bounds(arrays, still[near])
    gap = (np.abs(centre[i] - other_centre[back]) - half[i] - other_half[back]).max(1)
    within = gap < reach_m[i]
    return i[within], still[j[within]], gap[within]


def resting_on(arrays: SceneArrays, slot: int) -> np.ndarray:
    """Slots of still objects that touch ``slot`` from above, and of those that lie on them."""
    found: list[int] = []
    ask = [slot]
    while ask:
        below = np.array([ask.pop()])
        _, near, _ = near_still(arrays, below, np.full(1, 0.03, np.float32))
        if not len(near):
            continue
        own_centre, own_half = bounds(arrays, below)
        centre, half = bounds(arrays, near)
        higher = centre[:, 1] - half[:, 1] > own_centre[0, 1] - own_half[0, 1] + 0.03
        above = [int(s) for s in near[higher] if int(s) not in found]
        found += above
        ask += above
    return np.array(found, np.int64)
