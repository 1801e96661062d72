"""The adaptation of one run: events in, steerings out, with the policy that is in charge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vrapp.adaptation.features import Features
from vrapp.adaptation.policy import AdaptivePolicy, FrozenPolicy, Policy, RandomPolicy, Wishes, YokedPolicy
from vrapp.adaptation.preference import Preference
from vrapp.core.errors import UsageError
from vrapp.core.events import Act, Event
from vrapp.core.generation import Steering
from vrapp.core.maths import Array
from vrapp.core.scene import ObjectLookup

_TOP = 6  # categories in a summary
_HOLD_FULL_S = 4.0  # holding so long says as much as a hold can
#: What an act says, beside keeping (1). RELEASE and THROW carry the holding time.
WEIGHT = {Act.KEEP: 1.0, Act.MORE: 1.0, Act.DISMISS: 0.7, Act.RELEASE: 0.5, Act.THROW: 0.3, Act.GAZE: 0.15}


@dataclass(frozen=True)
class CategoryPreference:
    """One line of the summary: category index, posterior mean and sd of its weight, share of new objects."""

    category: int
    weight: float
    sd: float
    share: float


@dataclass(frozen=True)
class Summary:
    """What the panel shows. ``component_weight`` and ``component_sd`` are (k,)."""

    policy: str
    observations: int
    top: tuple[CategoryPreference, ...]
    component_weight: np.ndarray
    component_sd: np.ndarray


class Adaptation:
    """Owns the posterior and the policies. ``component_scale`` (k,): prior sd of each latent component.

    ``policy``: adaptive, frozen, random, or yoked (which needs ``decisions``). Raises UsageError for another.
    """

    def __init__(
        self, categories: int, component_scale: Array, seed: int, policy: str = "adaptive",
        decisions: Sequence[Steering] = (),
    ) -> None:  # fmt: skip
        self.features = Features(categories, np.asarray(component_scale, np.float32))
        self.preference = Preference(self.features.prior_sd())
        self._wishes = Wishes()
        self._policies: dict[str, Policy] = {
            "adaptive": AdaptivePolicy(self.features, self.preference, self._wishes, seed),
            "frozen": FrozenPolicy(self.features, self.preference, self._wishes, seed),
            "random": RandomPolicy(self.features, seed),
        }
        if decisions:
            self._policies["yoked"] = YokedPolicy(decisions)
        self._active = self._policies["adaptive"]
        self._summary: Summary | None = None
        self.use(policy)

    @property
    def policy(self) -> str:
        """The name of the policy in charge."""
        return self._active.name

    @property
    def policies(self) -> tuple[str, ...]:
        """Names that ``use`` takes."""
        return tuple(self._policies)

    def use(self, policy: str) -> None:
        """Put another policy in charge; what was learnt stays. Raises UsageError for an unknown one."""
        if policy not in self._policies:
            raise UsageError(f"There is no policy '{policy}' in this run; there are: {', '.join(self._policies)}.")
        self._active = self._policies[policy]

    def use_next(self) -> str:
        """The next policy in turn (F2). Returns its name."""
        names = self.policies
        self.use(names[(names.index(self.policy) + 1) % len(names)])
        return self.policy

    def observe(self, events: Sequence[Event], objects: ObjectLookup) -> None:
        """Learn from one frame's events. Call it before the scene manager removes what they name."""
        for event in events:
            if event.act is Act.MORE and (facts := objects.facts(event.handle)) is not None:
                self._wishes.add(facts.category, facts.latent)
            if self._active.learns and event.act in WEIGHT:
                self._learn(event, objects)

    def propose(self, request_id: int) -> Steering:
        """What to make for this request."""
        return self._active.propose(request_id)

    def summary(self) -> Summary:
        """The current preference, the most liked categories first. Worked out anew only after something was learnt."""
        told = self._summary
        if told is None or (told.policy, told.observations) != (self.policy, self.preference.observations):
            told = self._summary = self._summarised()
        return told

    def expected_shares(self, draws: int = 64) -> np.ndarray:
        """(categories,) the share of each among the next requests, if nothing more is learnt."""
        if not isinstance(self._active, AdaptivePolicy):
            return np.full(self.features.categories, 1.0 / self.features.categories)
        return self._active.shares(draws)

    def _summarised(self) -> Summary:
        f, mean, sd = self.features, self.preference.mean, self.preference.sd()
        share = self.expected_shares()
        best = np.argsort(-mean[: f.categories], kind="stable")[:_TOP]
        rows = tuple(CategoryPreference(int(c), float(mean[c]), float(sd[c]), float(share[c])) for c in best)
        return Summary(self.policy, self.preference.observations, rows, mean[f.latent_slice], sd[f.latent_slice])

    def _learn(self, event: Event, objects: ObjectLookup) -> None:
        weight = WEIGHT[event.act]
        if event.act in (Act.RELEASE, Act.THROW):
            weight *= min(event.seconds / _HOLD_FULL_S, 1.0)
        seen = objects.traits(event.handle, [h for h in event.visible if h != event.handle])
        if seen is not None:
            self.preference.choose(self.features.of_all(seen), 0, weight, worst=event.act is Act.DISMISS)
