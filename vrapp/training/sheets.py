"""Contact sheets of grids: marching cubes and a small painter of our own, no GL needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_TILE = 160
_SUN = np.array([0.45, 0.75, 0.5]) / np.linalg.norm([0.45, 0.75, 0.5])


def draw_grid(grid: NDArray[np.float32], size: int = _TILE, turn: float = 0.65, tilt: float = 0.42) -> Image.Image:
    """Picture of a (7, 64, 64, 64) grid from the front right and above, splatted with a depth buffer."""
    from skimage import measure  # of the extra "train": who lacks it is told so by what bakes the models

    field = np.pad(grid[0], 1, constant_values=1.0)
    picture = Image.new("RGB", (size, size), (236, 238, 242))
    if not (field < 0).any():
        return picture
    vertices, faces, _, _ = measure.marching_cubes(field, 0.0)  # type: ignore[no-untyped-call]
    corners = vertices[faces] - 1.0  # (F, 3, 3) voxels
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    weights = np.array([[1 / 3] * 3, [0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7], [0.45, 0.45, 0.1],
                        [0.1, 0.45, 0.45], [0.45, 0.1, 0.45]])  # fmt: skip
    points = np.einsum("sc,fck->fsk", weights, corners).reshape(-1, 3)  # several splats a triangle
    normal = np.repeat(normal, len(weights), 0)
    cell = np.clip(np.round(points).astype(int), 0, 63)
    colour = grid[1:4, cell[:, 0], cell[:, 1], cell[:, 2]].T  # sRGB
    light = 0.5 + 0.5 * np.clip(normal @ _SUN, -0.4, 1.0)
    glow = grid[6, cell[:, 0], cell[:, 1], cell[:, 2]]
    shaded = np.clip(colour * np.maximum(light, glow)[:, None], 0, 1)
    cos_t, sin_t, cos_p, sin_p = np.cos(turn), np.sin(turn), np.cos(tilt), np.sin(tilt)
    x, y, z = (points - 31.5).T
    right, ahead = cos_t * x - sin_t * z, sin_t * x + cos_t * z
    up, depth = cos_p * y - sin_p * ahead, sin_p * y + cos_p * ahead
    scale = size / 84
    column = np.round(size / 2 + right * scale).astype(int)
    row = np.round(size / 2 - up * scale).astype(int)
    good = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    order = np.argsort(depth[good])  # nearest drawn last
    pixels = np.asarray(picture).copy()
    pixels[row[good][order], column[good][order]] = (shaded[good][order] * 255).astype(np.uint8)
    return Image.fromarray(pixels)


def contact_sheet(
    grids: NDArray[np.float32], labels: list[str], path: Path, columns: int = 8, size: int = _TILE
) -> None:
    """Write a PNG of grids (N, 7, 64, 64, 64) with a caption below each."""
    rows = (len(grids) + columns - 1) // columns
    sheet = Image.new("RGB", (columns * size, rows * (size + 14)), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for number, (grid, label) in enumerate(zip(grids, labels, strict=True)):
        left, top = number % columns * size, number // columns * (size + 14)
        sheet.paste(draw_grid(grid, size), (left, top))
        pen.text((left + 3, top + size + 1), label[: size // 7], fill=(20, 20, 20))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
