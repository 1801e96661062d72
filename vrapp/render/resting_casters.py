"""Which objects have not moved for a while, so that their shadow can be kept."""

from __future__ import annotations

import numpy as np

from vrapp.core.record import record
from vrapp.render.culling import DrawList

_REST_FRAMES = 12


@record
class Change:
    """Rows of the draw list. ``start_over``: something that rested is gone or moves, or the map moved,
    so that what was kept is worth nothing and ``now_resting`` holds everything that rests."""

    start_over: bool
    now_resting: np.ndarray
    moving: np.ndarray


class RestingCasters:
    """Counts for how many frames each row of the draw list has been in the same place."""

    def __init__(self) -> None:
        self._still = np.zeros(256, np.int32)
        self._kept = np.zeros(256, bool)
        self._map: bytes = b""

    def update(self, draws: DrawList, near: np.ndarray, map_place: bytes) -> Change:
        """Look at the rows ``near`` (ascending): those that the map holds, which is at ``map_place``.

        Hands always move.
        """
        self._reserve(draws.objects)
        self._still += 1
        self._still[draws.moved] = 0
        start_over = map_place != self._map or bool(self._kept[draws.moved].any())
        if start_over:
            self._kept[:] = False
            self._map = map_place
        objects = near[: np.searchsorted(near, draws.objects)]
        left = objects[~self._kept[objects]]
        rests = self._still[left] >= _REST_FRAMES
        now = left[rests]
        self._kept[now] = True
        return Change(start_over, now, np.concatenate([left[~rests], near[len(objects) :]]))

    def _reserve(self, count: int) -> None:
        while len(self._still) < count:
            self._still = np.concatenate([self._still, np.zeros_like(self._still)])
            self._kept = np.concatenate([self._kept, np.zeros_like(self._kept)])
