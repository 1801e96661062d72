"""Frustum, levels of detail and indirect commands, without a GPU."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tests.render.conftest import camera, scene_of
from vrapp.core.mesh import LEVELS
from vrapp.core.pose import Pose
from vrapp.core.scene import Mark, ObjectState, SceneArrays
from vrapp.render.arena import LEVEL_DTYPE
from vrapp.render.culling import (
    HIGHLIGHTS,
    DetailChooser,
    DrawList,
    NearestFirst,
    RowCommands,
    commands,
    frustum_planes,
    inside,
)
from vrapp.render.frame_block import place_eyes

ORIGIN = np.zeros(3, np.float32)
HAND = (1.0, 2.0, 3.0, 1.0, 0.0, 0.0, 0.0, 1.0, *[0.0] * 8)  # the numbers of its row


@dataclass
class FakeArena:
    """Meshes 0 and 1 are resident, 2 is not."""

    levels: np.ndarray = field(default_factory=lambda: np.zeros((4, LEVELS), LEVEL_DTYPE))
    is_resident: np.ndarray = field(default_factory=lambda: np.array([True, True, False, False]))
    version: int = 0


def fake_arena() -> FakeArena:
    arena = FakeArena()
    arena.levels["index_count"] = [[900, 90, 9]] * 4
    arena.levels["first_index"] = np.arange(12).reshape(4, 3) * 1000
    return arena


def flat(positions: np.ndarray) -> np.ndarray:
    return np.zeros(len(positions), np.float32)


def drawn(
    scene: SceneArrays, draws: DrawList | None = None, arena: FakeArena | None = None, hands: int = 0
) -> DrawList:
    """The list of the scene on flat ground, made anew or brought up to date."""
    draws = draws or DrawList()
    draws.update(scene, arena or fake_arena(), flat, [HAND] * hands, [0] * hands)  # type: ignore[arg-type]
    return draws


def seen(points: list[tuple[float, float, float]], radius: float = 0.0) -> list[bool]:
    eye = place_eyes((camera((100, 100)),), Pose())[0]
    spheres = np.array([(*point, 1, radius) for point in points], np.float32)
    return inside(frustum_planes(eye.clip_from_world), spheres).tolist()


def test_what_is_before_the_eye_is_kept_and_what_is_behind_or_beside_is_not() -> None:
    assert seen([(0, 1.6, -5), (0, 1.6, 5), (9, 1.6, -5), (0, 9, -5), (0, 1.6, -4000)]) == [
        True,
        False,
        False,
        False,
        True,
    ]


def test_a_sphere_that_reaches_into_the_frustum_is_kept() -> None:
    assert seen([(5, 1.6, -5)]) == [False]
    assert seen([(5, 1.6, -5)], radius=3.0) == [True]


def test_only_existing_grown_resident_objects_are_drawn() -> None:
    scene = scene_of([0, 1, 2, -1, 0, 1], [(0, 0, 0)] * 6)
    scene.growth[4] = 0
    scene.state[5] = ObjectState.FREE
    draws = drawn(scene, hands=1)
    assert np.flatnonzero(draws.shown[: draws.count]).tolist() == [0, 1, 6]
    assert draws.rows["scale"][:6].tolist() == [1, 1, 0, 0, 0, 0]


def test_growth_eases_size_and_bounding_sphere() -> None:
    scene = scene_of([0, 0, 0], [(0, 0, 0)] * 3, size=2.0)
    scene.growth[:] = 0.25, 0.5, 1.0
    draws = drawn(scene)
    assert np.allclose(draws.rows["scale"][:3], [2 * 0.15625, 1.0, 2.0])
    assert np.allclose(draws.radius[:3], [1.6 * 0.15625, 0.8, 1.6])


def test_only_what_is_not_at_rest_is_worked_out_again() -> None:
    scene, draws = scene_of([0, 1, 0], [(0, 0, 0)] * 3), DrawList()
    drawn(scene, draws)
    scene.position[:, 1] = 5.0
    scene.state[1] = ObjectState.HELD
    assert drawn(scene, draws).moved.tolist() == [1]
    assert draws.rows["position"][:3, 1].tolist() == [0, 5, 0]
    scene.position[1, 1], scene.state[1] = 6.0, ObjectState.RESTING  # where it came to rest counts
    assert drawn(scene, draws).moved.tolist() == [1]
    assert draws.rows["position"][1, 1] == 6.0
    assert drawn(scene, draws).moved.tolist() == []


def test_what_two_hands_stretch_is_drawn_as_large_as_it_is() -> None:
    scene, draws = scene_of([0, 1], [(0, 0, 0)] * 2), DrawList()
    scene.state[1] = ObjectState.HELD
    for size in (1.0, 1.0, 1.5, 1.8):
        scene.size[1], scene.radius[1] = size, 0.8 * size
        drawn(scene, draws)
        assert draws.rows["scale"][:2].tolist() == [1.0, np.float32(size)]
        assert draws.radius[1] == np.float32(0.8 * size)
        assert np.allclose(draws.rows["half_extent"][1], scene.box[1, 1] * size)


def test_when_an_object_comes_only_what_differs_is_worked_out_again() -> None:
    scene, draws = scene_of([0, 0, 0], [(0, 0, 0)] * 3), DrawList()
    drawn(scene, draws)
    drawn(scene, draws)
    more = scene_of([0, 0, 0, 1], [(0, 0, 0)] * 4)
    more.position[1], more.box[2] = (0, 5, 0), 0.25
    assert drawn(more, draws).moved.tolist() == [1, 2, 3]
    assert draws.rows["position"][:4, 1].tolist() == [0, 5, 0, 0]
    draws.forget()
    assert drawn(more, draws).moved.tolist() == [0, 1, 2, 3]


def test_a_mesh_that_arrives_shows_its_object() -> None:
    scene, draws, arena = scene_of([0, 2], [(0, 0, 0)] * 2), DrawList(), fake_arena()
    assert drawn(scene, draws, arena).shown[:2].tolist() == [True, False]
    arena.is_resident[2], arena.version = True, 1
    assert drawn(scene, draws, arena).moved.tolist() == [1]
    assert draws.shown[:2].tolist() == [True, True]


def test_marks_come_and_go_without_a_move() -> None:
    scene, draws = scene_of([0, 1], [(0, 0, 0)] * 2), DrawList()
    drawn(scene, draws)
    scene.mark[1] = Mark.POINTED
    assert drawn(scene, draws).moved.tolist() == []
    assert (draws.rows["highlight"][:2] == HIGHLIGHTS[[0, Mark.POINTED]]).all()
    scene.mark[1] = Mark.NONE
    assert (drawn(scene, draws).rows["highlight"][1] == 0).all()


def test_a_marked_object_that_moves_keeps_its_highlight() -> None:
    scene, draws = scene_of([0], [(0, 0, 0)]), DrawList()
    scene.mark[0], scene.state[0] = Mark.HELD, ObjectState.HELD
    for _ in range(3):
        assert (drawn(scene, draws).rows["highlight"][0] == HIGHLIGHTS[Mark.HELD]).all()


def test_the_strongest_mark_is_shown() -> None:
    assert HIGHLIGHTS[0, 3] == 0
    assert (HIGHLIGHTS[Mark.KEPT | Mark.HELD] == HIGHLIGHTS[Mark.HELD]).all()
    assert (HIGHLIGHTS[Mark.KEPT | Mark.POINTED] == HIGHLIGHTS[Mark.POINTED]).all()


def levels_at(chooser: DetailChooser, metres: float) -> int:
    scene = scene_of([0], [(0, 0, -metres)])
    draws = drawn(scene)
    return int(chooser.choose(scene, draws, ORIGIN, 1000.0)[0])


def test_levels_get_coarser_with_distance() -> None:
    found = [levels_at(DetailChooser(300, 3, 10**9), d) for d in (1, 3, 6, 12, 20, 40)]
    assert found == sorted(found)
    assert {0, 1, 2} == set(found)


def test_a_level_does_not_flicker_at_its_border() -> None:
    chooser = DetailChooser(300, 3, 10**9)
    distances = np.linspace(1, 30, 400)
    levels = [levels_at(chooser, float(d)) for d in distances]
    border = float(distances[levels.index(1)])
    wobbling = [levels_at(chooser, border + 0.02 * (-1) ** k) for k in range(20)]
    fresh = [levels_at(DetailChooser(300, 3, 10**9), border + s) for s in (-1.5, 1.5)]
    assert len(set(wobbling)) == 1
    assert fresh == [0, 1]


def test_another_object_in_the_slot_starts_afresh() -> None:
    chooser = DetailChooser(300, 3, 10**9)
    scene = scene_of([0], [(0, 0, 0)])
    draws = drawn(scene)
    near, border, far = np.array([(1.0, 0, 0), (6.4, 0, 0), (30.0, 0, 0)], np.float32)
    assert chooser.choose(scene, draws, near, 1000.0)[0] == 0
    kept = chooser.choose(scene, draws, border, 1000.0)[0]
    other = replace(scene, generation=np.ones(1, np.int32))
    assert (kept, chooser.choose(other, draws, far, 1000.0)[0]) == (0, 2)


def test_over_the_budget_levels_get_coarser_and_come_back() -> None:
    chooser = DetailChooser(300, 3, triangle_budget=100)
    near = levels_at(chooser, 4.0)
    for _ in range(60):
        chooser.drawn(1000)
    coarse = levels_at(chooser, 4.0)
    for _ in range(200):
        chooser.drawn(10)
    assert near == 0
    assert coarse > near
    assert levels_at(chooser, 4.0) == near


def test_commands_name_level_and_row() -> None:
    scene = scene_of([1, 0, 1], [(0, 0, 0)] * 3)
    draws = drawn(scene)
    out = commands(fake_arena(), draws, np.array([2, 0]), np.array([1, 2]), instances=2)  # type: ignore[arg-type]
    assert out["count"].tolist() == [90, 9]
    assert out["first_index"].tolist() == [4000, 5000]
    assert out["base_instance"].tolist() == [2, 0]
    assert out["instances"].tolist() == [2, 2]


def test_every_rows_command_is_made_anew_when_a_level_a_row_or_a_mesh_changes() -> None:
    scene, arena, kept = scene_of([1, 0, 1], [(0, 0, 0)] * 3), fake_arena(), RowCommands()
    draws, level = drawn(scene, arena=arena), np.array([1, 2, 0])

    def told(level: np.ndarray) -> np.ndarray:
        out = kept.of(arena, draws, level, 2)  # type: ignore[arg-type]
        np.testing.assert_array_equal(out, commands(arena, draws, np.arange(draws.count), level, 2))  # type: ignore[arg-type]
        return out

    first = told(level)
    assert told(level) is first, "nothing is another"
    assert told(np.array([1, 1, 0])) is not first
    scene.state[1], scene.mesh_id[1] = ObjectState.GROWING, 1
    drawn(scene, draws, arena)
    assert told(level)["first_index"].tolist() == [4000, 5000, 3000]
    drawn(scene, draws, arena, hands=1)
    assert len(told(np.array([1, 2, 0, 0]))) == 4
    arena.levels["index_count"], arena.version = 30, 1
    assert told(np.array([1, 2, 0, 0]))["count"].tolist() == [30] * 4


def test_the_nearest_are_drawn_first_and_none_is_lost_between_two_sorts() -> None:
    order = NearestFirst()
    draws = drawn(scene_of([0] * 4, [(3, 0, 0), (1, 0, 0), (2, 0, 0), (0.5, 0, 0)]))
    everything, other_end = np.ones(4, bool), np.array([4, 0, 0], np.float32)
    assert order.of(everything, draws, ORIGIN).tolist() == [3, 1, 2, 0]
    assert order.of(np.array([True, False, True, True]), draws, ORIGIN).tolist() == [3, 2, 0]
    for _ in range(6):  # it may be a few frames late
        late = order.of(everything, draws, other_end).tolist()
        assert sorted(late) == [0, 1, 2, 3]
    assert late == [0, 2, 1, 3]
    more = drawn(scene_of([0] * 5, [(3, 0, 0), (1, 0, 0), (2, 0, 0), (0.5, 0, 0), (0.1, 0, 0)]))
    assert order.of(np.ones(5, bool), more, ORIGIN).tolist() == [4, 3, 1, 2, 0]  # but has all that has come


def test_hands_have_rows_after_the_objects_also_when_there_is_room_no_more() -> None:
    draws, scene = DrawList(), scene_of([0] * 255, [(0, 0, 0)] * 255)
    for _ in range(2):
        drawn(scene, draws, hands=2)  # two rows more than there were at first
        assert draws.rows["position"][255:257].tolist() == draws.centre[255:257].tolist() == [[1, 2, 3]] * 2
        assert draws.rows["orientation"][256].tolist() == [0, 0, 0, 1]
        assert draws.shown[255:257].all()
