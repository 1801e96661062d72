"""Still objects near moving ones, against plain loops over all objects at every frame."""

from __future__ import annotations

import numpy as np
import pytest

from vrapp.core import maths, rng
from vrapp.core.scene import ObjectState, SceneArrays, handle_of
from vrapp.physics.neighbours import Neighbourhood, resting_on

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)


def crowd(seed: int, count: int = 80, spread_m: float = 3.0) -> SceneArrays:
    """Turned boxes at rest."""
    draw = rng.generator(seed)
    box = np.sort(draw.uniform(-0.5, 0.5, (count, 2, 3)), axis=1)
    size = draw.uniform(0.1, 1.0, count)
    return SceneArrays(
        count, np.full(count, ObjectState.RESTING, np.int8), draw.integers(0, 5, count).astype(np.int32),
        draw.uniform(-spread_m, spread_m, (count, 3)).astype(np.float32),
        maths.normalise(draw.normal(size=(count, 4))), size.astype(np.float32), np.ones(count, np.float32),
        np.zeros(count, np.int32), np.zeros(count, np.uint8), np.zeros(count, np.int16),
        (size * np.linalg.norm(np.abs(box).max(1), axis=1)).astype(np.float32), box.astype(np.float32),
    )  # fmt: skip


def bounds(a: SceneArrays, slot: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates of the corners of an object's box."""
    corners = (a.box[slot, 0] + CORNERS * (a.box[slot, 1] - a.box[slot, 0])) * a.size[slot]
    placed = a.position[slot] + np.array([maths.rotate(a.orientation[slot], c) for c in corners])
    return placed.min(0), placed.max(0)


Bounds = tuple[np.ndarray, np.ndarray]


def gap(one: Bounds, other: Bounds) -> float:
    return float(np.maximum(one[0] - other[1], other[0] - one[1]).max())


@pytest.mark.parametrize("seed", range(4))
def test_nobody_near_is_overlooked_between_two_looks(seed: int) -> None:
    a, draw, around = crowd(seed), rng.generator(seed, 1), Neighbourhood()
    moving = [3, 17, 40]
    a.state[moving] = ObjectState.FLYING
    handles = [handle_of(a, slot) for slot in moving]
    velocity, spin = draw.normal(size=(3, 3)) * (0.3, 3.0, 8.0), draw.normal(size=(3, 3))
    still = [bounds(a, slot) for slot in range(a.count)]
    seen = 0
    for frame in range(60):
        a.position[moving] += (velocity / 90).astype(np.float32)
        for slot, axis in zip(moving, spin, strict=True):
            a.orientation[slot] = maths.quat_multiply(maths.quat_from_axis_angle(axis, 0.2), a.orientation[slot])
        if frame == 30:
            a.generation[50] += 1
            a.state[60] = ObjectState.SHRINKING
        reach = draw.uniform(0.1, 0.5, 3).tolist()
        found = {(i, slot): d for i, slot, d in around.near(a, handles, reach)}
        seen += len(found)
        for i, slot in enumerate(moving):
            here = bounds(a, slot)
            for other in range(a.count):
                apart = gap(here, still[other])
                if (i, other) in found:
                    assert a.state[other] == ObjectState.RESTING
                    assert found[i, other] == pytest.approx(apart, abs=1e-4)
                    assert apart < reach[i] + 1e-4
                elif a.state[other] == ObjectState.RESTING and not (other == 50 and 30 <= frame < 40):
                    within = a.radius[slot] + a.radius[other] + reach[i]
                    assert apart > reach[i] - 1e-4 or np.linalg.norm(a.position[slot] - a.position[other]) > within
    assert seen > 20


def test_what_comes_to_rest_beside_counts_soon() -> None:
    a, around = crowd(1, 2, 0.1), Neighbourhood()
    a.state[:] = ObjectState.FLYING
    handles = [handle_of(a, 0)]
    assert around.near(a, handles, [0.5]) == []
    a.state[1] = ObjectState.RESTING
    assert any(around.near(a, handles, [0.5]) for _ in range(10))


def test_a_pile_rests_on_what_is_below() -> None:
    a = crowd(1, 4)
    a.box[:], a.size[:], a.radius[:] = [[-0.5] * 3, [0.5] * 3], 0.2, 0.18
    a.orientation[:] = maths.IDENTITY_QUATERNION
    a.position[:] = [(0, 0.1, 0), (0.05, 0.3, 0), (0.05, 0.5, 0.05), (1, 0.1, 0)]
    assert resting_on(a, 0) == [1, 2]
    assert resting_on(a, 1) == [2]
    assert resting_on(a, 3) == []
