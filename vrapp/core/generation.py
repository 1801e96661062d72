"""The contract between the scene manager and whatever generates: requests go out, objects come back.

The manager never waits: ``take`` answers at once, from the bank or with None.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from vrapp.core.mesh import LEVELS, Mesh


@dataclass(frozen=True)
class Steering:
    """What to make next, in the words of the generator's own prior (never a free optimisation of z).

    ``category``: index into the weights' categories. Of ``candidates`` draws from the prior the one
    with the greatest ``utility · project(z)`` is decoded; ``utility`` is (k,) over the latent basis'
    components, None takes the first draw. ``near`` is a latent (704,) that candidates are drawn
    towards ("more like this"), with ``nearness`` 0…1.
    """

    category: int
    temperature: float = 0.9
    candidates: int = 1
    utility: np.ndarray | None = None
    near: np.ndarray | None = None
    nearness: float = 0.0

    def truncated(self, share: float) -> Steering:
        """The same with ``share`` of its temperature: nearer to what the networks were trained on."""
        return replace(self, temperature=self.temperature * share)


@dataclass(frozen=True)
class GenerationRequest:
    """Ask for one object. Its randomness is a function of ``(seed, request_id)`` alone.

    With ``latent`` (704,) nothing is drawn: that very latent is decoded, at the ``levels`` finest levels of
    detail. Somebody has it in their hands, so it goes before all others.
    """

    request_id: int
    seed: int
    steering: Steering
    latent: np.ndarray | None = None
    levels: int = LEVELS


@dataclass(frozen=True)
class GeneratedObject:
    """What came out of the networks and passed the quality gate."""

    request_id: int
    category: int
    latent: np.ndarray  # (704,) float32
    components: np.ndarray  # (k,) float32: the latent in the exposed basis
    mesh: Mesh
    mesh_hash: str  # sha256 of the finest level
    attempts: int = 1  # draws that the gate saw for this request, the shown one included
    latency_s: float = 0.0  # from submit to ready to take
    from_cache: bool = False


@dataclass
class GeneratorFigures:
    """Counters for the panel and ``--stats``."""

    device: str = "none"
    loading: bool = False  # in this very process, which can hold up frames: a visit begins afterwards
    stopped: str = ""  # why nothing new will ever come, a sentence; empty while something may
    requested: int = 0
    ready: int = 0
    shown: int = 0
    rejected: int = 0
    in_flight: int = 0
    rejected_why: dict[str, int] = field(default_factory=dict)
    latency_s: list[float] = field(default_factory=list)
    reshape_latency_s: list[float] = field(default_factory=list)  # of requests that name their latent
    reshape_asked: int = 0  # such requests
    reshape_made: int = 0  # of them those that gave a shape; the list of latencies forgets


@runtime_checkable
class Generator(Protocol):
    """The running program's source of objects. Called from the main thread; no call ever waits,
    except ``collect`` under a fixed clock, which waits for results that are due."""

    categories: tuple[str, ...]
    weights_hash: str
    latent_basis: np.ndarray  # (k, 704) float32: components = (latent - mean) @ basis.T
    figures: GeneratorFigures

    def submit(self, request: GenerationRequest) -> bool:
        """Queue a request; False when the queue is full (ask again next frame)."""

    def collect(self, frame_index: int) -> list[GeneratedObject]:
        """What has become ready since the last call, oldest request first."""

    def decoded(self) -> dict[int, GeneratedObject | None]:
        """What ``collect`` has found since the last call for requests that name their latent, by request;
        None where the gate did not let it through. ``submit`` takes one such request at a time, whatever
        else is queued."""

    def work(self, gpu_ms: float | None, period_ms: float) -> None:
        """The frame is out: begin as much work on its GPU as the period leaves room for. ``gpu_ms``: what a recent
        picture took there, None where it is not known."""

    def set_pace(self, pace: str) -> None:
        """``"load"`` (normal priority while the world loads), ``"idle"`` (idle time only), ``"off"``."""

    def close(self) -> None:
        """Stop the worker; never hangs."""
