"""A mesh as one run of bytes: what goes through shared memory and into the cache of start sets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from vrapp.core.mesh import VERTEX_DTYPE, Mesh, MeshLevel


@dataclass(frozen=True)
class PackedShape:
    """What is needed to find a mesh again in its bytes: ``(vertices, indices)`` of each level."""

    counts: tuple[tuple[int, int], ...]
    box: np.ndarray  # (2, 3) float32
    hull: np.ndarray  # (H, 3) float32

    @property
    def nbytes(self) -> int:
        """Bytes of all levels."""
        return sum(v * VERTEX_DTYPE.itemsize + i * 4 for v, i in self.counts)


def shape_of(mesh: Mesh) -> PackedShape:
    """The shape of ``mesh``."""
    return PackedShape(tuple((len(m.vertices), len(m.indices)) for m in mesh.levels), mesh.box, mesh.hull)


def write_mesh(mesh: Mesh, buffer: memoryview) -> None:
    """Copy all levels into ``buffer``, fine to coarse, vertices before indices."""
    at = 0
    for level in mesh.levels:
        for array in (level.vertices, level.indices):
            raw = _raw(array)
            buffer[at : at + raw.nbytes] = raw
            at += raw.nbytes


def read_mesh(buffer: memoryview | bytes, shape: PackedShape) -> Mesh:
    """The mesh in ``buffer``; its arrays are read-only views of it, not copies."""
    levels, at = [], 0
    for vertices, indices in shape.counts:
        found = np.frombuffer(buffer, VERTEX_DTYPE, vertices, at)
        at += found.nbytes
        levels.append(MeshLevel(found, np.frombuffer(buffer, np.uint32, indices, at)))
        at += indices * 4
    return Mesh(tuple(levels), shape.box, shape.hull)


def _raw(array: np.ndarray) -> memoryview:
    """The array's bytes, copied only where it is not contiguous."""
    return np.ascontiguousarray(array).view(np.uint8).reshape(-1).data


def mesh_hash(mesh: Mesh) -> str:
    """sha256 over the finest level: vertices, then indices."""
    digest = hashlib.sha256(_raw(mesh.levels[0].vertices))
    digest.update(_raw(mesh.levels[0].indices))
    return digest.hexdigest()
