"""Boards stay put until the user turns away or walks off, then come after them."""

import math

import numpy as np
import pytest

from vrapp.app.follow import AWAY_RAD, LazyFollow
from vrapp.core.maths import quat_from_yaw_pitch, vec3
from vrapp.core.pose import Pose

STEP_S = 1 / 90


def looking(yaw: float = 0.0, pitch: float = 0.0, x: float = 0.0, y: float = 1.65) -> Pose:
    return Pose(vec3(x, y, 0), quat_from_yaw_pitch(yaw, pitch))


def settled(follow: LazyFollow, head: Pose, frames: int = 180) -> Pose:
    for _ in range(frames):
        pose = follow.update(head, STEP_S)
    return pose


def test_it_stands_before_the_eyes_and_is_turned_to_them() -> None:
    pose = LazyFollow(1.1, 0.12).update(looking(0.5, -0.4), STEP_S)
    away = pose.position - vec3(0, 1.65, 0)
    assert np.hypot(away[0], away[2]) == pytest.approx(1.1)
    assert away[1] == pytest.approx(-0.12)  # whatever the pitch: level, not in the grass
    assert math.atan2(-away[0], -away[2]) == pytest.approx(0.5)
    np.testing.assert_allclose(pose.forward, away / np.linalg.norm(away), atol=1e-5)  # +Z to the eyes
    assert pose.apply(vec3(1, 0, 0))[1] == pytest.approx(pose.position[1], abs=1e-6)  # no roll


def test_small_motions_leave_it_where_it_is() -> None:
    follow = LazyFollow(1.1, 0.12)
    first = follow.update(looking(), STEP_S)
    for head in (looking(AWAY_RAD * 0.9), looking(0, 1.2), looking(x=0.3), looking(y=1.4), looking()):
        np.testing.assert_array_equal(settled(follow, head, 30).position, first.position)


@pytest.mark.parametrize("head", [looking(1.0), looking(-3.0), looking(x=1.0), looking(y=1.1)])
def test_it_glides_after_who_turns_away_walks_off_or_sits_down(head: Pose) -> None:
    follow, fresh = LazyFollow(1.1, 0.12), LazyFollow(1.1, 0.12)
    before = follow.update(looking(), STEP_S).position
    once = follow.update(head, STEP_S).position
    there = fresh.update(head, STEP_S).position
    assert 0 < np.linalg.norm(once - before) < 0.2 * np.linalg.norm(there - before)  # no jump
    assert np.linalg.norm(settled(follow, head).position - there) < 0.06


def test_forgotten_it_is_straight_ahead_at_once() -> None:
    follow = LazyFollow(1.1, 0.12)
    follow.update(looking(), STEP_S)
    follow.forget()
    expected = LazyFollow(1.1, 0.12).update(looking(2.0), STEP_S).position
    np.testing.assert_array_equal(follow.update(looking(2.0), STEP_S).position, expected)
