"""`vrapp train objects --model gan`: the pure GAN, and the grids that evaluation draws from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vrapp.core.errors import WeightsError
from vrapp.generation.network_file import load_network, save_network
from vrapp.models.gan import GanConfig, ShapeGenerator
from vrapp.training.objects import ObjectTraining, bake_folder, trained_categories
from vrapp.training.peers import Peers
from vrapp.training.progress import Progress
from vrapp.training.shape_data import cached_shapes
from vrapp.training.split import split_of
from vrapp.training.train_gan import GanTraining, train_gan

KIND = "object-gan"


def train_object_gan(
    data_dir: Path,
    out: Path,
    settings: ObjectTraining,
    plan: GanTraining | None = None,
    work: Path | None = None,
    split_file: Path | None = None,
    say: Callable[[str], None] = print,
) -> ShapeGenerator:
    """Train the pure GAN on the training models of a folder and write `out`; goes on where it was ended.

    Folder, split, categories and the work folder beside `out` are those of `train_objects`.
    Raises InputFileError, UsageError, OutputError.
    """
    plan = replace(plan or GanTraining(), seconds=settings.seconds, seed=settings.seed)
    first = Peers().rank == 0
    say = say if first else lambda _: None
    work = work or out.with_suffix(".training")
    baked = bake_folder(data_dir, work, settings, say)
    split = split_of(baked, work, split_file)
    categories = trained_categories(baked, split, say)
    shapes = cached_shapes(work, baked, split["train"], categories)
    say(f"{len(shapes)} models to train on, on {plan.chosen_device()}")

    shown = Progress(say, "gan")
    model = train_gan(shapes, work, plan, None, shown, shown.tick)
    if not first:
        return model
    card = {"training_models": len(shapes), "split_hash": split["hash"], "categories": list(categories)}
    save_object_gan(out, model, card)
    say(f"wrote {out} ({out.stat().st_size / 2**20:.1f} MiB)")
    return model


def save_object_gan(out: Path, model: ShapeGenerator, card: dict[str, object]) -> str:
    """Write the generator as float16; returns the file's hash."""
    tensors = {name: value.detach().cpu().float().numpy() for name, value in model.state_dict().items()}
    return save_network(out, KIND, model.config.as_dict(), card, tensors)


def load_object_gan(path: Path) -> tuple[ShapeGenerator, tuple[str, ...]]:
    """The generator, in eval mode, and its categories. Raises WeightsError."""
    found = load_network(path)
    if found.kind != KIND:
        raise WeightsError(f"The weights {path} are of a {found.kind!r}, not of a GAN of objects.")
    try:
        settings = {key: tuple(v) if isinstance(v, list) else v for key, v in found.config.items()}
        model = ShapeGenerator(GanConfig(**settings))  # type: ignore[arg-type]
        model.load_state_dict({name: torch.from_numpy(array) for name, array in found.tensors.items()})
        categories = tuple(str(name) for name in found.card["categories"])
    except (TypeError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0][:120]
        raise WeightsError(f"The weights {path} do not fit their network ({reason}).") from error
    return model.eval().requires_grad_(False), categories


@torch.no_grad()
def sample_gan_grids(model: ShapeGenerator, labels: Tensor, seed: int) -> Tensor:
    """Grids (B, 7, 64³) for labels (B,), to be judged as `sample_grids` of the VAE are."""
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(labels), model.config.latent, generator=rng)
    parts = zip(torch.split(noise, 8), torch.split(labels, 8), strict=True)
    return torch.cat([model.decode(some, label) for some, label in parts])
