"""Worlds are read, start sets stand sensibly, later objects find good places."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scene_shapes import CountingArena, InstantBank, RoundRobin, block, generated

from vrapp.core import maths, rng
from vrapp.core.categories import load_categories
from vrapp.core.errors import InputFileError, UsageError
from vrapp.core.generation import GeneratedObject
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState
from vrapp.scene.footprints import Footprints, footprints, overlaps
from vrapp.scene.layout import CLEARING_M, FACE_M, Layout
from vrapp.scene.manager import SceneManager
from vrapp.scene.store import SceneStore
from vrapp.scene.surfaces import flat_places, top_map
from vrapp.scene.worlds import load_world, world_names

TABLE = load_categories()
CATEGORIES = tuple(name for name, row in TABLE.items() if row.default)
HEAD = Pose(maths.vec3(0, 1.65, 0))


@cache
def made_for(category: int, request_id: int) -> GeneratedObject:
    extent = rng.generator(2, category, request_id).uniform(0.4, 0.875, 3)
    extent[int(np.argmax(extent))] = 0.875
    if CATEGORIES[category] == "table":
        extent = np.array([0.875, 0.45, 0.6])
    return generated(category, request_id, block(tuple(extent), 1 / 40))


def start_set(layout: Layout) -> list[GeneratedObject]:
    return [made_for(category, i) for i, (_, category) in enumerate(layout.start_categories())]


def populated(seed: int = 7) -> tuple[SceneStore, Layout, SceneManager]:
    layout = Layout(load_world("meadow", seed), CATEGORIES, TABLE, seed)
    store = SceneStore()
    manager = SceneManager(store, layout, InstantBank(), CountingArena(), RoundRobin(len(CATEGORIES)))
    manager.populate_from(start_set(layout))
    return store, layout, manager


def intersecting(p: Footprints) -> int:
    """How many footprints overlap another."""
    n = 0
    for i in range(len(p)):
        rest = Footprints(*(np.delete(v, i, 0) for v in (p.centre, p.half, p.yaw, p.low, p.high, p.slots)))
        one = (p.centre[i : i + 1], p.half[i : i + 1], p.yaw[i : i + 1], p.low[i : i + 1], p.high[i : i + 1])
        n += int(overlaps(*one, rest, 0.0)[0])
    return n


@pytest.mark.parametrize("name", world_names())
def test_every_world_has_enough_and_names_known_categories(name: str) -> None:
    spots = load_world(name, 1).spots
    assert len(spots) >= 60
    assert len({s.category for s in spots}) >= 12
    assert {s.category for s in spots} <= set(CATEGORIES)
    assert all(s.on < i and (s.on < 0 or spots[s.on].up_m is None) for i, s in enumerate(spots))


def test_an_unknown_world_and_a_damaged_one_are_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'meadow'"):
        load_world("medow", 1)
    with pytest.raises(InputFileError, match="cannot be read"):
        load_world(str(tmp_path / "none.toml"), 1)
    for text in (
        "x = ", "label = 'a'", "label = 'a'\ncluster = 3", "label = 'a'\n[[cluster]]\nat = [1]\nitems = []",
        "label = 'a'\n[[cluster]]\nat = [0, 0]\nitems = [{ of = 'tree', at = [0, 0], on = true }]",
        "label = 'a'\n[[cluster]]\nat = [0, 0]\nitems = [{ of = 'tree', at = [0, 0], size = nan }]",
        "label = 'a'\n[[cluster]]\nat = [0, 0]\nitems = [{ of = 'tree', at = [0, 0], size = 7 }]",
        "label = 'a'\n[[cluster]]\nat = ['x', 0]\nitems = [{ of = 'tree', at = [0, 0] }]",
    ):  # fmt: skip
        path = tmp_path / "bad.toml"
        path.write_text(text)
        with pytest.raises(InputFileError, match=r"bad\.toml"):
            load_world(str(path), 1)


def test_a_category_that_nobody_knows_is_told(tmp_path: Path) -> None:
    path = tmp_path / "typo.toml"
    path.write_text("label = 'a'\n[[cluster]]\nat = [0, 0]\nitems = [{ of = 'chiar', at = [0, 0] }]")
    with pytest.raises(InputFileError, match="did you mean 'chair'"):
        Layout(load_world(str(path), 1), CATEGORIES, TABLE, 1)


@pytest.mark.parametrize("seed", [1, 7, 12345])
def test_the_start_set_stands_on_the_ground_at_true_scale_without_intersecting(seed: int) -> None:
    store, _, manager = populated(seed)
    assert manager.placed >= 60
    assert manager.populated
    a = store.arrays()
    assert len(np.unique(a.category)) >= 12
    assert (a.state == ObjectState.RESTING).all()
    p = footprints(a)
    assert intersecting(p) == 0
    assert (np.hypot(*p.centre.T) > CLEARING_M).all()
    for i, slot in enumerate(p.slots):
        row = TABLE[CATEGORIES[a.category[slot]]]
        longest = float(np.ptp(a.box[slot], axis=0).max() * a.size[slot])
        assert row.size_m[0] - 1e-3 <= longest <= row.size_m[1] + 1e-3, row.name
        if row.placement == "air":
            assert p.low[i] > 0.9
        elif row.graspable and longest < 0.9:
            assert p.low[i] > -1e-3
        else:
            assert p.low[i] == pytest.approx(0, abs=1e-3), row.name
    on_furniture = (p.low > 0.3) & (p.low < 1.7) & (np.ptp(a.box[p.slots], axis=1).max(1) * a.size[p.slots] < 0.6)
    assert on_furniture.sum() >= 8


def test_the_first_view_has_a_foreground_a_middle_ground_and_a_background() -> None:
    store, _, _ = populated()
    a = store.arrays()
    ahead = (a.position - HEAD.position) @ HEAD.forward
    distance = np.linalg.norm(a.position - HEAD.position, axis=1)
    seen = ahead / distance > np.cos(np.radians(40))
    near, middle, far = (
        int((seen & (distance > lo) & (distance < hi)).sum()) for lo, hi in ((0, 4.5), (4.5, 13), (13, 60))
    )
    assert near >= 8
    assert middle >= 12
    assert far >= 12


def test_equal_seeds_give_equal_layouts_and_others_do_not() -> None:
    first, again, other = (populated(seed)[0].arrays() for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.position, again.position)
    np.testing.assert_array_equal(first.orientation, again.orientation)
    assert not np.array_equal(first.position, other.position)


def test_what_is_already_made_up_for_missing_bases_and_categories() -> None:
    layout = Layout(load_world("meadow", 7), CATEGORIES[:20], TABLE, 7)
    store = SceneStore()
    manager = SceneManager(store, layout, InstantBank(), CountingArena(), RoundRobin(20))
    without_tables = [g for g in start_set(layout) if CATEGORIES[g.category] not in ("table", "crate_box")]
    manager.populate_from(without_tables)
    assert manager.placed > 0.9 * len(without_tables)
    assert intersecting(footprints(store.arrays())) == 0


def test_a_users_own_category_finds_a_place() -> None:
    layout = Layout(load_world("meadow", 7), ("gizmo",), TABLE, 7)
    assert layout.start_categories() == []
    place = layout.place(0, 1, block(), SceneStore().arrays(), HEAD)
    assert place is not None
    assert 0.4 <= place.size * 0.875 <= 1.0


@pytest.mark.parametrize("category", ["tree", "building", "fruit", "fish_sea", "chair", "aircraft_spaceship", "car"])
def test_later_objects_are_out_of_the_face_clear_of_others_and_at_a_fitting_distance(category: str) -> None:
    store, layout, _ = populated()
    index, found = CATEGORIES.index(category), 0
    low, high = {"tree": (3, 40), "building": (9, 60), "fruit": (1.2, 9), "car": (9, 60)}.get(category, (1.2, 60))
    for request in range(20):
        place = layout.place(index, request, block((0.6, 0.875, 0.5)), store.arrays(), HEAD)
        if place is None:
            continue
        found += 1
        to = place.pose.position - HEAD.position
        distance = float(np.linalg.norm(to))
        central = float(to @ HEAD.forward) > np.cos(np.radians(35)) * distance
        assert not central or distance > FACE_M * 0.9
        assert low < distance < high
        slot_handle = store.add(
            generated(index, request, block((0.6, 0.875, 0.5))), place.pose, place.size, 1, 0, grown=True
        )
        assert intersecting(footprints(store.arrays())) == 0
        store.remove(slot_handle)
    assert found >= 12


def test_a_tabletop_is_found_and_a_spike_is_not_flat() -> None:
    table = block((0.875, 0.4, 0.6))
    places, heights = flat_places(top_map(table), table.box, 0.06)
    assert len(places) > 60
    assert heights == pytest.approx(np.full(len(heights), 0.2), abs=1e-6)
    assert np.abs(places[:, 0]).max() < 0.4375
    spike = block((0.05, 0.875, 0.05))
    assert len(flat_places(top_map(spike), spike.box, 0.06)[0]) == 0
    empty = np.full((16, 16), -np.inf, np.float32)
    assert len(flat_places(empty, table.box, 0.06)[0]) == 0
