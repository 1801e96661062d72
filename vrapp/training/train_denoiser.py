"""Fits the denoiser of latents (``models.denoiser``) to encodings of the training models; exact resume."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vrapp.models.denoiser import DenoiserConfig, LatentDenoiser, flow_loss
from vrapp.training.checkpoint import Ema, load_checkpoint, restoring, save_checkpoint, write_log
from vrapp.training.muon import Muon
from vrapp.training.peers import Peers
from vrapp.training.train_prior import LatentSet
from vrapp.training.train_vae import balanced_weights, learning_rate

CHECKPOINT = "denoiser.pt"
_TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)  # at which held-out models are looked at, always with the same noise


@dataclass(frozen=True)
class DenoiserTraining:
    """Settings of a fit; the rate falls as ``train_vae.learning_rate`` has it. Times are drawn from a logit-normal of
    ``time_mean``, 1; ``posterior_scale`` is the share of the posterior's deviation that is added to the encodings.
    A network with a held-out loss above ``enough`` would make draws worse."""

    steps: int = 6000
    batch: int = 48
    rate: float = 3e-3
    rate_end: float = 2e-5
    warm_up: int = 50
    weight_decay: float = 0.02
    posterior_scale: float = 0.5
    time_mean: float = -0.3
    balance: float = 0.4
    clip: float = 1.0
    average: float = 0.998
    check_every: int = 250
    enough: float = 0.85
    seconds: float = math.inf
    seed: int = 0


def train_denoiser(
    train: LatentSet,
    validation: LatentSet,
    config: DenoiserConfig,
    plan: DenoiserTraining,
    folder: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    tick: Callable[[int, float, float], None] | None = None,
) -> tuple[LatentDenoiser, float]:
    """The averaged network in eval mode, after ``plan.steps`` or ``plan.seconds``, those before a kill included, and
    its held-out loss.

    Goes on from `folder`/denoiser.pt where that was begun on these latents. Every step's randomness is a function of
    (seed, step, rank). Rows of `folder`/denoiser.csv: step, losses, seconds.
    """
    peers, latents = Peers(), hashlib.sha256(train.mean.contiguous().numpy().tobytes()).hexdigest()
    torch.manual_seed(plan.seed)
    model = LatentDenoiser(config)
    model.set_scale(train.mean.flatten(0, 1))
    model.to(peers.device)
    outer = ("cells_in.weight", "out.weight", "place", "category.weight")
    optimiser = Muon(model, plan.rate, plan.weight_decay, outer=outer)
    ema, step, used, history = Ema(model, plan.average), 0, 0.0, []
    state = load_checkpoint(folder / CHECKPOINT)
    if state and state.get("latents") == latents:
        with restoring(folder / CHECKPOINT):
            model.load_state_dict(state["model"])
            optimiser.load_state_dict(state["optimiser"])
            ema.shadow = {name: value.to(peers.device) for name, value in state["ema"].items()}
            ema.steps, step, used, history = state["ema_steps"], state["step"], state["seconds"], state["history"]
    chances = balanced_weights(train.category, plan.balance)
    started, stop, total, since = time.monotonic() - used, used > plan.seconds > 0.0, 0.0, 0
    while step < plan.steps and not stop:
        spent = (time.monotonic() - started) / max(plan.seconds, 1e-9)
        loss, stop = _step(model, optimiser, train, chances, step, plan, peers, spent)
        ema.update(model)
        step, since, total = step + 1, since + 1, total + loss
        if tick and peers.rank == 0:
            tick(step, 1.0 if stop else max(min(spent, 0.999), step / plan.steps), loss)
        if (step % plan.check_every and step != plan.steps and not stop) or peers.rank:
            continue
        row = {"train_loss": total / since, "validation_loss": held_out_loss(_averaged(ema, config), validation)}
        row["seconds"] = time.monotonic() - started
        history.append([step, *row.values()])
        total, since = 0.0, 0
        save_checkpoint(folder / CHECKPOINT, {
            "model": model.state_dict(), "optimiser": optimiser.state_dict(), "ema": ema.shadow,
            "ema_steps": ema.steps, "step": step, "seconds": row["seconds"], "history": history, "latents": latents,
        })  # fmt: skip
        write_log(folder / "denoiser.csv", ["step", *row], history)
        if progress:
            progress(step, row)
    return _averaged(ema, config), history[-1][2] if history else math.nan


def _averaged(ema: Ema, config: DenoiserConfig) -> LatentDenoiser:
    model = LatentDenoiser(config)
    model.load_state_dict(ema.shadow)
    return model.eval()


def _step(
    model: LatentDenoiser, optimiser: Muon, train: LatentSet, chances: Tensor, step: int, plan: DenoiserTraining,
    peers: Peers, spent: float,
) -> tuple[float, bool]:  # fmt: skip
    """One step; the loss, and whether any process is out of time."""
    seed = (plan.seed * 10_000_019 + step) * 64 + peers.rank
    torch.manual_seed(seed)  # of the dropout
    rng = torch.Generator().manual_seed(seed)
    together = peers.mean(spent)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, plan, together)
    index = torch.multinomial(chances, max(1, plan.batch // peers.count), replacement=True, generator=rng)
    variant = torch.randint(train.mean.shape[1], index.shape, generator=rng)
    latent = train.mean[index, variant]
    jitter = plan.posterior_scale * torch.randn(latent.shape, generator=rng)
    latent = latent + train.deviation[index, variant] * jitter
    moment = torch.sigmoid(plan.time_mean + torch.randn(len(index), generator=rng))
    noise = torch.randn(latent.shape, generator=rng)
    model.train()
    on = peers.device
    loss = flow_loss(model, latent.to(on), train.category[index].to(on), moment.to(on), noise.to(on)).mean()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    stop = peers.average_gradients(model, spent > 1.0)
    torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    optimiser.step()
    return float(loss.detach()), stop


def strength_for(loss: float) -> float:
    """How much a network with this held-out loss may change: what it makes at that strength is hardly kneaded yet.

    By eye, on this project's models (1.8 is knowing nothing): at 0.775 less than 0.5, at 0.688 0.7.
    """
    return min(max(0.7 + 3.0 * (0.688 - loss), 0.2), 0.9)


@torch.no_grad()
def held_out_loss(model: LatentDenoiser, latents: LatentSet) -> float:
    """Mean velocity error on the models themselves (not their variants), at fixed times and with fixed noise."""
    rng = torch.Generator().manual_seed(0)
    losses = []
    for moment in _TIMES:
        for index in torch.split(torch.arange(len(latents.category)), 64):
            latent = latents.mean[index, 0]
            noise = torch.randn(latent.shape, generator=rng)
            losses.append(flow_loss(model, latent, latents.category[index], torch.full((len(index),), moment), noise))
    return float(torch.cat(losses).mean())
