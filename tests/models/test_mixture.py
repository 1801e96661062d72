"""The mixture prior: near what it was fitted to, repeatable, and invertible."""

import pytest
import torch

from vrapp.models.mixture import LatentMixture, MixtureConfig


@pytest.fixture
def prior() -> LatentMixture:
    return fitted()


def fitted(**settings: float) -> LatentMixture:
    torch.manual_seed(0)
    models = torch.randn(9, 1, 11, 4, 4, 4)
    means = models + 0.1 * torch.randn(9, 3, 11, 4, 4, 4)
    mixture = LatentMixture(MixtureConfig(3, 9, 3, **{"reach": 9.0, **settings}))
    mixture.fit(means, torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2]))
    return mixture


def test_a_draw_is_a_model_on_one_side_and_its_partner_on_the_other() -> None:
    prior = fitted(steepness=20.0)
    drawn = prior.sample(torch.full((40,), 1), torch.rand(40, 64, 11, generator=torch.Generator().manual_seed(1)), 1.0)
    cells = drawn[:, :8].flatten(2)  # (40, 8, 64)
    known = prior.means[prior.category == 1].flatten(0, 1).reshape(-1, 11, 64)[:, :8]  # (4 · 3, 8, 64)
    apart = (cells[:, None] - known).square().mean(2).sqrt()  # (40, 12, 64)
    assert float(apart.amin(1).median()) < 0.1  # a cell is some model's
    owner = apart.argmin(1) // 3
    models = [len(row.unique()) for row in owner]
    assert sum(count == 2 for count in models) > 20  # and often there are two of them
    assert max(models) <= 3  # a seam may look like a third


def test_colours_come_whole(prior: LatentMixture) -> None:
    uniforms = torch.rand(30, 64, 11, generator=torch.Generator().manual_seed(2))
    drawn = prior.sample(torch.zeros(30, dtype=torch.int64), uniforms, 1.0).flatten(1)[:, 512:]
    known = prior.means[prior.category == 0].flatten(0, 1)[:, 512:]
    nearest = torch.cdist(drawn, known).amin(1) / known.std() / known.shape[1] ** 0.5
    assert float((nearest < 0.3).float().mean()) > 0.6


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
    category = torch.tensor([0, 1, 2] * 5)
    drawn = prior.sample(category, torch.rand(15, 64, 11, generator=torch.Generator().manual_seed(3)), 0.8)
    again = prior.sample(category, prior.uniforms_of(drawn, category, 0.8), 0.8)
    apart = (again - drawn).flatten(1).norm(dim=1) / drawn.flatten(1).norm(dim=1)
    assert float(apart.median()) < 0.1
    assert float(apart.max()) < 0.35


def test_less_temperature_is_nearer_to_what_was_seen(prior: LatentMixture) -> None:
    category, uniforms = torch.zeros(40, dtype=torch.int64), torch.rand(40, 64, 11)
    known = prior.means[prior.category == 0].flatten(0, 1)
    far, near = (torch.cdist(prior.sample(category, uniforms, t).flatten(1), known).amin(1).mean() for t in (1.0, 0.4))
    assert float(near) < 0.8 * float(far)


def test_a_category_with_one_model_can_be_drawn(prior: LatentMixture) -> None:
    drawn = prior.sample(torch.tensor([2]), torch.full((1, 64, 11), 0.999999), 1.0)
    assert torch.isfinite(drawn).all()


def test_models_that_are_too_different_are_not_mixed() -> None:
    prior = fitted(reach=0.1, noise=0.0)
    drawn = prior.sample(torch.zeros(20, dtype=torch.int64), torch.rand(20, 64, 11), 1.0)
    assert torch.cdist(drawn.flatten(1), prior.means.flatten(0, 1)).amin(1).max() < 0.05
