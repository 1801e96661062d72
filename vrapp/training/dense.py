"""`vrapp train dense`: the dense VAE or GAN on 28×28 pictures; resumable, several processes by torchrun."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vrapp.core.errors import UsageError, WeightsError
from vrapp.generation.network_file import load_network, save_network
from vrapp.models.dense import DenseConfig, DenseGAN, DenseVAE, GanLoss, critic_loss, generator_loss
from vrapp.training.checkpoint import Ema, load_checkpoint, restoring, save_checkpoint, write_log
from vrapp.training.images import ImageSet, load_image_sets, relief_sets
from vrapp.training.peers import Peers
from vrapp.training.progress import Progress

Kind = Literal["vae", "gan"]
DenseModel = DenseVAE | DenseGAN
HELD_OUT = 1000  # test pictures looked at while training
ANCHORS = 512  # encodings that go with a VAE


@dataclass(frozen=True)
class DenseTraining:
    """Settings of a run.  The learning rate falls by a cosine from `rate` to `rate_end` over `steps`."""

    kind: Kind = "vae"
    steps: int = 60_000
    batch: int = 100
    rate: float = 5e-3
    rate_end: float = 5e-5
    warm_up: int = 200
    beta_warm_up: int = 2000
    gan_rate: float = 4e-4
    gan_loss: GanLoss = "hinge"
    check_every: int = 2000
    ema: float = 0.999
    seconds: float = math.inf
    seed: int = 0
    model: DenseConfig = field(default_factory=DenseConfig)


def learning_rate(step: int, plan: DenseTraining) -> float:
    """Linear warm-up, then cosine; the GAN's two networks keep theirs."""
    if plan.kind == "gan":
        return plan.gan_rate
    if step < plan.warm_up:
        return plan.rate * (step + 1) / plan.warm_up
    part = min(1.0, (step - plan.warm_up) / max(1, plan.steps - plan.warm_up))
    return plan.rate_end + (plan.rate - plan.rate_end) * 0.5 * (1 + math.cos(math.pi * part))


def new_dense(plan: DenseTraining, mean: Tensor) -> DenseModel:
    """A fresh network that begins at the mean picture (784,)."""
    torch.manual_seed(plan.seed)
    model: DenseModel = DenseVAE(plan.model) if plan.kind == "vae" else DenseGAN(plan.model)
    model.start_from(mean)
    return model


