"""The objects that stand there when the world begins: made once, then read from disk in a moment.

File: magic, length of the header, JSON header, crc32 of the rest, then for each object its latent,
components, box, hull and mesh, end to end. Anything wrong with it means that it is made again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import tempfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vrapp.core.generation import GeneratedObject, Generator, Steering
from vrapp.core.mesh import LATENT_DIM
from vrapp.generation.packing import PackedShape, read_mesh, shape_of, write_mesh
from vrapp.generation.wishes import WishList

_MAGIC = b"vrappset"
_PREFIX_BYTES = 24  # magic, length of the header, checksum
_KEPT_BYTES = 512 << 20
_KEPT_FILES = 8

log = logging.getLogger(__name__)


def code_digest() -> str:
    """Of the code that turns requests into meshes: another version may make other meshes of them."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted([*(package / "generation").glob("*.py"), *(package / "models").glob("*.py")]):
        digest.update(path.read_bytes())
    digest.update((package / "core" / "mesh.py").read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class StartSetKey:
    """Everything that decides what the objects are."""

    weights_hash: str
    seed: int
    wishes: tuple[Steering, ...]

    def file(self, folder: Path) -> Path:
        """Where this set is kept below the cache folder."""
        digest = hashlib.sha256(f"{code_digest()} {self.weights_hash} {self.seed}".encode())
        for wish in self.wishes:
            digest.update(f"{wish.category} {wish.temperature} {wish.candidates} {wish.nearness}".encode())
            for array in (wish.utility, wish.near):
                digest.update(b"-" if array is None else np.asarray(array, np.float32).tobytes())
        return folder / "startsets" / f"{digest.hexdigest()[:32]}.vset"


def load(key: StartSetKey, folder: Path) -> list[GeneratedObject] | None:
    """The set kept under ``key``, or None where there is none, or it is damaged.

    Meshes are views of the mapped file, read when they are used.
    """
    path = key.file(folder)
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        os.utime(path)
        return _parse(memoryview(mapped))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, IndexError) as e:
        log.warning("the cached start set %s is damaged (%s); it is made again", path, e)
        return None


def save(key: StartSetKey, objects: Sequence[GeneratedObject], folder: Path) -> None:
    """Keep ``objects`` under ``key``: whole or not at all. A cache that cannot be written is only logged."""
    path = key.file(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            _write(file, objects)
        os.replace(name, path)
        _forget_old(path.parent, path)
    except (OSError, RuntimeError) as e:  # torch's, where meshes lie on a card that fails
        log.warning("the start set cannot be kept in %s (%s); the next start makes it again", path.parent, e)


def _write(file: BinaryIO, objects: Sequence[GeneratedObject]) -> None:
    header = json.dumps([_describe(o) for o in objects]).encode()
    checksum = zlib.crc32(header)
    file.write(bytes(_PREFIX_BYTES) + header + bytes(-(_PREFIX_BYTES + len(header)) % 16))
    for made in objects:
        for raw in _arrays(made):
            checksum = zlib.crc32(raw, checksum)
            file.write(raw)
    file.seek(0)
    file.write(_MAGIC + np.array([len(header), checksum], "<u8").tobytes())


def _describe(made: GeneratedObject) -> dict[str, Any]:
    shape = shape_of(made.mesh)
    return {
        "request_id": made.request_id,
        "category": made.category,
        "components": len(made.components),
        "hull": len(shape.hull),
        "counts": shape.counts,
        "mesh_hash": made.mesh_hash,
        "attempts": made.attempts,
    }


def _arrays(made: GeneratedObject) -> Iterator[bytes | memoryview]:
    """What ``_read_object`` reads, in its order."""
    for array in (made.latent, made.components, made.mesh.box, made.mesh.hull):
        yield np.asarray(array, "<f4").tobytes()
    mesh = memoryview(bytearray(shape_of(made.mesh).nbytes))
    write_mesh(made.mesh, mesh)
    yield mesh


def _parse(file: memoryview) -> list[GeneratedObject]:
    """All objects of a file. Raises ValueError and its like where it is not as it was written."""
    if bytes(file[:8]) != _MAGIC:
        raise ValueError("not a start set")
    header_bytes, checksum = (int(n) for n in np.frombuffer(file, "<u8", 2, 8))
    header = bytes(file[_PREFIX_BYTES : _PREFIX_BYTES + header_bytes])
    at = -(-(_PREFIX_BYTES + header_bytes) // 16) * 16
    if zlib.crc32(file[at:], zlib.crc32(header)) != checksum:
        raise ValueError("its checksum is wrong")
    objects = []
    for row in json.loads(header):
        made, at = _read_object(file, at, row)
        objects.append(made)
    return objects


def _read_object(file: memoryview, at: int, row: dict[str, Any]) -> tuple[GeneratedObject, int]:
    """The object that begins at byte ``at``, and where the next one does."""
    arrays = []
    for shape in ((LATENT_DIM,), (row["components"],), (2, 3), (row["hull"], 3)):
        array = np.frombuffer(file, "<f4", int(np.prod(shape)), at).reshape(shape)
        arrays.append(array)
        at += array.nbytes
    latent, components, box, hull = arrays
    packed = PackedShape(tuple((v, i) for v, i in row["counts"]), box, hull)
    mesh = read_mesh(file[at : at + packed.nbytes], packed)
    made = GeneratedObject(
        row["request_id"], row["category"], latent, components, mesh, row["mesh_hash"], row["attempts"],
        from_cache=True,
    )  # fmt: skip
    return made, at + packed.nbytes


def _forget_old(folder: Path, newest: Path) -> None:
    """Keep the cache small: the sets that were not used for longest go first."""
    sets = sorted(folder.glob("*.vset"), key=lambda p: p.stat().st_mtime, reverse=True)
    total = 0
    for number, path in enumerate(sets):
        total += path.stat().st_size
        if path != newest and (number >= _KEPT_FILES or total > _KEPT_BYTES):
            path.unlink(missing_ok=True)
    for part in folder.glob("*.part"):
        part.unlink(missing_ok=True)


class StartSetBuilder:
    """Makes the set that ``key`` describes, a few objects a frame, and keeps it when all are there."""

    def __init__(self, generator: Generator, key: StartSetKey, folder: Path) -> None:
        self._wishes = WishList(generator, key.seed, key.wishes)
        self._key, self._folder = key, folder
        self._saving: threading.Thread | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come."""
        return self._saving is not None

    def update(self, frame_index: int) -> list[GeneratedObject]:
        """What has become ready since the last call; once a frame until ``is_done``."""
        if self.is_done:
            return []
        fresh, made = self._wishes.update(frame_index), self._wishes.made
        if self._wishes.is_done:
            objects = [made[wish] for wish in sorted(made)]
            made.clear()  # the world has them
            # A thread, as nearly all of it is checksums and writes, which let the frame go on.
            self._saving = threading.Thread(target=save, args=(self._key, objects, self._folder))
            self._saving.start()
        return fresh

    def wait_saved(self) -> None:
        """Return when the set is on disk (the end of the program waits for it by itself)."""
        if self._saving is not None:
            self._saving.join()
