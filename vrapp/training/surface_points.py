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
    return points.astype(np.float32)
