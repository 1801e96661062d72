"""The contracts of shape data: the grid that a decoder gives and the mesh that is drawn.

Grid: two float32 tensors over the same cube, axes (channel,) x, y, z. Distance (R, R, R), R = 64 at full detail, is
the TSDF in [-1, 1]: signed distance over ``TRUNCATION_VOXELS`` voxels of the 64-grid, positive outside. Look
(6, L, L, L), L = 32 at full detail, is sRGB-encoded colour in channels 0-2, 3 roughness, 4 metalness, 5 emission, all
in [0, 1]; it is only sampled, at the surfaces of all levels of detail.

Object space: the grid's cube is [-0.5, 0.5]³ with x, y, z along the grid's x, y, z; voxel i's centre
is at (i + 0.5)/R - 0.5. The object's longest side is about 56/64 of the cube. +Y is up, -Z… front is
not defined by the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

LOOK_CHANNELS = 6
TRUNCATION_VOXELS = 4.0
LATENT_SHAPE = (11, 4, 4, 4)
LATENT_DIM = 704
INDEX_BYTES = 4
LEVELS = 3  # of detail, from grids of 64, 32 and 16

#: One vertex, 24 bytes. ``normal`` is snorm8 (w unused); ``colour`` unorm8 sRGB + roughness;
#: ``material`` unorm8 metalness, emission, ambient occlusion, unused.
VERTEX_DTYPE = np.dtype([("position", "<f4", 3), ("normal", "i1", 4), ("colour", "u1", 4), ("material", "u1", 4)])


@dataclass(frozen=True)
class MeshLevel:
    """One level of detail: ``vertices`` (V,) of VERTEX_DTYPE, ``indices`` (3·T,) uint32, CCW outside."""

    vertices: np.ndarray
    indices: np.ndarray

    @property
    def vertex_count(self) -> int:
        """Number of vertices."""
        return len(self.vertices)

    @property
    def triangles(self) -> int:
        """Number of triangles."""
        return len(self.indices) // 3

    @property
    def nbytes(self) -> int:
        """Bytes of vertices and indices."""
        return self.vertex_count * VERTEX_DTYPE.itemsize + self.triangles * 3 * INDEX_BYTES

    @property
    def writer(self) -> LevelWriter:
        """What puts it into GL buffers. Generators whose meshes lie elsewhere have their own."""
        return HOST_WRITER


class Placed(NamedTuple):
    """A level, and the bytes at which its vertices and its indices begin in their buffers."""

    level: MeshLevel
    vertices_at: int
    indices_at: int


class LevelWriter(Protocol):
    """Puts levels into two GL buffers (moderngl.Buffer). On the GL thread."""

    def write(self, placed: Sequence[Placed], vertices: Any, indices: Any) -> None:
        """All of a frame at once."""

    def forget(self, buffer: Any) -> None:
        """It is about to be deleted."""


class HostWriter:
    """Out of main memory."""

    def write(self, placed: Sequence[Placed], vertices: Any, indices: Any) -> None:
        """See ``LevelWriter``."""
        for level, vertices_at, indices_at in placed:
            vertices.write(np.ascontiguousarray(level.vertices, VERTEX_DTYPE), offset=vertices_at)
            indices.write(np.ascontiguousarray(level.indices, np.uint32), offset=indices_at)

    def forget(self, buffer: Any) -> None:
        """Nothing was known of it."""


HOST_WRITER = HostWriter()


@dataclass(frozen=True)
class Mesh:
    """A drawable object in object space: levels from fine to coarse, and its box.

    ``box`` is (2, 3) float32: lower and upper corner of the finest level. ``hull`` is (≤ 48, 3)
    float32 support points for physics. ``tops``: where the generator knows them, (16, 16) float32, the greatest
    height over each cell of the box's x and z, -inf where there is none (``scene.surfaces`` finds them otherwise).
    """

    levels: tuple[MeshLevel, ...]
    box: np.ndarray
    hull: np.ndarray
    tops: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all levels."""
        return sum(level.nbytes for level in self.levels)
