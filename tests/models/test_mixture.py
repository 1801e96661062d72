"""The mixture prior: near what it was fitted to, repeatable, and invertible."""

import pytest
import torch

from vrapp.models.mixture import LatentMixture, MixtureConfig


@pytest.fixture
def prior() -> LatentMixture:
    torch.manual_seed(0)
    models = torch.randn(9, 1, 11, 4, 4, 4)
    means = models + 0.1 * torch.randn(9, 3, 11, 4, 4, 4)
    mixture = LatentMixture(MixtureConfig(categories=3, models=9, variants=3))
    mixture.fit(means, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2]))
    return mixture


def test_a_draw_is_near_a_model_of_its_category(prior: LatentMixture) -> None:
    category = torch.tensor([0, 1, 2] * 10)
    drawn = prior.sample(category, torch.rand(30, 64, 11), 0.8)
    assert drawn.shape == (30, 11, 4, 4, 4)
    distance = torch.cdist(drawn.flatten(1), prior.means[:, 0])
    assert torch.equal(prior.category[distance.argmin(1)].long(), category)


def test_a_row_does_not_depend_on_its_neighbours(prior: LatentMixture) -> None:
    uniforms = torch.rand(5, 64, 11)
    category = torch.tensor([0, 1, 2, 1, 0])
    together = prior.sample(category, uniforms, 0.7)
    alone = torch.cat([prior.sample(category[i : i + 1], uniforms[i : i + 1], 0.7) for i in range(5)])
    torch.testing.assert_close(together, alone)


def test_without_temperature_a_draw_is_an_encoding(prior: LatentMixture) -> None:
    drawn = prior.sample(torch.tensor([1]), torch.rand(1, 64, 11), 0.0)
    assert (prior.means.flatten(0, 1) - drawn.flatten(1)).norm(dim=1).min() < 1e-5


def test_uniforms_of_a_draw_draw_it_again(prior: LatentMixture) -> None:
    category = torch.tensor([0, 1])
    drawn = prior.sample(category, torch.rand(2, 64, 11), 0.8)
    again = prior.sample(category, prior.uniforms_of(drawn, category, 0.8), 0.8)
    assert (again - drawn).norm() < 0.05 * drawn.norm()


def test_a_category_with_one_model_can_be_drawn(prior: LatentMixture) -> None:
    drawn = prior.sample(torch.tensor([2]), torch.full((1, 64, 11), 0.999999), 1.0)
    assert torch.isfinite(drawn).all()
