"""The baseline of principal components and Gaussians, on balls and blocks made by code."""

import numpy as np
import pytest
import torch
from training_shapes import balls_and_blocks

from vrapp.training.baselines import fit_pca, sample_mixture


def test_it_gives_back_what_it_was_fitted_on() -> None:
    shapes = balls_and_blocks((12.0, 15.0, 18.0))
    pca = fit_pca(shapes, 5)  # six models differ in five directions
    distance, _ = shapes.batch(torch.arange(6), torch.Generator(), None)
    torch.testing.assert_close(pca.components @ pca.components.T, torch.eye(5), atol=2e-3, rtol=0)
    torch.testing.assert_close(pca.reconstruct(distance), distance, atol=1e-3, rtol=0)
    torch.testing.assert_close(pca.decode(pca.scores), distance[:, 0], atol=1e-3, rtol=0)
    fewer = fit_pca(shapes, 2).reconstruct(distance)
    assert 0.0 < float((fewer - distance).square().mean()) < float((distance - distance.mean(0)).square().mean())


def test_draws_lie_about_the_mean_of_their_category() -> None:
    shapes = balls_and_blocks((12.0, 15.0, 18.0))
    pca = fit_pca(shapes, 5)
    for number in (0, 1):
        own = pca.scores[shapes.category == number]
        drawn = (sample_mixture(pca, np.full(400, number), 5, seed=1).flatten(1) - pca.mean) @ pca.components.T
        error = 5 * drawn.std(0) / 20
        assert ((drawn.mean(0) - own.mean(0)).abs() < error + 1e-3).all()
    apart = pca.scores[shapes.category == 0].mean(0) - pca.scores[shapes.category == 1].mean(0)
    assert float(apart.norm()) > float(error.max())


@pytest.mark.parametrize("numbers", [2, 64])  # 64: more than there are components
def test_a_category_that_it_has_not_seen_is_drawn_about_the_mean_of_all(numbers: int) -> None:
    drawn = sample_mixture(fit_pca(balls_and_blocks((12.0, 18.0)), 64), np.array([7, 7]), numbers, seed=0)
    assert drawn.shape == (2, 64, 64, 64)
    assert drawn.isfinite().all()


def test_of_too_many_models_some_are_taken_always_the_same() -> None:
    shapes = balls_and_blocks((10.0, 12.0, 14.0, 16.0, 18.0))
    first, again = fit_pca(shapes, 8, most=4), fit_pca(shapes, 8, most=4)
    assert first.scores.shape == (4, 3)
    assert len(first.category) == 4
    assert torch.equal(first.scores, again.scores)
    assert torch.equal(fit_pca(shapes, 8).scores, fit_pca(shapes, 8, most=10).scores)
