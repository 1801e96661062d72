"""What two hands do against each other is told; what they do alike is not."""

from __future__ import annotations

import numpy as np
import pytest

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.display.grip import AIM_FROM_GRIP
from vrapp.interaction.two_hands import TwoHanded, change_between, shared_pose

LEFT, RIGHT = (-0.2, 1.2, -0.4), (0.2, 1.2, -0.4)


def turned(axis: tuple[float, float, float], degrees: float) -> Array:
    return maths.quat_from_axis_angle(axis, np.radians(degrees))


def hands(
    left: tuple[float, float, float] = LEFT, right: tuple[float, float, float] = RIGHT,
    turn_left: Array = maths.IDENTITY_QUATERNION, turn_right: Array = maths.IDENTITY_QUATERNION,
) -> TwoHanded:  # fmt: skip
    """The grips of hands that were level, turned in the world."""
    grips = [
        Pose(maths.vec3(*at), maths.quat_multiply(turn, AIM_FROM_GRIP))
        for at, turn in ((left, turn_left), (right, turn_right))
    ]
    return TwoHanded(1, *grips)


def test_hands_apart_are_a_stretch_alone() -> None:
    change = change_between(hands(), hands((-0.4, 1.2, -0.4), (0.4, 1.2, -0.4)))
    assert change.stretch == pytest.approx(2.0)
    assert (change.twist_rad, change.tilt_rad) == pytest.approx((0, 0), abs=1e-5)


@pytest.mark.parametrize("degrees", [-80, -20, 20, 80])
def test_wringing_is_a_twist_and_breaking_is_a_tilt(degrees: float) -> None:
    wrung = change_between(
        hands(), hands(turn_left=turned((1, 0, 0), -degrees / 2), turn_right=turned((1, 0, 0), degrees / 2))
    )
    assert (wrung.stretch, wrung.twist_rad, wrung.tilt_rad) == pytest.approx((1, np.radians(degrees), 0), abs=1e-4)
    broken = change_between(
        hands(), hands(turn_left=turned((0, 0, 1), degrees / 2), turn_right=turned((0, 0, 1), -degrees / 2))
    )
    assert (broken.stretch, broken.twist_rad, broken.tilt_rad) == pytest.approx((1, 0, np.radians(degrees)), abs=1e-4)


def test_what_both_hands_do_alike_is_no_change() -> None:
    """Also after they were wrung: carried about, the change stays what it was."""
    before = hands()
    wrung = hands(turn_right=turned((1, 0, 0), 40))
    way = Pose(maths.vec3(3, -0.2, 5), maths.quat_multiply(turned((0, 1, 0), 130), turned((1, 0, 0), 25)))
    carried = TwoHanded(1, way @ before.left, way @ before.right)
    change = change_between(before, carried)
    assert (change.stretch, change.twist_rad, change.tilt_rad) == pytest.approx((1, 0, 0), abs=1e-4)
    change = change_between(before, TwoHanded(1, way @ wrung.left, way @ wrung.right))
    assert (change.stretch, change.twist_rad) == pytest.approx((1, np.radians(40)), abs=1e-4)


def test_hands_in_one_place_are_no_error() -> None:
    change = change_between(hands(LEFT, LEFT), hands(LEFT, LEFT, turn_left=turned((0, 1, 0), 180)))
    assert np.isfinite([change.stretch, change.twist_rad, change.tilt_rad]).all()


def test_the_object_is_half_way_between_its_carriers() -> None:
    at, turn = shared_pose(Pose(maths.vec3(0, 1, 0)), Pose(maths.vec3(1, 2, 0), turned((0, 1, 0), 90)))
    assert at == [0.5, 1.5, 0]
    np.testing.assert_allclose(turn, turned((0, 1, 0), 45), atol=1e-6)
