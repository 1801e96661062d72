"""Faces that agree about where the outside is, for winding numbers: two-sided and partly flipped bodies have none."""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray

_SAME_POINT = 1e-4  # voxels

Triangles = NDArray[np.int64]


def oriented(vertices: NDArray[np.float64], faces: Triangles) -> tuple[NDArray[np.float64], Triangles]:
    """The mesh with vertices of one place merged, and each closed body with every triangle once, turned one way: the
    way that most of its area was turned.  What is not closed stays as it is: there a guess would do harm, for the two
    sides of a sheet rightly cancel. `vertices` (V, 3) in voxels, `faces` (F, 3)."""
    places, merged = np.unique(np.round(vertices / _SAME_POINT).astype(np.int64), axis=0, return_inverse=True)
    points = np.ascontiguousarray(places * _SAME_POINT)
    triangles = merged.reshape(-1)[faces]
    triangles = triangles[~(triangles == np.roll(triangles, 1, 1)).any(1)]
    _, first, same = np.unique(np.sort(triangles, 1), axis=0, return_index=True, return_inverse=True)
    once = np.ascontiguousarray(triangles[first])
    if not len(once) or (len(once) == len(triangles) and _agree(once)):
        return points, np.ascontiguousarray(triangles)
    closed = _closed(once)
    kept = triangles[~closed[same.reshape(-1)]]
    return points, np.ascontiguousarray(np.concatenate([kept, _turned(points, once[closed])]))


def _edges(triangles: Triangles) -> Triangles:
    """(3F, 2): all first edges, all second, all third."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])


def _numbers(edges: Triangles) -> Triangles:
    numbers: Triangles = edges[:, 0] * (int(edges.max()) + 1) + edges[:, 1]
    return numbers


def _agree(triangles: Triangles) -> bool:
    """Whether no edge is run through twice in the same direction."""
    return len(np.unique(_numbers(_edges(triangles)))) == 3 * len(triangles)


def _closed(triangles: Triangles) -> NDArray[np.bool_]:
    """(F,) whether a triangle belongs to a body all of whose edges have two triangles."""
    edges = _numbers(np.sort(_edges(triangles), 1))
    _, edge, count = np.unique(edges, return_inverse=True, return_counts=True)
    open_here = (count[edge.reshape(3, -1)] != 2).any(0)
    _, body = igl.facet_components(triangles)
    closed: NDArray[np.bool_] = ~np.isin(body, np.unique(body[open_here]))
    return closed


def _turned(points: NDArray[np.float64], triangles: Triangles) -> Triangles:
    """Closed bodies, each turned one way."""
    if not len(triangles):
        return triangles
    turned, patch = igl.bfs_orient(np.ascontiguousarray(triangles))
    kept = (turned == triangles).all(1)
    corners = points[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    balance = np.bincount(patch, np.where(kept, area, -area))
    turned[balance[patch] < 0] = turned[balance[patch] < 0][:, ::-1]
    result: Triangles = turned
    return result
