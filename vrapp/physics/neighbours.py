"""Which still objects are near a moving one, and which lie on it: all at once, by world-aligned boxes."""

from __future__ import annotations

import numpy as np

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.scene import ObjectState, SceneArrays


def bounds(arrays: SceneArrays, slots: np.ndarray) -> tuple[Array, Array]:
    """World axis-aligned centres (n, 3) and half extents (n, 3), metres, at full growth."""
    size, q = arrays.size[slots][:, None], arrays.orientation[slots]
    lower, upper = arrays.box[slots, 0], arrays.box[slots, 1]
    centre = arrays.position[slots] + maths.rotate(q, (lower + upper) / 2 * size)
    turn = np.abs(maths.matrices_from(centre, q)[:, :3, :3])
    return centre, np.einsum("nij,nj->ni", turn, (upper - lower) / 2 * size)


def touching_boxes(arrays: SceneArrays, slot: int, reach_m: float) -> np.ndarray:
    """Slots of still objects whose bounds come within ``reach_m`` of those of ``slot``."""
    gap = np.linalg.norm(arrays.position - arrays.position[slot], axis=1) - arrays.radius - arrays.radius[slot]
    near = np.flatnonzero((arrays.state == ObjectState.RESTING) & (gap < reach_m))
    near = np.asarray(near[near != slot])
    if not len(near):
        return near
    centre, half = bounds(arrays, near)
    own_centre, own_half = bounds(arrays, np.array([slot]))
    close = (np.abs(centre - own_centre) < half + own_half + reach_m).all(1)
    return np.asarray(near[close])


def resting_on(arrays: SceneArrays, slot: int) -> np.ndarray:
    """Slots of still objects that touch ``slot`` from above, and of those that lie on them."""
    found: list[int] = []
    ask = [slot]
    while ask:
        below = ask.pop()
        near = touching_boxes(arrays, below, 0.03)
        if not len(near):
            continue
        own_centre, own_half = bounds(arrays, np.array([below]))
        low = own_centre[0, 1] - own_half[0, 1]
        centre, half = bounds(arrays, near)
        above = [int(s) for s in near[centre[:, 1] - half[:, 1] > low + 0.03] if int(s) not in found]
        found += above
        ask += above
    return np.array(found, np.int64)
