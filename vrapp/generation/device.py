"""Latent → surfaces of all levels of detail, on whichever device holds the decoder."""

from __future__ import annotations

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


def decoded(decoder: Decoder, latent: Tensor) -> Grid:
    """The grid of one ``latent`` (1, 11, 4, 4, 4) on its device."""
    distance, look = decoder.fields(latent)
    return Grid(distance[0, 0].float(), look[0].float())


class SurfacePipeline:
    """Decoder and extraction of one object at a time, on the CPU: buffers fit exactly."""

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
    def surfaces(self, grid: Grid, levels: int = LEVELS) -> tuple[Surface, ...]:
        """The finest ``levels`` levels of ``grid``."""
        return extract(levels_of_detail(grid.distance, levels), grid.look)
