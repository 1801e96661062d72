"""Points spread evenly over a surface: what near-duplicates and the shape metrics are measured on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_surface(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], count: int, seed: int
) -> NDArray[np.float32]:
    """(count, 3) float32 area-weighted points, centred on the bounding box, longest side 1."""
    low, high = vertices[faces].min((0, 1)), vertices[faces].max((0, 1))
    scaled = (vertices - (low + high) / 2) / max(float((high - low).max()), 1e-12)
    return spread(scaled, faces, count, seed)[0]


def spread(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], count: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(count, 3) float32 area-weighted points in the mesh's own units, and the unit normals of their faces."""
    corners = vertices[faces].astype(np.float64)  # (F, 3, 3)
    edge_a, edge_b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(edge_a, edge_b)
    area = np.linalg.norm(across, axis=1)
    rng = np.random.default_rng(seed)
    ticks = (np.arange(count) + rng.random(count)) / count * area.sum()  # stratified
    chosen = np.searchsorted(np.cumsum(area), ticks).clip(0, len(faces) - 1)
    u, v = rng.random((2, count))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    points = corners[chosen, 0] + u[:, None] * edge_a[chosen] + v[:, None] * edge_b[chosen]
    normals = across[chosen] / np.maximum(area[chosen], 1e-12)[:, None]
    return points.astype(np.float32), normals.astype(np.float32)


def field_points(field: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """(count, 3) points on the zero surface of a distance field (R, R, R), longest side 1.

    A field without a surface gives points at the origin: as far from any shape as a dot can be.
    """
    if (mesh := _zero_surface(field)) is None:
        return np.zeros((count, 3), np.float32)
    return sample_surface(*mesh, count, seed)


def field_surface(
    field: NDArray[np.float32], count: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """(count, 3) points in edges of the grid, and their normals; None for a field (R, R, R) without a surface."""
    if (mesh := _zero_surface(field)) is None:
        return None
    return spread(mesh[0] / len(field), mesh[1], count, seed)


def _zero_surface(field: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
    """Marching cubes in voxels; what touches the border is closed there."""
    from skimage import measure

    padded = np.pad(field, 1, constant_values=1.0)
    if not (padded < 0).any() or not (padded > 0).any():
        return None
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.0)  # type: ignore[no-untyped-call]
    return vertices.astype(np.float64), faces.astype(np.int64)
