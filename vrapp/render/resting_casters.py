"""Which objects have not moved for a while, so that their shadow can be kept."""

from __future__ import annotations

import numpy as np

from vrapp.core.record import record
from vrapp.render.culling import DrawList

_REST_FRAMES = 12
_NONE = np.zeros(0, np.int64)


@record
class Change:
    """Rows of the draw list. ``start_over``: something that rested is gone or moves, or the map moved,
    so that what was kept is worth nothing and ``now_resting`` holds everything that rests."""

    start_over: bool
    now_resting: np.ndarray
    moving: np.ndarray


class RestingCasters:
    """Remembers since when each row of the draw list has been in the same place."""

    def __init__(self) -> None:
        self._frame = 0
        self._moved_in = np.zeros(256, np.int32)  # the frame in which a row moved last
        self._kept = np.zeros(256, bool)
        self._map: bytes = b""
        self._near = self._left = _NONE  # rows looked at last, and those of them that are not kept

    def update(self, draws: DrawList, near: np.ndarray, map_place: bytes) -> Change:
        """Look at the objects' rows ``near`` (ascending; the same array while it is the same): those that the map
        holds, which is at ``map_place``.

        Hands always move.
        """
        self._reserve(draws.objects)
        self._frame += 1
        start_over = map_place != self._map
        if len(draws.moved):
            self._moved_in[draws.moved] = self._frame
            start_over = start_over or bool(self._kept[draws.moved].any())
        if start_over:
            self._kept[:] = False
            self._map = map_place
        if start_over or near is not self._near:
            self._near, self._left = near, near[~self._kept[near]]
        now, moving = self._settled()
        if draws.count > draws.objects:
            hands = np.arange(draws.objects, draws.count)
            moving = np.concatenate((moving, hands)) if len(moving) else hands
        return Change(start_over, now, moving)

    def _settled(self) -> tuple[np.ndarray, np.ndarray]:
        """Of what is not kept: the rows that have come to rest, kept from now on, and those that have not."""
        left = self._left
        if not len(left):  # as in most frames
            return _NONE, _NONE
        rests = self._frame - self._moved_in[left] >= _REST_FRAMES
        if not rests.any():
            return _NONE, left
        now, self._left = left[rests], left[~rests]
        self._kept[now] = True
        return now, self._left

    def _reserve(self, count: int) -> None:
        while len(self._kept) < count:
            self._moved_in = np.concatenate([self._moved_in, np.full_like(self._moved_in, self._frame)])
            self._kept = np.concatenate([self._kept, np.zeros_like(self._kept)])
