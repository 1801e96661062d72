"""Critics and generator of object grids: shapes, invariants, and that training moves both."""

import pytest
import torch

from vrapp.models.critic import (
    CriticConfig,
    ShapeCritic,
    augment,
    critic_hinge,
    generator_hinge,
    r1_penalty,
    surface_view,
)
from vrapp.models.gan import GanConfig, ShapeGenerator

SMALL = CriticConfig(categories=3, coarse=32, width=4)
TINY = GanConfig(categories=3, latent=8, style=16, widths=(16, 8, 8))


def ball(radius: float, resolution: int = 32, centre: float = 0.0) -> torch.Tensor:
    """(1, 1, R³): distance to a sphere, `radius` in voxels of 64³, clamped at ±4 of these."""
    line = (torch.arange(resolution) + 0.5) * (64 / resolution) - 32
    away = ((line - centre)[:, None, None] ** 2 + line[None, :, None] ** 2 + line[None, None] ** 2).sqrt()
    return ((away - radius) / 4).clamp(-1, 1)[None, None]


@pytest.mark.parametrize("resolution", [32, 64])
def test_the_gradient_is_of_unit_size_at_a_surface(resolution: int) -> None:
    view = surface_view(ball(18, resolution))
    assert view.shape == (1, 4, resolution, resolution, resolution)
    near = view[0, 0].abs() < 0.3
    assert view[0, 1:].norm(dim=0)[near].mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("resolution", "coarse"), [(16, 16), (32, 16), (32, 32), (64, 32)])
def test_opinions_of_both_critics(resolution: int, coarse: int) -> None:
    critic = ShapeCritic(CriticConfig(3, coarse, 4))
    shapes = torch.cat([ball(18, resolution), ball(9, resolution)])
    assert critic(shapes, torch.tensor([0, 2])).shape == (2, 2)
    nothing = critic(torch.ones(1, 1, *[resolution] * 3), torch.tensor([0]))
    assert nothing[0, 1] == 0  # no surface, no opinion of its parts
    with pytest.raises(ValueError, match="expected distances"):
        critic(torch.ones(1, 1, 8, 8, 8), torch.tensor([0]))


def test_layers_are_spectrally_normalised() -> None:
    torch.manual_seed(0)
    critic = ShapeCritic(SMALL)
    for _ in range(20):
        critic(torch.rand(2, 1, 32, 32, 32), torch.tensor([0, 1]))
    critic.eval()
    for layer in (*critic.whole.body[0][:1], critic.whole.hidden, critic.whole.category, critic.parts.out):
        assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2) == pytest.approx(1.0, abs=0.1)


def test_hinge_at_known_opinions() -> None:
    real, made = torch.tensor([[2.0, 0.0]]), torch.tensor([[-2.0, 0.5]])
    assert critic_hinge(real, made) == pytest.approx(0.5 + 0.75)
    assert generator_hinge(made) == pytest.approx(0.75)


def test_r1_is_the_squared_slope_and_can_be_learned_from() -> None:
    torch.manual_seed(0)
    critic, real, category = ShapeCritic(SMALL).eval(), torch.cat([ball(18), ball(10)]), torch.tensor([0, 1])
    penalty = r1_penalty(critic, real, category)
    real.requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(real, category).sum(), real)
    assert float(penalty.detach()) == pytest.approx(0.5 * float(slope.square().sum((1, 2, 3, 4)).mean()), rel=1e-4)
    penalty.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in critic.parameters())


def test_augmentation_keeps_the_shape_and_passes_gradients() -> None:
    shape = ball(9, centre=8.0).repeat(16, 1, 1, 1, 1).requires_grad_(True)
    moved = augment(shape, torch.Generator().manual_seed(0))
    assert moved.shape == shape.shape
    inside = (moved < 0).flatten(1).sum(1)
    assert (inside == inside[0]).all()  # nothing was cut off, only moved
    assert len({tuple(m.flatten().tolist()) for m in moved.detach()}) > 8
    assert moved[:, :, :, -1].min() == 1  # what came in is outside
    moved.sum().backward()
    assert shape.grad is not None
    assert (shape.grad.flatten(1).sum(1) > 0).all()


def test_what_the_generator_makes() -> None:
    torch.manual_seed(0)
    model = ShapeGenerator(TINY).eval()
    distance, look = model(torch.randn(2, 8), torch.tensor([0, 2]))
    assert distance.shape == (2, 1, 32, 32, 32)
    assert look.shape == (2, 6, 32, 32, 32)
    coarse, look = model(torch.randn(2, 8), torch.tensor([0, 2]), resolution=16)
    assert coarse.shape == (2, 1, 16, 16, 16)
    assert look.shape == (2, 6, 16, 16, 16)
    grid = model.decode(torch.randn(2, 8), torch.tensor([0, 2]))
    assert grid.shape == (2, 7, 64, 64, 64)
    assert grid[:, 0].abs().max() <= 1
    assert grid[:, 1:].min() >= 0
    assert grid[:, 1:].max() <= 1
    with pytest.raises(ValueError, match="noise"):
        model(torch.randn(2, 9), torch.tensor([0, 2]))


def test_the_critic_separates_and_the_generator_moves() -> None:
    torch.manual_seed(0)
    critic, maker = ShapeCritic(SMALL), ShapeGenerator(TINY)
    for_critic = torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.0, 0.99))
    for_maker = torch.optim.Adam(maker.parameters(), 2e-3, betas=(0.0, 0.99))
    real, category = torch.cat([ball(18), ball(19)]), torch.tensor([0, 1])
    noise = torch.randn(2, 8)
    for _ in range(8):
        made = maker(noise, category)[0].detach()
        loss = critic_hinge(critic(real, category), critic(made, category))
        for_critic.zero_grad()
        loss.backward()
        for_critic.step()
    told_real, told_made = critic(real, category).detach(), critic(made, category).detach()
    assert (told_real.mean(0) > told_made.mean(0)).all()
    before = float(told_made.mean())
    for _ in range(4):
        loss = generator_hinge(critic(maker(noise, category)[0], category))
        for_maker.zero_grad()
        loss.backward()
        assert maker.start.weight.grad is not None
        assert maker.start.weight.grad.abs().sum() > 0
        for_maker.step()
    assert float(critic(maker(noise, category)[0], category).mean().detach()) > before
