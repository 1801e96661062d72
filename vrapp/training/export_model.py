"""From trained networks to a weights file: latent basis, gate thresholds, card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from vrapp.generation.weights import save_weights
from vrapp.models.mixture import LatentMixture
from vrapp.models.prior import LatentPrior
from vrapp.models.vae import ShapeVAE
from vrapp.training.shape_data import ShapeData
from vrapp.training.train_prior import LatentSet

BASIS_SIZE = 6
MODELS_FOR_THE_GATE = 16  # of each category: enough for percentiles, half a minute on one core
DEBRIS_SHARE = 0.01  # of the volume: smaller pieces are not counted


def latent_basis(latents: Tensor) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean (704,) and the 6 principal directions (6, 704) of latents (N, 11, 4, 4, 4).

    Rows are divided by their standard deviation: (z − mean) @ basis.T has unit variance.  Each row's
    largest entry is positive, so that a retrained basis does not flip by chance.
    """
    flat = latents.flatten(1).double().numpy()
    mean = flat.mean(0)
    _, singular, rows = np.linalg.svd(flat - mean, full_matrices=False)
    count = min(BASIS_SIZE, len(rows))
    basis = np.zeros((BASIS_SIZE, flat.shape[1]))
    deviation = singular[:count] / np.sqrt(max(1, len(flat) - 1))
    signs = np.sign(rows[np.arange(count), np.abs(rows[:count]).argmax(1)])
    basis[:count] = rows[:count] * signs[:, None] / np.maximum(deviation, 1e-9)[:, None]
    return mean.astype(np.float32), basis.astype(np.float32)


def piece_count(distance: NDArray[np.float32]) -> int:
    """Connected bodies (26-neighbourhood) of distance (R, R, R) that are not debris."""
    labels, count = ndimage.label(distance < 0, np.ones((3, 3, 3)))
    if count == 0:
        return 0
    sizes = np.bincount(labels.ravel())[1:]
    return int((sizes >= DEBRIS_SHARE * sizes.sum()).sum())


def crossing_cells(distance: NDArray[np.float32]) -> int:
    """Grid edges that cross the surface; surface nets give two triangles for each."""
    inside = distance < 0
    return sum(int((np.diff(inside, axis=axis)).sum()) for axis in range(3))


@torch.no_grad()
def gate_limits(vae: ShapeVAE, latents: LatentSet, categories: tuple[str, ...]) -> dict[str, Any]:
    """Plausible ranges for each category, from the decoded training models: pieces and triangles."""
    pieces: list[int] = []
    triangles: list[int] = []
    labels = latents.category.numpy()
    some = np.concatenate([np.nonzero(labels == number)[0][:MODELS_FOR_THE_GATE] for number in range(len(categories))])
    labels = labels[some]
    for mean in torch.split(latents.mean[torch.from_numpy(some), 0], 16):
        raw, _ = vae.decoder(mean)
        for field in raw[:, 0].numpy():
            pieces.append(piece_count(field))
            triangles.append(2 * crossing_cells(field))
    gate: dict[str, Any] = {"default": {"debris_share": 0.01, "triangles_least": 200}, "categories": {}}
    for number, name in enumerate(categories):
        chosen = labels == number
        if chosen.any():
            some_pieces, some_triangles = np.array(pieces)[chosen], np.array(triangles)[chosen]
            gate["categories"][name] = {
                "pieces": int(np.clip(np.percentile(some_pieces, 90), 1, 8)),
                "triangles_least": int(max(100, 0.5 * np.percentile(some_triangles, 2))),
                "triangles_most": int(1.5 * np.percentile(some_triangles, 98)),
            }
    return gate


def export_weights(
    out: Path,
    vae: ShapeVAE,
    prior: LatentPrior | LatentMixture,
    latents: LatentSet,
    categories: tuple[str, ...],
    card: dict[str, Any],
    sampling: dict[str, float],
) -> str:
    """Write the weights file; returns its hash."""
    mean, basis = latent_basis(latents.mean[:, 0])
    gate = gate_limits(vae, latents, categories)
    return save_weights(out, vae, prior, categories, mean, basis, card, gate, sampling)


def data_card(shapes: ShapeData, sources: str, split: str) -> dict[str, Any]:
    """What the networks were trained on."""
    counts = torch.bincount(shapes.category, minlength=len(shapes.categories)).tolist()
    return {
        "training_models": len(shapes), "data_hash": sources, "split_hash": split,
        "models_per_category": dict(zip(shapes.categories, counts, strict=True)),
    }  # fmt: skip