class _Order:
    """Which pictures a step sees: every one once an epoch. A function of (seed, step) alone."""

    def __init__(self, count: int, batch: int, seed: int) -> None:
        self._count, self._batch, self._seed = count, min(batch, count), seed
        self._epoch, self._rows = -1, torch.zeros(0, dtype=torch.int64)

    def rows(self, step: int, peers: Peers) -> Tensor:
        epoch, at = divmod(step, self._count // self._batch)
        if epoch != self._epoch:
            rng = torch.Generator().manual_seed(self._seed * 1_000_003 + epoch)
            self._epoch, self._rows = epoch, torch.randperm(self._count, generator=rng)
        return self._rows[at * self._batch : (at + 1) * self._batch][peers.rank :: peers.count]


class _Run:
    """A network with its optimisers and average, as far as it has come."""

    def __init__(self, plan: DenseTraining, mean: Tensor, device: torch.device) -> None:
        self.plan, self.device = plan, device
        self.model = new_dense(plan, mean).to(device)
        self.optimisers = [self._optimiser(part) for part in self._parts()]
        self.ema = Ema(self.model, plan.ema)
        self.step = 0
        self.history: list[list[float]] = []  # rows of the CSV file
        self.columns: list[str] = []

    def _parts(self) -> list[list[nn.Parameter]]:
        if isinstance(self.model, DenseVAE):
            return [list(self.model.parameters())]
        critic = [*self.model.critic_body.parameters(), *self.model.critic_head.parameters()]
        return [critic, list(self.model.decoder.parameters())]

    def _optimiser(self, part: list[nn.Parameter]) -> torch.optim.Adam:
        betas = (0.9, 0.99) if self.plan.kind == "vae" else (0.5, 0.99)
        return torch.optim.Adam(part, self.plan.rate, betas, fused=True)

    def restore(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        for optimiser, its_state in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(its_state)
        self.ema.shadow = {name: value.to(self.device) for name, value in state["ema"].items()}
        self.ema.steps, self.step = state["ema_steps"], state["step"]
        self.history, self.columns = state["history"], state["columns"]

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(), "optimisers": [one.state_dict() for one in self.optimisers],
            "ema": self.ema.shadow, "ema_steps": self.ema.steps, "step": self.step,
            "history": self.history, "columns": self.columns, "settings": _settings(self.plan),
        }  # fmt: skip

    def averaged(self) -> DenseModel:
        model = type(self.model)(self.plan.model)
        model.load_state_dict(self.ema.shadow)
        return model.eval()

    def vae_step(self, model: DenseVAE, x: Tensor, rng: torch.Generator, peers: Peers, late: bool) -> bool:
        noise = torch.randn(len(x), self.plan.model.latent, generator=rng).to(self.device)
        beta = min(1.0, 0.2 + self.step / max(1, self.plan.beta_warm_up))
        bound, kl = model.elbo(x, noise, beta)
        stop = self._update(0, -bound.mean(), peers, late)
        told_kl = float(kl.mean().detach())
        self.told = {"elbo_train": float(bound.mean().detach()) - (1 - beta) * told_kl, "kl": told_kl}
        return stop

    def gan_step(self, model: DenseGAN, x: Tensor, rng: torch.Generator, peers: Peers, late: bool) -> bool:
        """The critic, then the generator, each on noise of its own."""
        noise = torch.randn(2, len(x), self.plan.model.latent, generator=rng).to(self.device)
        with torch.no_grad():
            made = model.sample(noise[0])
        for_critic = critic_loss(model.criticise(x), model.criticise(made), self.plan.gan_loss)
        self._update(0, for_critic, peers, late)
        for_generator = generator_loss(model.criticise(model.sample(noise[1])), self.plan.gan_loss)
        stop = self._update(1, for_generator, peers, late)
        self.told = {"critic": float(for_critic.detach()), "generator": float(for_generator.detach())}
        return stop

    def _update(self, which: int, loss: Tensor, peers: Peers, late: bool) -> bool:
        optimiser = self.optimisers[which]
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.plan)
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        stop = peers.average_gradients(self.model, late)
        optimiser.step()
        return stop


def train_dense(
    train: ImageSet,
    test: ImageSet,
    folder: Path,
    plan: DenseTraining,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    tick: Callable[[int, float, float], None] | None = None,
) -> DenseModel:
    """Train, or go on from `folder`/dense.pt; returns the averaged model in eval mode.

    Stops at `plan.steps` or after `plan.seconds`.  `folder`/dense.csv gets a row each `check_every` steps.
    Every step's randomness is a function of (seed, step, rank), so that a resumed run is the same run.
    On CUDA where there is a card.  Under `torchrun` each process takes its share of the batch.  Raises UsageError where
    the checkpoint is of a run with other settings.
    """
    peers = Peers()
    run = _Run(plan, train.mean, peers.device)
    state = load_checkpoint(folder / "dense.pt")
    if state:
        if state["settings"] != _settings(plan):
            raise UsageError(f"{folder} keeps a training with other settings; remove it or name another --out.")
        with restoring(folder / "dense.pt"):
            run.restore(state)
    order = _Order(len(train), plan.batch, plan.seed)
    started, stop = time.monotonic(), False
    while run.step < plan.steps and not stop:
        rng = torch.Generator().manual_seed((plan.seed * 10_000_019 + run.step) * 64 + peers.rank)
        x = train.batch(order.rows(run.step, peers), rng).to(peers.device)
        late = time.monotonic() - started > plan.seconds
        if isinstance(run.model, DenseVAE):
            stop = run.vae_step(run.model, x, rng, peers, late)
        else:
            stop = run.gan_step(run.model, x, rng, peers, late)
        run.step += 1
        run.ema.update(run.model)
        if tick and peers.rank == 0:
            loss = -run.told["elbo_train"] if "elbo_train" in run.told else run.told["generator"]
            tick(run.step, run.step / plan.steps, loss)
        if (run.step % plan.check_every == 0 or run.step == plan.steps or stop) and peers.rank == 0:
            row = {**run.told, **_check(run.averaged(), test, plan), "seconds": time.monotonic() - started}
            run.columns, run.history = ["step", *row], [*run.history, [run.step, *row.values()]]
            save_checkpoint(folder / "dense.pt", run.state())
            write_log(folder / "dense.csv", run.columns, run.history)
            if progress:
                progress(run.step, row)
    return run.averaged()


