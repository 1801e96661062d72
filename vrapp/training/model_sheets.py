"""Contact sheets of a trained object generator: what it was given, gives back, draws, and passes on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrapp.generation.weights import ObjectModel
from vrapp.training.contenders import Drawn, same_categories, sample_latents, with_looks
from vrapp.training.shape_data import ShapeData
from vrapp.training.sheets import contact_sheet

COLUMNS, SIZE = 10, 110
REACH = 2.0  # standard deviations of the latents' components, both ways


@torch.no_grad()
def write_sheets(
    folder: Path, model: ObjectModel, train: ShapeData, test: ShapeData, seed: int = 0, tiles: int = 50
) -> None:
    """Six PNGs: data, reconstructions (a test model, then what came back), samples, nearest (a sample, then the
    training model nearest to it), between (two test models and the latents between them), along (latent components).
    """
    rng = np.random.default_rng(seed)
    names = model.categories
    few = torch.from_numpy(np.sort(rng.permutation(len(test))[:tiles]))
    known = with_looks(Drawn(*test.batch(few, torch.Generator(), None)))
    _write(folder / "data.png", known, [names[int(c)] for c in test.category[few]])

    some = torch.linspace(0, len(few) - 1, min(tiles // 2, len(few))).long()
    means = model.vae.encoder(*test.batch(few[some], torch.Generator(), None))[0]
    pairs = torch.stack([known[some], _decoded(model, means)], 1).flatten(0, 1)
    _write(folder / "reconstructions.png", pairs, _told([names[int(c)] for c in test.category[few[some]]], "decoded"))

    labels = torch.from_numpy(np.linspace(0, len(names) - 1, tiles).round().astype(np.int64))
    latents = sample_latents(model, labels, seed)
    drawn = _decoded(model, latents)
    _write(folder / "samples.png", drawn, [names[int(c)] for c in labels])

    rows = nearest_models(drawn[some], train)
    beside = with_looks(Drawn(*train.batch(rows, torch.Generator(), None)))
    captions = _told([names[int(c)] for c in labels[some]], "nearest known")
    _write(folder / "nearest.png", torch.stack([drawn[some], beside], 1).flatten(0, 1), captions)

    _write(folder / "between.png", *_between(model, test, rng, tiles))
    _write(folder / "along.png", *_along(model, seed, tiles))


def nearest_models(grids: Tensor, train: ShapeData) -> Tensor:
    """(B,) rows of the training models whose distances at 16³ are nearest to those of grids (B, 7, 64³)."""

    def coarse(distance: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool3d(distance, 4).flatten(1)

    parts = torch.split(torch.arange(len(train)), 64)
    pool = torch.cat([coarse(train.distance[rows].float() / 127.5 - 1.0) for rows in parts])
    return torch.cdist(coarse(grids[:, :1]), pool).argmin(1)


def _between(model: ObjectModel, test: ShapeData, rng: np.random.Generator, tiles: int) -> tuple[Tensor, list[str]]:
    """Rows from one test model to another of its category."""
    sizes = torch.bincount(test.category)
    wanted = torch.from_numpy(rng.permutation(np.nonzero((sizes > 1).numpy())[0])[: -(-tiles // COLUMNS)])
    ends = [same_categories(test.category, torch.stack([c, c]), int(rng.integers(1 << 31))) for c in wanted]
    parts, captions = [], []
    for first, last in ends:
        distance, look = test.batch(torch.stack([first, last]), torch.Generator(), None)
        a, b = model.vae.encoder(distance, look)[0]
        shares = torch.linspace(0, 1, min(COLUMNS, tiles))
        parts.append(_decoded(model, torch.stack([torch.lerp(a, b, float(share)) for share in shares])))
        captions += [f"{test.categories[int(test.category[first])]} {share:.2f}" for share in shares]
    return torch.cat(parts) if parts else torch.empty(0, 7, 64, 64, 64), captions


def _along(model: ObjectModel, seed: int, tiles: int) -> tuple[Tensor, list[str]]:
    """Rows along the components that the world exposes, from one sample."""
    start = sample_latents(model, torch.tensor([len(model.categories) // 2]), seed)
    basis = torch.from_numpy(np.array(model.latent_basis))
    parts, captions = [], []
    for number, row in enumerate(basis[: -(-tiles // COLUMNS)]):
        step = (row / row.square().sum().clamp(min=1e-12)).reshape(start.shape)  # changes its component by one
        shares = torch.linspace(-REACH, REACH, min(COLUMNS, tiles))
        parts.append(_decoded(model, torch.cat([start + float(share) * step for share in shares])))
        captions += [f"component {number} {share:+.1f}" for share in shares]
    return torch.cat(parts), captions


def _decoded(model: ObjectModel, latents: Tensor) -> Tensor:
    return torch.cat([model.vae.decode(some) for some in torch.split(latents, 8)])


def _told(captions: list[str], second: str) -> list[str]:
    return [text for caption in captions for text in (caption, second)]


def _write(path: Path, grids: Tensor, captions: list[str]) -> None:
    fields: NDArray[np.float32] = grids.numpy()
    if len(fields):  # there may be no category with two test models
        contact_sheet(fields, captions, path, COLUMNS, SIZE)
