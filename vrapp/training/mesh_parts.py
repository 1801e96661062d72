"""What the readers of mesh files give, the limits they keep, and the way to the files beside a model."""

from __future__ import annotations

import io
import re
import urllib.parse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

MAX_FILE_BYTES = 256 * 2**20
MAX_TRIANGLES = 2_000_000
MAX_TEXTURE_BYTES = 64 * 2**20
MAX_PIXELS = 8192 * 8192
PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TGA", "GIF")
_KEPT_PIXELS = 2048  # a side: a grid has far fewer voxels

FloatArray = NDArray[np.float64]


class MeshRejected(Exception):
    """A mesh file that cannot be used; the message is the reason, a few words."""


@dataclass(frozen=True)
class Texture:
    """`pixels` (H, W, 3) uint8, and how each axis goes on outside 0..1: "repeat", "clamp" or "mirror"."""

    pixels: NDArray[np.uint8]
    wraps: tuple[str, str] = ("repeat", "repeat")

    def read(self, uv: FloatArray) -> FloatArray:
        """(N, 3) of 0..1 at coordinates (N, 2), v up, the nearest texel: palettes have no in-between colours."""
        height, width = self.pixels.shape[:2]
        column = (_wrapped(uv[:, 0], self.wraps[0]) * width).astype(np.int64).clip(0, width - 1)
        row = (_wrapped(1.0 - uv[:, 1], self.wraps[1]) * height).astype(np.int64).clip(0, height - 1)
        return cast(FloatArray, self.pixels[row, column] / 255.0)


@dataclass(frozen=True)
class Material:
    """Linear RGB, roughness, metalness and emission, 0..1, each multiplied by what its texture has (glTF's way:
    colours are sRGB, roughness is green and metalness blue)."""

    rgb: tuple[float, float, float] = (0.5, 0.5, 0.5)
    roughness: float = 0.8
    metalness: float = 0.0
    emission: float = 0.0
    colours: Texture | None = None
    rough_metal: Texture | None = None
    glow: Texture | None = None

    def row(self) -> FloatArray:
        """(6,) of the numbers."""
        numbers = np.array([*self.rgb, self.roughness, self.metalness, self.emission], np.float64)
        return np.clip(np.nan_to_num(numbers, nan=0.5), 0.0, 1.0)


@dataclass(frozen=True)
class Part:
    """Triangles of one material: `vertices` (V, 3), `faces` (F, 3), `uv` (V, 2) with v up, and linear vertex colours
    `colour` (V, 3), None where there are none."""

    vertices: FloatArray
    faces: NDArray[np.int64]
    material: Material
    uv: FloatArray
    colour: FloatArray | None = None


def _wrapped(along: FloatArray, wrap: str) -> FloatArray:
    if wrap == "clamp":
        return np.clip(along, 0.0, 1.0)
    if wrap == "mirror":
        return 1.0 - np.abs(along % 2.0 - 1.0)
    return along % 1.0


def inside(folder: Path, uri: str, root: Path) -> Path:
    """`folder`/`uri`, links followed, when that lies in `root`; else MeshRejected."""
    name = urllib.parse.unquote(uri).replace("\\", "/")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", name):
        raise MeshRejected(f"URI {uri[:80]!r} is not a local file")
    try:
        path = (folder / name).resolve()
        outside = "\0" in name or not path.is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, names that no system takes
        outside = True
    if outside:
        raise MeshRejected(f"URI {uri[:80]!r} leaves the data folder")
    return path


def side_file(folder: Path, uri: str, root: Path) -> Path:
    """A file beside a model, there and of a bearable size."""
    path = inside(folder, uri, root)
    try:
        if not path.is_file():
            raise MeshRejected(f"file {uri[:80]!r} is missing")
        size = path.stat().st_size
    except OSError as error:
        raise MeshRejected(f"file {uri[:80]!r} cannot be read ({error.strerror})") from error
    if size > (MAX_FILE_BYTES if path.suffix.lower() == ".bin" else MAX_TEXTURE_BYTES):
        raise MeshRejected(f"file {uri[:80]!r} is too large")
    return path


def read_picture(raw: bytes, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a picture file, see `pixels_of`."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return pixels_of(Image.open(io.BytesIO(raw), formats=PICTURE_FORMATS), name)
    except (MeshRejected, MemoryError):
        raise
    except Exception as error:  # Pillow raises whatever the bytes lead it to
        raise MeshRejected(f"texture {name!r} cannot be read") from error


def pixels_of(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a picture, made smaller where it is far larger than a grid can show."""
    if image.width * image.height > MAX_PIXELS:
        raise MeshRejected(f"texture {name!r} has {image.width} x {image.height} pixels")
    if max(image.size) > _KEPT_PIXELS:
        factor = -(-max(image.size) // _KEPT_PIXELS)
        image = image.resize((max(1, image.width // factor), max(1, image.height // factor)))
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        grey = (np.asarray(image, np.float64) / 257.0).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, 2)
    return np.asarray(image.convert("RGB"), np.uint8)


def srgb_to_linear(value: FloatArray) -> FloatArray:
    """sRGB-encoded 0..1 → linear 0..1 (IEC 61966-2-1)."""
    value = np.clip(value, 0.0, 1.0)
    return cast(FloatArray, np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


def linear_to_srgb(value: FloatArray) -> FloatArray:
    """Linear 0..1 → sRGB-encoded 0..1 (IEC 61966-2-1)."""
    value = np.clip(value, 0.0, 1.0)
    return cast(FloatArray, np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055))
