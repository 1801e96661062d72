"""An object as its decoder gives it, and the coarser distances of its farther levels of detail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vrapp.core.mesh import LEVELS, TRUNCATION_VOXELS

#: Depth inside a part, in coarse voxels, below which its mean may miss it, and above which it cannot.
_DEPTH_THIN, _DEPTH_THICK = 0.5, 0.85


@dataclass(frozen=True)
class Grid:
    """``distance`` (R, R, R) and ``look`` (6, L, L, L), float32 over the same cube: see ``core.mesh``."""

    distance: Tensor
    look: Tensor


def levels_of_detail(distance: Tensor, count: int = LEVELS) -> list[Tensor]:
    """``count`` distances (R, R, R) with R = 64, 32, 16, each pooled by 2 from the one before.

    In the mean, parts thinner than a coarse voxel vanish; the less deep the nearest core is, the more
    the least distance of the block counts, which thickens them.
    """
    distances, mean, least = [distance], distance, distance
    for level in range(1, count):
        mean = _halved(mean, torch.add) / 8
        least = _halved(least, torch.minimum)
        depth = _greatest_around(-least) * (TRUNCATION_VOXELS / 2**level)
        trust = ((depth - _DEPTH_THIN) / (_DEPTH_THICK - _DEPTH_THIN)).clamp(0.0, 1.0)
        distances.append(torch.lerp(least, mean, trust))
    return distances


def _halved(grid: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(R/2, R/2, R/2): blocks of 2³ joined; on CPU much faster than a pooling layer."""
    grid = join(grid[0::2], grid[1::2])
    grid = join(grid[:, 0::2], grid[:, 1::2])
    return join(grid[..., 0::2], grid[..., 1::2])


def _greatest_around(values: Tensor) -> Tensor:
    """The greatest of each one's neighbourhood of 3³; axis by axis much faster than a pooling layer."""
    for axis in range(3):
        count = values.shape[axis] - 1
        pairs = torch.maximum(values.narrow(axis, 0, count), values.narrow(axis, 1, count))
        ends = pairs.narrow(axis, 0, 1), pairs.narrow(axis, count - 1, 1)
        inner = torch.maximum(pairs.narrow(axis, 0, count - 1), pairs.narrow(axis, 1, count - 1))
        values = torch.cat((ends[0], inner, ends[1]), axis)
    return values
