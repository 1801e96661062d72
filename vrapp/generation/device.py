"""Latent → surfaces of all levels of detail, on whichever device holds the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vrapp.core.mesh import LATENT_SHAPE, LEVELS
from vrapp.generation.grid import Grid, levels_of_detail
from vrapp.generation.onednn import with_onednn
from vrapp.generation.surface import Surface, extract
from vrapp.generation.topology import Capacity

#: Worst case per level where the device must not be asked (CUDA): about four times the usual object.
FIXED_CAPACITIES = (
    Capacity(40_000, 40_000, 40_000),
    Capacity(12_000, 12_000, 12_000),
    Capacity(3_000, 3_000, 3_000),
)


class Decoder(Protocol):
    """The part of ``models.vae.ShapeVAE`` that is used here."""

    def fields(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 11, 4, 4, 4) → distance (B, 1, R, R, R) and look (B, 6, L, L, L): see ``core.mesh``."""

    def projected(self, latent: Tensor, times: int) -> Tensor:
        """(B, 11, 4, 4, 4) decoded and encoded again, ``times`` times."""


@dataclass(frozen=True)
class SurfaceSet:
    """The surfaces of one object's levels on its device, and the capacity that each was given (None: they fit)."""

    surfaces: tuple[Surface, ...]
    capacities: tuple[Capacity, ...] | None

    def fits(self) -> bool:
        """Whether no buffer ran over. Waits for the device."""
        pairs = ((s.counts.tolist(), c) for s, c in zip(self.surfaces, self.capacities or (), strict=False))
        return all(n[0] <= c.cells and n[1] <= c.vertices and n[2] <= c.quads for n, c in pairs)


def decoded(decoder: Decoder, latent: Tensor) -> Grid:
    """The grid of one ``latent`` (1, 11, 4, 4, 4) on its device."""
    distance, look = decoder.fields(latent)
    return Grid(distance[0, 0].float(), look[0].float())


class SurfacePipeline:
    """Decoder and extraction of one object at a time; on CPU buffers fit exactly."""

    def __init__(self, decoder: Decoder, device: torch.device) -> None:
        self.device = device
        self._decoder = with_onednn(decoder) if device.type == "cpu" else decoder

    @torch.inference_mode()
    def decode(self, latent: Tensor) -> Grid:
        """The grid of ``latent`` (1, 11, 4, 4, 4)."""
        return decoded(self._decoder, latent.to(self.device))

    @torch.inference_mode()
    def projected(self, latent: np.ndarray, times: int) -> np.ndarray:
        """The latent (704,) after ``times`` rounds through the network; itself where there are none."""
        if times == 0:
            return latent
        grid = torch.from_numpy(latent).reshape(1, *LATENT_SHAPE).to(self.device)
        return self._decoder.projected(grid, times).reshape(-1).float().cpu().numpy()

    @torch.inference_mode()
    def surfaces(self, grid: Grid, levels: int = LEVELS) -> SurfaceSet:
        """The finest ``levels`` levels of ``grid``."""
        capacities = None if self.device.type == "cpu" else FIXED_CAPACITIES[:levels]
        return SurfaceSet(extract(levels_of_detail(grid.distance, levels), grid.look, capacities), capacities)
