"""Points spread evenly over a surface: what near-duplicates and the shape metrics are measured on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_surface(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], count: int, seed: int
) -> NDArray[np.float32]:
    """(count, 3) float32 area-weighted points, centred on the bounding box, longest side 1."""
    corners = vertices[faces].astype(np.float64)  # (F, 3, 3)
    low, high = corners.min((0, 1)), corners.max((0, 1))
    corners = (corners - (low + high) / 2) / max(float((high - low).max()), 1e-12)
    edge_a, edge_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.linalg.norm(np.cross(edge_a, edge_b), axis=1)
    rng = np.random.default_rng(seed)
    ticks = (np.arange(count) + rng.random(count)) / count * area.sum()  # stratified
    chosen = np.searchsorted(np.cumsum(area), ticks).clip(0, len(faces) - 1)
    u, v = rng.random((2, count))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    points = corners[chosen, 0] + u[:, None] * edge_a[chosen] + v[:, None] * edge_b[chosen]
    found: NDArray[np.float32] = points.astype(np.float32)
    return found


def field_points(field: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """(count, 3) points on the zero surface of a distance field (R, R, R), longest side 1.

    A field without a surface gives points at the origin: as far from any shape as a dot can be.
    """
    from skimage import measure

    padded = np.pad(field, 1, constant_values=1.0)
    if not (padded < 0).any() or not (padded > 0).any():
        return np.zeros((count, 3), np.float32)
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.0)  # type: ignore[no-untyped-call]
    return sample_surface(vertices.astype(np.float64), faces.astype(np.int64), count, seed)
