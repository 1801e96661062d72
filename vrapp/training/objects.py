"""`vrapp train objects`: a folder of models → a weights file, resumable from wherever it was killed."""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vrapp.core.errors import InputFileError, UsageError
from vrapp.models.denoiser import DenoiserConfig, LatentDenoiser
from vrapp.models.mixture import LatentMixture, MixtureConfig
from vrapp.models.prior import LatentPrior, PriorConfig
from vrapp.models.vae import ShapeVAE
from vrapp.training.bake import Baked, all_baked, bake, open_baked
from vrapp.training.export_model import data_card, export_weights
from vrapp.training.peers import Peers
from vrapp.training.progress import Progress
from vrapp.training.shape_data import ShapeData, cached_shapes
from vrapp.training.sources import list_objects, sources_hash
from vrapp.training.split import split_of
from vrapp.training.train_critic import CriticTraining, train_critic
from vrapp.training.train_denoiser import DenoiserTraining, strength_for, train_denoiser
from vrapp.training.train_gan import SHARPENED, GanTraining, sharpen_decoder
from vrapp.training.train_prior import CHECKPOINT as PRIOR
from vrapp.training.train_prior import PriorTraining, encode_proportions, encode_shapes, train_prior
from vrapp.training.train_vae import VaeTraining, reconstruction_iou, train_vae, trained_vae

LEAST_MODELS = 8
STAND_INS = 4  # training models that are checked on where no others are there
SAMPLING = {"top_p": 0.95, "guidance": 0.5, "heat": 1.0}
PROJECTIONS = 1
GLOBAL_NUMBERS = 128


@dataclass(frozen=True)
class ObjectTraining:
    """Settings of the whole pipeline.  `seconds` is the time for all networks together."""

    seconds: float = 3600.0
    autoregressive: bool = False  # the other prior: wants far longer before what it draws can be named
    prior_share: float = 0.2  # of the time, where the autoregressive prior is trained
    adversarial: bool = False  # VAE-GAN: the decoder is trained on against critics
    adversarial_share: float = 0.3  # of the time, then
    critic_share: float = 0.08  # of the time: the gate's critic
    denoiser_share: float = 0.25  # of the time, where the mixture is the prior: what makes one shape of its parts
    variants: int = 4  # encodings of a model that the autoregressive prior, and the denoiser, learn from
    seed: int = 0
    processes: int | None = None
    everything: bool = False  # also the categories and models that are left out by default
    vae: VaeTraining = VaeTraining(rate=1e-3)
    prior: PriorTraining = PriorTraining()
    gan: GanTraining = GanTraining()
    denoiser: DenoiserTraining = DenoiserTraining()
    denoiser_width: int = 128
    denoiser_layers: int = 6
    prior_width: int = 192
    prior_layers: int = 6


def with_global_latent(settings: ObjectTraining) -> ObjectTraining:
    """The same with one code for the whole shape instead of numbers for each cell."""
    model = replace(settings.vae.model, global_numbers=GLOBAL_NUMBERS)
    return replace(settings, vae=replace(settings.vae, model=model))


@dataclass(frozen=True)
class TrainingReport:
    """What came of it."""

    weights: Path
    weights_hash: str
    models: int
    categories: tuple[str, ...]
    left_out: dict[str, str]  # file → why
    figures: dict[str, float]


