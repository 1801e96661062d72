"""Policies say what to make next: the conditions of a study, and what the world does by default.

Every proposal is a function of the seed, the request's number and what was learnt until then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vrapp.adaptation.features import Features
from vrapp.adaptation.preference import Preference
from vrapp.core import rng
from vrapp.core.generation import Steering

EXPLORATION = 0.2  # share of requests that ask for any category at all
TEMPERATURE = 0.85
CANDIDATES = 4  # draws of the prior of which the most promising is made
NEARNESS = 0.6
_SHARPNESS = 2.0  # of the choice between categories, given sampled weights
_KEY = 0xADA


class Policy(Protocol):
    """Proposes; ``learns`` says whether the posterior moves while it is in charge."""

    name: str
    learns: bool

    def propose(self, request_id: int) -> Steering:
        """What to make for this request."""


class Wishes:
    """Explicit requests for "more like this", served before anything else, in order."""

    def __init__(self, each: int = 3) -> None:
        self._each = each
        self._queue: deque[tuple[int, np.ndarray]] = deque(maxlen=4 * each)

    def add(self, category: int, latent: np.ndarray) -> None:
        """Three more like this one."""
        self._queue.extend([(category, latent)] * self._each)

    def next(self) -> Steering | None:
        """The next wish as a steering, or None."""
        if not self._queue:
            return None
        category, latent = self._queue.popleft()
        return Steering(category, TEMPERATURE, near=latent, nearness=NEARNESS)


class AdaptivePolicy:
    """Thompson sampling: weights drawn from the posterior choose the category and rank the prior's draws."""

    name, learns = "adaptive", True

    def __init__(self, features: Features, preference: Preference, wishes: Wishes, seed: int) -> None:
        self._features, self._preference, self._wishes, self._seed = features, preference, wishes, seed

    def propose(self, request_id: int) -> Steering:
        """A wish first; else one in five anything; else what sampled weights like best."""
        if (wish := self._wishes.next()) is not None:
            return wish
        draw = rng.generator(self._seed, _KEY, request_id)
        f = self._features
        if self._preference.observations == 0 or draw.uniform() < EXPLORATION:
            return Steering(int(draw.integers(f.categories)), TEMPERATURE)
        weights = self._preference.sample(draw)
        category = int(draw.choice(f.categories, p=self._shares_given(weights)))
        utility = weights[f.latent_slice] / np.maximum(f.component_scale, 1e-6)
        return Steering(category, TEMPERATURE, CANDIDATES, utility.astype(np.float32))

    def shares(self, draws: int) -> np.ndarray:
        """(categories,) expected share of each among proposals, by ``draws`` samples; the same at every call."""
        f, draw = self._features, rng.generator(self._seed, _KEY)
        if self._preference.observations == 0:
            return np.full(f.categories, 1.0 / f.categories)
        liked = np.mean([self._shares_given(self._preference.sample(draw)) for _ in range(draws)], axis=0)
        return np.asarray(EXPLORATION / f.categories + (1 - EXPLORATION) * liked)

    def _shares_given(self, weights: np.ndarray) -> np.ndarray:
        logits = _SHARPNESS * weights[: self._features.categories]
        p = np.exp(logits - logits.max())
        return np.asarray(p / p.sum())


class FrozenPolicy(AdaptivePolicy):
    """Goes on from what was learnt, and learns no more."""

    name, learns = "frozen", False


class RandomPolicy:
    """Any category, whatever the user does."""

    name, learns = "random", False

    def __init__(self, features: Features, seed: int) -> None:
        self._features, self._seed = features, seed

    def propose(self, request_id: int) -> Steering:
        """A category drawn evenly, the prior's first draw."""
        draw = rng.generator(self._seed, _KEY, request_id)
        return Steering(int(draw.integers(self._features.categories)), TEMPERATURE)


class YokedPolicy:
    """Repeats another participant's recorded decisions in order, then from the beginning."""

    name, learns = "yoked", False

    def __init__(self, decisions: Sequence[Steering]) -> None:
        if not decisions:
            raise ValueError("a yoked policy needs at least one decision")
        self._decisions = tuple(decisions)
        self._next = 0

    def propose(self, request_id: int) -> Steering:
        """The next recorded decision."""
        steering = self._decisions[self._next % len(self._decisions)]
        self._next += 1
        return steering
