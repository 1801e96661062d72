"""Latent → surfaces of all levels of detail, on whichever device holds the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vrapp.core.mesh import GRID_SIZE, LEVELS, TRUNCATION_VOXELS, VERTEX_DTYPE, MeshLevel
from vrapp.generation.surface import Capacity, Surface, capacity_for, extract

#: Worst case per level where the device must not be asked (CUDA): about four times the usual object.
FIXED_CAPACITIES = (
    Capacity(40_000, 40_000, 40_000),
    Capacity(12_000, 12_000, 12_000),
    Capacity(3_000, 3_000, 3_000),
)


class Decoder(Protocol):
    """The part of ``models.vae.ShapeVAE`` that is used here."""

    def decode(self, latent: Tensor, resolution: int = GRID_SIZE) -> Tensor:
        """(B, 8, 4, 4, 4) → (B, 7, R, R, R)."""


@dataclass(frozen=True)
class SurfaceSet:
    """One object on its device: the finest grid, and a surface per level with the capacity it was given."""

    grid: Tensor  # (7, 64, 64, 64)
    surfaces: tuple[Surface, ...]
    capacities: tuple[Capacity, ...]

    def fits(self) -> bool:
        """Whether no buffer ran over. Waits for the device."""
        pairs = zip(self.surfaces, self.capacities, strict=True)
        return all(
            s.counts[0] <= c.cells and s.counts[1] <= c.vertices and s.counts[2] <= c.quads for s, c in pairs
        )

    def level(self, index: int) -> MeshLevel:
        """One level in main memory, cut to its counts. Waits for the device."""
        surface = self.surfaces[index]
        _, vertices, quads = surface.counts.tolist()
        packed = surface.vertices[:vertices].cpu().contiguous().numpy()
        triangles = surface.triangles[: 2 * quads].cpu().contiguous().numpy()
        return MeshLevel(packed.reshape(-1).view(VERTEX_DTYPE), triangles.reshape(-1).view(np.uint32))


def coarser(grid: Tensor, level: int) -> Tensor:
    """The grid (7, R, R, R) of a level of detail, pooled by 2 per level.

    Parts less than a coarse voxel thick would vanish in the mean: away from any thicker core they take
    the least distance instead, which thickens them.
    """
    if level == 0:
        return grid
    step = 2**level
    mean = functional.avg_pool3d(grid[None], step)[0]
    least = -functional.max_pool3d(-grid[None, :1], step)[0]  # (1, R, R, R)
    core = (least < -step / 2 / TRUNCATION_VOXELS).float()
    is_thick = functional.max_pool3d(core[None], 3, stride=1, padding=1)[0] > 0
    return torch.cat((torch.where(is_thick, mean[:1], least), mean[1:]))


class SurfacePipeline:
    """Decoder and extraction behind one call. On CUDA ``run`` enqueues work and never waits, with shapes
    that do not depend on the values, so that it can be captured as a graph; on CPU buffers fit exactly."""

    def __init__(self, decoder: Decoder, device: torch.device) -> None:
        self.device = device
        self._decoder = decoder

    @torch.inference_mode()
    def run(self, latent: Tensor) -> SurfaceSet:
        """One object from ``latent`` (1, 8, 4, 4, 4)."""
        return self.surfaces(self._decoder.decode(latent.to(self.device), resolution=GRID_SIZE)[0].float())

    @torch.inference_mode()
    def surfaces(self, grid: Tensor) -> SurfaceSet:
        """All levels of ``grid`` (7, 64, 64, 64)."""
        grids = [coarser(grid, level) for level in range(LEVELS)]
        exact = self.device.type == "cpu"
        capacities = tuple(capacity_for(g[0]) for g in grids) if exact else FIXED_CAPACITIES
        surfaces = tuple(extract(g, c) for g, c in zip(grids, capacities, strict=True))
        return SurfaceSet(grid, surfaces, capacities)