def train_objects(
    data_dir: Path,
    out: Path,
    settings: ObjectTraining | None = None,
    work: Path | None = None,
    split_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> TrainingReport | None:
    """Train the object generator on every model in `data_dir` and write `out`.

    `data_dir` has a manifest.csv, or sub-folders that name the categories, of GLB, glTF, OBJ or PLY
    files.  `work` (default: beside `out`) keeps baked grids and checkpoints; calling again goes on from
    there.  `say` gets progress lines.  Of several processes (`torchrun`) the first speaks and writes; the others
    return None.  Raises InputFileError where there is nothing to train on, OutputError.
    """
    settings, first = settings or ObjectTraining(), Peers().rank == 0
    say = say if first else _silent
    data_dir, out = Path(data_dir), Path(out)
    work = work or out.with_suffix(".training")
    baked = bake_folder(data_dir, work, settings, say)
    split = split_of(baked, work, split_file)
    categories = trained_categories(baked, split, say)
    shapes = cached_shapes(work, baked, split["train"], categories)
    held_out = cached_shapes(work, baked, _held_out(baked, split, categories, say), categories)
    say(f"{len(shapes)} models to train on, {len(held_out)} to check, {len(split['test'])} kept for tests")
    vae = _trained_vae(shapes, held_out, work, settings, say)
    prior, denoiser, figures, means = _fit_prior(vae, shapes, held_out, work, settings, say)
    if not first:
        return None

    def draw(category: Tensor, uniforms: Tensor, noise: Tensor, temperature: float) -> Tensor:
        latent = prior.sample(category, uniforms, temperature)
        if denoiser is None:
            return latent
        return denoiser.refined(latent, category, noise, denoiser.strength_at(temperature))

    judged = train_critic(
        vae, draw, PROJECTIONS, (means, shapes.category), (encode_proportions(vae, held_out), held_out.category),
        len(categories), CriticTraining(seconds=settings.seconds * settings.critic_share, seed=settings.seed),
    )  # fmt: skip
    say(f"critic: {judged.auc:.3f} of held-out models found likelier than draws; {judged.draws_refused:.0%} refused")
    test = cached_shapes(work, baked, split["test"], categories)
    found = reconstruction_iou(vae, test)
    figures["test_iou"] = sum(found) / len(found) if found else math.nan
    card = data_card(shapes, sources_hash([baked.sources[int(row)] for row in baked.rows]), split["hash"])
    card["figures"] = figures
    sampling = (SAMPLING if settings.autoregressive else {}) | {"projections": PROJECTIONS}
    digest = export_weights(out, vae, prior, means[:, 0], shapes, card, sampling, judged, denoiser)
    say(f"wrote {out} ({out.stat().st_size / 2**20:.1f} MiB), test IoU {figures['test_iou']:.3f}")
    return TrainingReport(out, digest, len(shapes), categories, baked.left_out, figures)


def _silent(_: str) -> None:
    """What the other processes say."""


def bake_folder(data_dir: Path, work: Path, settings: ObjectTraining, say: Callable[[str], None]) -> Baked:
    """Bake all models of a folder; names what was left out and why."""
    if not data_dir.is_dir():
        raise InputFileError(
            f"The data folder {data_dir} does not exist; name a folder of GLB, glTF, OBJ or PLY files."
        )
    sources = list_objects(data_dir, settings.everything, say)
    if not sources:
        raise InputFileError(f"There is no GLB, glTF, OBJ or PLY file in {data_dir}; name a folder that has some.")
    if importlib.util.find_spec("igl") is None or importlib.util.find_spec("skimage") is None:
        bring = f"{sys.executable} -m pip install libigl scikit-image"
        raise UsageError(f"Training needs libigl and scikit-image; '{bring}' brings them.")
    several = Peers().count > 1
    if several and not all_baked(data_dir, sources, work):
        raise UsageError("Bake with one process first: run the same command once without torchrun.")
    say(f"{len(sources)} models in {data_dir}")

    if several:  # only read: all at once would write over each other's listing
        baked = open_baked(work)
    else:
        shown = Progress(say, "baking")
        baked = bake(data_dir, sources, work, settings.processes, lambda done, total: shown.tick(done, done / total))
    say(f"baked {len(baked.rows)}, left out {len(baked.left_out)}" + (":" if baked.left_out else ""))
    for file, reason in sorted(baked.left_out.items()):
        say(f"  {file!r}: {reason}")
    if len(baked.rows) < LEAST_MODELS:
        raise InputFileError(
            f"Only {len(baked.rows)} of {len(sources)} models in {data_dir} can be used and at least "
            f"{LEAST_MODELS} are needed; add models or mend those named above."
        )
    return baked


def trained_categories(baked: Baked, split: dict[str, Any], say: Callable[[str], None]) -> tuple[str, ...]:
    """The categories that the split trains on, in order; tells the others, of which nothing could be drawn."""
    category_of, train = baked.category_of(), {*split["train"]}
    found = {category for file, category in category_of.items() if file in train}
    if others := sorted({*category_of.values()} - found):
        say(f"left out, as the split trains on none of their models: {', '.join(others)}")
    return tuple(sorted(found))


def _held_out(
    baked: Baked, split: dict[str, Any], categories: tuple[str, ...], say: Callable[[str], None]
) -> list[str]:
    """The files that training is checked on: the validation part, or some of the training models where none of that
    part can be used."""
    usable = {file for file, category in baked.category_of().items() if category in categories}
    if usable & {*split["validation"]}:
        found: list[str] = split["validation"]
        return found
    say("none of the split's validation models are there: it is checked on models that it trains on")
    return [file for file in split["train"] if file in usable][-STAND_INS:]


def _trained_vae(
    shapes: ShapeData, held_out: ShapeData, work: Path, settings: ObjectTraining, say: Callable[[str], None]
) -> ShapeVAE:
    """The VAE, its decoder sharpened where that was asked for.  Where what comes after it has begun the VAE is
    done: a run that was killed there goes on there, with the very same VAE."""
    prior = settings.prior_share if settings.autoregressive else settings.denoiser_share
    gan = settings.adversarial_share if settings.adversarial else 0.0
    after = [SHARPENED] * settings.adversarial + [PRIOR] * settings.autoregressive
    begun = any((work / name).is_file() for name in after)
    share = 1 - prior - gan - settings.critic_share
    plan = replace(settings.vae, seed=settings.seed, seconds=settings.seconds * share)
    vae = trained_vae(work, plan.model) if begun else None
    shown = Progress(say, "shapes")
    vae = vae or train_vae(shapes, held_out, work, plan, shown, shown.tick)
    if not settings.adversarial:
        return vae
    sharpening = replace(settings.gan, seed=settings.seed, seconds=settings.seconds * gan)
    shown = Progress(say, "vae-gan")
    return sharpen_decoder(vae, shapes, work, sharpening, plan.loss, shown, shown.tick)[0]


def time_left(seconds: float, started: float, peers: Peers) -> float:
    """Seconds of a budget that are left, at least one; the same in all processes, or one of them would find a run over
    that the others go on with, and wait for it for ever."""
    return max(1.0, seconds - peers.mean(time.monotonic() - started))


def _fit_prior(
    vae: ShapeVAE, shapes: ShapeData, held_out: ShapeData, work: Path, settings: ObjectTraining,
    say: Callable[[str], None],
) -> tuple[LatentPrior | LatentMixture, LatentDenoiser | None, dict[str, float], Tensor]:  # fmt: skip
    """The prior, what refines its draws, their figures, and the training models' means (N, V, 11, 4, 4, 4), as they are
    and in variants."""
    started = time.monotonic()
    latents = encode_shapes(vae, shapes, settings.variants, settings.seed)
    checks = encode_shapes(vae, held_out, 1, settings.seed)
    if not settings.autoregressive:
        means = encode_proportions(vae, shapes)
        mixture = LatentMixture(MixtureConfig(len(shapes.categories), len(shapes), means.shape[1]))
        mixture.fit(means, shapes.category)
        left = time_left(settings.seconds * settings.denoiser_share, started, Peers())
        refining = replace(settings.denoiser, seconds=left, seed=settings.seed)
        sizes = DenoiserConfig(
            len(shapes.categories), vae.config.latent_channels, settings.denoiser_width, settings.denoiser_layers,
            max(1, settings.denoiser_width // 32),
        )  # fmt: skip
        shown = Progress(say, "denoiser")
        denoiser, loss = train_denoiser(latents, checks, sizes, refining, work, shown, shown.tick)
        denoiser.config = replace(denoiser.config, strength=strength_for(loss))
        ripe = loss <= refining.enough
        if not ripe:
            say(f"denoiser: its loss of {loss:.2f} is above {refining.enough}, so it is left out; train longer")
        return mixture, denoiser if ripe else None, {"denoiser_loss": loss}, means
    config = PriorConfig(
        len(shapes.categories),
        vae.config.latent_channels,
        width=settings.prior_width,
        layers=settings.prior_layers,
        heads=max(1, settings.prior_width // 32),
    )
    left = time_left(settings.seconds * settings.prior_share, started, Peers())
    plan = replace(settings.prior, seconds=left, seed=settings.seed)
    shown = Progress(say, "prior")
    prior, figures = train_prior(latents, checks, config, plan, work, shown, shown.tick)
    return prior, None, figures, latents.mean
