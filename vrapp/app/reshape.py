"""Reshape in the hand: while both hands hold an object, its size and its latent follow them.

How far apart the hands are is how large it is, at once: size is no component of the latent (the networks
know every object at the same size, metres come from ``categories.toml``), and a hand that pulls expects
growth, nothing else. Wringing and bending move the two components along which shapes differ most. The
networks decode what the hands ask for as often as they can, one latent at a time and always the newest,
at the finest level alone; the hands' last wish is decoded at all levels once they let go.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from vrapp.core.generation import GeneratedObject, GenerationRequest, Generator, Steering
from vrapp.core.maths import Array
from vrapp.core.mesh import LEVELS
from vrapp.core.scene import slot_of
from vrapp.interaction.two_hands import HandsChange, TwoHanded, change_between
from vrapp.scene.manager import SceneManager

#: Above all of the start set's and the bank's.
FIRST_RESHAPE_REQUEST = 1_000_000_000
_SIGMA_PER_RAD = 1.2  # as far as wrists turn against each other, 60° each, is all of the way
_MOST_SIGMA = 2.5  # there the prior thins out
_BEYOND_REAL = 1.5  # so much smaller than the smallest of its kind, or larger than the largest
_DEAD_RAD, _DEAD_STRETCH = 0.08, 0.05  # who only carries with both hands changes nothing
_NEW_SIGMA = 0.03  # a change not worth decoding


def components_moved(start: Array, change: HandsChange) -> Array:
    """The two leading components, moved from ``start`` (2,) by the hands; in standard deviations.

    They stay within ``_MOST_SIGMA``, or within ``start`` where that was farther out already.
    """
    turned = np.array([_beyond(change.twist_rad, _DEAD_RAD), _beyond(change.tilt_rad, _DEAD_RAD)], np.float32)
    most = np.maximum(np.abs(start), _MOST_SIGMA)
    moved: Array = np.clip(start + _SIGMA_PER_RAD * turned, -most, most)
    return moved


def size_stretched(start: float, change: HandsChange, limits: tuple[float, float]) -> float:
    """The edge of the object's cube, in the unit of ``start``; within ``limits`` or where it was beyond them."""
    low, high = min(limits[0], start), max(limits[1], start)
    return min(max(start * math.exp(_beyond(math.log(change.stretch), _DEAD_STRETCH)), low), high)


def _beyond(value: float, dead: float) -> float:
    """What of ``value`` lies outside ±``dead``."""
    return math.copysign(max(abs(value) - dead, 0.0), value)


@dataclass
class _Grip:
    """Both hands on an object: how it all began, and the components that the hands want now."""

    began: TwoHanded
    latent: Array  # (704,)
    components: Array  # (2,) the two leading ones
    size: float
    limits: tuple[float, float]  # of size
    wanted: Array
    asked: Array  # last


@dataclass(frozen=True)
class _Last:
    """What the hands wanted when they let go. ``is_shown``: it is no more than what is seen already."""

    handle: int
    latent: Array
    is_shown: bool = False


@dataclass(frozen=True)
class _Asked:
    request_id: int
    handle: int
    is_last: bool


