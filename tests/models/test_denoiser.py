"""The denoiser: repeatable, row by row, invertible, and able to learn two kinds of latents apart."""

import pytest
import torch

from vrapp.models.denoiser import DenoiserConfig, LatentDenoiser, flow_loss
from vrapp.training.muon import Muon

SHAPE = (11, 4, 4, 4)


@pytest.fixture
def model() -> LatentDenoiser:
    torch.manual_seed(0)
    model = LatentDenoiser(DenoiserConfig(3, width=32, layers=2, heads=2, steps=16))
    for value in model.parameters():
        value.data += 0.05 * torch.randn_like(value)
    model.set_scale(2.0 + 3.0 * torch.randn(20, *SHAPE))
    return model.eval()


def test_a_fresh_network_tells_no_velocity() -> None:
    model = LatentDenoiser(DenoiserConfig(3, width=32, layers=1, heads=2))
    assert not model(torch.randn(2, *SHAPE), torch.rand(2), torch.tensor([0, 2])).any()


def test_a_channel_that_never_varies_is_no_harm() -> None:
    known = torch.randn(6, *SHAPE)
    known[:, 9] = 0.25
    model = LatentDenoiser(DenoiserConfig(1, width=32, layers=1, heads=2)).eval()
    model.set_scale(known)
    drawn = model.refined(known, torch.zeros(6, dtype=torch.int64), torch.randn(6, *SHAPE))
    assert torch.isfinite(drawn).all()


def test_without_strength_nothing_changes(model: LatentDenoiser) -> None:
    latent = torch.randn(2, *SHAPE)
    assert torch.equal(model.refined(latent, torch.tensor([0, 1]), torch.randn(2, *SHAPE), 0.0), latent)


def test_a_row_does_not_depend_on_its_neighbours(model: LatentDenoiser) -> None:
    latent, noise, category = torch.randn(4, *SHAPE), torch.randn(4, *SHAPE), torch.tensor([0, 1, 2, 1])
    together = model.refined(latent, category, noise)
    alone = [model.refined(latent[i : i + 1], category[i : i + 1], noise[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone))


def test_more_strength_leaves_less_of_what_was_given(model: LatentDenoiser) -> None:
    latent, noise, category = 3 * torch.randn(8, *SHAPE), torch.randn(8, *SHAPE), torch.zeros(8, dtype=torch.int64)
    little, much = (float((model.refined(latent, category, noise, t) - latent).norm()) for t in (0.1, 0.6))
    assert little < much


def test_the_noise_of_a_draw_draws_it_again(model: LatentDenoiser) -> None:
    latent, noise, category = torch.randn(5, *SHAPE), torch.randn(5, *SHAPE), torch.tensor([0, 1, 2, 0, 1])
    drawn = model.refined(latent, category, noise)
    torch.testing.assert_close(model.noise_of(drawn, latent, category), noise, atol=0.02, rtol=0.02)


def test_it_learns_what_latents_of_a_category_look_like() -> None:
    torch.manual_seed(1)
    model = LatentDenoiser(DenoiserConfig(2, width=32, layers=2, heads=2, dropout=0.0, strength=1.0, steps=8))
    centres = torch.randn(2, *SHAPE)
    known = centres.repeat(50, 1, 1, 1, 1) + 0.1 * torch.randn(100, *SHAPE)
    category = torch.tensor([0, 1] * 50)
    model.set_scale(known)
    optimiser = Muon(model, 3e-3, 0.0, outer=("cells_in.weight", "out.weight", "place", "category.weight"))
    for _ in range(150):
        loss = flow_loss(model, known, category, torch.rand(100), torch.randn(100, *SHAPE)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    drawn = model.refined(torch.zeros(8, *SHAPE), torch.tensor([0, 1] * 4), torch.randn(8, *SHAPE))
    own, other = (float((drawn - centres[[i, 1 - i] * 4]).square().mean()) for i in (0, 1))
    assert own < 0.2 * other
