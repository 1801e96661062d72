"""The store's handles, growth and columns."""

from __future__ import annotations

import numpy as np
import pytest
from scene_shapes import block, generated

from vrapp.core import maths
from vrapp.core.pose import Pose
from vrapp.core.scene import Mark, ObjectState, slot_of
from vrapp.scene.store import GROW_S, SHRINK_S, SceneStore


def at(x: float, y: float, z: float) -> Pose:
    return Pose(maths.vec3(x, y, z))


def test_a_handle_names_one_object_only() -> None:
    store = SceneStore(capacity=2)
    first = store.add(generated(3, 7), at(1, 0.5, 2), 1.0, mesh_id=11, now_ns=5, grown=True)
    assert store.alive(first)
    assert store.remove(first) == 11
    second = store.add(generated(4, 8), at(0, 0, 0), 1.0, mesh_id=12, now_ns=6, grown=True)
    assert store.slot(second) == 0, "the slot is used again"
    assert not store.alive(first)
    assert slot_of(store.arrays(), first) is None
    assert store.facts(first) is None
    with pytest.raises(KeyError):
        store.slot(first)
    for never in (-1, 99, 1 << 40):
        assert not store.alive(never)


def test_traits_are_the_facts_of_many() -> None:
    store = SceneStore(capacity=2)
    handles = [store.add(generated(i, i), at(i, 0, 0), 0.5 + i, i, 0, grown=True) for i in range(9)]
    store.kept[store.slot(handles[2])] = store.kept[store.slot(handles[5])] = True
    store.remove(handles[3])
    traits = store.traits(handles[5], [*handles[:5], handles[7], -1, 1 << 40, 99])
    assert traits is not None
    facts = [store.facts(handles[i]) for i in (5, 0, 1, 4, 7)]  # what is kept is no choice any more, but the chosen one
    told = zip(traits.category.tolist(), traits.components.tolist(), traits.size_m.tolist(), strict=True)
    expected = [(f.category, f.components.tolist(), f.size_m) for f in facts if f is not None]
    assert list(told) == expected
    assert store.traits(handles[3], handles) is None


def test_it_grows_by_doubling_and_keeps_everything() -> None:
    store = SceneStore(capacity=2)
    handles = [store.add(generated(i, i), at(i, 0, 0), 0.5 + i, i, 0, grown=True) for i in range(50)]
    a = store.arrays()
    assert a.count == len(store) == 50
    assert len(a.state) == len(a.box) == 50
    assert [store.slot(h) for h in handles] == list(range(50))
    np.testing.assert_array_equal(a.position[:, 0], np.arange(50))
    np.testing.assert_array_equal(a.category, np.arange(50))
    facts = store.facts(handles[20])
    assert facts is not None
    assert facts.request_id == 20
    np.testing.assert_array_equal(facts.latent, generated(20, 20).latent)


def test_arrays_are_views_onto_the_store() -> None:
    store = SceneStore()
    handle = store.add(generated(0), at(0, 0, 0), 1.0, 1, 0, grown=True)
    store.arrays().position[store.slot(handle)] = (1, 2, 3)
    np.testing.assert_array_equal(store.position[0], (1, 2, 3))


def test_growing_keeps_the_foot_on_the_ground() -> None:
    store = SceneStore()
    mesh = block((0.5, 0.875, 0.5))
    size = 2.0
    y = 0.4375 * size
    handle = store.add(generated(0, 0, mesh), at(3, y, -4), size, 1, 0)
    slot = store.slot(handle)
    assert store.arrays().growth[slot] == 0
    last = 0.0
    for _ in range(5):
        store.advance(GROW_S / 5)
        growth = float(store.growth[slot])
        assert growth > last
        assert store.position[slot, 1] - 0.4375 * size * growth == pytest.approx(0, abs=1e-5)
        last = growth
    assert store.state[slot] == ObjectState.RESTING
    np.testing.assert_allclose(store.position[slot], (3, y, -4), atol=1e-5)


def test_a_paused_object_waits_for_its_mesh() -> None:
    store = SceneStore()
    slot = store.slot(store.add(generated(0), at(0, 0.5, 0), 1.0, 1, 0))
    store.advance(0.3, [slot])
    assert store.growth[slot] == 0
    store.advance(0.3)
    assert store.growth[slot] > 0


def test_shrinking_keeps_what_lies_on_its_side_on_the_ground_and_ends() -> None:
    store = SceneStore()
    mesh = block((0.3, 0.875, 0.3))
    side = maths.quat_from_axis_angle((0, 0, 1), np.pi / 2)
    handle = store.add(generated(0, 0, mesh), Pose(maths.vec3(0, 0.15, 0), side), 1.0, 1, 0, grown=True)
    slot = store.slot(handle)
    store.mark[slot] = Mark.KEPT
    store.shrink(handle)
    store.shrink(handle)
    assert store.mark[slot] == Mark.NONE
    assert len(store.advance(SHRINK_S / 2)) == 0
    assert store.position[slot, 1] == pytest.approx(0.15 * float(store.growth[slot]), abs=1e-5)
    assert store.advance(SHRINK_S) == [slot]
    assert store.alive(handle), "the owner removes it"


def test_an_object_dismissed_while_it_grows_shrinks_from_where_it_is() -> None:
    store = SceneStore()
    handle = store.add(generated(0), at(0, 0.4375, 0), 1.0, 1, 0)
    slot = store.slot(handle)
    store.advance(GROW_S / 2)
    grown = float(store.growth[slot])
    store.shrink(handle)
    store.advance(0.01)
    assert 0 < store.growth[slot] <= grown
    assert store.position[slot, 1] == pytest.approx(0.4375 * float(store.growth[slot]), abs=1e-5)
