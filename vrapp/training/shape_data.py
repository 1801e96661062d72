"""Baked grids in memory, as the networks take them: distances at 64³ and looks at 32³, all uint8."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrapp.models.vae import split_grid
from vrapp.training.augment import AugmentConfig, augment
from vrapp.training.bake import Baked, Stamp
from vrapp.training.checkpoint import save_checkpoint


@dataclass(frozen=True)
class ShapeData:
    """N models: `distance` (N, 1, 64³) uint8, `look` (N, 7, 32³) uint8, `extent` (N, 3) float voxels,
    `category` (N,) int64 into `categories`, `files` and the baked `rows`."""

    distance: Tensor
    look: Tensor
    extent: Tensor
    category: Tensor
    categories: tuple[str, ...]
    files: tuple[str, ...]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor, rng: torch.Generator, config: AugmentConfig | None) -> tuple[Tensor, Tensor]:
        """Float distance (B, 1, 64³) in [−1, 1] and look (B, 7, 32³) of rows `index`, augmented."""
        distance = self.distance[index].float() / 127.5 - 1.0
        look = self.look[index].float() / 255.0
        if config is None:
            return distance, look
        return augment(distance, look, self.extent[index], rng, config)


def grid_floats(grids: NDArray[np.uint8]) -> Tensor:
    """Stored (B, 7, 64³) uint8 → float grid as `ShapeVAE.encode` takes it."""
    grid = torch.from_numpy(np.ascontiguousarray(grids)).float()
    grid[:, 0] = grid[:, 0] / 127.5 - 1.0
    grid[:, 1:] /= 255.0
    return grid


def cached_shapes(cache: Path, baked: Baked, files: list[str], categories: tuple[str, ...]) -> ShapeData:
    """`load_shapes`, kept in a file beside the baked grids: a minute on one core the first time.

    Those files that were made before a model of the folder came, went or changed are then removed.
    Raises OutputError where the file cannot be written; a damaged one is made again.
    """
    stamp_of = {baked.sources[int(row)].file: _content(baked.stamps[int(row)]) for row in baked.rows}
    stamps = [stamp_of.get(file) for file in files]
    named = [files, categories, len(baked.rows), *([stamps] if any(stamps) else [])]
    path = cache / f"shapes-{_digest(named)}.pt"
    stored = _stored(path)
    if stored is not None:
        rows = stored["rows"].numpy()
        names = tuple(baked.sources[int(row)].file for row in rows)
        return ShapeData(
            stored["distance"], stored["look"], stored["extent"], stored["category"], categories, names, rows
        )
    shapes = load_shapes(baked, files, categories)
    state = _digest([stamp_of, len(baked.rows)])
    _remove_superseded(cache, state)
    tensors = {name: getattr(shapes, name) for name in ("distance", "look", "extent", "category")}
    save_checkpoint(path, {**tensors, "rows": torch.from_numpy(shapes.rows), "state": state})
    return shapes


def _content(stamp: Stamp | None) -> Stamp | None:
    """What of a stamp tells the content."""
    return (stamp[2:] or stamp) if stamp else stamp


def _digest(named: object) -> str:
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:12]


def _stored(path: Path) -> dict[str, Any] | None:
    """What a file holds, its tensors mapped; None where there is none, or it is damaged."""
    stored: dict[str, Any] | None = None
    if path.is_file():
        with suppress(Exception):  # torch's reader raises whatever the bytes lead it to
            stored = torch.load(path, weights_only=True, mmap=True)
    return stored


def _remove_superseded(cache: Path, state: str) -> None:
    """Remove the files of another `state` of the baked folder, which nobody will ask for; whoever still has one mapped
    keeps it (on Windows, where it cannot be removed then, it goes the next time)."""
    for path in cache.glob("shapes-*.pt"):
        if (_stored(path) or {}).get("state") != state:
            with suppress(OSError):
                path.unlink()


def load_shapes(baked: Baked, files: list[str], categories: tuple[str, ...]) -> ShapeData:
    """The named models of a baked folder that are of these categories, in the given order."""
    row_of = {s.file: int(row) for row in baked.rows if (s := baked.sources[int(row)]).category in categories}
    rows = np.array([row_of[file] for file in files if file in row_of], np.int64)
    distance = torch.empty(len(rows), 1, 64, 64, 64, dtype=torch.uint8)
    look = torch.empty(len(rows), 7, 32, 32, 32, dtype=torch.uint8)
    extent = torch.empty(len(rows), 3)
    for start in range(0, len(rows), 16):
        grid = grid_floats(baked.grids[rows[start : start + 16]])
        for offset, (one, colours) in enumerate(zip(*split_grid(grid), strict=True)):
            at = start + offset
            distance[at] = torch.from_numpy(np.array(baked.grids[rows[at], :1]))
            look[at] = (colours * 255).round().to(torch.uint8)
            filled = one[0] < 0
            extent[at] = torch.tensor([float(_span(filled.any(d2).any(d1))) for d1, d2 in ((1, 2), (0, 2), (0, 1))])
    numbers = {name: number for number, name in enumerate(categories)}
    category = torch.tensor([numbers[baked.sources[int(row)].category] for row in rows], dtype=torch.int64)
    names = tuple(baked.sources[int(row)].file for row in rows)
    return ShapeData(distance, look, extent, category, categories, names, rows)


def _span(line: Tensor) -> int:
    where = torch.nonzero(line).flatten()
    return int(where[-1] - where[0]) + 1 if len(where) else 1
