"""What `evaluate objects` compares: everything that can draw shapes for a list of categories."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vrapp.core.errors import WeightsError
from vrapp.core.generation import GenerationRequest, Steering
from vrapp.core.mesh import LATENT_SHAPE
from vrapp.generation.maker import ObjectMaker
from vrapp.generation.network_file import SCHEMA as NETWORK_SCHEMA
from vrapp.generation.weights import ObjectModel, load_weights, schema_of
from vrapp.models.vae import split_grid
from vrapp.training.baselines import PcaModel, sample_mixture
from vrapp.training.object_gan import load_object_gan, sample_gan_grids
from vrapp.training.reconstruction import Code, through_vae
from vrapp.training.shape_data import ShapeData

TEMPERATURE = 0.85  # what the world asks for
_DRAWN = 32  # together: a pass of an autoregressive prior costs much the same for few as for many
_TRIES = 2  # requests for one object, where every draw of a request fails


@dataclass(frozen=True)
class Drawn:
    """Shapes as the networks take them: distance (B, 1, 64³) float in [−1, 1], and look (B, 7, 32³) or None."""

    distance: Tensor
    look: Tensor | None


@dataclass(frozen=True)
class Contender:
    """A row of the table. ``draw``: labels (B,) int64 and a seed → ``Drawn``. ``code`` is what a test model goes
    through, ``decode`` makes one shape, for the clock; None where there is none. ``code_hash`` is the same for the same
    code: a row with another prior and the same VAE gives back the same models."""

    name: str
    draw: Callable[[Tensor, int], Drawn]
    code: Code | None = None
    code_hash: str | None = None
    decode: Callable[[], object] | None = None
    megabytes: float | None = None

    def decode_ms(self, repeats: int = 9) -> float | None:
        """Median milliseconds of one decode."""
        if self.decode is None:
            return None
        times = []
        for _ in range(repeats):
            begun = time.perf_counter()
            self.decode()
            times.append(1e3 * (time.perf_counter() - begun))
        return float(np.median(times))


@torch.no_grad()
def sample_latents(model: ObjectModel, labels: Tensor, seed: int, temperature: float = TEMPERATURE) -> Tensor:
    """Latents (B, 11, 4, 4, 4) for labels (B,), as the prior draws them. The world's gate has not looked at them."""
    rng = torch.Generator().manual_seed(seed)
    uniforms = torch.rand(len(labels), 64, model.vae.config.latent_channels, generator=rng)
    noise = torch.randn(len(labels), *LATENT_SHAPE, generator=rng)
    parts = zip(*(torch.split(each, _DRAWN) for each in (labels, uniforms, noise)), strict=True)
    return torch.cat([model.draw(category, u, n, temperature) for category, u, n in parts])


@torch.no_grad()
def decoded(model: ObjectModel, latents: Tensor) -> Drawn:
    """Latents (B, 11, 4, 4, 4) as shapes."""
    parts = [split_grid(model.vae.decode(some)) for some in torch.split(latents, 8)]
    return Drawn(torch.cat([distance for distance, _ in parts]), torch.cat([look for _, look in parts]))


def from_model(name: str, model: ObjectModel, path: Path) -> Contender:
    """A weights file of this program, its draws as they are."""
    return Contender(
        name, lambda labels, seed: decoded(model, sample_latents(model, labels, seed)), through_vae(model.vae),
        _hash(model.vae), _decode(model), path.stat().st_size / 2**20,
    )  # fmt: skip


def _decode(model: ObjectModel) -> Callable[[], object]:
    """One shape."""
    zero = torch.zeros(1, *LATENT_SHAPE)
    decode: Callable[[], object] = torch.no_grad()(lambda: model.vae.decode(zero))
    return decode


def _megabytes(*networks: nn.Module) -> float:
    """What they take in a weights file, as float16."""
    numbers = sum(value.numel() for network in networks for value in network.state_dict().values())
    return float(2 * numbers / 2**20)