@dataclass
class Reshape:
    """Once a frame, after the generator was asked what is ready. ``sizes_m`` (C, 2): real sizes by category."""

    generator: Generator
    manager: SceneManager
    sizes_m: np.ndarray
    seed: int
    _grip: _Grip | None = None
    _asked: _Asked | None = None
    _lasts: deque[_Last] = field(default_factory=deque)
    _next_id: int = FIRST_RESHAPE_REQUEST

    def __post_init__(self) -> None:
        # The shortest way through the latent space to a change of components.
        self._latent_from_components: Array = np.linalg.pinv(self.generator.latent_basis)[:, :2].astype(np.float32)

    def update(self, held: TwoHanded | None) -> None:
        """Show what is decoded, follow the hands (``interaction.two_handed``), ask for more. Never waits."""
        for request_id, made in self.generator.decoded().items():
            if self._asked is not None and request_id == self._asked.request_id:
                asked, self._asked = self._asked, None
                self._receive(asked, made)
        if held is not None and self._slot(held.handle) is None:
            held = None
        if self._grip is not None and (held is None or held.handle != self._grip.began.handle):
            self._let_go(self._grip)
            self._grip = None
        if held is not None and self.idle:
            self._grip = self._take(held)
        if held is not None and self._grip is not None:
            self._follow(self._grip, held)
        self._ask()

    @property
    def idle(self) -> bool:
        """Nothing is in anyone's hands, and nothing has to be finished."""
        return self._grip is None and self._asked is None and not self._lasts

    def _slot(self, handle: int) -> int | None:
        return slot_of(self.manager.store.arrays(), handle)

    def _take(self, held: TwoHanded) -> _Grip:
        store = self.manager.store
        slot = store.slot(held.handle)
        longest = max(float(np.ptp(store.box[slot], axis=0).max()), 1e-3)
        low, high = self.sizes_m[store.category[slot]] / longest
        now = store.components[slot, :2].copy()
        return _Grip(
            held, store.latent[slot].copy(), now, float(store.size[slot]), (low / _BEYOND_REAL, high * _BEYOND_REAL),
            now, now,
        )  # fmt: skip

    def _follow(self, grip: _Grip, held: TwoHanded) -> None:
        change = change_between(grip.began, held)
        self.manager.store.resize(held.handle, size_stretched(grip.size, change, grip.limits))
        grip.wanted = components_moved(grip.components, change)

    def _let_go(self, grip: _Grip) -> None:
        """Remember what has to be finished, if the hands changed anything."""
        handle = grip.began.handle
        slot = self._slot(handle)
        if slot is None:
            return
        reshaped = not np.array_equal(grip.asked, grip.components) or _apart(grip.wanted, grip.asked)
        if reshaped or float(self.manager.store.size[slot]) != np.float32(grip.size):
            self._lasts.append(_Last(handle, self._latent(grip)))

    def _latent(self, grip: _Grip) -> Array:
        moved: Array = grip.latent + self._latent_from_components @ (grip.wanted - grip.components)
        return moved

    def _ask(self) -> None:
        """For what has to be finished, else for what the hands want now; nothing while an answer is due."""
        if self._asked is not None:
            return
        while self._lasts and self._slot(self._lasts[0].handle) is None:
            self._lasts.popleft()
        if self._lasts:
            self._submit(self._lasts[0].handle, self._lasts[0].latent, is_last=True)
            return
        grip = self._grip
        if grip is None or not _apart(grip.wanted, grip.asked):
            return
        if self._submit(grip.began.handle, self._latent(grip), is_last=False):
            grip.asked = grip.wanted

    def _submit(self, handle: int, latent: Array, *, is_last: bool) -> bool:
        slot = self._slot(handle)
        if slot is None:
            return False
        steering = Steering(int(self.manager.store.category[slot]))
        request = GenerationRequest(self._next_id, self.seed, steering, latent, LEVELS if is_last else 1)
        if not self.generator.submit(request):
            return False
        self._asked = _Asked(self._next_id, handle, is_last)
        self._next_id += 1
        return True

    def _receive(self, asked: _Asked, made: GeneratedObject | None) -> None:
        """Show it. Where the gate refused it the old shape stays; as the last one that is finished instead."""
        last = self._lasts.popleft() if asked.is_last and self._lasts else None
        slot = self._slot(asked.handle)
        if slot is None:
            return
        if made is not None:
            self.manager.reshape(asked.handle, made, is_last=asked.is_last)
        elif last is not None and not last.is_shown:
            self._lasts.appendleft(_Last(asked.handle, self.manager.store.latent[slot].copy(), is_shown=True))


def _apart(a: Array, b: Array) -> bool:
    return float(np.abs(a - b).max()) > _NEW_SIGMA
