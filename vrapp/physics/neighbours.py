"""Which still objects are near moving ones, and which lie on them: by world-aligned boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vrapp.core import floats, maths
from vrapp.core.maths import Array
from vrapp.core.scene import ObjectState, SceneArrays, handle_of, slot_of

_AHEAD_M = 0.4  # one look at all objects finds what is farther away by so much, and holds until it may be reached
_LOOKS_FRAMES = 9  # at most: meanwhile others come to stand there

_SLOT = 0xFFFFFFFF  # of a handle

_Box = tuple[list[float], list[float]]  # middle and half extents, metres, world-aligned


class _Still(NamedTuple):
    """An object at rest."""

    handle: int
    slot: int
    box: _Box


class Neighbourhood:
    """The still objects about a few moving ones, looked up among all of them only every few frames."""

    def __init__(self) -> None:
        self._about: list[tuple[list[float], float, list[_Still]]] = []  # where, how far, and who was found there
        self._handles: list[int] = []
        self._frames_left = 0

    def near(
        self, arrays: SceneArrays, handles: Sequence[int], reach_m: Sequence[float]
    ) -> list[tuple[int, int, float]]:
        """(i, slot, gap in metres) of still objects whose bounds come within ``reach_m[i]`` of those of ``handles[i]``.

        The handles are of living objects.
        """
        self._frames_left -= 1
        positions = [arrays.position[handle & _SLOT].tolist() for handle in handles]
        if self._stale(handles, positions, reach_m):
            self._look(arrays, handles, positions, reach_m)
        found = []
        for i, (handle, (_, _, others)) in enumerate(zip(handles, self._about, strict=True)):
            if not others:
                continue
            box = _bounds_of(arrays, handle & _SLOT)
            for other in others:
                gap = _gap(box, other.box)
                if gap < reach_m[i] and _rests(arrays, other.handle):
                    found.append((i, other.slot, gap))
        return found

    def _stale(self, handles: Sequence[int], positions: list[list[float]], reach_m: Sequence[float]) -> bool:
        if self._frames_left <= 0 or list(handles) != self._handles:
            return True
        return any(
            not math.dist(now, then) + reach <= reached  # false also where it is no number
            for now, (then, reached, _), reach in zip(positions, self._about, reach_m, strict=True)
        )

    def _look(
        self, arrays: SceneArrays, handles: Sequence[int], positions: list[list[float]], reach_m: Sequence[float]
    ) -> None:
        """Find whoever may come within reach before the next look, however the moving ones turn."""
        self._frames_left, self._handles = _LOOKS_FRAMES, list(handles)
        reached = [reach + _AHEAD_M for reach in reach_m]
        still = arrays.slots_in(ObjectState.RESTING)
        at, radius, own = arrays.position[still], arrays.radius[still], np.array(positions, np.float32)
        limit = arrays.radius[[handle & _SLOT for handle in handles]] + np.array(reached, np.float32)
        apart = at - own[:, None]
        close = np.einsum("ank,ank->an", apart, apart) < (radius + limit[:, None]) ** 2
        which = close.any(0).nonzero()[0]
        middle, half = bounds(arrays, still[which])
        boxed = (np.abs(middle - own[:, None]) - half).max(2) < limit[:, None]
        known = [
            _Still(handle_of(arrays, slot), slot, (of_middle, of_half))
            for slot, of_middle, of_half in zip(still[which].tolist(), middle.tolist(), half.tolist(), strict=True)
        ]
        self._about = [
            (position, reach, [known[k] for k in row.nonzero()[0] if known[k].handle != handle])
            for position, reach, row, handle in zip(positions, reached, boxed & close[:, which], handles, strict=True)
        ]


def resting_on(arrays: SceneArrays, slot: int) -> list[int]:
    """Slots of still objects that touch ``slot`` from above, and of those that lie on them."""
    found: list[int] = []
    ask = [slot]
    while ask:
        below = ask.pop()
        middle, half = _bounds_of(arrays, below)
        for _, near, _ in Neighbourhood().near(arrays, [handle_of(arrays, below)], [0.03]):
            higher_middle, higher_half = _bounds_of(arrays, near)
            if higher_middle[1] - higher_half[1] > middle[1] - half[1] + 0.03 and near not in found:
                found.append(near)
                ask.append(near)
    return found


def bounds(arrays: SceneArrays, slots: np.ndarray) -> tuple[Array, Array]:
    """World-aligned middles (n, 3) and half extents (n, 3), metres, at full growth."""
    size, q = arrays.size[slots][:, None], arrays.orientation[slots]
    lower, upper = arrays.box[slots, 0], arrays.box[slots, 1]
    middle = arrays.position[slots] + maths.rotate(q, (lower + upper) / 2 * size)
    turn = np.abs(maths.matrices_from(middle, q)[:, :3, :3])
    return middle, np.einsum("nij,nj->ni", turn, (upper - lower) / 2 * size)


def _bounds_of(arrays: SceneArrays, slot: int) -> _Box:
    """``bounds`` of one object."""
    size = float(arrays.size[slot]) / 2
    columns = floats.axes(arrays.orientation[slot].tolist())
    lower, upper = arrays.box[slot].tolist()
    middle, half = arrays.position[slot].tolist(), [0.0, 0.0, 0.0]
    for column, low, high in zip(columns, lower, upper, strict=True):
        for k in range(3):
            middle[k] += column[k] * (low + high) * size
            half[k] += abs(column[k]) * (high - low) * size
    return middle, half


def _gap(a: _Box, b: _Box) -> float:
    """Between two world-aligned boxes, metres; negative where they overlap."""
    ((x, y, z), (i, j, k)), ((u, v, w), (p, q, r)) = a, b
    return max(abs(x - u) - i - p, abs(y - v) - j - q, abs(z - w) - k - r)


def _rests(arrays: SceneArrays, handle: int) -> bool:
    slot = slot_of(arrays, handle)
    return slot is not None and int(arrays.state[slot]) == ObjectState.RESTING
