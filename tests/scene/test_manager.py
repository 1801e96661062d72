"""The manager fills the world from the bank, follows the user, and never breaks its budget."""

from __future__ import annotations

import numpy as np
from scene_shapes import CountingArena, InstantBank, RoundRobin
from test_layout import CATEGORIES, HEAD, TABLE, intersecting, populated, start_set

from vrapp.core import maths
from vrapp.core.events import Act, Event
from vrapp.core.generation import Steering
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState
from vrapp.scene.footprints import footprints
from vrapp.scene.layout import Layout
from vrapp.scene.manager import SceneManager
from vrapp.scene.store import SceneStore
from vrapp.scene.worlds import load_world

FRAME_NS = 33_333_333


class Run:
    """A manager with its parts, and a clock."""

    def __init__(self, max_objects: int = 110, populate: bool = True) -> None:
        self.layout = Layout(load_world("meadow", 7), CATEGORIES, TABLE, 7)
        self.store, self.bank, self.arena = SceneStore(), InstantBank(), CountingArena()
        self.manager = SceneManager(
            self.store, self.layout, self.bank, self.arena, RoundRobin(len(CATEGORIES)), max_objects=max_objects
        )
        if populate:
            self.manager.populate_from(start_set(self.layout))
        self.frame, self.now = 0, 1_000_000_000

    def step(self, seconds: float, head: Pose = HEAD, events: tuple[Event, ...] = ()) -> None:
        for _ in range(max(1, round(seconds * 30))):
            self.now += FRAME_NS
            self.frame += 1
            self.manager.update(events, head, self.frame, self.now)
            events = ()

    def consistent(self) -> bool:
        a = self.store.arrays()
        alive = a.state != ObjectState.FREE
        return set(a.mesh_id[alive].tolist()) == self.arena.live and int(alive.sum()) == len(self.store)


def test_a_full_graphics_card_is_relieved_of_what_interests_least_and_the_world_stays_smaller() -> None:
    run = Run()
    run.step(2.0)
    before = len(run.store)
    dear = run.store.handle(int(run.manager._worth(HEAD)[0][int(np.argmin(run.manager._worth(HEAD)[2]))]))
    run.store.interest[run.store.slot(dear)] = 50.0
    run.arena.is_full = True
    run.step(6.0)
    smaller = len(run.store)
    assert smaller < before - 2
    assert run.store.alive(dear)
    run.arena.is_full = False
    run.step(20.0)
    assert len(run.store) <= smaller + 1
    assert run.consistent()


class OnlyOne:
    """A policy that asks for one category alone."""

    def __init__(self, category: int) -> None:
        self._category = category

    def propose(self, request_id: int) -> Steering:
        return Steering(self._category)


def test_a_cold_start_fills_the_designed_places_one_by_one() -> None:
    run = Run(populate=False)
    assert not run.manager.populated
    run.step(12)
    assert run.manager.populated
    asked = [s.category for s in run.bank.asked[:60]]
    assert asked == [c for _, c in run.layout.start_categories()][:60]
    assert intersecting(footprints(run.store.arrays())) == 0
    assert run.consistent()


def test_the_start_set_is_in_the_first_picture_at_full_size() -> None:
    store, _, manager = populated()
    assert manager.populated
    assert (store.arrays().growth == 1).all()


def test_the_budget_holds_while_the_user_walks_and_new_things_come_ahead() -> None:
    run = Run(max_objects=110)
    for i in range(40):
        run.step(1.0, Pose(maths.vec3(0, 1.65, -2.0 * i)))
        assert len(run.store) <= 110 + 1
        assert run.consistent()
    a = run.store.arrays()
    ahead = a.position[a.state == ObjectState.RESTING][:, 2] < -78
    assert ahead.sum() >= 8, "new places are filled as the user goes on"
    assert intersecting(footprints(a)) == 0


def test_what_is_kept_is_never_retired() -> None:
    run = Run()
    a = run.store.arrays()
    kept = [run.store.handle(s) for s in range(5)]
    events = tuple(Event(Act.KEEP, run.now, h) for h in kept)
    run.step(0.1, events=events)
    for i in range(30):
        run.step(1.0, Pose(maths.vec3(0, 1.65, -5.0 * i)))
    assert all(run.store.alive(h) for h in kept)
    assert len(a.position) < 1000


def test_a_dismissed_object_shrinks_goes_and_gives_everything_back() -> None:
    run = Run()
    handle = run.store.handle(3)
    mesh = int(run.store.mesh_id[3])
    run.step(0.1, events=(Event(Act.DISMISS, run.now, handle),))
    assert run.store.state[3] == ObjectState.SHRINKING
    run.step(1.0)
    assert not run.store.alive(handle)
    assert mesh not in run.arena.live
    assert run.consistent()


