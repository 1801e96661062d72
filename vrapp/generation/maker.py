"""Requests → objects: draw from the prior, decode, extract, judge, and draw again if need be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vrapp.core import rng
from vrapp.core.generation import GeneratedObject, GenerationRequest, Steering
from vrapp.core.mesh import LATENT_DIM, LATENT_SHAPE, LEVELS, Mesh, MeshLevel
from vrapp.generation.components import without_debris
from vrapp.generation.device import Decoder, SurfacePipeline
from vrapp.generation.gate import GateLimits, Reason, judge_grid, judge_mesh
from vrapp.generation.packing import mesh_hash

#: Attempts that are drawn together; a pass of a prior costs much the same for one as for four.
ATTEMPTS = (range(0, 1), range(1, 4), range(4, 8))
MAX_ATTEMPTS = ATTEMPTS[-1].stop
HULL_POINTS = 48
_TOKENS, _TOKEN_WIDTH = 64, LATENT_SHAPE[0]
_BELOW_ONE = 1.0 - 2.0**-24
_OF_NOISE = 0x4015E  # keys the denoiser's noise apart from the draws
_DRAWS_NEAR = 6  # candidates, at least, where a latent is asked to be near another


class Prior(Protocol):
    """What is used here of ``models.prior.LatentPrior`` and ``models.mixture.LatentMixture``."""

    def sample(self, category: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        """Category (B,) int64, uniforms (B, 64, 11) in [0, 1) → latents (B, 11, 4, 4, 4)."""

    def uniforms_of(self, latent: Tensor, category: Tensor, temperature: float) -> Tensor:
        """The inverse of ``sample``."""


class Critic(Protocol):
    """What is used here of ``models.plausibility.PlausibilityCritic``."""

    def __call__(self, distance: Tensor, category: Tensor) -> Tensor:
        """Distances (B, 1, 64³) and categories (B,) int64 → logits (B,)."""


class Denoiser(Protocol):
    """What is used here of ``models.denoiser.LatentDenoiser``; latents and noise (B, 11, 4, 4, 4), categories (B,)."""

    def strength_at(self, temperature: float) -> float:
        """How much noise is mixed in."""

    def refined(self, latent: Tensor, category: Tensor, noise: Tensor, strength: float) -> Tensor:
        """The latents that become of drafts and noise."""

    def noise_of(self, refined: Tensor, latent: Tensor, category: Tensor, strength: float) -> Tensor:
        """The noise that makes ``refined`` of the drafts ``latent``."""


class Model(Protocol):
    """The part of ``generation.weights.ObjectModel`` that is used here."""

    @property
    def vae(self) -> Any:
        """A ``device.Decoder``."""

    @property
    def prior(self) -> Any:
        """A ``Prior``."""

    @property
    def categories(self) -> Sequence[str]:
        """Names, by number."""

    @property
    def weights_hash(self) -> str:
        """Of the tensors."""

    @property
    def latent_mean(self) -> Any:
        """(704,) float32."""

    @property
    def latent_basis(self) -> Any:
        """(k, 704) float32."""

    @property
    def gate(self) -> Mapping[str, Any]:
        """See ``gate.GateLimits.from_card``."""

    @property
    def projections(self) -> int:
        """How often a draw is decoded and encoded again before it is judged."""

    @property
    def critic(self) -> Critic | None:
        """Says how plausible a shape is for its category, if the weights have one."""

    @property
    def denoiser(self) -> Denoiser | None:
        """Makes one shape of what the prior has pieced together, if the weights have one."""


@dataclass(frozen=True)
class Made:
    """``shown`` is None where every draw failed; ``rejected`` says why each one did."""

    shown: GeneratedObject | None
    rejected: tuple[Reason, ...]


def hull_directions() -> np.ndarray:
    """(48, 3) evenly spread unit vectors (Fibonacci sphere)."""
    i = np.arange(HULL_POINTS) + 0.5
    polar, turn = np.arccos(1 - 2 * i / HULL_POINTS), np.pi * (1 + 5**0.5) * i
    spread = np.stack((np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)), 1)
    return spread.astype(np.float32)


_DIRECTIONS = hull_directions()


def support_points(position: np.ndarray) -> np.ndarray:
    """(≤ 48, 3) float32 the points of ``position`` (V, 3) that reach farthest in 48 directions."""
    reach = torch.from_numpy(_DIRECTIONS) @ torch.from_numpy(position).T  # torch: on this process's threads
    return np.ascontiguousarray(position[np.unique(reach.numpy().argmax(1))])


class ObjectMaker:
    """Everything between requests and objects.

    A draw's randomness is keyed by (seed, request, attempt). First attempts of a batch are drawn
    together, since one pass of a prior costs much the same for sixteen; priors draw row by row, so that a
    draw does not depend on its neighbours. Decoding goes one by one.
    """

    def __init__(self, model: Model, device: torch.device) -> None:
        self._model = model
        self._prior: Prior = model.prior
        decoder: Decoder = model.vae
        self._pipeline = SurfacePipeline(decoder, device)
        self._device = device
        self._mean = np.asarray(model.latent_mean, np.float32).reshape(LATENT_DIM)
        self._basis = np.asarray(model.latent_basis, np.float32).reshape(-1, LATENT_DIM)
        self._limits = [GateLimits.from_card(model.gate, category) for category in model.categories]

    def make(self, request: GenerationRequest) -> Made:
        """One object."""
        return next(self.make_all((request,)))

    def make_all(self, requests: Sequence[GenerationRequest]) -> Iterator[Made]:
        """One ``Made`` for each request, in order. Each is drawn until the gate is content,
        ``MAX_ATTEMPTS`` times at most; one that names its latent is made of that, or not at all."""
        firsts = iter(self._draw([(request, 0) for request in requests if request.latent is None]))
        for request in requests:
            yield self._finish(request, next(firsts)) if request.latent is None else self._given(request)

    def draw_all(self, attempts: Sequence[tuple[GenerationRequest, int]]) -> Iterator[Made]:
        """For each attempt at a request its latent, as an object without a mesh."""
        nothing = Mesh((), np.zeros((2, 3), np.float32), np.zeros((0, 3), np.float32))
        for (request, attempt), first in zip(attempts, self._draw(attempts), strict=True):
            latent = self._completed(first, request, attempt)
            drawn = GeneratedObject(
                request.request_id, request.steering.category, latent, self.project(latent), nothing, "", attempt + 1
            )
            yield Made(drawn, ())

    def _given(self, request: GenerationRequest) -> Made:
        """The object of the request's own latent."""
        latent = np.asarray(request.latent, np.float32).reshape(LATENT_DIM)
        mesh = self.mesh(latent, self._limits[request.steering.category].mild(), request.levels)
        if isinstance(mesh, Reason):
            return Made(None, (mesh,))
        return Made(self._shown(request, latent, mesh, 1), ())

    def _shown(self, request: GenerationRequest, latent: np.ndarray, mesh: Mesh, attempts: int) -> GeneratedObject:
        return GeneratedObject(
            request.request_id, request.steering.category, latent, self.project(latent), mesh, mesh_hash(mesh), attempts
        )

    def _finish(self, request: GenerationRequest, first: np.ndarray) -> Made:
        rejected: list[Reason] = []
        category = request.steering.category
        for attempts in ATTEMPTS:
            latents = self._draw([(request, attempt) for attempt in attempts]) if rejected else [first]
            for attempt, drawn in zip(attempts, latents, strict=True):
                latent = self._completed(drawn, request, attempt)
                mesh = self.mesh(latent, self._limits[category], category=category)
                if isinstance(mesh, Reason):
                    rejected.append(mesh)
                    continue
                return Made(self._shown(request, latent, mesh, len(rejected) + 1), tuple(rejected))
        return Made(None, tuple(rejected))

    @torch.inference_mode()
    def _completed(self, draft: np.ndarray, request: GenerationRequest, attempt: int) -> np.ndarray:
        """The latent (704,) that is shown of a draft of the prior: refined, and projected.

        Noise is correlated with that which would make the latent that is asked for, as ``_uniforms`` are.
        """
        denoiser, steering, latent = self._model.denoiser, request.steering, draft
        if denoiser is not None and (strength := denoiser.strength_at(steering.temperature)) > 0:
            category = torch.tensor([steering.category], device=self._device)
            start = self._latents(draft)
            draws = rng.generator(request.seed, request.request_id, attempt, _OF_NOISE)
            noise = self._latents(draws.standard_normal(LATENT_DIM, np.float32))
            if steering.near is not None:
                share = min(max(steering.nearness, 0.0), 1.0)
                known = denoiser.noise_of(self._latents(steering.near), start, category, strength)
                noise = share * known + (1.0 - share**2) ** 0.5 * noise
            refined = denoiser.refined(start, category, noise, strength)
            latent = refined.reshape(LATENT_DIM).float().cpu().numpy()
        return self._pipeline.projected(latent, self._model.projections)

    def _latents(self, flat: np.ndarray) -> Tensor:
        """(704,) as (1, 11, 4, 4, 4) on the device."""
        return torch.from_numpy(np.asarray(flat, np.float32).reshape(1, *LATENT_SHAPE)).to(self._device)

    def project(self, latents: np.ndarray) -> np.ndarray:
        """(…, 704) → (…, k) float32: the exposed components."""
        return ((latents - self._mean) @ self._basis.T).astype(np.float32)

    @torch.inference_mode()
    def _draw(self, attempts: Sequence[tuple[GenerationRequest, int]]) -> list[np.ndarray]:
        """(704,) for each attempt at a request: the best of its candidates."""
        requests = [request for request, _ in attempts]
        rows = [self._uniforms(request, attempt) for request, attempt in attempts]
        drawn: list[np.ndarray] = [np.empty((0, LATENT_DIM), np.float32)] * len(rows)
        by_temperature: dict[float, list[int]] = {}
        for index, request in enumerate(requests):
            by_temperature.setdefault(request.steering.temperature, []).append(index)
        for temperature, members in by_temperature.items():
            category = [requests[i].steering.category for i in members for _ in rows[i]]
            latents = self._prior.sample(
                torch.tensor(category, device=self._device), torch.cat([rows[i] for i in members]), temperature
            )
            found = latents.reshape(-1, LATENT_DIM).float().cpu().numpy()
            ends = np.cumsum([len(rows[i]) for i in members])
            for index, candidates in zip(members, np.split(found, ends[:-1]), strict=True):
                drawn[index] = candidates
        scores = (self._score(c, r.steering) for c, r in zip(drawn, requests, strict=True))
        return [candidates[int(np.argmax(score))] for candidates, score in zip(drawn, scores, strict=True)]

    def _uniforms(self, request: GenerationRequest, attempt: int) -> Tensor:
        """(C, 64, 11) for the request's candidates.

        Near a given latent they are correlated with the uniforms that draw it (a Gaussian copula of
        strength ``nearness``), so that each candidate is as likely under the prior as any, and alike.
        """
        steering = request.steering
        count = max(1, steering.candidates, 1 if steering.near is None else _DRAWS_NEAR)
        draws = rng.generator(request.seed, request.request_id, attempt)
        fresh = torch.from_numpy(draws.random((count, _TOKENS, _TOKEN_WIDTH), np.float32)).to(self._device)
        if steering.near is None:
            return fresh
        near = self._latents(steering.near)
        category = torch.tensor([steering.category], device=self._device)
        known = self._prior.uniforms_of(near, category, steering.temperature)
        share = min(max(steering.nearness, 0.0), 1.0)
        mixed = share * _normal(known) + (1.0 - share**2) ** 0.5 * _normal(fresh)
        alike: Tensor = torch.special.ndtr(mixed).clamp(0.0, _BELOW_ONE)
        return alike

    def _score(self, latents: np.ndarray, steering: Steering) -> np.ndarray:
        """(C,) what speaks for each candidate, in standard deviations over the candidates."""
        score = np.zeros(len(latents), np.float32)
        if steering.utility is not None:
            score += _standardised(self.project(latents) @ np.asarray(steering.utility, np.float32))
        if steering.near is not None:
            distance = np.linalg.norm(latents - np.asarray(steering.near, np.float32).reshape(-1), axis=1)
            score -= 2.0 * steering.nearness * _standardised(distance)
        return score

    def mesh(
        self, latent: np.ndarray, limits: GateLimits, count: int = LEVELS, category: int | None = None
    ) -> Mesh | Reason:
        """The object of ``latent`` (704,) at its ``count`` finest levels, or why it may not be shown.

        The critic is asked where ``category`` is given.
        """
        grid = self._pipeline.decode(torch.from_numpy(latent.reshape(1, *LATENT_SHAPE)))
        plausibility = math.inf if category is None else self._plausibility(grid.distance, category)
        if wrong := judge_grid(grid.distance.cpu().numpy(), limits, plausibility):
            return wrong
        surfaces = self._pipeline.surfaces(grid, count)
        finest, pieces = without_debris(surfaces[0].level(), limits.debris_share)
        if wrong := judge_mesh(finest, pieces, limits):
            return wrong
        levels: list[MeshLevel] = [finest]
        for index in range(1, count):
            level, left = without_debris(surfaces[index].level(), limits.debris_share)
            levels.append(level if left.count else levels[-1])  # too thin for this level: show the finer one
        position = np.ascontiguousarray(finest.vertices["position"])
        box = np.stack((position.min(0), position.max(0)))
        return Mesh(tuple(levels), box, support_points(position))

    @torch.inference_mode()
    def _plausibility(self, distance: Tensor, category: int) -> float:
        critic = self._model.critic
        if critic is None:
            return math.inf
        return float(critic(distance[None, None].cpu(), torch.tensor([category])))


def _normal(uniform: Tensor) -> Tensor:
    """Standard normal with the quantiles ``uniform``, its far tails cut off."""
    quantile: Tensor = torch.special.ndtri(uniform.clamp(1e-5, 1.0 - 1e-5))
    return quantile


def _standardised(values: np.ndarray) -> np.ndarray:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
