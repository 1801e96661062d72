"""Walking, turning, teleporting: the head goes where it should, and not through houses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_gestures import NO_BUTTON, boxes, hand

from vrapp.core import maths
from vrapp.core.comfort import Comfort
from vrapp.core.input import Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.pose import Pose
from vrapp.core.scene import SceneArrays
from vrapp.interaction.locomotion import SMOOTH_TURN_RAD_S, SPEED_M_S, Locomotion

DT = 1 / 90
NOTHING = boxes()
HEAD = Pose(maths.vec3(0.3, 1.65, 0.2), maths.quat_from_yaw_pitch(0.0, -0.2))


def snapshot(
    walk: tuple[float, float] = (0, 0), turn: float = 0.0, buttons: Button = NO_BUTTON, head: Pose = HEAD,
    right: HandState | None = None, source: SourceKind = SourceKind.HEADSET,
) -> InputSnapshot:  # fmt: skip
    right = right or HandState(stick=(turn, 0))
    return InputSnapshot(0, head, (HandState(stick=walk), right), buttons, Valid.HEAD | Valid.RIGHT_HAND, source)


def run(loco: Locomotion, s: InputSnapshot, seconds: float = DT, arrays: SceneArrays = NOTHING) -> Pose:
    for _ in range(max(1, round(seconds / DT))):
        loco.update(s, arrays, DT)
    return loco.world_from_stage @ s.head


def test_the_stick_walks_where_the_head_looks_at_the_stated_speed() -> None:
    for yaw, along in ((0.0, (0, -1)), (np.pi / 2, (-1, 0))):
        head = replace(HEAD, orientation=maths.quat_from_yaw_pitch(yaw, -0.6))
        loco = Locomotion()
        before = run(loco, snapshot((0, 1), head=head), 1.0)
        after = run(loco, snapshot((0, 1), head=head), 1.0)
        np.testing.assert_allclose((after.position - before.position)[[0, 2]], SPEED_M_S * np.array(along), atol=0.05)
        assert after.position[1] == pytest.approx(1.65)


def test_it_stops_when_the_stick_is_let_go_and_nothing_drifts() -> None:
    loco = Locomotion()
    run(loco, snapshot((1, 1)), 1.0)
    run(loco, snapshot(), 1.5)
    here = loco.world_from_stage.position.copy()
    run(loco, snapshot((0.05, 0.05)), 1.0)
    np.testing.assert_array_equal(loco.world_from_stage.position, here)


def test_a_snap_turn_is_thirty_degrees_about_the_head_once_a_push() -> None:
    loco = Locomotion()
    before = run(loco, snapshot())
    after = run(loco, snapshot(turn=1.0), 0.5)
    np.testing.assert_allclose(after.position, before.position, atol=1e-5)
    assert maths.yaw_of(after.orientation) == pytest.approx(-np.radians(30), abs=1e-4)
    run(loco, snapshot(), 0.1)
    again = run(loco, snapshot(turn=-1.0), 0.1)
    assert maths.yaw_of(again.orientation) == pytest.approx(0, abs=1e-4)


def test_many_turns_keep_a_unit_quaternion() -> None:
    loco = Locomotion()
    for _ in range(500):
        run(loco, snapshot(turn=1.0))
        run(loco, snapshot())
    assert np.linalg.norm(loco.world_from_stage.orientation) == pytest.approx(1, abs=1e-5)


def test_a_teleport_goes_where_the_arc_ends_and_only_on_letting_go() -> None:
    loco = Locomotion()
    aim = hand((0.3, 1.3, -0.2), (0.3, 1.3, -5))
    run(loco, snapshot(right=aim, buttons=Button.TELEPORT), 0.1)
    assert loco.teleport is not None
    assert loco.teleport.free
    target = loco.teleport.target
    assert target[1] == 0
    assert -8 < target[2] < -2
    assert loco.teleport.arc[0] == pytest.approx([0.3, 1.3, -0.2])
    np.testing.assert_array_equal(loco.world_from_stage.position, np.zeros(3))
    head = run(loco, snapshot(right=aim))
    np.testing.assert_allclose(head.position, (target[0], 1.65, target[2]), atol=1e-4)
    assert loco.teleport is None


def test_no_teleport_into_a_house() -> None:
    loco = Locomotion()
    aim = hand((0.3, 1.3, -0.2), (0.3, 1.3, -5))
    run(loco, snapshot(right=aim, buttons=Button.TELEPORT))
    assert loco.teleport is not None
    house = boxes(tuple(loco.teleport.target), size=2.0)
    run(loco, snapshot(right=aim, buttons=Button.TELEPORT), arrays=house)
    assert loco.teleport is not None
    assert not loco.teleport.free
    run(loco, snapshot(right=aim), arrays=house)
    np.testing.assert_array_equal(loco.world_from_stage.position, np.zeros(3))


def test_houses_are_walked_around_not_through_and_low_things_stepped_over() -> None:
    house = boxes((0.6, 1.0, -3), size=2.0)
    loco = Locomotion()
    for _ in range(round(4 / DT)):
        head = run(loco, snapshot((0, 1)), arrays=house)
        inside = (np.abs(head.position - house.position[0])[[0, 2]] < 1.0 + 0.2).all()
        assert not inside
    low = boxes((0.3, 0.1, -3), size=0.2)
    head = run(Locomotion(), snapshot((0, 1)), 3.0, low)
    assert head.position[2] < -5


def test_someone_inside_a_grown_house_can_leave_and_is_not_flung() -> None:
    house = boxes((0.3, 1.0, 0.2), size=3.0)
    loco = Locomotion()
    last = run(loco, snapshot()).position
    for _ in range(round(2 / DT)):
        here = run(loco, snapshot((0, 1)), arrays=house).position
        assert np.linalg.norm(here - last) < 1.2 * SPEED_M_S * DT
        last = here
    assert last[2] < -1.2


def test_what_is_held_is_no_obstacle() -> None:
    thing = boxes((0.3, 1.2, -0.5), size=0.6)
    loco = Locomotion()
    for _ in range(90):
        loco.update(snapshot((0, 1)), thing, DT, held=(0,))
    assert (loco.world_from_stage @ HEAD).position[2] < -1.5


def test_recentre_brings_the_head_to_the_start_looking_ahead() -> None:
    loco = Locomotion()
    turned = replace(HEAD, orientation=maths.quat_from_yaw_pitch(2.0, 0.1))
    run(loco, snapshot((1, 1), head=turned), 2.0)
    head = run(loco, snapshot(head=turned, buttons=Button.RECENTRE), 0.2)
    np.testing.assert_allclose(head.position, (0, 1.65, 0), atol=1e-4)
    assert maths.yaw_of(head.orientation) == pytest.approx(0, abs=1e-4)


def test_the_vignette_closes_with_speed_in_a_headset_alone() -> None:
    loco = Locomotion()
    run(loco, snapshot((0, 1)), 1.0)
    assert 0.5 < loco.vignette <= 1
    run(loco, snapshot(), 2.0)
    assert loco.vignette < 0.05
    run(loco, snapshot((0, 1), source=SourceKind.DESKTOP), 1.0)
    assert loco.vignette < 0.05


def test_nonsense_from_a_device_is_survived() -> None:
    loco = Locomotion()
    bad = Pose(np.full(3, np.nan, np.float32), np.full(4, np.nan, np.float32))
    run(loco, snapshot((np.nan, np.inf), turn=np.nan, buttons=Button.TELEPORT), 0.1)
    run(loco, snapshot((1, 1), head=bad, right=HandState(aim=bad), buttons=Button.TELEPORT | Button.RECENTRE), 0.1)
    loco.update(snapshot((0, 1)), NOTHING, 0.0)
    assert np.isfinite(loco.world_from_stage.position).all()
    assert np.isfinite(loco.world_from_stage.orientation).all()


def test_a_snap_has_the_chosen_angle() -> None:
    loco = Locomotion(comfort=Comfort(turn_deg=45))
    after = run(loco, snapshot(turn=1.0), 0.5)
    assert maths.yaw_of(after.orientation) == pytest.approx(-np.radians(45), abs=1e-4)


def test_a_smooth_turn_goes_on_about_the_head_and_narrows_the_view() -> None:
    loco = Locomotion(comfort=Comfort(turn_deg=0))
    before = run(loco, snapshot())
    after = run(loco, snapshot(turn=1.0), 1.0)
    np.testing.assert_allclose(after.position, before.position, atol=1e-4)
    assert maths.yaw_of(after.orientation) == pytest.approx(-SMOOTH_TURN_RAD_S, abs=0.02)
    assert loco.vignette > 0.5
    forward = replace(HEAD, orientation=after.orientation)
    run(loco, snapshot(right=HandState(stick=(0.5, 0.9)), head=forward), 1.0)
    assert maths.yaw_of(loco.world_from_stage.orientation) == pytest.approx(-SMOOTH_TURN_RAD_S, abs=0.02)


def test_left_handed_the_sticks_and_the_pointer_change_sides() -> None:
    loco = Locomotion(comfort=Comfort(left_handed=True))
    before = run(loco, snapshot())
    turned = run(loco, snapshot(walk=(1.0, 0)), 0.5)
    assert maths.yaw_of(turned.orientation) == pytest.approx(-np.radians(30), abs=1e-4)
    np.testing.assert_allclose(turned.position, before.position, atol=1e-4)
    loco = Locomotion(comfort=Comfort(left_handed=True))
    walked = run(loco, snapshot(right=HandState(stick=(0, 1))), 1.0)
    assert walked.position[2] < before.position[2] - 1
    aim = hand((-0.3, 1.3, -0.2), (-0.3, 1.3, -5))
    s = replace(
        snapshot(buttons=Button.TELEPORT),
        hands=(aim, HandState()),
        valid=Valid.HEAD | Valid.LEFT_HAND | Valid.RIGHT_HAND,
    )
    run(loco, s)
    assert loco.teleport is not None
    assert loco.teleport.arc[0, 0] == pytest.approx(-0.3, abs=0.01)


def test_walking_teleporting_and_the_vignette_can_be_switched_off() -> None:
    loco = Locomotion(comfort=Comfort(move="teleport", vignette=0))
    start = run(loco, snapshot())
    np.testing.assert_array_equal(run(loco, snapshot((0, 1)), 1.0).position, start.position)
    loco = Locomotion(comfort=Comfort(move="walk", vignette=0))
    run(loco, snapshot((0, 1), buttons=Button.TELEPORT), 1.0)
    assert loco.teleport is None
    assert loco.vignette == 0


def test_nobody_there_drops_what_was_begun() -> None:
    loco = Locomotion()
    aim = hand((0.3, 1.3, -0.2), (0.3, 1.3, -5))
    run(loco, snapshot((0, 1), right=aim, buttons=Button.TELEPORT), 0.5)
    here = loco.world_from_stage.position.copy()
    away = replace(snapshot(), valid=Valid.AWAY)
    run(loco, away, 0.5)
    run(loco, snapshot(), 0.5)
    np.testing.assert_array_equal(loco.world_from_stage.position, here)
    assert loco.teleport is None