def _hash(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def unlearned(name: str, model: ObjectModel) -> Contender:
    """Its decoder with latents that no prior has chosen."""

    def draw(labels: Tensor, seed: int) -> Drawn:
        rng = torch.Generator().manual_seed(seed)
        return decoded(model, torch.randn(len(labels), *LATENT_SHAPE, generator=rng))

    return Contender(name, draw, None, None, _decode(model), _megabytes(model.vae))


def without_denoiser(name: str, model: ObjectModel) -> Contender:
    """Its draws as the prior alone makes them."""
    plain = replace(model, denoiser=None)
    return Contender(
        name, lambda labels, seed: decoded(plain, sample_latents(plain, labels, seed)), None, None, _decode(model),
        _megabytes(model.vae, model.prior),
    )  # fmt: skip


def denoiser_alone(name: str, model: ObjectModel) -> Contender:
    """Its denoiser all the way from noise: a generator that owes the prior nothing."""
    assert model.denoiser is not None
    denoiser = model.denoiser

    @torch.no_grad()
    def draw(labels: Tensor, seed: int) -> Drawn:
        rng = torch.Generator().manual_seed(seed)
        noise = torch.randn(len(labels), *LATENT_SHAPE, generator=rng)
        parts = zip(torch.split(labels, _DRAWN), torch.split(noise, _DRAWN), strict=True)
        latents = [denoiser.refined(torch.zeros_like(some), label, some, strength=1.0) for label, some in parts]
        found = [model.vae.projected(some, model.projections) for some in torch.split(torch.cat(latents), 8)]
        return decoded(model, torch.cat(found))

    return Contender(name, draw, None, None, _decode(model), _megabytes(model.vae, denoiser))


class ShownObjects:
    """What the world shows of a model: draws that its gate lets through. ``share`` of the draws did, so far."""

    def __init__(self, model: ObjectModel) -> None:
        self._model, self._maker = model, ObjectMaker(model, torch.device("cpu"))
        self._shown = self._rejected = 0

    @property
    def share(self) -> float:
        """Of the draws that the gate saw, those it let through."""
        return self._shown / max(1, self._shown + self._rejected)

    def draw(self, labels: Tensor, seed: int) -> Drawn:
        """See ``Contender``. What the gate never lets through is nothing: a shape without a surface."""
        parts = [self._one(number, int(label), seed) for number, label in enumerate(labels)]
        return Drawn(torch.cat([distance for distance, _ in parts]), torch.cat([look for _, look in parts]))

    @torch.no_grad()
    def _one(self, number: int, category: int, seed: int) -> tuple[Tensor, Tensor]:
        for attempt in range(_TRIES):
            made = self._maker.make(GenerationRequest(number * _TRIES + attempt, seed, Steering(category, TEMPERATURE)))
            self._rejected += len(made.rejected)
            if made.shown is not None:
                self._shown += 1
                latent = torch.from_numpy(made.shown.latent).reshape(1, *LATENT_SHAPE)
                return split_grid(self._model.vae.decode(latent))
        return torch.ones(1, 1, 64, 64, 64), torch.zeros(1, 7, 32, 32, 32)


def oracle(name: str, train: ShapeData) -> Contender:
    """Training models themselves: what a perfect generator that has seen no more than they could reach."""

    def draw(labels: Tensor, seed: int) -> Drawn:
        return Drawn(*train.batch(same_categories(train.category, labels, seed), torch.Generator(), None))

    return Contender(name, draw)


def pca_mixture(name: str, pca: PcaModel, numbers: int = 64) -> Contender:
    """Gaussians a category over the first ``numbers`` scores; distances alone."""
    zero = torch.zeros(1, pca.components.shape[0])

    def draw(labels: Tensor, seed: int) -> Drawn:
        return Drawn(sample_mixture(pca, labels.numpy(), numbers, seed)[:, None].clamp(-1, 1), None)

    return Contender(
        name, draw, lambda distance, _: (pca.reconstruct(distance), None), None, lambda: pca.decode(zero),
        pca.components.numel() * 2 / 2**20,
    )  # fmt: skip


def from_file(path: Path, categories: tuple[str, ...]) -> Contender:
    """A further row, named by its file: an object generator or a pure GAN of the same categories.

    Raises WeightsError for anything else.
    """
    if schema_of(path) == NETWORK_SCHEMA:
        gan, known = load_object_gan(path)
        _check(path, known, categories)

        def draw(labels: Tensor, seed: int) -> Drawn:
            parts = [split_grid(some) for some in torch.split(sample_gan_grids(gan, labels, seed), 8)]
            return Drawn(torch.cat([distance for distance, _ in parts]), torch.cat([look for _, look in parts]))

        noise, label = torch.zeros(1, gan.config.latent), torch.zeros(1, dtype=torch.int64)
        decode = torch.no_grad()(lambda: gan.decode(noise, label))
        return Contender(path.stem, draw, None, None, decode, path.stat().st_size / 2**20)
    model = load_weights(path)
    _check(path, model.categories, categories)
    return from_model(path.stem, model, path)


def _check(path: Path, found: tuple[str, ...], categories: tuple[str, ...]) -> None:
    if found != categories:
        raise WeightsError(f"{path} was trained on other categories than the weights it would be compared with.")


def same_categories(pool: Tensor, labels: Tensor, seed: int) -> Tensor:
    """One row of `pool` for each label in order, of that category where there is one, without repeats if possible."""
    rng = np.random.default_rng(seed)
    chosen = torch.empty(len(labels), dtype=torch.int64)
    for number in torch.unique(labels).tolist():
        rows = np.nonzero((pool == number).numpy())[0]
        rows = rows if len(rows) else np.arange(len(pool))
        wanted = labels == number
        count = int(wanted.sum())
        chosen[wanted] = torch.from_numpy(rng.choice(rows, count, replace=count > len(rows)))
    return chosen


def with_looks(drawn: Drawn) -> Tensor:
    """Grids (B, 7, 64³) of shapes, grey where they have no look: for pictures and meshes."""
    look = drawn.look
    if look is None:
        colours = torch.full((len(drawn.distance), 6, 64, 64, 64), 0.6)
        colours[:, 5] = 0.0
        return torch.cat([drawn.distance, colours], 1)
    mask = look[:, 6:7]
    # A cell of 32³ tells its colour only where it has some surface; its neighbours lend theirs.
    near = functional.max_pool3d(look, 3, stride=1, padding=1)
    filled = torch.where(mask > 0.02, look, near)
    colours = filled[:, :6] / filled[:, 6:7].clamp(min=1e-3)
    return torch.cat([drawn.distance, functional.interpolate(colours.clamp(0, 1), scale_factor=2)], 1)
