"""Trains the shape VAE: Muon, β warm-up, EMA, checkpoints, CSV log; exact resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from vrapp.models.vae import ShapeVAE, VaeConfig, VaeLossWeights, vae_loss
from vrapp.training.augment import AugmentConfig
from vrapp.training.checkpoint import Ema, load_checkpoint, restoring, save_checkpoint, write_log
from vrapp.training.muon import Muon
from vrapp.training.peers import Peers
from vrapp.training.shape_data import ShapeData

CHECKPOINT = "vae.pt"


@dataclass(frozen=True)
class VaeTraining:
    """Settings of a run.  The learning rate falls by a cosine from `rate` to `rate_end` over `steps`, or over
    `seconds` where these are over first: a run that ends by the clock ends at a low rate, too."""

    steps: int = 8000
    batch: int = 8
    rate: float = 1.5e-3
    rate_end: float = 5e-5
    warm_up: int = 150
    beta_warm_up: int = 1000
    weight_decay: float = 1e-2
    clip: float = 1.0
    check_every: int = 200
    save_every: float = 240.0  # seconds, between checks that are farther apart
    seconds: float = math.inf
    seed: int = 0
    freeze_encoder: bool = False  # only the decoder learns on: a prior can be fitted meanwhile
    model: VaeConfig = field(default_factory=VaeConfig)
    loss: VaeLossWeights = field(default_factory=VaeLossWeights)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


class Schedule(Protocol):
    """What ``learning_rate`` asks of a plan."""

    @property
    def steps(self) -> int:
        """Of the whole run."""

    @property
    def warm_up(self) -> int:
        """Steps until the full rate."""

    @property
    def rate(self) -> float:
        """The highest."""

    @property
    def rate_end(self) -> float:
        """The last."""


def learning_rate(step: int, plan: Schedule, spent: float = 0.0) -> float:
    """Linear warm-up, then cosine; ``spent`` is the share of the run's time that is over."""
    if step < plan.warm_up:
        return plan.rate * (step + 1) / plan.warm_up
    part = min(1.0, max(spent, (step - plan.warm_up) / max(1, plan.steps - plan.warm_up)))
    return plan.rate_end + (plan.rate - plan.rate_end) * 0.5 * (1 + math.cos(math.pi * part))


def balanced_weights(category: Tensor, power: float = 0.5) -> Tensor:
    """(N,) chance of each model, so that a category counts by its size to the 1 − `power`."""
    sizes = torch.bincount(category).float()
    return sizes[category] ** -power


@torch.no_grad()
def reconstruction_iou(
    model: ShapeVAE, shapes: ShapeData, limit: int = 10**9, rank: int = 0, peers: int = 1
) -> list[float]:
    """IoU of inside voxels after encoding to the mean and decoding, of every `peers`-th model."""
    found: list[float] = []
    device = next(model.parameters()).device
    count = min(limit, len(shapes))
    picked = torch.linspace(0, len(shapes) - 1, count).long() if count else torch.zeros(0, dtype=torch.long)
    for index in torch.split(picked[rank::peers], 8):
        distance, look = (part.to(device) for part in shapes.batch(index, torch.Generator(), None))
        mean, _ = model.encoder(distance, look)
        raw, _ = model.decoder(mean)
        inside, wanted = raw < 0, distance < 0
        both = (inside & wanted).sum((1, 2, 3, 4)).float()
        either = (inside | wanted).sum((1, 2, 3, 4)).float()
        found += (both / either.clamp(min=1)).tolist()
    return found


