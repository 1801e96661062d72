"""What is kept shifts what is made: with the real posterior and policy, a simulated user and a made-up prior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vrapp.adaptation.adaptation import Adaptation
from vrapp.adaptation.decisions import decision_record, steering_from_record
from vrapp.adaptation.simulated import SimulatedUser
from vrapp.core import rng
from vrapp.core.errors import InputFileError, UsageError
from vrapp.core.events import Act, Event
from vrapp.core.generation import Steering
from vrapp.core.scene import ObjectFacts, Traits

CATEGORIES, K = 45, 6
CHAIR, TREE = 7, 20


class Gallery:
    """A world without places: makes objects from steerings by drawing components from N(0, 1)."""

    def __init__(self, seed: int = 1) -> None:
        self._seed = seed
        self._facts: list[ObjectFacts] = []

    def facts(self, handle: int) -> ObjectFacts | None:
        return self._facts[handle] if 0 <= handle < len(self._facts) else None

    def traits(self, chosen: int, others: Sequence[int]) -> Traits | None:
        if (first := self.facts(chosen)) is None:
            return None
        seen = [first, *(f for h in others if (f := self.facts(h)) is not None and not f.kept)]
        sizes = np.array([f.size_m for f in seen])
        return Traits(np.array([f.category for f in seen]), np.array([f.components for f in seen]), sizes)

    def make(self, steering: Steering) -> ObjectFacts:
        handle = len(self._facts)
        draws = rng.generator(self._seed, handle).normal(size=(steering.candidates, K)).astype(np.float32)
        best = 0 if steering.utility is None else int(np.argmax(draws @ steering.utility))
        latent = np.zeros(704, np.float32) if steering.near is None else steering.near
        self._facts.append(ObjectFacts(handle, handle, steering.category, latent, draws[best], 0.8))
        return self._facts[-1]


def adaptation(policy: str = "adaptive", seed: int = 3) -> Adaptation:
    return Adaptation(CATEGORIES, np.ones(K, np.float32), seed, policy)


def keep_one_of(a: Adaptation, gallery: Gallery, category: int, visible: int = 12, act: Act = Act.KEEP) -> None:
    start = len(gallery._facts)
    shown = [gallery.make(Steering((start * 5 + i * 4 + 1) % CATEGORIES)) for i in range(visible - 1)]
    chosen = gallery.make(Steering(category))
    handles = tuple(f.handle for f in [*shown, chosen])
    a.observe([Event(act, 0, chosen.handle, visible=handles)], gallery)


def requested(a: Adaptation, n: int = 400, start: int = 0) -> np.ndarray:
    return np.bincount([a.propose(start + i).category for i in range(n)], minlength=CATEGORIES) / n


def test_before_anything_is_known_all_categories_are_asked_for() -> None:
    share = requested(adaptation(), 2000)
    assert share.min() > 0.005
    assert share.max() < 0.06


def test_keeping_chairs_makes_chairs() -> None:
    a, gallery = adaptation(), Gallery()
    before = requested(a)[CHAIR]
    for _ in range(8):
        keep_one_of(a, gallery, CHAIR)
    share = requested(a)
    assert before < 0.06
    assert share[CHAIR] > 0.25
    assert np.count_nonzero(share) > 25, "the rest of the world is still explored"
    top = a.summary().top[0]
    assert top.category == CHAIR
    assert top.share == pytest.approx(share[CHAIR], abs=0.1)


def test_the_summary_follows_what_is_learnt_and_who_decides() -> None:
    a, gallery = adaptation(), Gallery()
    assert a.summary() is a.summary()
    assert (a.summary().observations, a.summary().policy) == (0, "adaptive")
    keep_one_of(a, gallery, CHAIR)
    learnt = a.summary()
    assert (learnt.observations, learnt.top[0].category) == (1, CHAIR)
    assert learnt.component_weight.shape == learnt.component_sd.shape == (K,)
    assert learnt.top[0].sd < 1.5
    a.use("random")
    assert a.summary().top[0].share == pytest.approx(1 / CATEGORIES)


def test_one_keep_already_shows() -> None:
    a, gallery = adaptation(), Gallery()
    keep_one_of(a, gallery, CHAIR)
    assert requested(a, 2000)[CHAIR] > 1.5 / CATEGORIES
    assert a.expected_shares()[CHAIR] > 1.5 / CATEGORIES


def test_dismissing_makes_fewer() -> None:
    a, gallery = adaptation(), Gallery()
    for _ in range(6):
        keep_one_of(a, gallery, CHAIR, act=Act.DISMISS)
    assert requested(a, 1000)[CHAIR] < 1 / CATEGORIES


def test_a_changed_mind_is_followed() -> None:
    a, gallery = adaptation(), Gallery()
    for _ in range(10):
        keep_one_of(a, gallery, CHAIR)
    for _ in range(12):
        keep_one_of(a, gallery, TREE)
    share = requested(a)
    assert share[TREE] > share[CHAIR]
    assert share[TREE] > 0.2


def test_liked_components_rise_in_what_is_made() -> None:
    a, gallery = adaptation(), Gallery()
    taste = np.array([1.5, 0, -1.0, 0, 0, 0])
    user = SimulatedUser(a.features, 5, {}, taste, noise=0.5)
    for i in range(25):
        shown = [gallery.make(a.propose(10 * i + j)) for j in range(8)]
        chosen = shown[user.pick(shown)]
        a.observe([Event(Act.KEEP, i, chosen.handle, visible=tuple(f.handle for f in shown))], gallery)
    made = np.mean([gallery.make(a.propose(1000 + i)).components for i in range(200)], axis=0)
    assert made[0] > 0.4
    assert made[2] < -0.2


def test_holding_and_looking_say_less_than_keeping() -> None:
    shares = {}
    for act in (Act.GAZE, Act.RELEASE, Act.KEEP):
        a, gallery = adaptation(), Gallery()
        for _ in range(4):
            shown = [gallery.make(Steering(c)) for c in (CHAIR, 1, 2, 3, 4, 5)]
            a.observe([Event(act, 0, shown[0].handle, seconds=2.0, visible=tuple(f.handle for f in shown))], gallery)
        shares[act] = a.expected_shares()[CHAIR]
    assert 1 / CATEGORIES < shares[Act.GAZE] < shares[Act.RELEASE] < shares[Act.KEEP]


def test_equal_seeds_and_events_propose_equally() -> None:
    proposals = []
    for _ in range(2):
        a, gallery = adaptation(), Gallery()
        keep_one_of(a, gallery, CHAIR)
        proposals.append([(s.category, None if s.utility is None else s.utility.tolist())
                          for s in map(a.propose, range(50))])  # fmt: skip
    assert proposals[0] == proposals[1]
    other, gallery = adaptation(seed=4), Gallery()
    keep_one_of(other, gallery, CHAIR)
    assert [other.propose(i).category for i in range(50)] != [c for c, _ in proposals[0]]


def test_frozen_and_random_do_not_learn_and_random_ignores_what_was_learnt() -> None:
    a, gallery = adaptation(), Gallery()
    for _ in range(8):
        keep_one_of(a, gallery, CHAIR)
    learnt = a.preference.mean.copy()
    a.use("frozen")
    keep_one_of(a, gallery, TREE)
    assert np.array_equal(a.preference.mean, learnt)
    assert requested(a)[CHAIR] > 0.25
    a.use("random")
    keep_one_of(a, gallery, TREE)
    assert np.array_equal(a.preference.mean, learnt)
    assert requested(a, 2000)[CHAIR] < 0.06
    assert a.use_next() == "adaptive"
    with pytest.raises(UsageError, match="adaptive, frozen, random"):
        a.use("yoked")


def test_more_like_this_is_asked_for_next() -> None:
    a, gallery = adaptation(), Gallery()
    latent = np.linspace(-1, 1, 704, dtype=np.float32)
    thing = gallery.make(Steering(CHAIR, near=latent))
    a.observe([Event(Act.MORE, 0, thing.handle)], gallery)
    first = [a.propose(i) for i in range(4)]
    assert [s.category for s in first[:3]] == [CHAIR] * 3
    assert all(np.array_equal(s.near, latent) and s.nearness > 0 for s in first[:3] if s.near is not None)
    assert first[3].near is None


def test_a_yoked_run_repeats_recorded_decisions() -> None:
    source, gallery = adaptation(), Gallery()
    keep_one_of(source, gallery, CHAIR)
    made = [source.propose(i) for i in range(20)]
    read_back = [steering_from_record(decision_record(i, s)) for i, s in enumerate(made)]
    yoked = Adaptation(CATEGORIES, np.ones(K, np.float32), 9, "yoked", read_back)
    again = [yoked.propose(100 + i) for i in range(20)]
    assert [decision_record(0, s) for s in again] == [decision_record(0, s) for s in made]
    with pytest.raises(InputFileError, match="category"):
        steering_from_record({"temperature": 1})


def test_odd_events_are_survived() -> None:
    a, gallery = adaptation(), Gallery()
    thing = gallery.make(Steering(CHAIR))
    far_out = ObjectFacts(1, 1, 99, thing.latent, np.full(K, np.nan, np.float32), 0.0)
    gallery._facts.append(far_out)
    a.observe([Event(Act.KEEP, 0, 12345), Event(Act.KEEP, 0, 0), Event(Act.MORE, 0, -1)], gallery)
    a.observe([Event(Act.KEEP, 0, 1, visible=(0, 1, 777))] * 200, gallery)
    assert np.isfinite(a.preference.mean).all()
    assert np.isfinite(a.preference.sd()).all()
    a.propose(1)
