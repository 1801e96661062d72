"""Objects as feature vectors: category one-hot, exposed latent components, size."""

from __future__ import annotations

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
        x = np.zeros(self.dim)
        if 0 <= facts.category < self.categories:
            x[facts.category] = 1.0
        k = min(self.components, len(facts.components))
        scaled = np.asarray(facts.components[:k], float) / np.maximum(self.component_scale[:k], 1e-6)
        x[self.categories : self.categories + k] = np.clip(np.nan_to_num(scaled), -4, 4)
        x[-1] = np.log2(max(facts.size_m, 1e-3))
        return x
