"""How much of a test model comes back through a code: overlap, distance, normals and colours, model by model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from vrapp.models.vae import COLOURS, LOOK_CHANNELS, ShapeVAE
from vrapp.training import metrics
from vrapp.training.shape_data import ShapeData
from vrapp.training.surface_points import field_surface

POINTS = 1024
_HAS_COLOUR = 0.05  # share of a cell
#: Distances (B, 1, 64³) and looks (B, 7, 32³) → the same through the code; colours (B, 3+, 32³) or None.
Code = Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Reconstruction:
    """(N,) each, by test model: IoU of the inside, Chamfer distance (longest side of the grid 1), normal
    consistency (mean |cosine| to the nearest point's normal, both ways), mean absolute sRGB error."""

    iou: NDArray[np.float64]
    chamfer: NDArray[np.float64]
    normals: NDArray[np.float64]
    colour: NDArray[np.float64]

    def figures(self, chosen: NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Means with bootstrap standard errors, and the median IoU, of all or of the ``chosen`` (N,)."""
        found: dict[str, float] = {}
        for name in ("iou", "chamfer", "normals", "colour"):
            values = getattr(self, name) if chosen is None else getattr(self, name)[chosen]
            values = values[np.isfinite(values)]
            if len(values):
                found[name], found[f"{name}_error"] = metrics.mean_and_error(values)
                if name == "iou":
                    found["iou_median"] = float(np.median(values))
        return found


#: Points on a model's own surface, and their normals (P, 3); None where it has none.
Surface = tuple[NDArray[np.float32], NDArray[np.float32]] | None


def surfaces(test: ShapeData, seed: int = 0) -> list[Surface]:
    """What every code's reconstructions of the test models are compared with."""
    fields = (test.batch(row[None], torch.Generator(), None)[0][0, 0].numpy() for row in torch.arange(len(test)))
    return [field_surface(field, POINTS, 2 * (seed + number) + 1) for number, field in enumerate(fields)]


def through_vae(vae: ShapeVAE) -> Code:
    """Encode to the mean and decode."""

    def code(distance: Tensor, look: Tensor) -> tuple[Tensor, Tensor]:
        raw, colours = vae.decoder(vae.encoder(distance, look)[0])
        return raw, torch.sigmoid(colours)

    return code


@torch.no_grad()
def reconstruct(code: Code, test: ShapeData, seed: int = 0, known: Sequence[Surface] | None = None) -> Reconstruction:
    """All figures of all test models; ``known`` are their ``surfaces`` of the same seed, where these are at hand."""
    known = surfaces(test, seed) if known is None else known
    rows: list[tuple[float, float, float, float]] = []
    for index in torch.split(torch.arange(len(test)), 16):
        distance, look = test.batch(index, torch.Generator(), None)
        raw, colours = code(distance, look)
        for i in range(len(index)):
            wanted, found = distance[i, 0].numpy(), raw[i, 0].numpy()
            overlap = metrics.iou(found < 0, wanted < 0)
            chamfer, normals = _apart(found, known[int(index[i])], 2 * (seed + int(index[i])))
            colour = np.nan if colours is None else _colour_error(colours[i], look[i])
            rows.append((overlap, chamfer, normals, colour))
    return Reconstruction(*np.array(rows, np.float64).reshape(-1, 4).T)


def _apart(found: NDArray[np.float32], known: Surface, seed: int) -> tuple[float, float]:
    """Chamfer distance and normal consistency of a field (R, R, R) and a surface."""
    surface = field_surface(found, POINTS, seed)
    if surface is None or known is None:
        return np.nan, np.nan
    return chamfer_and_normals(*surface, *known)


def chamfer_and_normals(
    first: NDArray[np.float32], first_normals: NDArray[np.float32],
    second: NDArray[np.float32], second_normals: NDArray[np.float32],
) -> tuple[float, float]:  # fmt: skip
    """Of two point sets (P, 3) and (Q, 3) with unit normals."""
    there, at_second = cKDTree(second).query(first)
    back, at_first = cKDTree(first).query(second)
    along = np.abs(np.einsum("pk,pk->p", first_normals, second_normals[at_second])).mean()
    against = np.abs(np.einsum("qk,qk->q", second_normals, first_normals[at_first])).mean()
    return float((there**2).mean() + (back**2).mean()), float((along + against) / 2)


def _colour_error(found: Tensor, look: Tensor) -> float:
    """Mean |error| of colours (3+, 32³) in [0, 1] where the look (7, 32³) has any."""
    share = look[LOOK_CHANNELS]
    seen = share > _HAS_COLOUR
    if not bool(seen.any()):
        return np.nan
    return float((found[:COLOURS, seen] - look[:COLOURS, seen] / share[seen]).abs().mean())
