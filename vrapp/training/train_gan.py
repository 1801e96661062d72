"""Adversarial training on object grids: a pure GAN (at 16³, then 32³), and the VAE's decoder sharpened (VAE-GAN).

Both alternate a step of the critic with one of the generator: hinge loss, R1 every few steps, an average
of the weights, the same augmentation of what is real and what is made.  Larsen et al. 2016 for the VAE-GAN:
the encoder is left as it is, so that latents, priors and neighbours stay what they were.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrapp.core.errors import UsageError
from vrapp.models.critic import CriticConfig, ShapeCritic, augment, critic_hinge, generator_hinge, r1_penalty
from vrapp.models.gan import COARSE, FINE, GanConfig, ShapeGenerator
from vrapp.models.vae import ShapeVAE, VaeLossWeights, vae_loss
from vrapp.training.augment import AugmentConfig
from vrapp.training.checkpoint import Ema, load_checkpoint, restoring, save_checkpoint, write_log
from vrapp.training.peers import Peers
from vrapp.training.shape_data import ShapeData

SHARPENED = "vae-gan.pt"
Progress = Callable[[int, dict[str, float]], None]
Tick = Callable[[int, float, float], None]


@dataclass(frozen=True)
class GanTraining:
    """Settings of a run; both networks keep their learning rates."""

    steps: int = 20_000
    batch: int = 16
    generator_rate: float = 1e-4
    critic_rate: float = 4e-4
    r1: float = 1.0
    r1_every: int = 16
    critic_width: int = 32
    ema: float = 0.999
    coarse_share: float = 0.6  # pure GAN: of its steps, or of its time, at 16³
    adversarial: float = 0.2  # VAE-GAN: the critic's say, as a share of the reconstruction's (at the decoder's output)
    moved: float = 0.5  # VAE-GAN: share of what the critic sees that is decoded from moved latents
    jitter: float = 0.5  # … and by how many standard deviations of the latents
    check_every: int = 50
    seconds: float = math.inf
    seed: int = 0
    device: str = ""  # empty: CUDA where there is one
    augment: AugmentConfig | None = field(default_factory=AugmentConfig)

    def chosen_device(self) -> torch.device:
        """Where it runs."""
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))


@dataclass(frozen=True)
class Batch:
    """Real models on the device: distance (B, 1, 64³), look (B, 7, 32³), category (B,), and the step's randomness."""

    distance: Tensor
    look: Tensor
    category: Tensor
    rng: torch.Generator


