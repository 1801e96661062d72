"""Counter-based randomness: a draw depends on its key alone, never on what was drawn before."""

from __future__ import annotations

import numpy as np


def generator(seed: int, *key: int) -> np.random.Generator:
    """A numpy generator for ``(seed, key…)`` by Philox: equal keys give equal streams everywhere."""
    sequence = np.random.SeedSequence([seed & (2**63 - 1), *(k & (2**63 - 1) for k in key)])
    return np.random.Generator(np.random.Philox(sequence))
