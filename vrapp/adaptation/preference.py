"""What the user likes: a Bayesian choice model with a Gaussian posterior over the features' weights.

"Picked 1 of the k visible" has the Plackett–Luce likelihood softmax(X w); a dismissal is the same with
-w ("worst of the visible"). Each observation moves the posterior by Newton's method from the last one
(Laplace's approximation, assumed-density filtering), and a little of what was known is forgotten, so
that a changed mind is followed.
"""

from __future__ import annotations

import numpy as np

_NEWTON_STEPS = 8
_TOLERANCE = 1e-3  # of a step: the error after it is about its square


class Preference:
    """N(mean, precision⁻¹) over weights (D,), float64. ``forgetting``: what stays of it per observation."""

    def __init__(self, prior_sd: np.ndarray, forgetting: float = 0.98) -> None:
        self._prior_diagonal = 1.0 / np.asarray(prior_sd, float) ** 2  # of the precision
        self._forgetting = forgetting
        self.mean = np.zeros(len(prior_sd))
        self.precision = np.diag(self._prior_diagonal)
        self.observations = 0
        self._factor: np.ndarray | None = None

    def choose(self, rows: np.ndarray, chosen: int, weight: float = 1.0, *, worst: bool = False) -> None:
        """Learn that row ``chosen`` of the visible ``rows`` (k, D) was picked, or rejected where ``worst``.

        ``weight`` 0…1: how much such an act says. A choice among fewer than two says nothing.
        """
        x = np.asarray(rows, float)
        if len(x) < 2 or not np.isfinite(x).all() or weight <= 0:
            return
        x = -x if worst else x
        keep = self._forgetting**weight
        prior = keep * self.precision
        prior.flat[:: len(prior) + 1] += (1 - keep) * self._prior_diagonal
        start = np.linalg.solve(prior, keep * (self.precision @ self.mean))  # towards the prior's mean, 0
        self.mean, self.precision = _laplace(x, chosen, weight, start, prior)
        self.observations += 1
        self._factor = None

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """(D,) weights drawn from the posterior."""
        if self._factor is None:
            self._factor = np.linalg.inv(np.linalg.cholesky(self.precision)).T
        return np.asarray(self.mean + self._factor @ rng.normal(size=len(self.mean)))

    def sd(self) -> np.ndarray:
        """(D,) posterior standard deviation of each weight."""
        return np.asarray(np.sqrt(np.diag(np.linalg.inv(self.precision))))


def _laplace(
    x: np.ndarray, chosen: int, weight: float, start: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mode and precision of prior N(start, prior⁻¹) times softmax(x w)[chosen]^weight: concave, so Newton is safe."""
    w = start.copy()
    precision = prior
    for _ in range(_NEWTON_STEPS):
        utility = x @ w
        p = np.exp(utility - utility.max())
        p /= p.sum()
        mean = p @ x
        gradient = weight * (x[chosen] - mean) - prior @ (w - start)
        centred = x - mean
        precision = prior + weight * (centred * p[:, None]).T @ centred
        step = np.linalg.solve(precision, gradient)
        w += step
        if np.abs(step).max() < _TOLERANCE:
            break
    return w, precision
