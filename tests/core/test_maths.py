"""Conventions of rotation and projection: the places where VR programs go wrong silently."""

import math

import numpy as np
import pytest

from vrapp.core import maths
from vrapp.core.pose import Fov, Pose, View


def test_rotation_is_right_handed() -> None:
    quarter = maths.quat_from_axis_angle((0, 1, 0), math.pi / 2)
    np.testing.assert_allclose(maths.rotate(quarter, (1, 0, 0)), (0, 0, -1), atol=1e-6)
    np.testing.assert_allclose(maths.forward(quarter), (-1, 0, 0), atol=1e-6)
    assert maths.yaw_of(quarter) == pytest.approx(math.pi / 2)


def test_matrix_and_quaternion_turn_the_same_way() -> None:
    rng = np.random.default_rng(3)
    q = maths.normalise(rng.normal(size=(50, 4)))
    p = rng.normal(size=(50, 3)).astype(np.float32)
    v = rng.normal(size=(50, 3)).astype(np.float32)
    scale = rng.uniform(0.1, 3, 50).astype(np.float32)
    m = maths.matrices_from(p, q, scale)
    by_matrix = np.einsum("nij,nj->ni", m, np.concatenate([v, np.ones((50, 1), np.float32)], 1))[:, :3]
    np.testing.assert_allclose(by_matrix, p + maths.rotate(q, v * scale[:, None]), rtol=1e-4, atol=1e-5)


def test_multiply_rotates_by_the_right_one_first() -> None:
    a = maths.quat_from_axis_angle((0, 1, 0), 0.7)
    b = maths.quat_from_axis_angle((1, 0, 0), 0.3)
    v = maths.vec3(0.2, -1, 0.5)
    np.testing.assert_allclose(
        maths.rotate(maths.quat_multiply(a, b), v), maths.rotate(a, maths.rotate(b, v)), atol=1e-6
    )


def test_view_matrix_is_the_inverse_of_the_pose() -> None:
    q, p = maths.quat_from_yaw_pitch(0.4, -0.2), maths.vec3(1, 2, 3)
    np.testing.assert_allclose(maths.view_matrix(p, q) @ maths.matrices_from(p, q), np.eye(4), atol=1e-5)


def test_look_at_points_there() -> None:
    q = maths.look_at((1, 1.6, 2), (4, 0.2, -3))
    np.testing.assert_allclose(maths.forward(q), maths.normalise(np.array([3, -1.4, -5])), atol=1e-5)


def test_slerp_takes_the_short_way_and_hits_both_ends() -> None:
    a, b = maths.quat_from_axis_angle((0, 1, 0), 0.2), -maths.quat_from_axis_angle((0, 1, 0), 0.6)
    half = maths.rotate(maths.quat_slerp(a, b, 0.5), (0, 0, -1))
    np.testing.assert_allclose(half, maths.forward(maths.quat_from_axis_angle((0, 1, 0), 0.4)), atol=1e-5)
    np.testing.assert_allclose(maths.quat_slerp(a, b, 0.0), a, atol=1e-6)


def test_corners_of_an_asymmetric_frustum_land_on_one() -> None:
    fov = Fov(-1.2, 0.9, 1.1, -1.3)
    projection = View(Pose(), fov, (0, 0, 1, 1)).projection(0.05)
    for tan_x, ndc_x in ((fov.tan_left, -1), (fov.tan_right, 1)):
        for tan_y, ndc_y in ((fov.tan_up, 1), (fov.tan_down, -1)):
            clip = projection @ np.array([tan_x * 7, tan_y * 7, -7, 1], np.float32)
            np.testing.assert_allclose(clip[:2] / clip[3], (ndc_x, ndc_y), atol=1e-5)


@pytest.mark.parametrize(("distance", "depth"), [(0.05, 1.0), (0.1, 0.5), (1e6, 0.0)])
def test_depth_is_reversed(distance: float, depth: float) -> None:
    clip = maths.projection_reversed_z(-1, 1, 1, -1, 0.05) @ np.array([0, 0, -distance, 1], np.float32)
    assert clip[2] / clip[3] == pytest.approx(depth, abs=1e-6)


def test_poses_compose_and_invert() -> None:
    a = Pose(maths.vec3(1, 0, 2), maths.quat_from_yaw_pitch(0.5, 0.1))
    b = Pose(maths.vec3(0, 1, -1), maths.quat_from_yaw_pitch(-0.9, 0.4))
    v = maths.vec3(0.3, 0.2, 0.1)
    np.testing.assert_allclose((a @ b).apply(v), a.apply(b.apply(v)), atol=1e-5)
    np.testing.assert_allclose((a @ a.inverse()).position, 0, atol=1e-5)


def test_integers_do_not_become_zeros() -> None:
    np.testing.assert_allclose(np.linalg.norm(maths.normalise((1, 2, 2))), 1, atol=1e-6)


def test_a_matrix_gives_back_its_quaternion() -> None:
    rng = np.random.default_rng(5)
    for q in maths.normalise(rng.normal(size=(40, 4))):
        back = maths.quat_from_matrix(maths.matrices_from((0, 0, 0), q))
        assert abs(float(back @ q)) == pytest.approx(1, abs=1e-5)
