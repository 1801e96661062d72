"""The tour is a plausible person in OpenXR's axes, and its baking turns a skeleton the right way round."""

from pathlib import Path

import numpy as np
import pytest

from vrapp.core import maths
from vrapp.core.input import LEFT, RIGHT, Valid
from vrapp.display.bake_tour import RATE_HZ, Joint, read_clip, tour_of
from vrapp.display.tour import open_tour, tour_path
from vrapp.display.trace_file import read_recording

IDENTITY = np.array([0, 0, 0, 1], np.float32)


def test_tour_is_a_standing_person_who_looks_ahead_and_around() -> None:
    source = open_tour()
    assert 8 <= source.duration_s <= 12
    assert source.notice == ""
    records, _ = read_recording(tour_path())
    head, turned = records["head_position"], records["head_orientation"]
    assert 1.6 < np.median(head[:, 1]) < 1.7
    np.testing.assert_allclose(head[0, [0, 2]], 0, atol=1e-5)
    forward, up = maths.forward(turned), maths.rotate(turned, (0, 1, 0))
    np.testing.assert_allclose(forward[0], (0, 0, -1), atol=0.25)
    assert up[:, 1].mean() > 0.95
    assert abs(np.degrees(np.arcsin(forward[:, 1])).mean()) < 12
    yaw = np.degrees(np.unwrap(np.arctan2(-forward[:, 0], -forward[:, 2])))
    assert yaw.min() < -20
    assert yaw.max() > 20
    assert np.linalg.norm(np.diff(head, axis=0), axis=1).max() * RATE_HZ < 2  # nobody runs


def test_tour_reaches_grabs_and_lets_go() -> None:
    source = open_tour()
    snapshots = [source.poll(round(i * 1e9 / 90)) for i in range(round(source.duration_s * 90))]
    assert all(s.valid == Valid.HEAD | Valid.LEFT_HAND | Valid.RIGHT_HAND for s in snapshots)
    squeezes = np.array([[h.squeeze for h in s.hands] for s in snapshots])
    assert (np.diff(squeezes[:, RIGHT]) > 0).sum() >= 1
    assert (np.diff(squeezes, axis=0) < 0).sum() >= 1
    for s in snapshots[::45]:
        for hand in (LEFT, RIGHT):
            from_head = s.hands[hand].grip.position - s.head.position
            assert np.linalg.norm(from_head) < 1.0
            assert from_head[1] < 0.35
        across = s.hands[RIGHT].grip.position - s.hands[LEFT].grip.position
        right = maths.rotate(s.head.orientation, (1, 0, 0))
        assert across @ right > -0.3  # the right hand is not left of the left one, arms crossed aside


def still_person(yaw_rad: float) -> dict[str, Joint]:
    """A T-pose facing +Z (the clips' way), turned by ``yaw_rad`` about the vertical."""
    turn = maths.quat_from_axis_angle((0, 1, 0), yaw_rad)
    places = {"Head": (0, 1.65, 0), "UpperChest": (0, 1.4, 0), "LeftHand": (0.7, 1.45, 0), "RightHand": (-0.7, 1.45, 0)}
    return {
        name: Joint(np.tile(maths.rotate(turn, place), (3, 1)), np.tile(turn, (3, 1))) for name, place in places.items()
    }


@pytest.mark.parametrize("yaw_rad", [0.0, 2.5])
def test_baking_turns_the_skeleton_into_openxr_axes(yaw_rad: float) -> None:
    r = tour_of(still_person(yaw_rad), 0, 3)[1]
    np.testing.assert_allclose(r["head_position"], (0, 1.68, 0), atol=1e-5)
    np.testing.assert_allclose(maths.forward(r["head_orientation"]), (0, 0, -1), atol=1e-5)
    assert r["left"]["grip_position"][0] < -0.6
    assert r["right"]["grip_position"][0] > 0.6
    for side, out in (("left", -1), ("right", 1)):
        np.testing.assert_allclose(maths.forward(r[side]["aim_orientation"]), (out, 0, 0), atol=1e-5)
        # Palms down, thumbs ahead: OpenXR's grip has -Z along the thumb's side, +X through the palm.
        np.testing.assert_allclose(maths.forward(r[side]["grip_orientation"]), (0, 0, -1), atol=1e-5)
        np.testing.assert_allclose(maths.rotate(r[side]["grip_orientation"], (1, 0, 0)), (0, out, 0), atol=1e-5)
        assert r[side]["squeeze"] == 1  # stretched out


def test_forward_kinematics_follow_the_hierarchy(tmp_path: Path) -> None:
    hierarchy = """ROOT Hips {
OFFSET 0 0 0
JOINT Arm
{
OFFSET 1 0 0
JOINT Hand
{
OFFSET 0.5 0 0
End Site
{
OFFSET 9 9 9
}
}
}
JOINT Head
{
OFFSET 0 1 0
}
}""".replace("Hips {", "Hips\n{")
    names = ["Hips", "Arm", "Hand", "Head"]
    channels = ["Hips.Xposition", "Hips.Yposition", "Hips.Zposition"]
    channels += [f"{n}.{a}rotation" for n in names for a in "ZXY"]
    degrees = np.zeros((2, 12))
    degrees[1, 0] = 90  # the hips roll about +Z
    degrees[1, 5] = 90  # the arm turns about its own +Y
    np.savez(
        tmp_path / "clip.npz", rot_centideg=(degrees * 100).astype(np.int16), pos=np.array([[0, 1, 0]] * 2, np.float32),
        channels=np.array(channels), isrot=np.array([False] * 3 + [True] * 12), hierarchy=hierarchy,
    )  # fmt: skip
    joints = read_clip(tmp_path / "clip.npz")
    np.testing.assert_allclose(joints["Hand"].position[0], (1.5, 1, 0), atol=1e-6)
    np.testing.assert_allclose(joints["Arm"].position[1], (0, 2, 0), atol=1e-6)
    np.testing.assert_allclose(joints["Hand"].position[1], (0, 2, -0.5), atol=1e-6)
    np.testing.assert_allclose(joints["Head"].position[1], (-1, 1, 0), atol=1e-6)
    np.testing.assert_allclose(joints["Head"].orientation[0], IDENTITY, atol=1e-6)
