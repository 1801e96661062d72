"""Objects as feature vectors: category one-hot, exposed latent components, size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrapp.core.maths import Array
from vrapp.core.scene import ObjectFacts, Traits


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
        one = Traits(np.array([facts.category]), facts.components[None], np.array([facts.size_m]))
        row: np.ndarray = self.of_all(one)[0]
        return row

    def of_all(self, traits: Traits) -> np.ndarray:
        """(n, dim) float64: ``of`` each."""
        category = traits.category
        x = np.zeros((len(category), self.dim))
        known = ((category >= 0) & (category < self.categories)).nonzero()[0]
        x[known, category[known]] = 1.0
        components = traits.components.astype(float)[:, : self.components]
        scaled = components / np.maximum(self.component_scale[: components.shape[1]], 1e-6)
        scaled[np.isnan(scaled)] = 0.0
        x[:, self.categories : self.categories + components.shape[1]] = np.minimum(np.maximum(scaled, -4), 4)
        x[:, -1] = np.log2(np.maximum(traits.size_m, 1e-3))
        return x
