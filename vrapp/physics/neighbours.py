"""Which still objects are near moving ones, and which lie on them: by world-aligned boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vrapp.core import floats
from vrapp.core.scene import ObjectState, SceneArrays, handle_of, slot_of

_AHEAD_M = 0.4  # one look at all objects finds what is farther away by so much, and holds until it may be reached
_LOOKS_FRAMES = 9  # at most: meanwhile others come to stand there

_SLOT = 0xFFFFFFFF  # of a handle
_RESTING = int(ObjectState.RESTING)
_ONES, _POINT = np.ones(3, np.float32), [0.0, 0.0, 0.0]

_Box = tuple[list[float], list[float]]  # middle and half extents, metres, world-aligned


class _Still(NamedTuple):
    """An object at rest."""

    handle: int
    slot: int
    box: _Box


class Neighbourhood:
    """The still objects about a few moving ones, looked up among all of them only every few frames."""

    def __init__(self, ahead_m: float = _AHEAD_M) -> None:
        self._ahead_m = ahead_m
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
        reached = [reach + self._ahead_m for reach in reach_m]
        limit = [float(arrays.radius[h & _SLOT]) + far for h, far in zip(handles, reached, strict=True)]
        close = np.zeros((len(handles), arrays.count), bool)
        for row, position, far in zip(close, positions, limit, strict=True):
            apart = arrays.position - np.array(position, np.float32)
            apart *= apart
            least = arrays.radius + np.float32(far)
            np.less(apart @ _ONES, least * least, out=row)
        close &= arrays.state == _RESTING
        # Few are left, and numpy takes longer over the boxes of a few dozen than Python.
        known = {
            slot: _Still(handle_of(arrays, slot), slot, _bounds_of(arrays, slot))
            for slot in np.flatnonzero(close.any(axis=0)).tolist()
        }
        self._about = [
            (positions[i], reached[i], [
                other
                for slot in close[i].nonzero()[0].tolist()
                if (other := known[slot]).handle != handle and _gap((positions[i], _POINT), other.box) < limit[i]
            ])
            for i, handle in enumerate(handles)
        ]  # fmt: skip


def resting_on(arrays: SceneArrays, slot: int) -> list[int]:
    """Slots of still objects that touch ``slot`` from above, and of those that lie on them."""
    found: list[int] = []
    ask = [slot]
    while ask:
        below = ask.pop()
        middle, half = _bounds_of(arrays, below)
        for _, near, _ in Neighbourhood(0.0).near(arrays, [handle_of(arrays, below)], [0.03]):
            higher_middle, higher_half = _bounds_of(arrays, near)
            if higher_middle[1] - higher_half[1] > middle[1] - half[1] + 0.03 and near not in found:
                found.append(near)
                ask.append(near)
    return found


def _bounds_of(arrays: SceneArrays, slot: int) -> _Box:
    """World-aligned middle and half extents, metres, of an object at full growth. Written out: a dozen a look."""
    size = float(arrays.size[slot]) / 2
    columns = floats.axes(arrays.orientation[slot].tolist())
    lower, upper = arrays.box[slot].tolist()
    x, y, z = arrays.position[slot].tolist()
    i = j = k = 0.0
    for (a, b, c), low, high in zip(columns, lower, upper, strict=True):
        centre, extent = low + high, high - low
        x, y, z = x + a * centre * size, y + b * centre * size, z + c * centre * size
        i, j, k = i + abs(a) * extent * size, j + abs(b) * extent * size, k + abs(c) * extent * size
    return [x, y, z], [i, j, k]


def _gap(a: _Box, b: _Box) -> float:
    """Between two world-aligned boxes, metres; negative where they overlap."""
    ((x, y, z), (i, j, k)), ((u, v, w), (p, q, r)) = a, b
    return max(abs(x - u) - i - p, abs(y - v) - j - q, abs(z - w) - k - r)


def _rests(arrays: SceneArrays, handle: int) -> bool:
    slot = slot_of(arrays, handle)
    return slot is not None and int(arrays.state[slot]) == _RESTING
