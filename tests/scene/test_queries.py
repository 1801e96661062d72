"""What rays meet, hands touch and cones hold, against plain loops over the objects in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vrapp.core import maths, rng
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState, SceneArrays
from vrapp.scene.queries import Hit, Surroundings

FAR_AWAY = np.array([900, 0, -700], np.float32)  # from the world's origin, where float32 is coarse


def crowd(seed: int, count: int = 80, about: np.ndarray = FAR_AWAY) -> SceneArrays:
    """Turned boxes of many shapes and states, within a few metres of ``about``."""
    draw = rng.generator(seed)
    box = np.sort(draw.uniform(-0.5, 0.5, (count, 2, 3)), axis=1)
    turn, size = draw.normal(size=(count, 4)), draw.uniform(0.1, 2.0, count)
    state = draw.choice(
        [ObjectState.FREE, *[ObjectState.RESTING] * 6, ObjectState.GROWING, ObjectState.SHRINKING], count
    )
    growth = np.where(state == ObjectState.GROWING, draw.choice([0.0, 0.5], count), 1.0)
    return SceneArrays(
        count, state.astype(np.int8), draw.integers(0, 5, count).astype(np.int32),
        (about + draw.normal(size=(count, 3)) * 1.5).astype(np.float32), maths.normalise(turn), size.astype(np.float32),
        growth.astype(np.float32), np.zeros(count, np.int32), np.zeros(count, np.uint8), np.zeros(count, np.int16),
        (size * np.linalg.norm(np.abs(box).max(1), axis=1)).astype(np.float32), box.astype(np.float32),
    )  # fmt: skip


def poses(seed: int, count: int) -> list[Pose]:
    draw = rng.generator(seed, 1)
    at = (FAR_AWAY + draw.normal(size=(count, 3)) * 0.5).astype(np.float32)
    return [Pose(p, q) for p, q in zip(at, maths.normalise(draw.normal(size=(count, 4))), strict=True)]


def there(a: SceneArrays) -> list[int]:
    shown = (ObjectState.GROWING, ObjectState.RESTING, ObjectState.HELD, ObjectState.FLYING)
    return [i for i in range(a.count) if a.state[i] in shown and a.growth[i] > 0]


def in_box(a: SceneArrays, i: int, vector: np.ndarray) -> np.ndarray:
    """A world vector in the axes of object ``i``."""
    x, y, z, w = a.orientation[i].astype(float)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.array(rows).T @ vector


def box_about(a: SceneArrays, i: int, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``point`` from the middle of the box of object ``i``, in its axes, and its half extents."""
    scale = float(a.size[i]) * float(a.growth[i])
    lower, upper = a.box[i].astype(float) * scale
    return in_box(a, i, point.astype(float) - a.position[i]) - (lower + upper) / 2, (upper - lower) / 2


def entry(a: SceneArrays, i: int, ray: Pose) -> float:
    """Distance at which the ray comes into the box, by its definition: the least t at which it is inside."""
    local, half = box_about(a, i, ray.position)
    along = in_box(a, i, ray.forward.astype(float))
    half = half + 0.02 + 0.01 * max(float((a.position[i] - ray.position) @ ray.forward), 0)
    sides = np.stack([(-half - local) / along, (half - local) / along])
    enter, leave = max(sides.min(0).max(), 0), sides.max(0).min()
    return enter if enter <= leave else math.inf


@pytest.mark.parametrize("seed", range(5))
def test_rays_meet_the_nearest_box(seed: int) -> None:
    a, rays = crowd(seed), poses(seed, 24)
    reach = [8.0 if i % 3 else 2.0 for i in range(len(rays))]
    found = Surroundings(a, FAR_AWAY).met(rays, reach)
    met = 0
    for ray, limit, hit in zip(rays, reach, found, strict=True):
        distances = {i: entry(a, i, ray) for i in there(a)}
        best = min(distances, key=lambda i: distances[i])
        if abs(distances[best] - limit) < 1e-3:
            continue
        assert (hit is None) == (distances[best] > limit)
        if hit is not None:
            met += 1
            assert distances[hit.slot] == pytest.approx(distances[best], abs=1e-3)
            assert hit.distance_m == pytest.approx(distances[best], abs=1e-3)
            assert hit.handle == int(a.generation[hit.slot]) << 32 | hit.slot
            np.testing.assert_allclose(hit.point, ray.position + ray.forward * hit.distance_m, atol=1e-3)
    assert 5 < met < len(rays)


