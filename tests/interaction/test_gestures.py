"""Gestures on a row of boxes: what hands and eyes do becomes the right events, once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vrapp.core import maths
from vrapp.core.events import Act, Event
from vrapp.core.input import LEFT, RIGHT, Button, HandState, InputSnapshot, Valid
from vrapp.core.pose import Pose
from vrapp.core.scene import NO_HANDLE, Mark, ObjectState, SceneArrays, handle_of
from vrapp.interaction import feedback
from vrapp.interaction.attention import ChoiceSet
from vrapp.interaction.gestures import EYES, Interaction
from vrapp.scene.queries import Surroundings

DT = 1 / 90
FRAME_NS = round(DT * 1e9)
HEAD = Pose(maths.vec3(0, 1.65, 0))
NO_BUTTON = Button(0)
BOTH = Valid.HEAD | Valid.LEFT_HAND | Valid.RIGHT_HAND


def boxes(*centres: tuple[float, float, float], size: float = 0.3) -> SceneArrays:
    """Still cubes of ``size`` metres."""
    n = len(centres)
    return SceneArrays(
        n, np.full(n, ObjectState.RESTING, np.int8), np.zeros(n, np.int32), np.array(centres, np.float32).reshape(n, 3),
        np.tile(maths.IDENTITY_QUATERNION, (n, 1)), np.full(n, size, np.float32), np.ones(n, np.float32),
        np.arange(n, dtype=np.int32), np.zeros(n, np.uint8), np.arange(n, dtype=np.int16),
        np.full(n, size * 0.87, np.float32), np.tile(np.array([[-0.5] * 3, [0.5] * 3], np.float32), (n, 1, 1)),
    )  # fmt: skip


def hand(at: tuple[float, float, float], towards: tuple[float, float, float], squeeze: float = 0.0) -> HandState:
    pose = Pose(maths.vec3(*at), maths.look_at(at, towards))
    return HandState(pose, pose, squeeze=squeeze)


IDLE = hand((0.2, 1.2, -0.3), (0.2, 50, -0.4))


class Person:
    """Plays snapshots into an interaction and keeps what came out."""

    def __init__(self, arrays: SceneArrays, **kwargs: np.ndarray) -> None:
        self.arrays, self.interaction, self.now = arrays, Interaction(**kwargs), 1_000_000_000
        self.events: list[Event] = []

    def play(
        self, right: HandState = IDLE, left: HandState = IDLE, buttons: Button = NO_BUTTON, frames: int = 1,
        valid: Valid = BOTH, head: Pose = HEAD, world_from_stage: Pose | None = None,
    ) -> list[Event]:  # fmt: skip
        new: list[Event] = []
        for _ in range(frames):
            self.now += FRAME_NS
            snapshot = InputSnapshot(self.now, head, (left, right), buttons, valid)
            new += self.interaction.update(snapshot, world_from_stage or Pose(), self.arrays, DT, self.now)
            for handle, pose in self.interaction.carried.items():
                slot = handle & 0xFFFFFFFF
                self.arrays.position[slot], self.arrays.orientation[slot] = pose.position, pose.orientation
        self.events += new
        return new


def acts(events: list[Event]) -> list[Act]:
    return [e.act for e in events if e.act not in (Act.GAZE, Act.POINT)]


NEAR = (0.3, 1.0, -0.6)
FAR = (1.0, 0.5, -4.0)


def test_a_near_thing_is_taken_and_follows_the_hand_rigidly() -> None:
    p = Person(boxes(NEAR, FAR))
    at = (0.3, 1.0, -0.4)
    p.play(hand(at, (0.3, 1.0, -9)))
    assert acts(p.play(hand(at, (0.3, 1.0, -9), 1.0))) == [Act.GRAB]
    grab = p.events[-1]
    assert (grab.handle, grab.hand) == (0, RIGHT)
    p.play(hand((0.8, 1.3, -0.9), (0.8, 1.3, -9), 1.0))
    np.testing.assert_allclose(p.arrays.position[0], (0.8, 1.3, -1.1), atol=1e-4)
    turned = Pose(maths.vec3(0.8, 1.3, -0.9), maths.quat_from_axis_angle((0, 1, 0), np.pi / 2))
    p.play(HandState(turned, turned, squeeze=1.0))
    np.testing.assert_allclose(p.arrays.position[0], (0.6, 1.3, -0.9), atol=1e-4)


def test_a_far_thing_is_pointed_at_taken_and_swings_on_the_ray() -> None:
    p = Person(boxes(NEAR, FAR))
    at = (0.2, 1.3, -0.3)
    p.play(hand(at, FAR), frames=30)
    assert [e.handle for e in p.events if e.act is Act.POINT] == [1], "told once"
    hit = p.interaction.pointed[RIGHT]
    assert hit is not None
    assert hit.distance_m == pytest.approx(3.7, abs=0.3)
    p.play(hand(at, FAR, 0.6))
    p.play(hand(at, (-1.0, 0.5, -4.0), 0.6), frames=30)
    np.testing.assert_allclose(p.arrays.position[1], (-1.0, 0.5, -4.0), atol=0.25)


def test_bending_the_arm_brings_a_far_thing_near() -> None:
    p = Person(boxes(FAR))
    p.play(hand((0.2, 1.4, -0.6), FAR))
    p.play(hand((0.2, 1.4, -0.6), FAR, 1.0), frames=3)
    before = np.linalg.norm(p.arrays.position[0] - HEAD.position)
    p.play(hand((0.2, 1.4, -0.3), FAR, 1.0), frames=30)
    after = np.linalg.norm(p.arrays.position[0] - HEAD.position)
    assert after < 0.75 * before
    stick = replace(hand((0.2, 1.4, -0.3), FAR, 1.0), stick=(0.0, 1.0))
    p.play(stick, frames=60)
    assert np.linalg.norm(p.arrays.position[0] - HEAD.position) > after * 1.4


def test_nothing_is_pushed_into_the_ground() -> None:
    p = Person(boxes(FAR))
    at = (0.2, 1.4, -0.6)
    p.play(hand(at, FAR))
    p.play(hand(at, FAR, 1.0), frames=2)
    p.play(hand(at, (1.0, -2.0, -4.0), 1.0), frames=60)
    assert p.arrays.position[0, 1] >= 0.15 - 1e-5
    assert p.arrays.position[0, 2] < -2


def test_a_trembling_finger_does_not_let_go() -> None:
    p = Person(boxes(NEAR))
    at = (0.3, 1.0, -0.4)
    for squeeze in (0.0, 0.55, 0.45, 0.55, 0.4, 0.5):
        p.play(hand(at, (0.3, 1, -9), squeeze))
    assert acts(p.events) == [Act.GRAB]
    assert acts(p.play(hand(at, (0.3, 1, -9), 0.2))) == [Act.RELEASE]


def test_a_fast_hand_throws_with_its_velocity_and_a_slow_one_lays_down() -> None:
    for speed, act in ((4.0, Act.THROW), (0.2, Act.RELEASE)):
        p = Person(boxes(NEAR))
        p.play(hand((0.3, 1.0, -0.4), (0.3, 1, -9)))
        p.play(hand((0.3, 1.0, -0.4), (0.3, 1, -9), 1.0))
        for i in range(20):
            at = (0.3, 1.0, -0.4 - speed * DT * i)
            p.play(hand(at, (0.3, 1, -99), 1.0))
        (event,) = [e for e in p.play(hand(at, (0.3, 1, -99), 0.0)) if e.act in (Act.THROW, Act.RELEASE)]
        assert event.act is act
        assert event.velocity is not None
        np.testing.assert_allclose(event.velocity, (0, 0, -speed), atol=0.12 * speed + 0.05)
        assert event.seconds == pytest.approx(21 * DT, abs=2 * DT)
        assert p.interaction.carried == {}


def test_the_throw_is_that_of_the_last_moment_not_of_the_swing_before() -> None:
    p = Person(boxes(NEAR))
    p.play(hand((0.3, 1.0, -0.4), (0.3, 1, -9)))
    p.play(hand((0.3, 1.0, -0.4), (0.3, 1, -9), 1.0))
    for i in range(20):
        p.play(hand((0.3, 1.0, -0.4 - 0.04 * i), (0.3, 1, -99), 1.0))
    p.play(hand(at := (0.3, 1.0, -1.16), (0.3, 1, -99), 1.0), frames=12)
    assert acts(p.play(hand(at, (0.3, 1, -99), 0.0))) == [Act.RELEASE]


def test_what_a_hand_cannot_take_is_not_taken_but_can_be_kept() -> None:
    p = Person(boxes(FAR, size=1.0), graspable=np.array([False]))
    at = (0.2, 1.3, -0.3)
    p.play(hand(at, FAR))
    assert acts(p.play(hand(at, FAR, 1.0))) == []
    assert acts(p.play(hand(at, FAR), buttons=Button.KEEP)) == [Act.KEEP]


def test_what_still_grows_is_not_taken() -> None:
    p = Person(boxes(NEAR))
    p.arrays.state[0] = ObjectState.GROWING
    at = (0.3, 1.0, -0.4)
    p.play(hand(at, (0.3, 1, -9)))
    assert acts(p.play(hand(at, (0.3, 1, -9), 1.0))) == []


@pytest.mark.parametrize(
    ("button", "act"), [(Button.KEEP, Act.KEEP), (Button.DISMISS, Act.DISMISS), (Button.MORE, Act.MORE)]
)
def test_a_button_acts_once_on_what_is_pointed_at(button: Button, act: Act) -> None:
    p = Person(boxes(FAR, (-1.0, 0.5, -4.0)))
    at = (0.2, 1.3, -0.3)
    p.play(hand(at, FAR), frames=3)
    p.play(hand(at, FAR), buttons=button, frames=10)
    assert acts(p.events) == [act]
    event = next(e for e in p.events if e.act is act)
    assert (event.handle, event.hand) == (0, RIGHT)
    assert set(event.visible) == {0, 1}, "what could have been chosen instead"


def test_a_button_acts_on_what_is_held_before_what_is_pointed_at() -> None:
    p = Person(boxes(NEAR, FAR))
    left = hand((0.3, 1.0, -0.4), (0.3, 1, -9))
    p.play(left=left, right=hand((0.2, 1.3, -0.3), FAR))
    p.play(left=replace(left, squeeze=1.0), right=hand((0.2, 1.3, -0.3), FAR))
    p.play(left=replace(left, squeeze=1.0), right=hand((0.2, 1.3, -0.3), FAR), buttons=Button.KEEP)
    kept = next(e for e in p.events if e.act is Act.KEEP)
    assert (kept.handle, kept.hand) == (0, LEFT)


def test_the_eyes_dwell_once_and_by_the_head_where_there_is_no_eye_tracker() -> None:
    p = Person(boxes((0, 1.65, -3), (2, 1.65, -3)))
    p.play(frames=80, valid=Valid.HEAD)
    assert [(e.act, e.handle, e.hand) for e in p.events] == [(Act.GAZE, 0, -1)]
    gaze = Pose(HEAD.position, maths.look_at(HEAD.position, (2, 1.65, -3)))
    for _ in range(80):
        p.now += FRAME_NS
        snapshot = InputSnapshot(p.now, HEAD, valid=Valid.HEAD | Valid.GAZE, gaze=gaze)
        p.events += p.interaction.update(snapshot, Pose(), p.arrays, DT, p.now)
    assert [e.handle for e in p.events] == [0, 1]


def test_a_glance_is_not_a_dwell() -> None:
    p = Person(boxes((0, 1.65, -3)))
    p.play(frames=30, valid=Valid.HEAD)
    assert p.events == []


def test_the_choice_set_is_what_was_seen_of_late_near_and_not_kept() -> None:
    behind, kept, far, leaving = (0, 1, 3), (0.5, 1, -3), (0, 1, -20), (-0.5, 1, -3)
    p = Person(boxes(FAR, behind, kept, far, leaving))
    p.arrays.mark[2] = Mark.KEPT
    p.play(frames=5)
    p.arrays.state[4] = ObjectState.SHRINKING
    at = (0.2, 1.3, -0.3)
    p.play(hand(at, FAR), frames=2)
    (event,) = [e for e in p.play(hand(at, FAR), buttons=Button.KEEP) if e.act is Act.KEEP]
    assert set(event.visible) == {0}
    p.now += 11_000_000_000
    up = Pose(HEAD.position, maths.quat_from_yaw_pitch(0, 1.5))
    p.play(hand(at, FAR), head=up)
    (event,) = [e for e in p.play(hand(at, FAR), buttons=Button.MORE, head=up) if e.act is Act.MORE]
    assert set(event.visible) == {0}, "the chosen one always, others only for ten seconds"


def test_both_hands_on_one_thing_reshape_it_and_one_may_let_go() -> None:
    p = Person(boxes((0.0, 1.0, -0.6)))
    left, right = hand((-0.2, 1, -0.6), (-0.2, 1, -9)), hand((0.2, 1, -0.6), (0.2, 1, -9))
    p.play(right, left)
    p.play(replace(right, squeeze=1.0), left)
    assert acts(p.play(replace(right, squeeze=1.0), replace(left, squeeze=1.0))) == [Act.RESHAPE]
    p.play(replace(hand((0.4, 1, -0.6), (0.4, 1, -9)), squeeze=1.0), replace(left, squeeze=1.0))
    assert p.interaction.two_handed is not None
    assert p.interaction.two_handed.span_m == pytest.approx(0.6, abs=0.01)
    np.testing.assert_allclose(p.arrays.position[0], (0.1, 1.0, -0.6), atol=1e-3)  # half way between the hands
    before = p.arrays.position[0].copy()
    assert Act.THROW not in acts(p.play(right, replace(left, squeeze=1.0)))
    assert p.interaction.two_handed is None
    assert list(p.interaction.carried) == [0]
    np.testing.assert_allclose(p.arrays.position[0], before, atol=1e-3)  # the other hand has it where it is


def test_a_lost_hand_keeps_its_thing_for_a_moment_then_drops_it() -> None:
    p = Person(boxes(NEAR))
    at = (0.3, 1.0, -0.4)
    p.play(hand(at, (0.3, 1, -9)))
    p.play(hand(at, (0.3, 1, -9), 1.0), frames=5)
    assert acts(p.play(frames=20, valid=Valid.HEAD)) == []
    assert list(p.interaction.carried) == [0]
    dropped = [e for e in p.play(frames=60, valid=Valid.HEAD) if e.act is Act.RELEASE]
    assert len(dropped) == 1
    assert dropped[0].velocity is not None
    assert not dropped[0].velocity.any()


def test_a_thing_that_goes_away_in_the_hand_is_let_go_without_a_word() -> None:
    p = Person(boxes(NEAR))
    at = (0.3, 1.0, -0.4)
    p.play(hand(at, (0.3, 1, -9)))
    p.play(hand(at, (0.3, 1, -9), 1.0))
    p.arrays.state[0] = ObjectState.SHRINKING
    p.play(hand(at, (0.3, 1, -9), 1.0), frames=5)
    p.arrays.state[0], p.arrays.generation[0] = ObjectState.RESTING, 1
    assert acts(p.play(hand(at, (0.3, 1, -9), 0.0), frames=5)) == []
    assert p.interaction.carried == {}


def test_poses_are_in_the_stage_and_the_stage_is_in_the_world() -> None:
    stage = Pose(maths.vec3(10, 0, -20), maths.quat_from_axis_angle((0, 1, 0), np.pi / 2))
    thing = stage.apply(maths.vec3(*FAR))
    p = Person(boxes(tuple(thing)))
    p.play(hand((0.2, 1.3, -0.3), FAR), world_from_stage=stage)
    hit = p.interaction.pointed[RIGHT]
    assert hit is not None
    assert hit.handle == handle_of(p.arrays, 0)


def test_nonsense_from_a_device_is_survived() -> None:
    nan = Pose(np.full(3, np.nan, np.float32), np.full(4, np.nan, np.float32))
    zero = Pose(np.zeros(3, np.float32), np.zeros(4, np.float32))
    p = Person(boxes(NEAR, FAR))
    for pose in (nan, zero):
        bad = HandState(pose, pose, float("nan"), float("inf"), (float("nan"), 2.0))
        p.play(bad, bad, frames=3, head=pose)
    assert acts(p.events) == []
    assert np.isfinite(p.interaction.head.position).all()
    empty = Person(boxes())
    empty.play(hand((0, 1, 0), (0, 1, -9), 1.0), buttons=Button.KEEP | Button.MORE, frames=3)
    assert empty.events == []


def test_feedback_marks_and_pulses() -> None:
    p = Person(boxes((0, 1.65, -3), FAR))
    at = (0.2, 1.3, -0.3)
    events = p.play(hand(at, FAR), frames=30)
    feedback.write_marks(p.arrays, p.interaction, events)
    assert p.arrays.mark.tolist() == [Mark.GAZED, Mark.POINTED]
    events = p.play(hand(at, FAR), buttons=Button.KEEP)
    feedback.write_marks(p.arrays, p.interaction, events)
    assert p.arrays.mark[1] == Mark.KEPT | Mark.POINTED
    assert [(q.hand, q.amplitude > 0.5) for q in feedback.pulses(events) if q.amplitude > 0.3] == [(RIGHT, True)]
    p.play(IDLE)
    feedback.write_marks(p.arrays, p.interaction, [])
    assert p.arrays.mark[1] == Mark.KEPT
    assert feedback.pulses([Event(Act.GAZE, 0, NO_HANDLE)]) == []


def test_the_choice_set_keeps_up_with_a_scene_that_grows_between_two_looks() -> None:
    choice = ChoiceSet()
    choice.update(Surroundings(boxes((0, 1.65, -2)), HEAD.position), HEAD, 1_000_000_000)
    grown = boxes(*((0.3 * i, 1.65, -2) for i in range(6)))
    assert choice.around(grown, handle_of(grown, 5), HEAD.position, 1_000_000_001) == (
        handle_of(grown, 0),
        handle_of(grown, 5),
    )


def test_the_wrist_turns_what_hangs_on_a_ray_that_has_no_roll() -> None:
    """A bare hand's ray follows the arm; only its grip pose rolls."""
    p = Person(boxes((0, 1.65, -3)))
    pointing = hand((0, 1.4, -0.3), (0, 1.65, -3))
    p.play(pointing, frames=3)
    p.play(replace(pointing, squeeze=1.0), frames=5)
    (before,) = p.interaction.carried.values()
    roll = maths.quat_from_axis_angle((0, 0, 1), 0.8)
    rolled = replace(pointing.grip, orientation=maths.quat_multiply(pointing.grip.orientation, roll))
    p.play(replace(pointing, grip=rolled, squeeze=1.0), frames=60)
    (after,) = p.interaction.carried.values()
    np.testing.assert_allclose(after.position, before.position, atol=1e-3)
    turned = 2 * np.arccos(min(1.0, abs(float(after.orientation @ before.orientation))))
    assert turned == pytest.approx(0.8, abs=0.02)


