"""Fits the autoregressive prior to latents of a trained VAE; early-stopped on held-out likelihood."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vrapp.models.prior import LatentPrior, PriorConfig
from vrapp.models.vae import ShapeVAE
from vrapp.training.augment import MILD, PROPORTIONS, stretched
from vrapp.training.checkpoint import load_checkpoint, restoring, save_checkpoint, write_log
from vrapp.training.muon import Muon
from vrapp.training.peers import Peers
from vrapp.training.shape_data import ShapeData
from vrapp.training.train_vae import balanced_weights

CHECKPOINT = "prior.pt"
_OUTER = ("code_in.weight", "code_head.weight", "category.weight", "cell")  # tables: rows, not directions


@dataclass(frozen=True)
class PriorTraining:
    """Settings of a fit.

    `posterior_scale` is the share of the posterior's deviation that is added as noise: at 1 the prior
    would have to learn all of the noise, at 0 it would see each code only once.
    """

    steps: int = 3000
    batch: int = 32
    rate: float = 2e-3
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


@torch.no_grad()
def encode_proportions(vae: ShapeVAE, shapes: ShapeData) -> Tensor:
    """Means (N, 4, 11, 4, 4, 4) of every model in each of `augment.PROPORTIONS`."""
    vae.eval()
    variants = []
    for sides in PROPORTIONS:
        parts = []
        for index in torch.split(torch.arange(len(shapes)), 16):
            distance, look = shapes.batch(index, torch.Generator(), None)
            distance, look = stretched(distance, look, shapes.extent[index], sides)
            parts.append(vae.encoder(distance, look)[0].contiguous())
        variants.append(torch.cat(parts))
    return torch.stack(variants, 1)


def train_prior(
    train: LatentSet,
    validation: LatentSet,
    config: PriorConfig,
    plan: PriorTraining,
    folder: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    tick: Callable[[int, float, float], None] | None = None,
) -> tuple[LatentPrior, dict[str, float]]:
    """The prior with the best held-out likelihood, in eval mode, and its figures (nats a number).

    Goes on from `folder`/prior.pt where that was begun on these latents. Every step's randomness is
    a function of (seed, step, rank), so that a resumed run is the same run.  Rows of `folder`/prior.csv: step,
    losses, seconds.  `progress` gets the figures of a check, `tick` each step, the share that is over, and the loss.
    """
    peers = Peers()
    run, used = _PriorRun(train, config, plan, peers.device), 0.0
    state = load_checkpoint(folder / CHECKPOINT)
    if state and state["latents"] == run.latents:
        with restoring(folder / CHECKPOINT):
            run.restore(state)
        used = state.get("seconds", 0.0)  # those before a kill count
    known = train.mean.flatten(0, 1).to(peers.device)
    run.prior.set_base(
        run.prior.quantise(known), train.category.repeat_interleave(train.mean.shape[1]).to(peers.device)
    )
    chances = balanced_weights(train.category, 0.5)
    started, late = time.monotonic() - used, used > plan.seconds > 0.0
    while run.step < plan.steps and run.waited < plan.patience and not late:
        seed = (plan.seed * 10_000_019 + run.step) * 64 + peers.rank
        torch.manual_seed(seed)  # of the dropout
        rng = torch.Generator().manual_seed(seed)
        batch, spent = _batch(train, chances, rng, plan, plan.batch // peers.count), time.monotonic() - started
        late = run.learn(batch, rng, peers, spent > plan.seconds)
        if tick and peers.rank == 0:
            share = 1.0 if late else max(min(spent / max(plan.seconds, 1e-9), 0.999), run.step / plan.steps)
            tick(run.step, share, run.sum / run.since)
        if run.step % plan.check_every and run.step != plan.steps and not late:
            continue
        row = {**run.check(validation), "seconds": time.monotonic() - started}
        if peers.rank == 0:
            run.history.append([run.step, *row.values()])
            save_checkpoint(folder / CHECKPOINT, {**run.state(), "seconds": row["seconds"]})
            write_log(folder / "prior.csv", ["step", *row], run.history)
            if progress:
                progress(run.step, row)
    run.prior.load_state_dict(run.best_state)
    return run.prior.cpu().eval(), {"validation_nll": run.best, "step": float(run.best_step)}


class _PriorRun:
    """A prior with its optimiser and its best state, as far as they have come."""

    def __init__(self, train: LatentSet, config: PriorConfig, plan: PriorTraining, device: torch.device) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.prior = plan, LatentPrior(config)
        self.latents = hashlib.sha256(train.mean.contiguous().numpy().tobytes()).hexdigest()
        self.prior.set_bins(train.mean.flatten(0, 1))
        self.device = device
        self.prior.to(device)
        self.optimiser = Muon(self.prior, plan.rate, plan.weight_decay, outer=_OUTER)
        self.step = self.waited = self.best_step = 0
        self.best, self.best_state = math.inf, copy.deepcopy(self.prior.state_dict())
        self.sum, self.since = 0.0, 0
        self.history: list[list[float]] = []

    def learn(self, batch: tuple[Tensor, Tensor], rng: torch.Generator, peers: Peers, late: bool) -> bool:
        """One step; returns whether any process is out of time."""
        _set_rate(self.optimiser, self.step + 1, self.plan)
        latent, category = (part.to(self.device) for part in batch)
        loss = prior_loss(self.prior, latent, category, rng, self.plan)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        late = peers.average_gradients(self.prior, late)
        torch.nn.utils.clip_grad_norm_(self.prior.parameters(), 1.0)
        self.optimiser.step()
        self.step, self.since, self.sum = self.step + 1, self.since + 1, self.sum + float(loss.detach())
        return late

    def check(self, validation: LatentSet) -> dict[str, float]:
        """Losses since the last check and held out; keeps the state if it is the best."""
        row = {"train_loss": self.sum / self.since, "validation_nll": held_out_nll(self.prior, validation)}
        self.sum, self.since, self.waited = 0.0, 0, self.waited + 1
        if row["validation_nll"] < self.best:
            self.best, self.best_step, self.waited = row["validation_nll"], self.step, 0
            self.best_state = copy.deepcopy(self.prior.state_dict())
        return row

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "prior": self.prior.state_dict(), "optimiser": self.optimiser.state_dict(), "step": self.step,
            "best": self.best, "best_step": self.best_step, "best_state": self.best_state, "waited": self.waited,
            "history": self.history, "latents": self.latents,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.prior.load_state_dict(state["prior"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.waited, self.history = state["step"], state["waited"], state["history"]
        self.best, self.best_step, self.best_state = state["best"], state["best_step"], state["best_state"]


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
    dropped = (torch.rand(len(category), generator=rng) < plan.drop_category).to(category.device)
    labels = torch.where(dropped, torch.full_like(category, prior.config.categories), category)
    noise = (torch.rand(codes.shape, generator=rng) < plan.code_noise).to(codes.device)
    other = torch.randint(prior.config.bins, codes.shape, generator=rng).to(codes.device)
    logits = prior(torch.where(noise, other, codes), labels)
    return functional.cross_entropy(
        logits.reshape(-1, prior.config.bins), codes.flatten(), label_smoothing=plan.label_smoothing
    )


@torch.no_grad()
def held_out_nll(prior: LatentPrior, latents: LatentSet) -> float:
    """Mean −log p in nats a latent number of the models themselves (not their variants)."""
    prior.eval()
    device = next(prior.parameters()).device
    total = torch.cat(
        [
            prior.log_prob(latents.mean[i, 0].to(device), latents.category[i].to(device))
            for i in torch.split(torch.arange(len(latents.mean)), 64)
        ]
    )
    return float(-total.mean()) / (prior.config.channels * 64)
