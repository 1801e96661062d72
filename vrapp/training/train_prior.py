"""Fits the autoregressive prior to latents of a trained VAE; early-stopped on held-out likelihood."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vrapp.models.prior import LatentPrior, PriorConfig
from vrapp.models.vae import ShapeVAE
from vrapp.training.augment import MILD
from vrapp.training.checkpoint import save_checkpoint
from vrapp.training.peers import Peers
from vrapp.training.shape_data import ShapeData
from vrapp.training.train_vae import balanced_weights


@dataclass(frozen=True)
class PriorTraining:
    """Settings of a fit.

    `posterior_scale` is the share of the posterior's deviation that is added as noise: at 1 the prior
    would have to learn all of the noise, at 0 it would see each code only once.
    """

    steps: int = 3000
    batch: int = 32
    rate: float = 6e-4
    warm_up: int = 100
    weight_decay: float = 0.05
    label_smoothing: float = 0.02
    drop_category: float = 0.1
    code_noise: float = 0.03
    posterior_scale: float = 0.5
    check_every: int = 100
    patience: int = 6
    seconds: float = math.inf
    seed: int = 0


@dataclass(frozen=True)
class LatentSet:
    """Posterior means and standard deviations (N, V, 11, 4, 4, 4) of N models in V variants."""

    mean: Tensor
    deviation: Tensor
    category: Tensor  # (N,) int64


@torch.no_grad()
def encode_shapes(vae: ShapeVAE, shapes: ShapeData, variants: int, seed: int) -> LatentSet:
    """Encodings of every model as it is, and of `variants` − 1 mildly augmented copies."""
    vae.eval()
    means, deviations = [], []
    rng = torch.Generator().manual_seed(seed)
    for variant in range(variants):
        mean_parts, deviation_parts = [], []
        for index in torch.split(torch.arange(len(shapes)), 16):
            distance, look = shapes.batch(index, rng, MILD if variant else None)
            mean, logvar = vae.encoder(distance, look)
            mean_parts.append(mean.contiguous())
            deviation_parts.append((0.5 * logvar).exp().contiguous())
        means.append(torch.cat(mean_parts))
        deviations.append(torch.cat(deviation_parts))
    return LatentSet(torch.stack(means, 1), torch.stack(deviations, 1), shapes.category)


def train_prior(
    train: LatentSet,
    validation: LatentSet,
    config: PriorConfig,
    plan: PriorTraining,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    start_from: LatentPrior | None = None,
    keep: Path | None = None,
) -> tuple[LatentPrior, dict[str, float]]:
    """The prior with the best held-out likelihood, in eval mode, and its figures (nats a number).

    `start_from` is a prior of an earlier state of the same VAE, to go on from.  The best state so far is
    written to `keep`.
    """
    peers = Peers()
    torch.manual_seed(plan.seed)
    prior = LatentPrior(config)
    if start_from is not None:
        prior.load_state_dict(start_from.state_dict())
    if start_from is None:
        prior.set_bins(train.mean.flatten(0, 1))
    prior.set_base(prior.quantise(train.mean.flatten(0, 1)), train.category.repeat_interleave(train.mean.shape[1]))
    torch.manual_seed(plan.seed + 1 + peers.rank)  # of the dropout
    rng = torch.Generator().manual_seed(plan.seed + 1 + peers.rank)
    optimiser = torch.optim.AdamW(prior.parameters(), plan.rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay)
    chances = balanced_weights(train.category, 0.5)
    best, best_state, waited = math.inf, copy.deepcopy(prior.state_dict()), 0
    started, running, figures = time.monotonic(), 0.0, {"validation_nll": math.inf}
    for step in range(1, plan.steps + 1):
        _set_rate(optimiser, step, plan)
        loss = prior_loss(prior, *_batch(train, chances, rng, plan, plan.batch // peers.count), rng, plan)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        late = peers.average_gradients(prior, time.monotonic() - started > plan.seconds)
        torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
        optimiser.step()
        running += float(loss.detach())
        if step % plan.check_every and step != plan.steps and not late:
            continue
        held_out = held_out_nll(prior, validation)
        row = {"train_loss": running / plan.check_every, "validation_nll": held_out}
        running, waited = 0.0, waited + 1
        if held_out < best:
            best, best_state, waited = held_out, copy.deepcopy(prior.state_dict()), 0
            figures = {**row, "step": float(step)}
            if keep is not None and peers.rank == 0:
                save_checkpoint(keep, {"prior": best_state, "figures": figures})
        if progress and peers.rank == 0:
            progress(step, row)
        if waited >= plan.patience or late:
            break
    prior.load_state_dict(best_state)
    return prior.eval(), figures


def _set_rate(optimiser: torch.optim.Optimizer, step: int, plan: PriorTraining) -> None:
    part = min(1.0, step / plan.steps)
    rate = plan.rate * min(1.0, step / plan.warm_up) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * part)))
    for group in optimiser.param_groups:
        group["lr"] = rate


def _batch(
    latents: LatentSet, chances: Tensor, rng: torch.Generator, plan: PriorTraining, count: int
) -> tuple[Tensor, Tensor]:
    """Posterior samples (B, 11, 4, 4, 4) of random variants, and their categories."""
    index = torch.multinomial(chances, count, replacement=True, generator=rng)
    variant = torch.randint(latents.mean.shape[1], (count,), generator=rng)
    mean, deviation = latents.mean[index, variant], latents.deviation[index, variant]
    noise = plan.posterior_scale * torch.randn(mean.shape, generator=rng)
    return mean + deviation * noise, latents.category[index]


def prior_loss(
    prior: LatentPrior, latent: Tensor, category: Tensor, rng: torch.Generator, plan: PriorTraining
) -> Tensor:
    """Cross-entropy (nats a number); some labels are dropped, some codes seen are wrong by chance, so
    that the network does not follow a memorised neighbour to the letter."""
    prior.train()
    codes = prior.quantise(latent)
    dropped = torch.rand(len(category), generator=rng) < plan.drop_category
    labels = torch.where(dropped, torch.full_like(category, prior.config.categories), category)
    noise = torch.rand(codes.shape, generator=rng) < plan.code_noise
    other = torch.randint(prior.config.bins, codes.shape, generator=rng)
    logits = prior(torch.where(noise, other, codes), labels)
    return functional.cross_entropy(
        logits.reshape(-1, prior.config.bins), codes.flatten(), label_smoothing=plan.label_smoothing
    )


@torch.no_grad()
def held_out_nll(prior: LatentPrior, latents: LatentSet) -> float:
    """Mean −log p in nats a latent number of the models themselves (not their variants)."""
    prior.eval()
    total = torch.cat(
        [
            prior.log_prob(latents.mean[i, 0], latents.category[i])
            for i in torch.split(torch.arange(len(latents.mean)), 64)
        ]
    )
    return float(-total.mean()) / (prior.config.channels * 64)
