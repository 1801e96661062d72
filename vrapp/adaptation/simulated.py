"""Simulated users with a known taste: to test that adaptation finds it, and study designs before people do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vrapp.adaptation.features import Features
from vrapp.core import rng
from vrapp.core.scene import ObjectFacts

_KEY = 0x51A


class SimulatedUser:
    """Picks by true utilities with Gumbel noise: exactly the Plackett–Luce model. Their mind can be changed.

    ``liking``: category index → utility; ``component_taste`` (k,): utility of a standard deviation of each
    latent component; ``noise``: scale of the Gumbel noise (0: always the best).
    """

    def __init__(
        self, features: Features, seed: int, liking: dict[int, float], component_taste: np.ndarray | None = None,
        noise: float = 1.0,
    ) -> None:  # fmt: skip
        self._features, self._seed, self._noise = features, seed, noise
        self.taste = np.zeros(features.dim)
        self.set_taste(liking, component_taste)
        self._picks = 0

    def set_taste(self, liking: dict[int, float], component_taste: np.ndarray | None = None) -> None:
        """Change their mind."""
        self.taste[:] = 0
        for category, utility in liking.items():
            self.taste[category] = utility
        if component_taste is not None:
            self.taste[self._features.latent_slice] = component_taste

    def utility(self, facts: ObjectFacts) -> float:
        """What this object is worth to them."""
        return float(self._features.of(facts) @ self.taste)

    def pick(self, visible: Sequence[ObjectFacts], *, worst: bool = False) -> int:
        """Index of the one they pick of those visible (or like least)."""
        draw = rng.generator(self._seed, _KEY, self._picks)
        self._picks += 1
        utility = np.array([self.utility(facts) for facts in visible])
        noisy = (-utility if worst else utility) + self._noise * draw.gumbel(size=len(utility))
        return int(np.argmax(noisy))
