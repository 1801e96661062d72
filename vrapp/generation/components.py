"""Connected pieces of a closed mesh, and taking away those that nobody should see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    corners = np.ascontiguousarray(level.indices.reshape(-1, 3).T.astype(np.int32))
    count, label = _labels(corners, len(level.vertices))
    area, volume = _areas_and_volumes(np.ascontiguousarray(level.vertices["position"].T), corners)
    piece = label[corners[0]]
    return Pieces(label, np.bincount(piece, area, count), np.bincount(piece, volume, count))


def _labels(corners: np.ndarray, size: int) -> tuple[int, np.ndarray]:
    """How many pieces triangles ``corners`` (3, T) over ``size`` vertices make, and the piece of each vertex."""
    one, two = np.concatenate((corners[0], corners[1])), np.concatenate((corners[1], corners[2]))
    root = numbers = np.arange(size)
    while len(one):
        # Each follows a lower neighbour, to one that has none; what links those that are left goes into another round.
        lower = numbers.copy()
        lower[np.maximum(one, two)] = np.minimum(one, two)
        while not np.array_equal(farther := lower.take(lower), lower):
            lower = farther
        root, one, two = lower.take(root), lower.take(one), lower.take(two)
        apart = np.flatnonzero(one != two)
        one, two = one.take(apart), two.take(apart)
    number = np.cumsum(root == numbers) - 1
    return int(number[-1]) + 1 if size else 0, number.take(root)


def _areas_and_volumes(position: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) float32 of triangles ``corners`` (3, T), and of the tetrahedra under them; ``position`` is (3, V). By
    columns: ``np.cross`` is slow."""
    a, b, c = (np.stack([row.take(corner) for row in position]) for corner in corners)
    x, y, z = _cross(b - a, c - a)
    return np.sqrt(x * x + y * y + z * z) / 2, (a[0] * x + a[1] * y + a[2] * z) / 6


def _cross(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]


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


def handles(pieces: int, vertices: int, triangles: int) -> int:
    """Holes through closed surfaces, those of all pieces added up (their genus).

    Euler's characteristic is V − T / 2, as two triangles share each edge, and 2 − 2 · genus for each piece.
    """
    return pieces - (vertices - triangles // 2) // 2


def is_closed(indices: np.ndarray) -> bool:
    """Whether each edge of the triangles (3·T,) is used once in each direction."""
    triangles = indices.reshape(-1, 3).astype(np.int64)
    start, end = triangles.reshape(-1), np.roll(triangles, -1, axis=1).reshape(-1)
    if len(start) % 2 or (start == end).any():
        return False
    edge = np.minimum(start, end) << 32 | np.maximum(start, end)
    uses = np.sort(edge << 1 | (start < end))  # each edge's two, back before forth
    back, forth = uses[0::2], uses[1::2]
    return bool((back + 1 == forth).all() and not (back & 1).any())
