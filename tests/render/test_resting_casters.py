"""Which shadows are kept from frame to frame."""

from __future__ import annotations

import numpy as np

from vrapp.render.culling import DrawList
from vrapp.render.resting_casters import _REST_FRAMES, Change, RestingCasters

SLOTS = 500


class Scene:
    """Objects at heights, by slot, and hands; ``look`` tells the casters what has moved since the last look."""

    def __init__(self, heights: dict[int, float], hands: int = 0) -> None:
        self.heights, self.hands = heights, hands
        self.casters = RestingCasters()
        self._before: dict[int, float] = {}

    def look(self, map_place: bytes = b"here", near: list[int] | None = None) -> Change:
        drawn = DrawList()
        drawn.objects, drawn.count = SLOTS, SLOTS + self.hands
        slots = sorted({*self.heights, *self._before})
        drawn.moved = np.array([s for s in slots if self.heights.get(s) != self._before.get(s)], int)
        self._before = dict(self.heights)
        rows = sorted(self.heights if near is None else near)
        return self.casters.update(drawn, np.array(rows, int), map_place)

    def settle(self) -> Change:
        for _ in range(_REST_FRAMES):
            self.look()
        return self.look()


def test_what_lies_still_is_kept_once() -> None:
    scene = Scene({3: 0.0, 7: 1.0})
    change = scene.settle()
    assert (change.start_over, change.now_resting.tolist(), change.moving.tolist()) == (False, [3, 7], [])
    assert scene.look().now_resting.tolist() == []


def test_what_moves_starts_over_without_it() -> None:
    scene = Scene({3: 0.0, 7: 1.0})
    scene.settle()
    scene.heights[7] = 1.5
    change = scene.look()
    assert (change.start_over, change.now_resting.tolist(), change.moving.tolist()) == (True, [3], [7])
    scene.heights[7] = 1.6
    assert not scene.look().start_over


def test_what_is_gone_starts_over() -> None:
    scene = Scene({3: 0.0, 7: 1.0})
    scene.settle()
    del scene.heights[7]
    assert scene.look().start_over


def test_a_new_object_is_added_when_it_rests() -> None:
    scene = Scene({3: 0.0})
    scene.settle()
    scene.heights[400] = 2.0
    assert scene.look().moving.tolist() == [400]
    change = scene.settle()
    assert not change.start_over
    assert change.moving.tolist() == []


def test_another_place_of_the_map_starts_over() -> None:
    scene = Scene({3: 0.0})
    scene.settle()
    change = scene.look(b"there")
    assert (change.start_over, change.now_resting.tolist()) == (True, [3])


def test_hands_always_move() -> None:
    scene = Scene({3: 0.0}, hands=2)
    assert scene.settle().moving.tolist() == [SLOTS, SLOTS + 1]


def test_what_is_out_of_the_map_is_not_looked_at() -> None:
    scene = Scene({3: 0.0, 7: 0.0}, hands=1)
    for height in np.linspace(0, 1, 2 * _REST_FRAMES):
        scene.heights[7] = float(height)
        change = scene.look(near=[3])
    assert change.moving.tolist() == [SLOTS]
    assert not change.start_over
