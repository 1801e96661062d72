"""Triangles → the 7-channel 64³ grid that the networks learn from.

Axes of a grid are (channel, x, y, z); voxel i's centre lies at i + 0.5 in voxel units.  The model is
centred with its longest side `OBJECT_VOXELS` long.  Stored as uint8: channel 0 is the truncated signed
distance, −1..1 (TRUNCATION_VOXELS voxels, positive outside) mapped to 0..255; the others 0..1 → 0..255.
"""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vrapp.training.meshes import SurfaceMesh, surface_appearance
from vrapp.training.orientation import oriented

RESOLUTION = 64
OBJECT_VOXELS = 56.0
TRUNCATION_VOXELS = 4.0
THICKEN_VOXELS = 0.55  # sheets thinner than a voxel would vanish
CHANNELS = 7
_BLOCK = 4  # the distance is first asked at the centres of blocks of 4³ voxels


def grid_from_mesh(mesh: SurfaceMesh) -> NDArray[np.uint8]:
    """(7, 64, 64, 64) uint8 grid of a mesh.  Inside is where |winding number| > ½, so open shells, overlapping
    bodies and whole bodies turned inside out do no harm (Barill et al. 2018, fast winding numbers); `oriented` sees
    to faces turned here and there, and to two-sided ones."""
    used = np.unique(mesh.faces)
    low, high = mesh.vertices[used].min(0), mesh.vertices[used].max(0)
    scale = OBJECT_VOXELS / float((high - low).max())
    vertices = np.ascontiguousarray((mesh.vertices - (low + high) / 2) * scale + RESOLUTION / 2)
    faces = np.ascontiguousarray(mesh.faces)
    points, near = _near_voxels(vertices, faces)
    squared, face, closest = igl.point_mesh_squared_distance(points, vertices, faces)
    solid = oriented(vertices, faces)
    inside_block = np.abs(igl.fast_winding_number(*solid, _block_centres())) > 0.5
    inside = np.repeat(np.repeat(np.repeat(_blocks(inside_block), _BLOCK, 0), _BLOCK, 1), _BLOCK, 2)
    distance = np.where(inside, -TRUNCATION_VOXELS, TRUNCATION_VOXELS)
    sign = np.where(np.abs(igl.fast_winding_number(*solid, points)) > 0.5, -1.0, 1.0)
    near_distance = np.sqrt(np.maximum(squared, 0.0)) * sign - THICKEN_VOXELS
    distance[tuple(near.T)] = near_distance
    grid = np.zeros((CHANNELS, RESOLUTION, RESOLUTION, RESOLUTION), np.uint8)
    grid[0] = np.round((np.clip(distance / TRUNCATION_VOXELS, -1, 1) + 1) * 127.5).astype(np.uint8)
    shown = np.abs(near_distance) < TRUNCATION_VOXELS + 1
    look = surface_appearance(mesh, face[shown], _barycentric(vertices[faces[face[shown]]], closest[shown]))
    x, y, z = near[shown].T
    grid[1:, x, y, z] = np.round(look.T * 255).astype(np.uint8)
    seen = np.zeros(grid.shape[1:], bool)
    seen[x, y, z] = True
    _colour_lids(grid, seen)
    return grid


def _colour_lids(grid: NDArray[np.uint8], seen: NDArray[np.bool_]) -> None:
    """Where an opening is closed, the surface is far from every triangle: it looks like the nearest of them."""
    inside = grid[0] < 127
    shell = ndimage.binary_dilation(inside, iterations=2) & ~ndimage.binary_erosion(inside, iterations=2)
    bare = shell & ~seen
    if bare.any() and seen.any():
        nearest = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
        grid[1:, bare] = grid[1:, *nearest[:, bare]]


def _block_centres() -> NDArray[np.float64]:
    side = np.arange(RESOLUTION // _BLOCK) * _BLOCK + _BLOCK / 2
    return np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3).astype(np.float64)


def _blocks(flat: NDArray[np.bool_]) -> NDArray[np.bool_]:
    side = RESOLUTION // _BLOCK
    return flat.reshape(side, side, side)


def _near_voxels(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centres (N, 3) and indices (N, 3) of the voxels of blocks that may hold a truncated distance."""
    squared, _, _ = igl.point_mesh_squared_distance(_block_centres(), vertices, faces)
    reach = TRUNCATION_VOXELS + THICKEN_VOXELS + _BLOCK / 2 * np.sqrt(3)
    blocks = np.argwhere(_blocks(squared < reach**2))  # (K, 3)
    offsets = np.argwhere(np.ones((_BLOCK,) * 3, bool))  # (64, 3)
    index = (blocks[:, None] * _BLOCK + offsets[None]).reshape(-1, 3)
    return np.ascontiguousarray(index + 0.5, dtype=np.float64), index


def _barycentric(corners: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) barycentric coordinates of points (N, 3) in triangles (N, 3, 3), clamped and normalised."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    offset = points - corners[:, 0]
    d00, d01, d11 = (first * first).sum(1), (first * second).sum(1), (second * second).sum(1)
    d20, d21 = (offset * first).sum(1), (offset * second).sum(1)
    scale = np.maximum(d00 * d11 - d01 * d01, 1e-12)
    v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    weights = np.clip(np.stack([1 - v - w, v, w], 1), 0.0, 1.0)
    total: NDArray[np.float64] = weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)
    return total