def test_nothing_in_the_hand_or_in_flight_is_retired() -> None:
    run = Run(max_objects=60)
    held = run.store.handle(0)
    run.store.state[0] = ObjectState.HELD
    run.step(20.0, Pose(maths.vec3(0, 1.65, -200)))
    assert run.store.alive(held)


def test_an_object_grows_only_once_its_mesh_is_there() -> None:
    run = Run(populate=False)
    late = set[int]()
    run.arena.resident = lambda mesh_id: mesh_id not in late  # type: ignore[method-assign]
    add = run.arena.add
    run.arena.add = lambda mesh: late.add(i := add(mesh)) or i  # type: ignore[method-assign,func-returns-value]
    run.step(2.0)
    a = run.store.arrays()
    assert a.count > 3
    assert (a.growth == 0).all()
    late.clear()
    run.step(1.5)
    assert (run.store.arrays().growth[:3] == 1).all()


def test_a_full_world_still_changes_out_of_sight() -> None:
    run = Run(max_objects=97)
    run.step(60.0)
    fresh = run.store.born_ns[: run.store.arrays().count] > 0
    assert fresh.sum() >= 5
    assert len(run.store) <= 98


def test_who_stands_still_for_hours_is_not_hemmed_in() -> None:
    """By distance alone all that was far went, and all that had come near stayed: 160 things within four metres."""
    run = Run(max_objects=110)
    run.manager.hurry = True

    def far() -> float:
        a = run.store.arrays()
        there = a.position[a.state != int(ObjectState.FREE)] - HEAD.position
        return float(np.median(np.linalg.norm(there, axis=1)))

    run.step(4.0)
    before, placed = far(), run.manager.placed
    for quarter in range(60):
        turned = maths.quat_from_axis_angle((0, 1, 0), quarter * np.pi / 2)
        run.step(1.0, Pose(HEAD.position, turned))
    assert run.manager.placed > placed + 1000
    assert far() > 0.6 * before


def test_nothing_goes_of_which_the_user_sees_an_edge() -> None:
    run = Run(max_objects=110)
    run.manager.hurry = True
    run.step(4.0)
    went: set[int] = set()
    for frame in range(600):
        head = Pose(HEAD.position, maths.quat_from_axis_angle((0, 1, 0), frame // 50 * np.pi / 3))
        run.step(0.0, head)
        a = run.store.arrays()
        going = [int(s) for s in np.flatnonzero(a.state == ObjectState.SHRINKING)]
        for slot in going:
            if run.store.handle(slot) not in went:
                went.add(run.store.handle(slot))
                to, radius = a.position[slot] - head.position, float(a.radius[slot])
                assert float(to @ head.forward) + radius < 0.41 * float(np.linalg.norm(to))
    assert len(went) > 100
    assert max(float(run.store.radius[: run.store.arrays().count].max()), 0) > 1.0, "large ones were among them"


def test_where_nothing_new_can_come_nothing_goes() -> None:
    run = Run(max_objects=110)
    run.step(4.0)
    run.bank.stopped, run.bank.ready = True, []
    run.bank.update = lambda frame_index, propose: None  # type: ignore[method-assign]
    before = len(run.store)
    for i in range(40):
        run.step(1.0, Pose(maths.vec3(0, 1.65, -2.0 * i)))
    assert len(run.store) == before


def test_more_like_this_comes_near_what_was_pointed_at() -> None:
    run = Run(max_objects=140)
    chair = CATEGORIES.index("chair")
    slot = int(np.flatnonzero(run.store.arrays().category == chair)[0])
    handle = run.store.handle(slot)
    run.manager.policy = OnlyOne(chair)
    run.step(0.1, events=(Event(Act.MORE, run.now, handle),))
    run.bank.ready.clear()
    run.step(3.0)
    a = run.store.arrays()
    new = np.flatnonzero((a.category == chair) & (run.store.born_ns[: a.count] > 0))
    assert len(new)
    assert np.linalg.norm(a.position[new[0]] - a.position[slot]) < 4.0


def test_stale_events_and_an_empty_bank_are_nothing_special() -> None:
    run = Run(populate=False)
    run.bank.update = lambda frame_index, propose: None  # type: ignore[method-assign]
    run.step(1.0, events=tuple(Event(act, 0, h) for act in Act for h in (-1, 5, 1 << 40)))
    assert len(run.store) == 0


def test_equal_runs_are_equal() -> None:
    ends = []
    for _ in range(2):
        run = Run()
        for i in range(10):
            run.step(1.0, Pose(maths.vec3(0.2 * i, 1.65, -1.0 * i)))
        ends.append((run.store.arrays().position.copy(), run.store.arrays().category.copy()))
    np.testing.assert_array_equal(ends[0][0], ends[1][0])
    np.testing.assert_array_equal(ends[0][1], ends[1][1])
