"""What the object generator has to beat: PCA of the distance fields with a mixture of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrapp.training.shape_data import ShapeData

MOST_MODELS = 3000  # that PCA is fitted to: 3 GiB


@dataclass(frozen=True)
class PcaModel:
    """Principal components of the training distances: `mean` (D,), `components` (K, D), D = 64³."""

    mean: Tensor
    components: Tensor
    scores: Tensor  # (N, K) of the training models that it was fitted to
    category: Tensor  # (N,) int64 of the same

    def reconstruct(self, distance: Tensor) -> Tensor:
        """(B, 1, 64³) → the same through K numbers."""
        flat = distance.flatten(1) - self.mean
        found: Tensor = (flat @ self.components.T) @ self.components + self.mean
        return found.reshape(distance.shape)

    def decode(self, scores: Tensor) -> Tensor:
        """(B, K) → (B, 64, 64, 64) distances."""
        return (scores @ self.components + self.mean).reshape(-1, 64, 64, 64)


def fit_pca(shapes: ShapeData, components: int, most: int = MOST_MODELS) -> PcaModel:
    """PCA by the Gram matrix: N is much smaller than 64³.  Of more than ``most`` models, that many are taken, always
    the same: each costs 1 MiB of memory."""
    some = torch.arange(len(shapes))
    if len(shapes) > most:
        some = torch.randperm(len(shapes), generator=torch.Generator().manual_seed(0))[:most].sort().values
    fields = shapes.distance[some].flatten(1).to(torch.float32).div_(127.5).sub_(1.0)  # (N, D)
    mean = fields.mean(0)
    fields -= mean
    values, vectors = torch.linalg.eigh((fields @ fields.T).double())
    keep = min(components, len(fields) - 1)
    order = values.argsort(descending=True)[:keep]
    scale = values[order].clamp(min=1e-9).sqrt()
    basis = (vectors[:, order] / scale).float().T @ fields  # (K, D), orthonormal rows
    return PcaModel(mean, basis, fields @ basis.T, shapes.category[some])


def sample_mixture(model: PcaModel, categories: NDArray[np.int64], numbers: int, seed: int) -> Tensor:
    """Distances (B, 64, 64, 64) drawn from one Gaussian a category over the first `numbers` scores.

    Covariances are shrunk towards the diagonal of all, since most categories have few models; the
    remaining scores are zero.
    """
    rng = np.random.default_rng(seed)
    scores = model.scores[:, :numbers].numpy().astype(np.float64)
    shared = np.diag(scores.var(0))
    drawn = np.zeros((len(categories), model.components.shape[0]))
    for number in np.unique(categories):
        own = scores[(model.category == int(number)).numpy()]
        centre = own.mean(0) if len(own) else np.zeros(scores.shape[1])
        trust = len(own) / (len(own) + 10.0)
        spread = np.cov(own, rowvar=False) if len(own) > 1 else shared
        covariance = trust * spread + (1 - trust) * 0.3 * shared
        chosen = np.nonzero(categories == number)[0]
        drawn[chosen, :numbers] = rng.multivariate_normal(centre, covariance, len(chosen))
    return model.decode(torch.from_numpy(drawn).float())
