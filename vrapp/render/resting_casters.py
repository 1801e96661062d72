"""Which objects have not moved for a while, so that their shadow can be kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrapp.render.culling import DrawList

_REST_FRAMES = 12

_PLACE_DTYPE = np.dtype([("position", "<f4", 3), ("orientation", "<f4", 4), ("scale", "<f4"), ("mesh_id", "<i4")])


@dataclass(frozen=True)
class Change:
    """Indices into the draw list. ``start_over``: something that rested is gone or moves, or the map moved,
    so that what was kept is worth nothing and ``now_resting`` holds everything that rests."""

    start_over: bool
    now_resting: np.ndarray
    moving: np.ndarray


class RestingCasters:
    """Compares each frame's places with those of the frame before, by slot."""

    def __init__(self) -> None:
        self._place = np.zeros(256, _PLACE_DTYPE)
        self._still = np.zeros(256, np.int32)  # frames in the same place
        self._kept = np.zeros(256, bool)
        self._map: bytes = b""

    def update(self, draws: DrawList, near: np.ndarray, map_place: bytes) -> Change:
        """Look at the draws ``near`` (ascending indices): those that the map holds, which is at ``map_place``.

        Hands, which have no slot, always move.
        """
        objects = near[near < len(draws.slots)]
        slots = draws.slots[objects]
        self._reserve(int(slots.max()) + 1 if len(slots) else 0)
        place = np.zeros(len(objects), _PLACE_DTYPE)
        for field in ("position", "orientation", "scale"):
            place[field] = draws.rows[field][objects]
        place["mesh_id"] = draws.mesh_id[objects]
        present = np.zeros(len(self._still), bool)
        present[slots] = place.view("V36") == self._place[slots].view("V36")
        self._still = np.where(present, self._still + 1, 0)
        self._place[slots] = place
        rests = self._still[slots] >= _REST_FRAMES
        start_over = map_place != self._map or bool((self._kept & (self._still == 0)).any())
        if start_over:
            self._kept[:] = False
            self._map = map_place
        now = objects[rests & ~self._kept[slots]]
        self._kept[draws.slots[now]] = True
        moving = np.concatenate([objects[~self._kept[slots]], near[len(objects) :]])
        return Change(start_over, now, moving)

    def _reserve(self, count: int) -> None:
        while len(self._still) < count:
            self._place = np.concatenate([self._place, np.zeros_like(self._place)])
            self._still = np.concatenate([self._still, np.zeros_like(self._still)])
            self._kept = np.concatenate([self._kept, np.zeros_like(self._kept)])
