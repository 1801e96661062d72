"""How near a set of drawn shapes comes to the test models: MMD, COV, 1-NNA and novelty, over all and by category."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrapp.training import metrics
from vrapp.training.metrics import Clouds, Matrix, Points
from vrapp.training.surface_points import field_points

POINTS = 2048


@dataclass(frozen=True)
class ComparedSet:
    """By shape: what the figures are means of. Samples and references (N,) are of the same ``labels`` (N,)."""

    labels: NDArray[np.int64]
    least: NDArray[np.float64]  # distance of each reference to its nearest sample
    covered: NDArray[np.float64]  # 1 for each reference that is some sample's nearest
    told_samples: NDArray[np.bool_]  # whose nearest other shape is a sample
    told_references: NDArray[np.bool_]  # whose nearest other shape is a reference
    nearest: NDArray[np.float64]  # distance of each sample to its nearest training model
    test_nearest: NDArray[np.float64]  # the same of each reference

    def figures(self) -> dict[str, float]:
        """MMD and COV with bootstrap standard errors; 1-NNA and novelty with 95 % intervals."""
        mmd, mmd_error = metrics.mean_and_error(self.least)
        cov, cov_error = metrics.mean_and_error(self.covered)
        low, high = metrics.one_nna_interval(self.told_samples, self.told_references)
        fewest, most = metrics.novelty_interval(self.nearest, self.test_nearest)
        return {
            "mmd": mmd, "mmd_error": mmd_error, "cov": cov, "cov_error": cov_error,
            "one_nna": float(np.concatenate([self.told_samples, self.told_references]).mean()),
            "one_nna_low": low, "one_nna_high": high,
            "one_nna_samples": float(self.told_samples.mean()),
            "one_nna_references": float(self.told_references.mean()),
            "novelty": metrics.novelty(self.nearest, self.test_nearest),
            "novelty_low": fewest, "novelty_high": most,
        }  # fmt: skip

    def of_category(self, number: int) -> dict[str, float]:
        """The same of one category's samples and references, whose neighbours may be of any; too few for intervals."""
        chosen = self.labels == number
        part = ComparedSet(
            self.labels[chosen], self.least[chosen], self.covered[chosen], self.told_samples[chosen],
            self.told_references[chosen], self.nearest[chosen], self.test_nearest[chosen],
        )  # fmt: skip
        found = part.figures()
        kept = ("mmd", "mmd_error", "cov", "cov_error", "one_nna", "one_nna_samples", "one_nna_references", "novelty")
        return {name: found[name] for name in kept}


class SetComparison:
    """Test models (N, 1, 64³) of ``labels`` (N,), and the training models that novelty is measured from."""

    def __init__(self, references: Tensor, labels: Tensor, training: Tensor, seed: int) -> None:
        self._labels, self._seed = labels.numpy(), seed
        points = clouds_of(references, seed)
        self._references, self._pool = Clouds(points), clouds_of(training, seed + 4)
        self._within = self._references.nearest(self._references)
        self._test_nearest = metrics.nearest_distance(points, self._pool)

    def compare(self, drawn: Tensor) -> ComparedSet:
        """Samples (N, 1, 64³) of the same labels."""
        points = clouds_of(drawn, self._seed + 1)
        samples = Clouds(points)
        across: Matrix = samples.nearest(self._references)
        told_samples, told_references = metrics.one_nn_told(across, samples.nearest(samples), self._within)
        return ComparedSet(
            self._labels, across.min(0), metrics.covered(across), told_samples, told_references,
            metrics.nearest_distance(points, self._pool), self._test_nearest,
        )  # fmt: skip


def clouds_of(distance: Tensor, seed: int) -> Points:
    """(N, 2048, 3) surface points of distance fields (N, [1,] 64³), uint8 or float, in random order."""
    found = []
    for number, field in enumerate(distance.reshape(-1, 64, 64, 64)):
        values = field.float() / 127.5 - 1.0 if field.dtype == torch.uint8 else field.float()
        points = field_points(values.numpy(), POINTS, seed * 100_003 + number)
        found.append(np.random.default_rng(number).permutation(points))  # each part of them is spread evenly
    return np.stack(found)
