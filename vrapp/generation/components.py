"""Connected pieces of a closed mesh, and taking away those that nobody should see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vrapp.core.mesh import MeshLevel


@dataclass(frozen=True)
class Pieces:
    """``label`` (V,) the piece of each vertex; ``area`` (P,) and signed ``volume`` (P,), both in object
    space. A cavity inside a body has negative volume."""

    label: np.ndarray
    area: np.ndarray
    volume: np.ndarray

    @property
    def count(self) -> int:
        """P."""
        return len(self.area)


def pieces_of(level: MeshLevel) -> Pieces:
    """The connected pieces of ``level``."""
    triangles = level.indices.reshape(-1, 3)
    one, two = triangles[:, 0], triangles[:, 1]
    three, size = triangles[:, 2], len(level.vertices)
    links = coo_array(
        (np.ones(2 * len(one), np.int8), (np.concatenate((one, two)), np.concatenate((two, three)))), (size, size)
    )
    count, label = connected_components(links, directed=False)
    a, b, c = level.vertices["position"][triangles].transpose(1, 0, 2).astype(np.float64)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    volume = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    piece = label[one]
    return Pieces(label, np.bincount(piece, area, count), np.bincount(piece, volume, count))


def without_debris(level: MeshLevel, least_share: float) -> tuple[MeshLevel, Pieces]:
    """``level`` without cavities and without pieces of less than ``least_share`` of the area that is left.

    Whole pieces go, so that a closed mesh stays closed. Also gives the pieces that stay.
    """
    pieces = pieces_of(level)
    body = pieces.volume > 0
    stays = body & (pieces.area >= least_share * pieces.area[body].sum())
    if stays.all():
        return level, pieces
    number = np.cumsum(stays) - 1
    kept = stays[pieces.label]
    renumbered = (np.cumsum(kept) - 1).astype(np.uint32)
    triangles = level.indices.reshape(-1, 3)
    triangles = triangles[kept[triangles[:, 0]]]
    left = MeshLevel(level.vertices[kept], renumbered[triangles].reshape(-1))
    return left, Pieces(number[pieces.label[kept]], pieces.area[stays], pieces.volume[stays])


def is_closed(indices: np.ndarray) -> bool:
    """Whether each edge of the triangles (3·T,) is used once in each direction."""
    triangles = indices.reshape(-1, 3).astype(np.int64)
    start, end = triangles.reshape(-1), np.roll(triangles, -1, axis=1).reshape(-1)
    forth = np.sort(start << 32 | end)
    return bool(np.array_equal(forth, np.sort(end << 32 | start)) and (np.diff(forth) > 0).all())
