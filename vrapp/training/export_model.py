"""From trained networks to a weights file: latent basis, gate thresholds, card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from vrapp.generation.components import handles, without_debris
from vrapp.generation.surface import extract
from vrapp.generation.weights import save_weights
from vrapp.models.denoiser import LatentDenoiser
from vrapp.models.mixture import LatentMixture
from vrapp.models.prior import LatentPrior
from vrapp.models.vae import ShapeVAE
from vrapp.training.shape_data import ShapeData
from vrapp.training.train_critic import JudgedCritic

BASIS_SIZE = 6
MODELS_FOR_THE_GATE = 16  # of each category: enough for percentiles, half a minute on one core
PIECES_PERCENTILE = 80  # of pieces and of holes
HANDLES = (2, 16)  # the least and the most holes that a category may have
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


def handle_count(distance: Tensor) -> int:
    """Holes through the surface of distance (1, R, R, R) as the gate counts them."""
    (surface,) = extract([distance[0]], distance.new_zeros(6, 2, 2, 2))
    finest, pieces = without_debris(surface.level(), DEBRIS_SHARE)
    return handles(pieces.count, finest.vertex_count, finest.triangles)


def crossing_cells(distance: NDArray[np.float32]) -> int:
    """Grid edges that cross the surface; surface nets give two triangles for each."""
    inside = distance < 0
    return sum(int((np.diff(inside, axis=axis)).sum()) for axis in range(3))


@torch.no_grad()
def gate_limits(vae: ShapeVAE, means: Tensor, shapes: ShapeData) -> dict[str, Any]:
    """Plausible ranges for each category: pieces and holes as the training models (means (N, 11, 4, 4, 4)) themselves
    have them, since what the network tears is no model for it; triangles as they are decoded."""
    pieces: list[int] = []
    holes: list[int] = []
    triangles: list[int] = []
    categories, labels = shapes.categories, shapes.category.numpy()
    some = np.concatenate([np.nonzero(labels == number)[0][:MODELS_FOR_THE_GATE] for number in range(len(categories))])
    labels = labels[some]
    for rows in torch.split(torch.from_numpy(some), 16):
        distance = shapes.batch(rows, torch.Generator(), None)[0]
        pieces += [piece_count(field) for field in distance[:, 0].numpy()]
        holes += [handle_count(field) for field in distance]
        triangles += [2 * crossing_cells(field) for field in vae.decoder(means[rows])[0][:, 0].numpy()]
    gate: dict[str, Any] = {"default": {"debris_share": 0.01, "triangles_least": 200}, "categories": {}}
    for number, name in enumerate(categories):
        chosen = labels == number
        if chosen.any():
            some_pieces, some_triangles = np.array(pieces)[chosen], np.array(triangles)[chosen]
            gate["categories"][name] = {
                "pieces": int(np.clip(np.percentile(some_pieces, PIECES_PERCENTILE), 1, 8)),
                "handles": int(np.clip(np.percentile(np.array(holes)[chosen], PIECES_PERCENTILE) + 1.5, *HANDLES)),
                "triangles_least": int(max(100, 0.5 * np.percentile(some_triangles, 2))),
                "triangles_most": int(1.5 * np.percentile(some_triangles, 98)),
            }
    return gate


def export_weights(
    out: Path,
    vae: ShapeVAE,
    prior: LatentPrior | LatentMixture,
    means: Tensor,
    shapes: ShapeData,
    card: dict[str, Any],
    sampling: dict[str, float],
    judged: JudgedCritic | None = None,
    denoiser: LatentDenoiser | None = None,
) -> str:
    """Write the weights file of a VAE that gives the training models these means (N, 11, 4, 4, 4); returns its hash."""
    mean, basis = latent_basis(means)
    gate = gate_limits(vae, means, shapes)
    if judged is not None:
        gate["default"]["plausibility_least"] = judged.threshold
        card = card | {"critic": {"auc": round(judged.auc, 3), "draws_refused": round(judged.draws_refused, 3)}}
    critic = judged.critic if judged else None
    return save_weights(out, vae, prior, shapes.categories, mean, basis, card, gate, sampling, critic, denoiser)


def data_card(shapes: ShapeData, sources: str, split: str) -> dict[str, Any]:
    """What the networks were trained on."""
    counts = torch.bincount(shapes.category, minlength=len(shapes.categories)).tolist()
    return {
        "training_models": len(shapes), "data_hash": sources, "split_hash": split,
        "models_per_category": dict(zip(shapes.categories, counts, strict=True)),
    }  # fmt: skip
