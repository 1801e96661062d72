"""Set metrics against hand-made cases and against scipy's k-d tree."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from vrapp.generation.components import is_closed
from vrapp.training.metrics import (
    Clouds,
    chamfer_matrix,
    chamfer_within,
    covered,
    frechet_distance,
    iou,
    nearest_distance,
    novelty,
    novelty_interval,
    one_nn_told,
    one_nna_interval,
    set_scores,
    share_and_error,
)


def test_chamfer_of_two_points_by_hand() -> None:
    first = np.array([[[0, 0, 0], [1, 0, 0]]], np.float32)
    second = np.array([[[0, 0, 0], [0, 2, 0]]], np.float32)
    # first → second: 0 and 1; second → first: 0 and 4.
    assert chamfer_matrix(first, second)[0, 0] == pytest.approx(0.5 + 2.0, abs=1e-5)


def test_chamfer_agrees_with_a_kd_tree() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((3, 64, 3), np.float32), rng.random((4, 64, 3), np.float32)
    found = chamfer_matrix(first, second, block=3)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            there, back = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
            assert found[i, j] == pytest.approx((there**2).mean() + (back**2).mean(), rel=1e-3, abs=1e-6)


def test_a_set_to_itself_is_measured_as_two_sets_are() -> None:
    clouds = np.random.default_rng(3).random((7, 20, 3)).astype(np.float32)
    assert np.allclose(chamfer_within(clouds), chamfer_matrix(clouds, clouds), atol=1e-6)


def test_copies_of_the_references_score_perfect_cover_and_are_told_apart_never() -> None:
    far = 1.0 - np.eye(4)
    scores = set_scores(np.where(np.eye(4) > 0, 0.0, 1.0), far, far)
    assert scores.mmd == 0.0
    assert scores.cov == 1.0
    assert scores.one_nna == 0.0  # under one half: copying


def test_two_distant_clusters_are_always_told_apart() -> None:
    near = np.full((3, 3), 0.1)
    scores = set_scores(np.full((3, 3), 9.0), near, near)
    assert (scores.one_nna, scores.one_nna_samples, scores.one_nna_references) == (1.0, 1.0, 1.0)
    assert scores.cov == pytest.approx(1 / 3)


def test_sets_of_one_distribution_come_near_one_half() -> None:
    rng = np.random.default_rng(1)
    line = rng.random(600)
    a, b = line[:300], line[300:]
    told = one_nn_told(abs(a[:, None] - b), abs(a[:, None] - a), abs(b[:, None] - b))
    low, high = one_nna_interval(*told)
    assert low < 0.5 < high


def test_novelty_compares_medians_of_nearest_distances() -> None:
    assert novelty(np.array([2.0, 4.0]), np.array([1.0])) == pytest.approx(3.0)


def test_a_share_is_never_certain() -> None:
    share, error = share_and_error(np.arange(400) < 100)
    assert share == 0.25
    assert error == pytest.approx(np.sqrt(0.25 * 0.75 / 400), rel=0.01)
    share, error = share_and_error(np.ones(60, bool))
    assert share == 1.0
    assert 0.01 < error < 0.03


def test_iou_by_hand() -> None:
    a, b = np.array([True, True, False]), np.array([True, False, True])
    assert iou(a, b) == pytest.approx(1 / 3)
    assert iou(a & ~a, b & ~b) == 1.0


def test_frechet_distance_of_shifted_gaussians() -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=(4000, 3))
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-3)
    assert frechet_distance(a, a + 2.0) == pytest.approx(12.0, rel=0.01)


def test_a_tetrahedron_is_closed_and_without_a_face_it_is_not() -> None:
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [0, 2, 3]])
    assert is_closed(tetrahedron.ravel())
    assert is_closed(tetrahedron[:, ::-1].ravel())
    assert not is_closed(tetrahedron[1:].ravel())


def test_nearest_distance_agrees_with_the_full_matrix() -> None:
    rng = np.random.default_rng(3)
    pool = (rng.random((30, 128, 3), np.float32) - 0.5) * rng.random((30, 1, 3), np.float32)
    queries = pool[:4] + rng.normal(scale=0.01, size=(4, 128, 3)).astype(np.float32)
    assert np.allclose(nearest_distance(queries, pool, 8), chamfer_matrix(queries, pool).min(1), rtol=1e-4)


def test_novelty_has_an_interval_that_shrinks_with_the_set() -> None:
    rng = np.random.default_rng(0)
    near, known = rng.random(400) + 0.5, 2 * (rng.random(400) + 0.5)
    low, high = novelty_interval(near, known)
    assert low < 0.5 < high
    few_low, few_high = novelty_interval(near[:20], known[:20])
    assert few_high - few_low > high - low


def test_a_reference_is_covered_when_a_sample_is_nearest_to_it() -> None:
    assert covered(np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 0.5], [0.1, 1.0, 1.0]])).tolist() == [1.0, 0.0, 1.0]


def test_the_nearest_of_clouds_are_those_of_the_full_matrix() -> None:
    rng = np.random.default_rng(4)
    shapes = rng.random((40, 1, 3))
    first, second = ((rng.random((40, 400, 3)) * shapes).astype(np.float32) for _ in range(2))
    across, within = Clouds(first).nearest(Clouds(second)), Clouds(first)
    full = chamfer_matrix(first, second)
    assert np.isinf(across).mean() > 0.4  # most pairs are looked at coarsely only
    assert np.allclose(across[np.isfinite(across)], full[np.isfinite(across)], rtol=1e-3, atol=1e-6)
    assert np.allclose(across.min(0), full.min(0), rtol=1e-3)
    assert np.allclose(across.min(1), full.min(1), rtol=1e-3)
    own = within.nearest(within)
    expected = chamfer_within(first)
    np.fill_diagonal(expected, np.inf)
    assert np.isinf(np.diag(own)).all()
    assert np.allclose(own.min(1), expected.min(1), rtol=1e-3)


def test_sets_smaller_than_the_number_of_candidates_are_measured_whole() -> None:
    clouds = Clouds(np.random.default_rng(5).random((3, 40, 3)).astype(np.float32))
    assert np.isfinite(clouds.nearest(clouds)).sum() == 6
