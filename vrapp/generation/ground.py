"""The land around the clearing: tiles drawn by a dense network, woven into one field that repeats.

Nothing here needs torch: the decoder runs in numpy in about a millisecond, so that the land is there with
the first picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vrapp.core import resources, rng
from vrapp.core.errors import WeightsError
from vrapp.generation.network_file import NetworkFile, decode_dense, load_network

TILE = 28  # cells along a tile's side
OVERLAP = 8  # cells that it shares with each neighbour
TILES = 8  # along the field's side
SIDE = TILES * (TILE - OVERLAP)  # 160 cells
CELL_M = 11.0
RELIEF_M = 13.0  # standard deviation of the heights
STRAY = 0.3  # how far a latent lies from the encoding it belongs to, in standard deviations of the encodings
CHARACTER = 0.7  # of the Dirichlet by which a land mixes its kinds: below 1 a kind or two prevail
_KEY = 0x6C616E64

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Ground:
    """`heights` (160, 160) float32 metres, rows along +Z, columns along +X, repeating; `cell_m` metres a cell."""

    heights: Field
    cell_m: float


def shipped_ground() -> Path:
    """The network that comes with the program."""
    return resources.assets() / "ground.safetensors"


def make_ground(seed: int, weights: Path | None = None) -> Ground:
    """The land of a seed: mean 0, deviation RELIEF_M. Equal seeds give equal lands. Raises WeightsError."""
    weights = weights or shipped_ground()
    network = load_network(weights, ("decoder.", "prior."))
    if network.config.get("pixels") != "gaussian":
        raise WeightsError(f"The weights {weights} draw no heights; train some with `vrapp train dense --out FILE`.")
    field = weave(draw_tiles(network, seed))
    field -= field.mean()
    spread = float(field.std())
    if not np.isfinite(spread) or spread <= 0:
        raise WeightsError(f"The weights {weights} draw no usable heights; train them again.")
    return Ground(field * np.float32(RELIEF_M / spread), CELL_M)


def draw_tiles(network: NetworkFile, seed: int) -> Field:
    """(64, 28, 28) tiles, dimensionless; each seed mixes the kinds of relief in its own way."""
    draw = rng.generator(seed, _KEY)
    kinds = network.tensors.get("prior.kind", np.zeros(1))
    shares = draw.dirichlet(np.full(int(kinds.max()) + 1, CHARACTER))
    tiles = decode_dense(network.tensors, draw_latents(network, TILES * TILES, draw, shares))
    if tiles.shape != (TILES * TILES, TILE * TILE):
        raise WeightsError(f"The decoder draws {tiles.shape[1:]} numbers where {TILE}×{TILE} are expected.")
    return tiles.reshape(-1, TILE, TILE)


def draw_latents(
    network: NetworkFile, count: int, draw: np.random.Generator, shares: NDArray[np.float64] | None = None
) -> Field:
    """(count, latent) from the density that was fitted to the encodings of the data; N(0, I) for a GAN.

    A latent is an encoding, of a kind drawn by `shares`, moved a little.  (What N(0, I) decodes to looks
    like no relief at all: the encodings fill little of it.)
    """
    anchors = network.tensors.get("prior.anchors")
    if anchors is None:
        latent = int(network.config.get("latent", 0))
        return draw.standard_normal((count, latent)).astype(np.float32)
    kinds = network.tensors["prior.kind"]
    chance = np.ones(len(anchors)) if shares is None else shares[kinds.astype(int)]
    rows = draw.choice(len(anchors), count, p=chance / chance.sum())
    moved = anchors[rows] + STRAY * network.tensors["prior.spread"] * draw.standard_normal(anchors[rows].shape)
    return moved.astype(np.float32)


def weave(tiles: Field) -> Field:
    """(64, 28, 28) tiles → one field (160, 160) that repeats: neighbours fade into each other where they overlap.

    The squares of the weights add up to one, so that the land is as rough where tiles meet as elsewhere.
    """
    ramp = np.sin(np.pi / 2 * (np.arange(OVERLAP) + 0.5) / OVERLAP).astype(np.float32)
    window = np.concatenate([ramp, np.ones(TILE - 2 * OVERLAP, np.float32), ramp[::-1]])
    rows = np.zeros((TILES, SIDE, TILE), np.float32)  # woven along z, tile columns apart
    weighted = (tiles * window[:, None] * window).reshape(TILES, TILES, TILE, TILE)
    hop = TILE - OVERLAP
    for number in range(TILES):
        at = (number * hop + np.arange(TILE)) % SIDE
        rows[:, at] += weighted[number]
    field = np.zeros((SIDE, SIDE), np.float32)
    for number in range(TILES):
        at = (number * hop + np.arange(TILE)) % SIDE
        field[:, at] += rows[number]
    return field
