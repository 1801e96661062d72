"""Objects as feature vectors: category one-hot, exposed latent components, size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vrapp.core.maths import Array
from vrapp.core.scene import ObjectFacts


@dataclass(frozen=True)
class Features:
    """The layout of a feature vector of ``dim`` numbers.

    ``categories``: how many there are. ``component_scale`` (k,): standard deviation of each latent
    component under the prior, so that all weigh alike. Size enters as log2 of the longest side in metres.
    """

    categories: int
    component_scale: Array

    @property
    def components(self) -> int:
        """The number k of latent components."""
        return len(self.component_scale)

    @property
    def dim(self) -> int:
        """Length of a feature vector."""
        return self.categories + self.components + 1

    @property
    def latent_slice(self) -> slice:
        """Where the latent components are."""
        return slice(self.categories, self.categories + self.components)

    def prior_sd(self) -> np.ndarray:
        """(dim,) how strongly each feature may matter before anything is known of the user."""
        sd = np.empty(self.dim)
        sd[: self.categories], sd[self.latent_slice], sd[-1] = 1.5, 0.8, 0.3
        return sd

    def of(self, facts: ObjectFacts) -> np.ndarray:
        """(dim,) float64 of one object. A category out of range leaves the one-hot part zero."""
        row: np.ndarray = self.of_all([facts])[0]
        return row

    def of_all(self, facts: Sequence[ObjectFacts]) -> np.ndarray:
        """(n, dim) float64: ``of`` each; they have equally many components."""
        x = np.zeros((len(facts), self.dim))
        category = np.array([f.category for f in facts])
        known = ((category >= 0) & (category < self.categories)).nonzero()[0]
        x[known, category[known]] = 1.0
        components = np.array([f.components for f in facts], float)[:, : self.components]
        scaled = components / np.maximum(self.component_scale[: components.shape[1]], 1e-6)
        x[:, self.categories : self.categories + components.shape[1]] = np.clip(np.nan_to_num(scaled), -4, 4)
        x[:, -1] = np.log2(np.maximum([f.size_m for f in facts], 1e-3))
        return x
