"""Sets of 28×28 pictures: MNIST as it is published, arrays of one's own, or relief made by code."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrapp.core.errors import InputFileError
from vrapp.models.dense import PIXELS, Pixels
from vrapp.training.relief import relief

SIDE = 28
MOST_IMAGES = 1_000_000
_IMAGES, _LABELS = 0x803, 0x801  # magic numbers of the idx format
_PARTS = ("train", "t10k")


@dataclass(frozen=True)
class ImageSet:
    """`pixels` (N, 784): uint8 grey levels that are binarised (Bernoulli), or float32 heights (Gaussian);
    `label` (N,) int64, −1 where it is not known."""

    pixels: Tensor
    label: Tensor
    name: str

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def kind(self) -> Pixels:
        """How its pixels are distributed."""
        return "bernoulli" if self.pixels.dtype == torch.uint8 else "gaussian"

    @property
    def mean(self) -> Tensor:
        """Mean picture (784,) float32; grey levels in [0, 1]."""
        total = self.pixels.double().mean(0).float()
        return total / 255 if self.kind == "bernoulli" else total

    def batch(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        """(B, 784) float32 of `rows`; grey levels are binarised anew, a grey of g being 1 with chance g / 255."""
        some = self.pixels[rows]
        if self.kind == "gaussian":
            return some
        return (torch.rand(some.shape, generator=rng) * 255 < some).float()


def relief_sets(seed: int = 0, train: int = 32_768, test: int = 4_096) -> tuple[ImageSet, ImageSet]:
    """Training and test relief; the two come from different seeds."""
    parts = []
    for count, own_seed in ((train, 2 * seed), (test, 2 * seed + 1)):
        heights, kind = relief(count, own_seed)
        parts.append(ImageSet(torch.from_numpy(heights).reshape(-1, PIXELS), torch.from_numpy(kind), "relief"))
    return parts[0], parts[1]


def load_image_sets(folder: Path) -> tuple[ImageSet, ImageSet]:
    """Training and test pictures in `folder`: MNIST's four files, there or in its sub-folder mnist, or
    arrays (N, 28, 28) in .npy files (uint8 pictures or float heights; every tenth is kept for tests).

    Raises InputFileError.
    """
    for place in (folder, folder / "mnist"):
        if _idx_file(place, "train", "images-idx3"):
            return _mnist(place, "train"), _mnist(place, "t10k")
    files = sorted(folder.glob("*.npy"))
    if not files:
        raise InputFileError(
            f"There are no MNIST files (train-images-idx3-ubyte.gz …) and no .npy arrays (N, 28, 28) in {folder}."
        )
    return _own_arrays(files)


def _idx_file(folder: Path, part: str, what: str) -> Path | None:
    for ending in (".gz", ""):
        path = folder / f"{part}-{what}-ubyte{ending}"
        if path.is_file():
            return path
    return None


def _mnist(folder: Path, part: str) -> ImageSet:
    images, labels = _idx_file(folder, part, "images-idx3"), _idx_file(folder, part, "labels-idx1")
    if images is None:
        raise InputFileError(f"The file {part}-images-idx3-ubyte.gz is missing in {folder}.")
    pixels = read_idx(images, _IMAGES)
    label = np.full(len(pixels), -1, np.int64) if labels is None else read_idx(labels, _LABELS).astype(np.int64)
    if len(label) != len(pixels):
        raise InputFileError(f"{labels} has {len(label)} labels for the {len(pixels)} pictures of {images.name}.")
    return ImageSet(torch.from_numpy(pixels.reshape(-1, PIXELS)), torch.from_numpy(label), "mnist")


def read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """An idx file of bytes, packed or not: pictures (N, 28, 28) or labels (N,). Raises InputFileError.

    Reads no more than the header announces, so that a small packed file cannot fill the memory.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            found, count = struct.unpack(">II", file.read(8))
            shape: tuple[int, ...] = struct.unpack(">II", file.read(8)) if magic == _IMAGES else ()
            if found != magic or not 0 < count <= MOST_IMAGES or shape not in ((), (SIDE, SIDE)):
                raise InputFileError(f"{path} is not an idx file of 28×28 pictures or of their labels.")
            numbers = np.frombuffer(file.read(count * int(np.prod(shape, dtype=int))), np.uint8)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputFileError(f"{path} cannot be read, or is cut off ({error}).") from error
    if numbers.size != count * int(np.prod(shape, dtype=int)):
        raise InputFileError(f"{path} is cut off: it has {numbers.size} bytes of {count} pictures or labels.")
    return numbers.reshape(count, *shape).copy()


def _own_arrays(files: list[Path]) -> tuple[ImageSet, ImageSet]:
    arrays = [_own_array(path) for path in files]
    if len({array.dtype == np.uint8 for array in arrays}) > 1:
        raise InputFileError(f"The arrays beside {files[0]} are pictures (uint8) and heights (float); split them.")
    pixels = np.concatenate(arrays).reshape(-1, PIXELS)
    if len(pixels) < 100:
        raise InputFileError(f"There are only {len(pixels)} pictures beside {files[0]}; at least 100 are needed.")
    if pixels.dtype != np.uint8:
        pixels = (pixels - pixels.mean()) / max(float(pixels.std()), 1e-9)
    kept = np.arange(len(pixels)) % 10 == 9
    train, test = (torch.from_numpy(np.ascontiguousarray(pixels[rows])) for rows in (~kept, kept))
    unknown = [torch.full((len(part),), -1, dtype=torch.int64) for part in (train, test)]
    return ImageSet(train, unknown[0], "own"), ImageSet(test, unknown[1], "own")


def _own_array(path: Path) -> NDArray[np.uint8] | NDArray[np.float32]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError) as error:
        raise InputFileError(f"{path} is not a .npy array ({str(error).splitlines()[0][:120]}).") from error
    if array.ndim != 3 or array.shape[1:] != (SIDE, SIDE) or len(array) > MOST_IMAGES:
        raise InputFileError(f"{path} has the shape {array.shape}; expected (N, 28, 28), N up to {MOST_IMAGES:,}.")
    if array.dtype == np.uint8:
        return np.array(array)
    if array.dtype.kind != "f":
        raise InputFileError(f"{path} holds {array.dtype}; expected uint8 pictures or float heights.")
    heights = np.array(array, np.float32)
    if not np.isfinite(heights).all():
        raise InputFileError(f"{path} holds numbers that are not finite; mend or leave out those tiles.")
    return heights