class Maker(Protocol):
    """What an adversarial run trains against its critic."""

    resolution: int  # of what it makes

    @property
    def network(self) -> nn.Module:
        """Its trainable parameters are what is learned."""
        ...

    def make(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Distances (B, 1, R³) for the critic, and the loss that they have without it (a scalar)."""
        ...

    def weight(self, made: Tensor, own: Tensor, adversarial: Tensor) -> Tensor:
        """How much the critic's loss counts beside the own one."""
        ...

    def at(self, share: float, plan: GanTraining) -> None:
        """Set what is learned when this share of the steps, or of the time, is over."""
        ...


class PureGan:
    """Noise and category → 16³, later 32³. There is nothing but the critic to learn from."""

    def __init__(self, config: GanConfig) -> None:
        self.network = ShapeGenerator(config)
        self.resolution = COARSE

    def make(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The looks learn the mean look of their place from real models; the critic judges the shape."""
        noise = torch.randn(len(batch.category), self.network.config.latent, generator=batch.rng)
        distance, look = self.network(noise.to(batch.distance.device), batch.category, self.resolution)
        seen = _pooled(batch.look, self.resolution)
        mask = seen[:, 6:7]
        wanted = (seen[:, :6] / mask.clamp(min=1e-3)).clamp(0, 1)
        entropy = functional.binary_cross_entropy_with_logits(look.float(), wanted, reduction="none")
        return distance, (entropy * (mask > 0.05)).sum() / ((mask > 0.05).sum() * 6).clamp(min=1)

    def weight(self, made: Tensor, own: Tensor, adversarial: Tensor) -> Tensor:
        """One."""
        return torch.ones((), device=made.device)

    def at(self, share: float, plan: GanTraining) -> None:
        """See `Maker`."""
        self.resolution = COARSE if share < plan.coarse_share else FINE


class VaeDecoder:
    """Latents of real models → 64³, by the decoder of a trained VAE; a share of them moved at random."""

    resolution = 64

    def __init__(self, vae: ShapeVAE, plan: GanTraining, loss: VaeLossWeights | None = None) -> None:
        self.network = vae
        self._plan, self._loss = plan, loss or VaeLossWeights()
        vae.encoder.requires_grad_(False)

    def make(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Reconstructions with their loss; what the critic sees is in part decoded from moved latents."""
        with torch.no_grad():
            mean, log_variance = self.network.encoder(batch.distance, batch.look)
        raw, look = self.network.decoder(mean)
        own, _ = vae_loss(raw, look, batch.distance, batch.look, mean, log_variance, self._loss, 0.0)
        seen = raw.clamp(-1, 1)
        moved = round(self._plan.moved * len(mean))
        if moved:
            noise = torch.randn(mean[:moved].shape, generator=batch.rng).to(mean.device)
            drawn, _ = self.network.decoder(mean[:moved] + self._plan.jitter * mean.std() * noise)
            seen = torch.cat([drawn.clamp(-1, 1), seen[moved:]])
        return seen, own

    def weight(self, made: Tensor, own: Tensor, adversarial: Tensor) -> Tensor:
        """So that the critic pulls the decoder by a set share of what the reconstruction does (VQGAN's rule)."""
        parameters = [p for p in self.network.decoder.parameters() if p.requires_grad]
        pulls = []
        for loss in (own, adversarial):
            found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            pulls.append(sum(float(g.square().sum()) for g in found if g is not None) ** 0.5)
        return torch.tensor(min(1e3, self._plan.adversarial * pulls[0] / max(pulls[1], 1e-9)), device=made.device)

    def at(self, share: float, plan: GanTraining) -> None:
        """The same from first to last."""


class AdversarialRun:
    """A maker and its critic with their optimisers and average, as far as they have come."""

    def __init__(self, maker: Maker, critic: ShapeCritic, plan: GanTraining) -> None:
        self.device = plan.chosen_device()
        self.plan, self.maker, self.critic = plan, maker, critic.to(self.device)
        maker.network.to(self.device)
        learned = [p for p in maker.network.parameters() if p.requires_grad]
        self.for_maker = torch.optim.Adam(learned, plan.generator_rate, betas=(0.0, 0.99))
        self.for_critic = torch.optim.Adam(critic.parameters(), plan.critic_rate, betas=(0.0, 0.99))
        self.ema, self.step = Ema(maker.network, plan.ema), 0
        self.share = 0.0  # of the steps, or of the time, that is over
        self.seconds = 0.0  # of training, those before a kill included
        self.history: list[list[float]] = []

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {
            "maker": self.maker.network.state_dict(), "critic": self.critic.state_dict(),
            "for_maker": self.for_maker.state_dict(), "for_critic": self.for_critic.state_dict(),
            "ema": self.ema.shadow, "ema_steps": self.ema.steps, "step": self.step, "history": self.history,
            "share": self.share, "seconds": self.seconds, "settings": settings_of(self.plan),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.maker.network.load_state_dict(state["maker"])
        self.critic.load_state_dict(state["critic"])
        self.for_maker.load_state_dict(state["for_maker"])
        self.for_critic.load_state_dict(state["for_critic"])
        self.ema.shadow = {name: value.to(self.device) for name, value in state["ema"].items()}
        self.ema.steps, self.step, self.history = state["ema_steps"], state["step"], state["history"]
        self.share, self.seconds = state["share"], state["seconds"]

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """bfloat16 where it is fast; the losses and the penalty stay in float32."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            yield

    def teach_critic(self, batch: Batch, peers: Peers) -> dict[str, float]:
        """One step of the critic; R1 on every `r1_every`-th."""
        real = _pooled(batch.distance, self.maker.resolution)
        with torch.no_grad(), self._precision():
            made, _ = self.maker.make(batch)
        real, made = augment(real, batch.rng), augment(made.float(), batch.rng)
        with self._precision():
            told_real, told_made = self.critic(real, batch.category), self.critic(made, batch.category)
        loss = critic_hinge(told_real.float(), told_made.float())
        if self.plan.r1 and self.step % self.plan.r1_every == 0:
            penalty = r1_penalty(self.critic, real.float(), batch.category)
            loss = loss + self.plan.r1 * self.plan.r1_every * penalty
        self._update(self.for_critic, self.critic, loss, peers, False)
        right = 0.5 * ((told_real > 0).float().mean() + (told_made < 0).float().mean())
        return {"critic": float(loss.detach()), "told": float(right)}

    def teach_maker(self, batch: Batch, peers: Peers, late: bool) -> tuple[dict[str, float], bool]:
        """One step of the maker; returns whether any process is out of time."""
        with self._precision():
            made, own = self.maker.make(batch)
            opinion = self.critic(augment(made, batch.rng), batch.category)
        adversarial, own = generator_hinge(opinion.float()), own.float()
        weight = self.maker.weight(made, own, adversarial)
        stop = self._update(self.for_maker, self.maker.network, own + weight * adversarial, peers, late)
        self.ema.update(self.maker.network)
        told = {"own": own, "adversarial": adversarial, "weight": weight}
        return {name: float(value.detach()) for name, value in told.items()}, stop

    @staticmethod
    def _update(optimiser: torch.optim.Optimizer, network: nn.Module, loss: Tensor, peers: Peers, late: bool) -> bool:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        stop = peers.average_gradients(network, late)
        optimiser.step()
        return stop


def _pooled(grid: Tensor, resolution: int) -> Tensor:
    """(B, C, R³) → (B, C, `resolution`³): means of its cells."""
    factor = grid.shape[-1] // resolution
    return grid if factor == 1 else functional.avg_pool3d(grid, factor)


def settings_of(plan: GanTraining) -> str:
    """What a resumed run must share with the one before."""
    return repr(replace(plan, seconds=math.inf, check_every=0, steps=0, device=""))


def train_adversarially(
    run: AdversarialRun, shapes: ShapeData, file: Path, chances: Tensor, progress: Progress | None = None,
    tick: Tick | None = None,
) -> None:  # fmt: skip
    """Alternate the two until `plan.steps` or `plan.seconds`, those before a kill included; goes on from `file`
    (.pt, with a .csv beside it).  `progress` and `tick` as in `train_vae`.

    Every step's randomness is a function of (seed, step, rank).  Raises UsageError where the checkpoint is
    of a run with other settings.
    """
    plan, peers = run.plan, Peers()
    state = load_checkpoint(file)
    if state:
        if state["settings"] != settings_of(plan):
            raise UsageError(f"{file} keeps a training with other settings; remove it, or name another --out.")
        with restoring(file):
            run.restore(state)
    run.critic.train()
    run.maker.network.train()
    started, stop = time.monotonic() - run.seconds, run.seconds > plan.seconds > 0.0
    while run.step < plan.steps and not stop:
        run.seconds = time.monotonic() - started
        # By its mean over all processes: on two sides of a change of resolution their gradients would not fit together.
        run.share = peers.mean(max(run.share, run.step / plan.steps, run.seconds / max(plan.seconds, 1e-9)))
        run.maker.at(run.share, plan)
        batch = _draw(shapes, chances, run, peers)
        told = run.teach_critic(batch, peers)
        more, stop = run.teach_maker(batch, peers, time.monotonic() - started > plan.seconds)
        told |= more
        run.step += 1
        if tick and peers.rank == 0:
            tick(run.step, 1.0 if stop else max(min(run.share, 0.999), run.step / plan.steps), told["critic"])
        if (run.step % plan.check_every == 0 or run.step == plan.steps or stop) and peers.rank == 0:
            run.seconds = told["seconds"] = time.monotonic() - started
            run.history.append([run.step, *told.values()])
            save_checkpoint(file, run.state())
            write_log(file.with_suffix(".csv"), ["step", *told], run.history)
            if progress:
                progress(run.step, told)


def _draw(shapes: ShapeData, chances: Tensor, run: AdversarialRun, peers: Peers) -> Batch:
    rng = torch.Generator().manual_seed((run.plan.seed * 10_000_019 + run.step) * 64 + peers.rank)
    count = max(1, run.plan.batch // peers.count)
    rows = torch.multinomial(chances, count, replacement=len(shapes) < count, generator=rng)
    distance, look = shapes.batch(rows, rng, run.plan.augment)
    device = run.device
    return Batch(distance.to(device), look.to(device), shapes.category[rows].to(device), rng)


def train_gan(
    shapes: ShapeData,
    folder: Path,
    plan: GanTraining,
    config: GanConfig | None = None,
    progress: Progress | None = None,
    tick: Tick | None = None,
) -> ShapeGenerator:
    """A pure GAN of the given models, from `folder`/gan.pt where it was begun; the average, in eval mode."""
    torch.manual_seed(plan.seed)
    config = config or GanConfig(len(shapes.categories))
    maker = PureGan(config)
    critic = ShapeCritic(CriticConfig(len(shapes.categories), COARSE, plan.critic_width))
    run = AdversarialRun(maker, critic, plan)
    train_adversarially(run, shapes, folder / "gan.pt", _chances(shapes), progress, tick)
    model = ShapeGenerator(config)
    model.load_state_dict(run.ema.shadow)
    return model.eval()


def sharpen_decoder(
    vae: ShapeVAE,
    shapes: ShapeData,
    folder: Path,
    plan: GanTraining,
    loss: VaeLossWeights | None = None,
    progress: Progress | None = None,
    tick: Tick | None = None,
) -> tuple[ShapeVAE, ShapeCritic]:
    """The VAE with a decoder trained on against critics, and those; from `folder`/vae-gan.pt where it was begun.

    `vae` is changed: it comes back with the averaged weights, in eval mode.  Its latents stay what they were.
    """
    torch.manual_seed(plan.seed)
    critic = ShapeCritic(CriticConfig(len(shapes.categories), width=plan.critic_width))
    run = AdversarialRun(VaeDecoder(vae, plan, loss), critic, plan)
    train_adversarially(run, shapes, folder / SHARPENED, _chances(shapes), progress, tick)
    vae.load_state_dict(run.ema.shadow)
    return vae.cpu().eval(), run.critic.cpu().eval()


def _chances(shapes: ShapeData, power: float = 0.3) -> Tensor:
    """(N,) chance of each model, so that a category counts by its size to the 1 − `power`."""
    return torch.bincount(shapes.category).float()[shapes.category] ** -power
