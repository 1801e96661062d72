"""One request → one object: draw from the prior, decode, extract, judge, and draw again if need be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

MAX_ATTEMPTS = 8
_TOKENS, _TOKEN_WIDTH = 64, 8
_DRAWS_NEAR = 8  # candidates where a latent is asked to be near another
HULL_POINTS = 48


class Prior(Protocol):
    """The part of ``models.prior.LatentPrior`` that is used here."""

    def sample(self, category: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
        """Category (B,) int64, uniforms (B, 64, 8) in [0, 1) → latents (B, 8, 4, 4, 4)."""


class Model(Protocol):
    """The part of ``generation.weights.ObjectModel`` that is used here."""

    vae: Any  # a Decoder
    prior: Any  # a Prior
    categories: Sequence[str]
    weights_hash: str
    latent_mean: Any  # (512,)
    latent_basis: Any  # (k, 512)
    gate: Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """``shown`` is None where every draw failed; ``rejected`` says why each one did."""

    shown: GeneratedObject | None
    rejected: tuple[Reason, ...]


def _directions() -> np.ndarray:
    """(48, 3) evenly spread unit vectors (Fibonacci sphere)."""
    i = np.arange(HULL_POINTS) + 0.5
    polar, turn = np.arccos(1 - 2 * i / HULL_POINTS), np.pi * (1 + 5**0.5) * i
    spread = np.stack((np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)), 1)
    return spread.astype(np.float32)


_DIRECTIONS = _directions()


def support_points(position: np.ndarray) -> np.ndarray:
    """(≤ 48, 3) float32 the points of ``position`` (V, 3) that reach farthest in 48 directions."""
    farthest = np.unique((_DIRECTIONS @ position.T).argmax(axis=1))
    return np.ascontiguousarray(position[farthest])


class ObjectMaker:
    """Everything between a request and an object; the same request gives the same object.

    Each draw's randomness is keyed by (seed, request, attempt), and the shapes that the networks see
    depend on the request alone, so nothing hangs on what else is being made.
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
        """Draw until the gate is content, ``MAX_ATTEMPTS`` times at most."""
        rejected: list[Reason] = []
        category = request.steering.category
        for attempt in range(MAX_ATTEMPTS):
            latent = self._draw(request, attempt)
            mesh = self.mesh(latent, self._limits[category])
            if isinstance(mesh, Reason):
                rejected.append(mesh)
                continue
            components = self.project(latent)
            shown = GeneratedObject(
                request.request_id, category, latent, components, mesh, mesh_hash(mesh), attempt + 1
            )
            return Made(shown, tuple(rejected))
        return Made(None, tuple(rejected))

    def project(self, latents: np.ndarray) -> np.ndarray:
        """(…, 512) → (…, k) float32: the exposed components."""
        return ((latents - self._mean) @ self._basis.T).astype(np.float32)

    @torch.inference_mode()
    def _draw(self, request: GenerationRequest, attempt: int) -> np.ndarray:
        """(512,) the chosen one of the candidates drawn for this attempt."""
        steering = request.steering
        count = max(1, steering.candidates, _DRAWS_NEAR if steering.near is not None else 1)
        draws = rng.generator(request.seed, request.request_id, attempt)
        uniforms = draws.random((count, _TOKENS, _TOKEN_WIDTH), np.float32)
        category = torch.full((count,), steering.category, dtype=torch.int64, device=self._device)
        latents = self._prior.sample(category, torch.from_numpy(uniforms).to(self._device), steering.temperature)
        found = latents.reshape(count, LATENT_DIM).float().cpu().numpy()
        chosen: np.ndarray = found[int(np.argmax(self._score(found, steering)))]
        return chosen

    def _score(self, latents: np.ndarray, steering: Steering) -> np.ndarray:
        """(C,) what speaks for each candidate, in standard deviations over the candidates."""
        score = np.zeros(len(latents), np.float32)
        if steering.utility is not None:
            score += _standardised(self.project(latents) @ np.asarray(steering.utility, np.float32))
        if steering.near is not None:
            distance = np.linalg.norm(latents - np.asarray(steering.near, np.float32).reshape(-1), axis=1)
            score -= 2.0 * steering.nearness * _standardised(distance)
        return score

    def mesh(self, latent: np.ndarray, limits: GateLimits) -> Mesh | Reason:
        """The object of ``latent`` (512,) at all levels, or why it may not be shown."""
        grids = self._pipeline.run(torch.from_numpy(latent.reshape(1, *LATENT_SHAPE)))
        if not grids.fits():
            return Reason.TOO_COMPLEX
        if wrong := judge_grid(grids.grid[0].cpu().numpy(), limits):
            return wrong
        finest, pieces = without_debris(grids.level(0), limits.debris_share)
        if wrong := judge_mesh(finest, pieces, limits):
            return wrong
        levels: list[MeshLevel] = [finest]
        for index in range(1, LEVELS):
            level, left = without_debris(grids.level(index), limits.debris_share)
            levels.append(level if left.count else levels[-1])  # too thin for this level: show the finer one
        position = np.ascontiguousarray(finest.vertices["position"])
        box = np.stack((position.min(0), position.max(0)))
        return Mesh(tuple(levels), box, support_points(position))


def _standardised(values: np.ndarray) -> np.ndarray:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread > 0 else np.zeros_like(values)
