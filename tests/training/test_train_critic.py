"""The gate's critic: its figures of known shapes, and that it learns to tell what can be told."""

import math

import torch

from vrapp.models.plausibility import figures
from vrapp.models.vae import halved
from vrapp.training.train_critic import CriticTraining, _count_within, train_critic


def box(*half: float) -> torch.Tensor:
    """(1, 1, 32³): distance to a box of these half sides in voxels, clamped as grids are."""
    line = torch.arange(32) + 0.5 - 16
    x, y, z = torch.meshgrid(line, line, line, indexing="ij")
    away = torch.stack([axis.abs() - side for axis, side in zip((x, y, z), half, strict=True)]).amax(0)
    return (away / 2).clamp(-1, 1)[None, None]


def test_figures_of_a_box() -> None:
    found = figures(box(8, 4, 2))[0]
    volume, across = 16 * 8 * 4, (8 * 4, 16 * 4, 16 * 8)
    assert found[1] == volume / 32**3
    torch.testing.assert_close(found[8:], torch.tensor(across) / 32**2)
    crossings = 2 * sum(across)
    torch.testing.assert_close(found[3], torch.tensor(crossings / volume))
    mirrored = figures(box(8, 4, 2).flip(2))[0]
    torch.testing.assert_close(found, mirrored)
    assert figures(torch.ones(2, 1, 32, 32, 32)).isfinite().all()  # nothing there


def test_halving_is_the_mean_of_blocks() -> None:
    field = torch.rand(2, 1, 8, 8, 8)
    torch.testing.assert_close(halved(field), torch.nn.functional.avg_pool3d(field, 2))


class Boxes:
    """A decoder whose latent says the box's sides."""

    def projected(self, latent: torch.Tensor, times: int) -> torch.Tensor:
        return latent

    def decoder(self, latent: torch.Tensor) -> tuple[torch.Tensor, None]:
        sides = latent.flatten(1)[:, :3].tolist()
        small = torch.cat([box(*side) for side in sides])
        return torch.nn.functional.interpolate(small, scale_factor=2), None


def thinner(category: torch.Tensor, uniforms: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
    """Draws of category 1 are flatter than its models; those of category 0 are alike."""
    return latents(category, 4.0 - 2.5 * category, uniforms.flatten(1)[:, 0])


def latents(category: torch.Tensor, flat: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
    out = torch.zeros(len(category), 704)
    out[:, 0], out[:, 1], out[:, 2] = 6 + 4 * draw, flat + draw, 5 + 3 * draw
    return out.view(-1, 11, 4, 4, 4)


def test_it_tells_draws_from_models_where_they_differ_and_only_there() -> None:
    rng = torch.Generator().manual_seed(0)

    def models(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.arange(count) % 2
        return latents(labels, torch.full((count,), 4.0), torch.rand(count, generator=rng))[:, None], labels

    judged = train_critic(Boxes(), thinner, 0, models(160), models(60), 2, CriticTraining(passes=20, batch=16))
    assert 0.8 < judged.auc < 0.95  # of four kinds of pairs one cannot be told: 7/8
    assert 0.4 < judged.draws_refused < 0.75  # all of one category
    critic = judged.critic
    fine, flat = box(8, 4.5, 6), box(8, 2.0, 6)
    assert critic(flat, torch.tensor([1])) < judged.threshold < critic(fine, torch.tensor([1]))


def test_it_looks_at_no_more_models_than_there_is_time_for() -> None:
    some = torch.ones(40, 1, 11, 4, 4, 4)
    assert _count_within(math.inf, Boxes(), 0, some, 5) == 40
    assert _count_within(0.0, Boxes(), 0, some, 5) == 8  # a pass
    known = (some, torch.arange(40) % 2)
    judged = train_critic(Boxes(), thinner, 0, known, known, 2, CriticTraining(seconds=0.0))
    assert math.isfinite(judged.threshold)


def test_where_every_draw_can_be_told_half_of_them_pass_all_the_same() -> None:
    labels = torch.ones(60, dtype=torch.int64)
    models = latents(labels, torch.full((60,), 4.0), torch.rand(60, generator=torch.Generator().manual_seed(0)))[
        :, None
    ]
    plan = CriticTraining(passes=20, batch=16)
    judged = train_critic(Boxes(), thinner, 0, (models, labels), (models, labels), 2, plan)
    assert judged.auc > 0.95
    assert judged.draws_refused <= 0.5
