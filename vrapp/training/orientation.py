"""Faces that agree about where the outside is, for winding numbers: two-sided and partly flipped meshes have none."""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray

_SAME_POINT = 1e-4  # voxels


def oriented(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The mesh with vertices of one place merged, each triangle once, and every patch turned one way: the way that most
    of its area was turned. `vertices` (V, 3) in voxels, `faces` (F, 3)."""
    places, merged = np.unique(np.round(vertices / _SAME_POINT).astype(np.int64), axis=0, return_inverse=True)
    triangles = merged.reshape(-1)[faces]
    _, first = np.unique(np.sort(triangles, 1), axis=0, return_index=True)
    triangles = triangles[np.sort(first)]
    degenerate = (triangles == np.roll(triangles, 1, 1)).any(1)
    triangles = np.ascontiguousarray(triangles[~degenerate])
    points = np.ascontiguousarray(places * _SAME_POINT)
    if not len(triangles) or _agree(triangles):
        return points, triangles
    turned, patch = igl.bfs_orient(triangles)
    kept = (turned == triangles).all(1)
    corners = points[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    balance = np.bincount(patch, np.where(kept, area, -area))
    turned[balance[patch] < 0] = turned[balance[patch] < 0][:, ::-1]
    return points, np.ascontiguousarray(turned)


def _agree(triangles: NDArray[np.int64]) -> bool:
    """Whether no edge is run through twice in the same direction."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return len(np.unique(edges[:, 0] * (int(triangles.max()) + 1) + edges[:, 1])) == len(edges)
