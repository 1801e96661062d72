"""Relief made by code, as data for the networks that draw the ground: dunes, hills, terraces, river beds.

A tile is 28×28 heights, dimensionless: each kind has mean 0 and a deviation near 1 over its tiles.  Every
tile is a window of a larger field, so that nothing repeats at its edges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 28
KINDS = ("dunes", "hills", "terraces", "river beds")
_FIELD = 56  # cells of the periodic field that a tile is cut from
_BLOCK = 256  # tiles made at once: 7 MB

Fields = NDArray[np.float32]


def relief(count: int, seed: int) -> tuple[Fields, NDArray[np.int64]]:
    """`count` tiles (N, 28, 28) float32 and their kinds (N,) as indices into KINDS, equally many of each.

    The same seed gives the same tiles; the first tiles do not depend on `count`.
    """
    tiles, kinds = [], []
    for block, start in enumerate(range(0, count, _BLOCK)):
        rng = np.random.default_rng([seed, block])
        kind = np.arange(_BLOCK) % len(KINDS)
        made = np.empty((_BLOCK, SIDE, SIDE), np.float32)
        for number, maker in enumerate((_dunes, _hills, _terraces, _river_beds)):
            made[kind == number] = maker(int((kind == number).sum()), rng)
        keep = min(_BLOCK, count - start)
        tiles.append(made[:keep])
        kinds.append(kind[:keep])
    return np.concatenate(tiles), np.concatenate(kinds)


def smooth_noise(count: int, rng: np.random.Generator, steepness: Fields, longest: float = _FIELD) -> Fields:
    """Gaussian fields (N, 28, 28) of deviation near 1 whose amplitude falls as frequency^−`steepness` (N,).

    Nothing in them is longer than `longest` cells.
    """
    fx, fy = np.fft.fftfreq(_FIELD), np.fft.rfftfreq(_FIELD)
    frequency = np.hypot(fx[:, None], fy[None])  # (56, 29) per cell
    with np.errstate(divide="ignore"):
        amplitude = frequency ** -steepness[:, None, None].astype(np.float64)
    amplitude[:, frequency < 0.999 / longest] = 0
    amplitude /= np.sqrt((amplitude**2).mean((1, 2), keepdims=True))
    spectrum = np.fft.rfft2(rng.standard_normal((count, _FIELD, _FIELD))) * amplitude
    field: Fields = np.fft.irfft2(spectrum, s=(_FIELD, _FIELD))[:, :SIDE, :SIDE].astype(np.float32)
    return field


def _uniform(rng: np.random.Generator, count: int, low: float, high: float) -> Fields:
    """(N, 1, 1)."""
    return rng.uniform(low, high, (count, 1, 1)).astype(np.float32)


def _turned(rng: np.random.Generator, count: int) -> tuple[Fields, Fields]:
    """Coordinates (N, 28, 28) in cells about the tile's middle, along and across a direction of its own."""
    line = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    angle = _uniform(rng, count, 0, 2 * np.pi)
    along = np.cos(angle) * line[:, None] + np.sin(angle) * line[None]
    across = -np.sin(angle) * line[:, None] + np.cos(angle) * line[None]
    return along, across


def _dunes(count: int, rng: np.random.Generator) -> Fields:
    """Long ridges, gentle to windward and steep to lee, that bend and rise and die away."""
    along, _ = _turned(rng, count)
    bend = smooth_noise(count, rng, np.full(count, 3.0)) * _uniform(rng, count, 0.6, 1.6)
    cycles = along / _uniform(rng, count, 8, 15) + bend * 0.45 + _uniform(rng, count, 0, 1)
    phase = cycles - np.floor(cycles)
    crest = _uniform(rng, count, 0.66, 0.8)  # where in the cycle the ridge is highest
    rising = phase / crest
    falling = (1 - phase) / (1 - crest)
    profile = np.minimum(rising, falling)
    profile = profile * profile * (3 - 2 * profile)
    swell = 1 + 0.35 * smooth_noise(count, rng, np.full(count, 3.0))
    base = 0.35 * smooth_noise(count, rng, np.full(count, 3.0))
    out: Fields = (2.3 * (profile - 0.5) * np.clip(swell, 0.3, 1.7) + base).astype(np.float32)
    return out


def _hills(count: int, rng: np.random.Generator) -> Fields:
    """Rounded hills of many sizes."""
    return smooth_noise(count, rng, rng.uniform(2.3, 3.2, count).astype(np.float32), longest=32)


def _terraces(count: int, rng: np.random.Generator) -> Fields:
    """A hillside in steps: flat treads, steep risers."""
    along, _ = _turned(rng, count)
    slope = smooth_noise(count, rng, np.full(count, 3.0)) * 0.75 + along * _uniform(rng, count, 0.03, 0.1)
    steps = slope * _uniform(rng, count, 1.0, 1.7) + _uniform(rng, count, 0, 1)
    tread = np.floor(steps)
    part = np.clip((steps - tread - 0.5) * _uniform(rng, count, 2.5, 4.5) + 0.5, 0, 1)
    stepped = tread + part * part * (3 - 2 * part)
    out: Fields = (1.05 * (stepped - stepped.mean((1, 2), keepdims=True))).astype(np.float32)
    return out


def _river_beds(count: int, rng: np.random.Generator) -> Fields:
    """A winding bed with a flat floor cut into rolling land."""
    along, across = _turned(rng, count)
    winding = _uniform(rng, count, 1.5, 4.5) * np.sin(
        2 * np.pi * (along / _uniform(rng, count, 16, 30) + _uniform(rng, count, 0, 1))
    )
    ragged = smooth_noise(count, rng, np.full(count, 2.6)) * 1.1
    away = np.abs(across - winding - _uniform(rng, count, -6, 6) + ragged)
    floor, bank = _uniform(rng, count, 1.0, 2.2), _uniform(rng, count, 3.5, 6.5)
    cut = np.clip((away - floor) / bank, 0, 1)
    cut = cut * cut * (3 - 2 * cut)
    land = smooth_noise(count, rng, np.full(count, 2.8)) * 0.45
    out: Fields = (_uniform(rng, count, 1.7, 2.8) * (cut - 0.62) + land * (0.3 + 0.7 * cut)).astype(np.float32)
    return out