@pytest.mark.parametrize("seed", range(5))
def test_hands_touch_the_nearest_box(seed: int) -> None:
    a = crowd(seed)
    points = [p.position for p in poses(seed, 150)]
    touched = 0
    for point, hit in zip(points, Surroundings(a, FAR_AWAY).touched(points, 0.12), strict=True):
        cost = {}
        for i in there(a):
            local, half = box_about(a, i, point)
            distance = float(np.linalg.norm(np.maximum(np.abs(local) - half, 0)))
            if distance <= 0.12:
                cost[i] = distance + 1e-3 * float(a.radius[i])
        assert (hit is None) == (not cost)
        if hit is not None:
            touched += 1
            assert cost[hit.slot] == pytest.approx(min(cost.values()), abs=1e-4)
    assert 0 < touched < len(points)


@pytest.mark.parametrize("half_angle", [0.07, 0.79, 2.0])
def test_cones_hold_what_is_central_wide_and_near(half_angle: float) -> None:
    a = crowd(7)
    for eye in poses(7, 8):
        expected = []
        for i in there(a):
            to = a.position[i].astype(float) - eye.position
            distance = float(np.linalg.norm(to))
            central = to @ eye.forward.astype(float) > math.cos(half_angle) * distance
            wide = a.radius[i] * a.growth[i] >= math.tan(0.05) * distance
            if central and wide and distance - a.radius[i] <= 5.0:
                expected.append(i)
        assert Surroundings(a, FAR_AWAY).within(eye, half_angle, 5.0, 0.1).tolist() == expected


def test_nothing_is_found_where_there_is_nothing_and_nobody_asks() -> None:
    empty, one = Surroundings(crowd(1, 0), FAR_AWAY), poses(1, 1)
    assert empty.met(one, [9.0]) == [None]
    assert empty.touched([one[0].position], 0.1) == [None]
    assert empty.within(one[0], 1.0, 9.0).tolist() == []
    full = Surroundings(crowd(1), FAR_AWAY)
    assert full.met([], []) == []
    assert full.touched([], 0.1) == []


def test_they_follow_what_moves_until_it_is_too_much_or_the_centre_has_gone_far() -> None:
    a, rays = crowd(2), poses(2, 12)
    points = [pose.position for pose in poses(4, 40)]
    around = Surroundings(a, FAR_AWAY)
    assert around.follow(a, FAR_AWAY + np.float32(0.25))
    assert not around.follow(a, FAR_AWAY + np.float32(2))
    assert not around.follow(crowd(2), FAR_AWAY)
    before = told(around.met(rays, [9.0] * 12))
    a.radius[3] *= 1.5
    for slot in {
        slot for slot, _ in filter(None, before)
    }:  # and what they look like from there on is what it would be made anew
        a.state[slot] = ObjectState.HELD
        a.position[slot] += np.float32(0.4)
        a.orientation[slot] = maths.IDENTITY_QUATERNION
        assert around.follow(a, FAR_AWAY)
        a.state[slot] = ObjectState.RESTING
        anew = Surroundings(a, FAR_AWAY)
        assert told(around.met(rays, [9.0] * 12)) == told(anew.met(rays, [9.0] * 12))
        assert told(around.touched(points, 0.12)) == told(anew.touched(points, 0.12))
        assert around.within(rays[0], 1.0, 9.0).tolist() == anew.within(rays[0], 1.0, 9.0).tolist()
    assert told(around.met(rays, [9.0] * 12)) != before
    a.position[:, 1] += 0.5
    assert not around.follow(a, FAR_AWAY)


def told(hits: list[Hit | None]) -> list[tuple[int, float] | None]:
    """What compares of what was met."""
    return [None if hit is None else (hit.slot, round(hit.distance_m, 4)) for hit in hits]


def test_one_look_tells_of_rays_and_palms_what_two_would() -> None:
    a, rays = crowd(3), poses(3, 12)
    around, points, reach = Surroundings(a, FAR_AWAY), [p.position for p in poses(4, 40)], [6.0] * 12

    met, touched = around.aimed(rays, reach, points, 0.12)
    assert told(met) == told(around.met(rays, reach))
    assert told(touched) == told(around.touched(points, 0.12))
    assert any(met)
    assert any(touched)