@torch.no_grad()
def _check(model: DenseModel, test: ImageSet, plan: DenseTraining) -> dict[str, float]:
    """How it does on held-out pictures; the same ones, binarised the same way, each time."""
    if isinstance(model, DenseGAN):
        return {}
    rng = torch.Generator().manual_seed(plan.seed)
    x = test.batch(torch.arange(min(HELD_OUT, len(test))), rng)
    bound, _ = model.elbo(x, torch.randn(len(x), plan.model.latent, generator=rng))
    return {"elbo_test": float(bound.mean())}


def _settings(plan: DenseTraining) -> str:
    """What a resumed run must share with the one before; when it stops is not part of it."""
    return repr(replace(plan, seconds=math.inf, check_every=0))


def train_to_file(
    out: Path, plan: DenseTraining, data_dir: Path | None = None, say: Callable[[str], None] = print
) -> Path:
    """The command: pictures in `data_dir`, or relief made by code, → a weights file `out`.

    Checkpoints lie beside it, in OUT.training.  Raises InputFileError, UsageError, OutputError.
    """
    train, test = relief_sets() if data_dir is None else load_image_sets(data_dir)
    plan = replace(plan, model=replace(plan.model, pixels=train.kind))
    work = out.with_suffix(".training")
    work.mkdir(parents=True, exist_ok=True)
    say(f"{plan.kind} {plan.model.name} on {len(train)} pictures ({train.name}), {len(test)} kept for tests")
    shown = Progress(say, plan.kind)
    model = train_dense(train, test, work, plan, shown, shown.tick)
    if Peers().rank == 0:
        card = {"data": train.name, "pictures": len(train), "steps": plan.steps, "seed": plan.seed}
        export_dense(out, model, card, train)
        say(f"wrote {out} ({out.stat().st_size / 1024:.0f} KiB)")
    return out


def export_dense(out: Path, model: DenseModel, card: dict[str, Any], data: ImageSet | None = None) -> str:
    """Write a network as float16; returns the file's hash.

    With a VAE goes the density of its latents, fitted after training to encodings of `data` (Ghosh et al.
    2020): some of them, their kinds, and how far they spread.
    """
    kind = "vae" if isinstance(model, DenseVAE) else "gan"
    tensors = dict(model.state_dict())
    if isinstance(model, DenseVAE) and data is not None:
        tensors |= {f"prior.{name}": value for name, value in latent_density(model, data).items()}
    arrays = {name: value.detach().cpu().float().numpy() for name, value in tensors.items()}
    return save_network(out, kind, model.config.as_dict(), card, arrays)


@torch.no_grad()
def latent_density(model: DenseVAE, data: ImageSet) -> dict[str, Tensor]:
    """`anchors` (A, latent) encodings, their `kind` (A,), and the `spread` (latent,) of all."""
    rng = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(data), generator=rng)[: 8 * ANCHORS]
    encoded, _ = model.encode(data.batch(rows, rng))
    kind = data.label[rows[:ANCHORS]].clamp(min=0).float()
    return {"anchors": encoded[:ANCHORS], "kind": kind, "spread": encoded.std(0)}


def import_dense(path: Path) -> tuple[DenseModel, dict[str, Any]]:
    """The network in a weights file, in eval mode, and its card. Raises WeightsError."""
    found = load_network(path)
    try:
        settings = {key: tuple(v) if isinstance(v, list) else v for key, v in found.config.items()}
        config = DenseConfig(**settings)  # type: ignore[arg-type]
        model: DenseModel = DenseVAE(config) if found.kind == "vae" else DenseGAN(config)
        own = {name: array for name, array in found.tensors.items() if not name.startswith("prior.")}
        model.load_state_dict({name: torch.from_numpy(array) for name, array in own.items()})
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise WeightsError(f"The weights {path} do not fit their network ({reason}).") from error
    return model.eval().requires_grad_(False), found.card
