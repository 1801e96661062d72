"""Which shadows are kept from frame to frame."""

from __future__ import annotations

import numpy as np

from vrapp.render.culling import OBJECT_DTYPE, DrawList
from vrapp.render.resting_casters import _REST_FRAMES, Change, RestingCasters


def draws(places: dict[int, float], hands: int = 0) -> DrawList:
    """Slots at heights, then hands."""
    rows = np.zeros(len(places) + hands, OBJECT_DTYPE)
    rows["orientation"][:, 3] = 1
    rows["position"][: len(places), 1] = list(places.values())
    n = len(rows)
    return DrawList(np.array(list(places), int), rows, np.zeros(n, np.int32), np.ones(n, np.float32))


def look(casters: RestingCasters, drawn: DrawList, map_place: bytes) -> Change:
    """All of them near."""
    return casters.update(drawn, np.arange(len(drawn.rows)), map_place)


def settle(casters: RestingCasters, places: dict[int, float]) -> Change:
    for _ in range(_REST_FRAMES):
        look(casters, draws(places), b"here")
    return look(casters, draws(places), b"here")


def test_what_lies_still_is_kept_once() -> None:
    casters = RestingCasters()
    change = settle(casters, {3: 0.0, 7: 1.0})
    assert (change.start_over, change.now_resting.tolist(), change.moving.tolist()) == (False, [0, 1], [])
    assert look(casters, draws({3: 0.0, 7: 1.0}), b"here").now_resting.tolist() == []


def test_what_moves_starts_over_without_it() -> None:
    casters = RestingCasters()
    settle(casters, {3: 0.0, 7: 1.0})
    change = look(casters, draws({3: 0.0, 7: 1.5}), b"here")
    assert (change.start_over, change.now_resting.tolist(), change.moving.tolist()) == (True, [0], [1])
    assert not look(casters, draws({3: 0.0, 7: 1.6}), b"here").start_over


def test_what_is_gone_starts_over() -> None:
    casters = RestingCasters()
    settle(casters, {3: 0.0, 7: 1.0})
    assert look(casters, draws({3: 0.0}), b"here").start_over


def test_a_new_object_is_added_when_it_rests() -> None:
    casters = RestingCasters()
    settle(casters, {3: 0.0})
    assert look(casters, draws({3: 0.0, 400: 2.0}), b"here").moving.tolist() == [1]
    change = settle(casters, {3: 0.0, 400: 2.0})
    assert not change.start_over
    assert change.moving.tolist() == []


def test_another_place_of_the_map_starts_over() -> None:
    casters = RestingCasters()
    settle(casters, {3: 0.0})
    change = look(casters, draws({3: 0.0}), b"there")
    assert (change.start_over, change.now_resting.tolist()) == (True, [0])


def test_hands_always_move() -> None:
    casters = RestingCasters()
    for _ in range(_REST_FRAMES + 2):
        change = look(casters, draws({3: 0.0}, hands=2), b"here")
    assert change.moving.tolist() == [1, 2]


def test_what_is_out_of_the_map_is_not_looked_at() -> None:
    casters = RestingCasters()
    for height in np.linspace(0, 1, 2 * _REST_FRAMES):
        change = casters.update(draws({3: 0.0, 7: float(height)}, hands=1), np.array([0, 2]), b"here")
    assert change.moving.tolist() == [2]
    assert not change.start_over