def new_model(config: VaeConfig, seed: int) -> ShapeVAE:
    """A fresh network in the memory layout that is a third faster on CPUs."""
    torch.manual_seed(seed)
    model = ShapeVAE(config)
    return model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def train_vae(
    shapes: ShapeData,
    validation: ShapeData,
    folder: Path,
    plan: VaeTraining,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    tick: Callable[[int, float, float], None] | None = None,
) -> ShapeVAE:
    """Train, or go on from `folder`/vae.pt; returns the EMA model in eval mode.

    Stops at `plan.steps` or after `plan.seconds`, those before a kill included: a run that is over is not begun again.
    `progress` gets the figures of a check, `tick` each step, the share of the run that is over, and the loss.
    Rows of `folder`/vae.csv: step, losses, IoU, seconds.
    Every step's randomness is a function of (seed, step, rank), so that a resumed run is the same run.
    Under `torchrun` each process takes its share of the batch. On CUDA where there is a card, in bfloat16.
    """
    peers = Peers()
    folder.mkdir(parents=True, exist_ok=True)
    model = new_model(plan.model, plan.seed).to(peers.device)
    optimiser = Muon(model, plan.rate, plan.weight_decay, outer=("encoder.stem.weight", "decoder.out.weight"))
    ema, step = Ema(model), 0
    used = 0.0  # seconds, before this start
    history: list[list[float]] = []
    state = load_checkpoint(folder / CHECKPOINT)
    if state:
        with restoring(folder / CHECKPOINT):
            model.load_state_dict(state["model"])
            optimiser.load_state_dict(state["optimiser"])
            ema.shadow = {name: value.to(peers.device) for name, value in state["ema"].items()}
            ema.steps, step = state["ema_steps"], state["step"]
        history, used = state.get("history", []), state.get("seconds", 0.0)
    if plan.freeze_encoder:
        averaged = {name: value for name, value in ema.shadow.items() if name.startswith("encoder.")}
        model.load_state_dict(averaged, strict=False)
        model.encoder.requires_grad_(False)
    chances = balanced_weights(shapes.category, 0.3)
    started, since, stop = time.monotonic() - used, 0, used > plan.seconds > 0.0
    saved = time.monotonic()
    sums: dict[str, float] = {}
    while step < plan.steps and not stop:
        spent = (time.monotonic() - started) / max(plan.seconds, 1e-9)
        parts, stop = _step(model, optimiser, ema, shapes, chances, step, plan, peers, spent)
        step, since = step + 1, since + 1
        sums = {name: sums.get(name, 0.0) + value for name, value in parts.items()}
        if tick and peers.rank == 0:
            tick(step, 1.0 if stop else max(min(spent, 0.999), step / plan.steps), parts["loss"])
        if step % plan.check_every == 0 or step == plan.steps or stop:
            row = {name: value / since for name, value in sums.items()}
            row |= _check(ema, plan.model, shapes, validation, peers)
            row["seconds"] = time.monotonic() - started
            history.append([step, *row.values()])
            if peers.rank == 0:
                write_log(folder / "vae.csv", ["step", *row], history)
                if progress:
                    progress(step, row)
            sums, since = {}, 0
        if peers.rank == 0 and (since == 0 or time.monotonic() - saved > plan.save_every):
            kept = {"history": history, "seconds": time.monotonic() - started}
            save_checkpoint(folder / CHECKPOINT, {**_state(model, optimiser, ema, step), **kept})
            saved = time.monotonic()
    return ema_model(ema, plan.model)


def _step(
    model: ShapeVAE, optimiser: torch.optim.Optimizer, ema: Ema, shapes: ShapeData, chances: Tensor,
    step: int, plan: VaeTraining, peers: Peers, spent: float,
) -> tuple[dict[str, float], bool]:  # fmt: skip
    """One optimiser step; returns the loss parts and whether any process is out of time."""
    rng = torch.Generator().manual_seed((plan.seed * 10_000_019 + step) * 64 + peers.rank)
    together = peers.mean(spent)  # processes with different rates would part ways
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, plan, together)
    batch = max(1, plan.batch // peers.count)
    index = torch.multinomial(chances, batch, replacement=len(shapes) < batch, generator=rng)
    device = peers.device
    distance, look = (part.to(device) for part in shapes.batch(index, rng, plan.augment))
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        mean, logvar = model.encoder(distance, look)
        noise = torch.randn(mean.shape, generator=rng).to(device)
        raw, colours = model.decoder(mean + (0.5 * logvar).exp() * noise)
    raw, colours, mean, logvar = raw.float(), colours.float(), mean.float(), logvar.float()
    beta = min(1.0, step / max(1, plan.beta_warm_up))
    loss, parts = vae_loss(raw, colours, distance, look, mean, logvar, plan.loss, beta)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    stop = peers.average_gradients(model, spent > 1.0)
    torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    optimiser.step()
    ema.update(model)
    return {"loss": float(loss.detach()), **{name: float(part.detach()) for name, part in parts.items()}}, stop


def ema_model(ema: Ema, config: VaeConfig) -> ShapeVAE:
    """The averaged network, in eval mode."""
    model = ShapeVAE(config)
    model.load_state_dict(ema.shadow)
    return model.to(memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload,no-any-return]


def trained_vae(folder: Path, config: VaeConfig) -> ShapeVAE | None:
    """The averaged network of `folder`/vae.pt as far as it came, or None where there is none."""
    state = load_checkpoint(folder / CHECKPOINT)
    if state is None:
        return None
    model = ShapeVAE(config)
    model.load_state_dict(state["ema"])
    return model.to(memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload,no-any-return]


def _check(ema: Ema, config: VaeConfig, shapes: ShapeData, validation: ShapeData, peers: Peers) -> dict[str, float]:
    model = ema_model(ema, config).to(peers.device)
    row = {}
    for name, part, limit in (("iou_train", shapes, 48), ("iou_validation", validation, 128)):
        found = reconstruction_iou(model, part, limit, peers.rank, peers.count)
        total, count = peers.sum([sum(found), len(found)])
        row[name] = total / max(1.0, count)
    return row


def _state(model: ShapeVAE, optimiser: torch.optim.Optimizer, ema: Ema, step: int) -> dict[str, object]:
    return {
        "model": model.state_dict(), "optimiser": optimiser.state_dict(), "ema": ema.shadow,
        "ema_steps": ema.steps, "step": step,
    }  # fmt: skip
