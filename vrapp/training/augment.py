"""Cheap variants of baked grids: mirror, anisotropic scale, shift, quarter turn, recolour.

Scale and shift are separable: one (R, R) interpolation matrix an axis, so a variant costs three small
matrix products, not a trilinear gather.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AugmentConfig:
    """Chances and ranges.

    Of `resize` of the shapes the sides are scaled; `jitter` is the chance of a shape that no longer fills
    the box.
    """

    mirror: float = 0.5
    resize: float = 0.5
    quarter_turn: float = 0.1
    scale: float = 0.25
    jitter: float = 0.1
    recolour: float = 0.4


# For the prior: true proportions and true colours, or bushes come out any colour but green.
MILD = AugmentConfig(resize=0.7, quarter_turn=0.0, scale=0.12, jitter=0.0, recolour=0.0)
NONE = AugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def resize_matrix(centre: Tensor, scale: Tensor, size: int) -> Tensor:
    """(B, size, size) linear-interpolation matrices: out(i) reads in at (i − size/2 − centre)/scale.

    `centre` (B,) shift in voxels of this grid, `scale` (B,).  Rows that read outside repeat the border,
    which is empty space.
    """
    place = torch.arange(size) + 0.5
    source = (place[None] - size / 2 - centre[:, None]) / scale[:, None] + size / 2 - 0.5  # (B, size)
    source = source.clamp(0, size - 1)
    low = source.floor().clamp(max=size - 2)
    part = source - low
    matrix = torch.zeros(len(scale), size, size)
    matrix.scatter_(2, low.long()[..., None], (1 - part)[..., None])
    matrix.scatter_add_(2, low.long()[..., None] + 1, part[..., None])
    return matrix


#: Sides of the variants of a model that the recombining prior takes: as it is, tall, flat, long.
PROPORTIONS = ((1.0, 1.0, 1.0), (1.0, 1.3, 1.0), (1.1, 0.77, 1.1), (1.2, 1.0, 0.83))


def stretched(
    distance: Tensor, look: Tensor, extent: Tensor, sides: tuple[float, float, float]
) -> tuple[Tensor, Tensor]:
    """Shapes (see `augment`) with their sides x, y, z multiplied, so that they still fill their box."""
    scale = torch.tensor(sides).repeat(len(distance), 1)
    scale = scale / ((scale * extent).amax(1) / extent.amax(1).clamp(min=1))[:, None]
    centre = torch.zeros(len(distance))
    fine, coarse = ([resize_matrix(centre, scale[:, axis], size) for axis in range(3)] for size in (64, 32))
    return _apply(distance, fine), _apply(look, coarse)


def _apply(grid: Tensor, matrices: list[Tensor]) -> Tensor:
    """(B, C, R, R, R) resampled along x, y, z by (B, R, R) matrices."""
    b, c, r = grid.shape[:3]
    grid = torch.bmm(matrices[0][:, None].expand(b, c, r, r).reshape(b * c, r, r), grid.reshape(b * c, r, r * r))
    grid = grid.reshape(b * c * r, r, r)
    y = matrices[1][:, None].expand(b, c * r, r, r).reshape(b * c * r, r, r)
    grid = torch.bmm(y, grid).reshape(b, c * r * r, r)
    return torch.bmm(grid, matrices[2].transpose(1, 2)).reshape(b, c, r, r, r)


def augment(
    distance: Tensor, look: Tensor, extent: Tensor, rng: torch.Generator, config: AugmentConfig
) -> tuple[Tensor, Tensor]:
    """Variants of distance (B, 1, 64³) and look (B, 7, 32³; premultiplied, mask last).

    `extent` (B, 3) the shapes' sides in voxels of 64, so that a scaled shape still fills its box.
    """
    b = len(distance)

    def chance(p: float) -> Tensor:
        return torch.rand(b, generator=rng) < p

    stretch = 1 + config.scale * (2 * torch.rand(b, 3, generator=rng) - 1)
    stretch = stretch / ((stretch * extent).amax(1) / extent.amax(1).clamp(min=1))[:, None]
    smaller = torch.where(chance(config.jitter), 0.6 + 0.4 * torch.rand(b, generator=rng), torch.ones(b))
    stretch = stretch * smaller[:, None]
    room = ((56 - stretch * extent) / 2).clamp(min=0) * (smaller < 1)[:, None]
    shift = (2 * torch.rand(b, 3, generator=rng) - 1) * room
    if config.scale > 0 or config.jitter > 0:
        some = torch.nonzero(chance(config.resize)).flatten()
        stretch, shift = stretch[some], shift[some]
        full = [resize_matrix(shift[:, axis], stretch[:, axis], 64) for axis in range(3)]
        half = [resize_matrix(shift[:, axis] / 2, stretch[:, axis], 32) for axis in range(3)]
        distance[some], look[some] = _apply(distance[some], full), _apply(look[some], half)
    for flipped in torch.nonzero(chance(config.mirror)).flatten().tolist():
        distance[flipped], look[flipped] = distance[flipped].flip(1), look[flipped].flip(1)
    for turned in torch.nonzero(chance(config.quarter_turn)).flatten().tolist():
        turns = int(torch.randint(1, 4, (1,), generator=rng))
        distance[turned] = torch.rot90(distance[turned], turns, (1, 3))
        look[turned] = torch.rot90(look[turned], turns, (1, 3))
    return distance, recolour(look, chance(config.recolour), rng)


def recolour(look: Tensor, chosen: Tensor, rng: torch.Generator) -> Tensor:
    """Look (B, 7, R³) with lightness, contrast and hue changed where `chosen` (B,).

    Colours move linearly, c' = m·(A c/m + o), which is the same as A c + o·m on premultiplied values.
    """
    look = look.clone()
    for row in torch.nonzero(chosen).flatten().tolist():
        mask = look[row, 6:7]
        blend = float(torch.rand((), generator=rng)) * 0.5
        order = torch.randperm(3, generator=rng)
        gain = 0.75 + 0.4 * torch.rand(3, 1, 1, 1, generator=rng)
        offset = 0.15 * (2 * torch.rand(1, 1, 1, 1, generator=rng) - 1)
        colour = look[row, :3]
        colour = ((1 - blend) * colour + blend * colour[order]) * gain + offset * mask
        look[row, :3] = torch.minimum(colour.clamp(min=0), mask)
    return look
