"""Latent → surfaces of all levels of detail, on whichever device holds the decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vrapp.core.mesh import GRID_SIZE, LATENT_SHAPE, LEVELS, TRUNCATION_VOXELS, VERTEX_DTYPE, MeshLevel
from vrapp.generation.onednn import with_onednn
from vrapp.generation.surface import Capacity, Surface, extract

#: Worst case per level where the device must not be asked (CUDA): about four times the usual object.
FIXED_CAPACITIES = (
    Capacity(40_000, 40_000, 40_000),
    Capacity(12_000, 12_000, 12_000),
    Capacity(3_000, 3_000, 3_000),
)
#: Depth inside a part, in coarse voxels, below which its mean may miss it, and above which it cannot.
_DEPTH_THIN, _DEPTH_THICK = 0.5, 0.85


class Decoder(Protocol):
    """The part of ``models.vae.ShapeVAE`` that is used here."""

    def decode(self, latent: Tensor, resolution: int = GRID_SIZE) -> Tensor:
        """(B, 11, 4, 4, 4) → (B, 7, R, R, R)."""

    def projected(self, latent: Tensor, times: int) -> Tensor:
        """(B, 11, 4, 4, 4) decoded and encoded again, ``times`` times."""


@dataclass(frozen=True)
class SurfaceSet:
    """One object on its device: the finest grid, and a surface per level with the capacity it was given (None: it
    fits)."""

    grid: Tensor  # (7, 64, 64, 64)
    surfaces: tuple[Surface, ...]
    capacities: tuple[Capacity | None, ...]

    def fits(self) -> bool:
        """Whether no buffer ran over. Waits for the device."""
        pairs = ((s.counts.tolist(), c) for s, c in zip(self.surfaces, self.capacities, strict=True) if c)
        return all(n[0] <= c.cells and n[1] <= c.vertices and n[2] <= c.quads for n, c in pairs)

    def level(self, index: int) -> MeshLevel:
        """One level in main memory, cut to its counts. Waits for the device."""
        surface = self.surfaces[index]
        _, vertices, quads = surface.counts.tolist()
        packed = surface.vertices[:vertices].cpu().contiguous().numpy()
        triangles = surface.triangles[: 2 * quads].cpu().contiguous().numpy()
        return MeshLevel(packed.reshape(-1).view(VERTEX_DTYPE), triangles.reshape(-1).view(np.uint32))


def levels_of_detail(grid: Tensor, count: int = LEVELS) -> list[Tensor]:
    """``count`` grids (7, R, R, R) with R = 64, 32, 16, each pooled by 2 from the one before.

    In the mean, parts thinner than a coarse voxel vanish; the less deep the nearest core is, the more
    the least distance of the block counts, which thickens them.
    """
    grids, mean, least = [grid], grid, grid[:1]
    for level in range(1, count):
        mean = _halved(mean, torch.add) / 8
        least = _halved(least, torch.minimum)
        depth = _greatest_around(-least) * (TRUNCATION_VOXELS / 2**level)
        trust = ((depth - _DEPTH_THIN) / (_DEPTH_THICK - _DEPTH_THIN)).clamp(0.0, 1.0)
        grids.append(torch.cat((torch.lerp(least, mean[:1], trust), mean[1:])))
    return grids


def _halved(grid: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(C, R/2, R/2, R/2): blocks of 2³ joined; on CPU much faster than a pooling layer."""
    grid = join(grid[:, 0::2], grid[:, 1::2])
    grid = join(grid[:, :, 0::2], grid[:, :, 1::2])
    return join(grid[..., 0::2], grid[..., 1::2])


def _greatest_around(values: Tensor) -> Tensor:
    """The greatest of each one's neighbourhood of 3³; axis by axis much faster than a pooling layer."""
    for axis in (1, 2, 3):
        count = values.shape[axis] - 1
        pairs = torch.maximum(values.narrow(axis, 0, count), values.narrow(axis, 1, count))
        ends = pairs.narrow(axis, 0, 1), pairs.narrow(axis, count - 1, 1)
        inner = torch.maximum(pairs.narrow(axis, 0, count - 1), pairs.narrow(axis, 1, count - 1))
        values = torch.cat((ends[0], inner, ends[1]), axis)
    return values


class SurfacePipeline:
    """Decoder and extraction behind one call. On CUDA ``run`` enqueues work and never waits, with shapes
    that do not depend on the values, so that it can be captured as a graph; on CPU buffers fit exactly."""

    def __init__(self, decoder: Decoder, device: torch.device) -> None:
        self.device = device
        self._decoder = with_onednn(decoder) if device.type == "cpu" else decoder

    @torch.inference_mode()
    def run(self, latent: Tensor) -> SurfaceSet:
        """One object from ``latent`` (1, 11, 4, 4, 4)."""
        return self.surfaces(self.decode(latent))

    @torch.inference_mode()
    def decode(self, latent: Tensor) -> Tensor:
        """The grid (7, 64, 64, 64) of ``latent`` (1, 11, 4, 4, 4)."""
        return self._decoder.decode(latent.to(self.device), resolution=GRID_SIZE)[0].float()

    @torch.inference_mode()
    def projected(self, latent: np.ndarray, times: int) -> np.ndarray:
        """The latent (704,) after ``times`` rounds through the network; itself where there are none."""
        if times == 0:
            return latent
        grid = torch.from_numpy(latent).reshape(1, *LATENT_SHAPE).to(self.device)
        return self._decoder.projected(grid, times).reshape(-1).float().cpu().numpy()

    @torch.inference_mode()
    def surfaces(self, grid: Tensor, levels: int = LEVELS) -> SurfaceSet:
        """The finest ``levels`` levels of ``grid`` (7, 64, 64, 64)."""
        grids = levels_of_detail(grid, levels)
        capacities = (None,) * levels if self.device.type == "cpu" else FIXED_CAPACITIES[:levels]
        surfaces = tuple(extract(g, c) for g, c in zip(grids, capacities, strict=True))
        return SurfaceSet(grid, surfaces, capacities)
