"""A model without weights: its latent is a handful of numbers that shape an analytic body.

Used only by tests; module-level, so that a spawned worker can import it.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vrapp.core.errors import WeightsError
from vrapp.generation.grid import Grid

CATEGORIES = ("box", "ball", "broken", "deadly")


@dataclass
class ToyModel:
    vae: Any
    prior: Any
    categories: tuple[str, ...] = CATEGORIES
    weights_hash: str = "toy"
    latent_mean: np.ndarray = field(default_factory=lambda: np.zeros(704, np.float32))
    latent_basis: np.ndarray = field(default_factory=lambda: np.eye(6, 704, dtype=np.float32))
    gate: dict[str, Any] = field(default_factory=dict)
    projections: int = 0
    critic: Any = None
    denoiser: Any = None


def axes(resolution: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Voxel centres x, y, z of a grid, (R, R, R) each."""
    side = (torch.arange(resolution) + 0.5) / resolution - 0.5
    x, y, z = torch.meshgrid(side, side, side, indexing="ij")
    return x, y, z


def grid_of(distance: torch.Tensor, colour: tuple[float, float, float] = (0.2, 0.5, 0.8)) -> Grid:
    """A signed distance (R, R, R) in object space, of one colour."""
    look = torch.tensor([*colour, 0.6, 0.1, 0.0])[:, None, None, None].expand(6, *distance.shape)
    return Grid((distance * 64 / 4).clamp(-1, 1), look)


def fields_of(distance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same as a decoder gives it."""
    grid = grid_of(distance)
    return grid.distance[None, None], grid.look[None]


class ToyVae:
    def fields(self, latent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y, z = axes()
        first, second, third, kind = latent.flatten()[:4].tolist()
        half = [0.2 + 0.22 * v for v in (first, second, third)]
        if kind == CATEGORIES.index("box"):
            half[0] = 0.42
            sides = torch.stack([axis.abs() - h for axis, h in zip((x, y, z), half, strict=True)])
            return fields_of(sides.amax(0))
        if kind == CATEGORIES.index("ball"):
            return fields_of(((x / half[0]) ** 2 + (y / half[1]) ** 2 + (z / 0.42) ** 2).sqrt() * 0.2 - 0.2)
        return fields_of(torch.full_like(x, 0.1))  # nothing there


class ToyPrior:
    def sample(self, category: torch.Tensor, uniforms: torch.Tensor, temperature: float) -> torch.Tensor:
        if (category == CATEGORIES.index("deadly")).any():
            os.kill(os.getpid(), 9)
        latent = uniforms.reshape(len(category), 704).clone()
        latent[:, 3] = category.float()
        return latent.reshape(-1, 11, 4, 4, 4)

    def uniforms_of(self, latent: torch.Tensor, category: torch.Tensor, temperature: float) -> torch.Tensor:
        return latent.reshape(-1, 64, 11).clamp(0.0, 1.0)


@dataclass(frozen=True)
class ToyDescription:
    categories: tuple[str, ...] = CATEGORIES
    weights_hash: str = "toy"
    latent_basis: np.ndarray = field(default_factory=lambda: np.eye(6, 704, dtype=np.float32))


def describe(path: Path) -> ToyDescription:
    return ToyDescription()


def load(path: Path) -> ToyModel:
    return ToyModel(ToyVae(), ToyPrior())


def load_damaged(path: Path) -> ToyModel:
    raise WeightsError(f"The weights {path} are damaged; get them again.")


def load_crashing(path: Path) -> ToyModel:
    raise RuntimeError("a bug")


def load_never(path: Path) -> ToyModel:
    time.sleep(600)
    raise AssertionError
