"""Trains the gate's critic: decoded training models against draws of the prior, judged on models it never saw."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vrapp.models.plausibility import PlausibilityConfig, PlausibilityCritic, figures
from vrapp.models.vae import ShapeVAE, halved

_TOGETHER = 8  # latents in a pass of the networks
#: Categories (B,) int64, uniforms (B, 64, 11), standard normal noise (B, 11, 4, 4, 4) and a temperature → latents
#: (B, 11, 4, 4, 4) before they are projected.
Draw = Callable[[Tensor, Tensor, Tensor, float], Tensor]


@dataclass(frozen=True)
class CriticTraining:
    """Settings of a run. ``refused`` is the share of held-out *models* that the threshold turns away, unless these were
    more than ``draws_refused`` of the draws: what a young network draws can all be told, and a world needs objects.
    Of more than ``most`` models, or of more than ``seconds`` suffice for, some are taken."""

    passes: int = 8
    batch: int = 64
    rate: float = 1e-3
    weight_decay: float = 0.1
    smoothing: float = 0.05  # of the labels
    most: int = 2000
    temperature: float = 0.85  # of the draws
    refused: float = 0.05
    draws_refused: float = 0.5
    seconds: float = math.inf
    seed: int = 0


@dataclass(frozen=True)
class JudgedCritic:
    """``threshold``: least logit that passes. ``auc``: chance that a held-out model is found more plausible than a draw
    that the critic was not trained on; ``draws_refused``: share of such draws under the threshold."""

    critic: PlausibilityCritic
    threshold: float
    auc: float
    draws_refused: float


def train_critic(
    vae: ShapeVAE,
    draw: Draw,
    projections: int,
    models: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    categories: int,
    plan: CriticTraining | None = None,
) -> JudgedCritic:
    """``models``: latents (N, V, 11, 4, 4, 4) of N models in V variants and categories (N,) int64; so ``held_out``.

    Both sides go through the networks as a draw does (`projections`), so that the critic sees shapes and not which way
    they came.
    """
    plan = plan or CriticTraining()
    rng = torch.Generator().manual_seed(plan.seed)
    enough = min(plan.most, _count_within(plan.seconds, vae, projections, models[0], len(held_out[1])))
    some = torch.randperm(len(models[1]), generator=rng)[:enough]
    real, drawn, labels = _sides(vae, draw, projections, (models[0][some], models[1][some]), plan, rng)
    torch.manual_seed(plan.seed)  # of the network and its dropout
    critic = PlausibilityCritic(PlausibilityConfig(categories))
    known = torch.cat((real, drawn))
    critic.set_scale(known)
    truth = torch.cat((torch.full((len(real),), 1 - plan.smoothing), torch.full((len(drawn),), plan.smoothing)))
    _fit(critic, known, labels.repeat(2), truth, plan, rng)
    critic.eval().requires_grad_(False)
    real, drawn, labels = _sides(vae, draw, projections, held_out, plan, rng)
    with torch.inference_mode():
        seen, made = (critic.judge(each, labels).numpy() for each in (real, drawn))
    threshold = float(min(np.quantile(seen, plan.refused), np.quantile(made, plan.draws_refused)))
    auc = float((seen[:, None] > made[None]).mean())
    return JudgedCritic(critic, threshold, auc, float((made < threshold).mean()))


@torch.no_grad()
def _count_within(seconds: float, vae: ShapeVAE, projections: int, latents: Tensor, checked: int) -> int:
    """How many models, beside those to check with, the networks can look at in that time: at least one pass."""
    if math.isinf(seconds):
        return len(latents)
    begun = time.perf_counter()
    some = latents[:_TOGETHER, 0]
    _figures(vae, some, projections)
    for_one = 2 * (time.perf_counter() - begun) / len(some)  # a model and a draw
    return max(_TOGETHER, int(seconds / for_one) - checked)


def _fit(
    critic: PlausibilityCritic, known: Tensor, labels: Tensor, truth: Tensor, plan: CriticTraining, rng: torch.Generator
) -> None:
    optimiser = torch.optim.AdamW(critic.parameters(), plan.rate, weight_decay=plan.weight_decay)
    order = torch.cat([torch.randperm(len(known), generator=rng) for _ in range(plan.passes)])
    batches = torch.split(order, plan.batch)
    for step, index in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * 0.5 * (1 + math.cos(math.pi * step / len(batches)))
        loss = functional.binary_cross_entropy_with_logits(critic.judge(known[index], labels[index]), truth[index])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


@torch.no_grad()
def _sides(
    vae: ShapeVAE, draw: Draw, projections: int, models: tuple[Tensor, Tensor],
    plan: CriticTraining, rng: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Figures (N, 11) of each model in one of its variants, of a draw of the same category, and the categories (N,)."""
    latents, labels = models
    latents = latents[torch.arange(len(labels)), torch.randint(latents.shape[1], (len(labels),), generator=rng)]
    uniforms = torch.rand(len(labels), 64, latents.shape[1], generator=rng)
    noise = torch.randn(latents.shape, generator=rng)
    parts = zip(*(torch.split(each, 64) for each in (labels, uniforms, noise)), strict=True)
    draws = [draw(category, u, n, plan.temperature) for category, u, n in parts]
    return _figures(vae, latents, projections), _figures(vae, torch.cat(draws), projections), labels


def _figures(vae: ShapeVAE, latents: Tensor, projections: int) -> Tensor:
    """(N, 11) of latents (N, 11, 4, 4, 4) as they are shown."""
    fields = (vae.decoder(vae.projected(some, projections))[0] for some in torch.split(latents, _TOGETHER))
    return torch.cat([figures(halved(field.clamp(-1.0, 1.0))) for field in fields])
