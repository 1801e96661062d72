"""Tops of tables, crates and benches: where a small thing can lie, found from the generated mesh itself."""

from __future__ import annotations

import numpy as np

from vrapp.core.maths import Array
from vrapp.core.mesh import Mesh

CELLS = 16
_FLAT = 0.02  # of the object's cube: heights that differ by less are one surface


def top_map(mesh: Mesh) -> Array:
    """(CELLS, CELLS) float32 heights in object space, [x, z] over the mesh's box: the greatest in each cell.

    Cells without a vertex hold -inf. Surface nets leave a vertex every 1/64, several a cell.
    """
    if mesh.tops is not None:
        return mesh.tops
    p = mesh.levels[0].vertices["position"]
    lower, upper = mesh.box[0], mesh.box[1]
    extent = np.maximum(upper - lower, 1e-6)
    cell = np.clip(((p - lower) / extent * CELLS).astype(np.int64), 0, CELLS - 1)
    heights = np.full((CELLS, CELLS), -np.inf, np.float32)
    np.maximum.at(heights, (cell[:, 0], cell[:, 2]), p[:, 1])
    return heights


def flat_places(heights: Array, box: Array, radius: float) -> tuple[Array, Array]:
    """Where a disc of ``radius`` (object space) lies flat: centres (n, 2) in object x, z and heights (n,)."""
    lower, upper = np.asarray(box[0], np.float32), np.asarray(box[1], np.float32)
    cell = np.maximum((upper - lower) / CELLS, 1e-6)[[0, 2]]
    span = np.ceil(np.minimum(radius / cell, CELLS)).astype(int)
    if (2 * span + 1 > CELLS + 1).any():
        return np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    dx, dz = np.mgrid[-span[0] : span[0] + 1, -span[1] : span[1] + 1]
    inside = np.hypot(dx * cell[0], dz * cell[1]) <= radius + 0.5 * float(cell.min())
    dx, dz = dx[inside], dz[inside]
    ix, iz = np.mgrid[0:CELLS, 0:CELLS].reshape(2, -1, 1)
    x, z = ix + dx, iz + dz
    whole = ((x >= 0) & (x < CELLS) & (z >= 0) & (z < CELLS)).all(1)
    under = heights[x[whole], z[whole]]
    highest, lowest = under.max(1), under.min(1)
    flat = np.isfinite(lowest) & (lowest >= highest - _FLAT)
    centre = np.concatenate([ix[whole][flat], iz[whole][flat]], axis=1) + 0.5
    return (lower[[0, 2]] + centre * cell).astype(np.float32), highest[flat]