def test_what_was_swung_before_a_pause_is_laid_down_after_it() -> None:
    """Away, the world's time stands still: the swing is not to come out as a throw on return."""
    p = Person(boxes((0, 1.4, -0.55)))
    p.play(hand((0, 1.4, -0.5), (0, 1.4, -5)), frames=3)
    for i in range(10):
        p.play(hand((0.03 * i, 1.4, -0.5), (0.03 * i, 1.4, -5), squeeze=1.0))
    now = p.now
    assert p.interaction.carried
    for _ in range(50):
        p.now = now - FRAME_NS
        p.play(valid=Valid.HEAD | Valid.AWAY)
    assert p.interaction.carried  # still in the hand
    (event,) = [e for e in p.play(hand((0.3, 1.4, -0.5), (0.3, 1.4, -5))) if e.act in (Act.THROW, Act.RELEASE)]
    assert event.act is Act.RELEASE
    np.testing.assert_array_equal(event.velocity, np.zeros(3))


def test_a_hand_at_a_board_leaves_the_world_alone() -> None:
    person = Person(boxes(NEAR, FAR))
    pointing = hand((0.2, 1.3, -0.2), FAR)
    person.play(pointing, frames=40)
    assert person.interaction.pointed[RIGHT] is not None
    person.interaction.occupied = frozenset({RIGHT, EYES})
    person.events.clear()
    person.play(replace(pointing, squeeze=1.0), buttons=Button.KEEP, frames=90)
    assert person.events == []
    assert person.interaction.pointed[RIGHT] is None
    assert len(person.interaction.rays()) == 1
    person.interaction.occupied = frozenset()
    person.play(replace(pointing, squeeze=1.0), frames=5)  # pressed there, and kept pressed: takes nothing here
    assert acts(person.events) == []
    person.play(pointing, frames=5)
    assert acts(person.play(replace(pointing, squeeze=1.0), frames=5)) == [Act.GRAB]
    assert person.interaction.holding == (False, True)
