"""What both sides draw: exported GLB files, where each stands, and the camera. Read alike by both."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from vrapp.core import maths, resources, rng
from vrapp.core.errors import VrappError
from vrapp.core.generation import GeneratedObject, Steering
from vrapp.core.maths import Array
from vrapp.core.pose import Fov, Pose

NEAR_M, FAR_M = 0.05, 200.0
FOV_RAD = math.radians(60)  # vertical
BACKGROUND = (0.32, 0.42, 0.52)
LONGEST_SIDE_M = 1.2
_KEY = 0x9EE6
_TEMPERATURE = 0.85
_SPARE = 1.25  # wishes to objects wanted: some are never fulfilled


@dataclass(frozen=True)
class GlbMesh:
    """``positions`` (V, 3) float32 in metres, ``colours`` (V, 4) uint8 linear, ``triangles`` (T, 3) uint32."""

    positions: Array
    colours: np.ndarray
    triangles: np.ndarray


def exported(count: int, seed: int, weights: Path) -> Path:
    """A folder with ``count`` objects as GLB files, made by the networks where it is not in the cache yet.

    Raises WeightsError, OutputError, and VrappError where the gate lets too few objects through.
    """
    from vrapp.generation.export import write_glb
    from vrapp.generation.service import WorkerGenerator
    from vrapp.generation.startset import code_digest
    from vrapp.generation.wishes import generate_objects

    with ExitStack() as owned:
        generator = WorkerGenerator(weights)
        owned.callback(generator.close)
        folder = resources.cache_folder() / "peer" / f"{generator.weights_hash[:16]}-{code_digest()[:8]}-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        if len(files_in(folder)) >= count:
            return folder
        wishes = [Steering(i % len(generator.categories), _TEMPERATURE) for i in range(int(_SPARE * count))]
        made: Iterator[tuple[int, GeneratedObject]] = islice(generate_objects(generator, seed, wishes), count)
        for number, (_, one) in enumerate(made):
            scale = LONGEST_SIDE_M / float(np.ptp(one.mesh.box, axis=0).max())
            for level in reversed(range(len(one.mesh.levels))):
                coarser = replace(one.mesh, levels=one.mesh.levels[level:])
                write_glb(folder / _name(number, level), coarser, f"object {number}", scale)
            if (number + 1) % 50 == 0:
                print(f"{number + 1} of {count} objects exported", flush=True)
    if len(files_in(folder)) < count:
        raise VrappError("These weights give hardly any object that passes the gate; train them longer.")
    return folder


def files_in(folder: Path, level: int = 0) -> list[Path]:
    """The objects' files at a level of detail, in order."""
    return sorted(folder.glob(_name("*", level)))


def _name(number: int | str, level: int) -> str:
    stem = f"{number:04d}" if isinstance(number, int) else number
    return f"{stem}_level{level}.glb"


def read_glb(path: Path) -> GlbMesh:
    """One object as ``generation.export.write_glb`` writes it."""
    contents = path.read_bytes()
    (length,) = struct.unpack_from("<I", contents, 12)  # of the JSON chunk, after the file's header
    document = json.loads(contents[20 : 20 + length])
    binary = contents[20 + length + 8 :]
    primitive = document["meshes"][0]["primitives"][0]

    def column(accessor: int, dtype: str, width: int) -> np.ndarray:
        found = document["accessors"][accessor]
        start = document["bufferViews"][found["bufferView"]]["byteOffset"]
        return np.frombuffer(binary, dtype, found["count"] * width, start).reshape(-1, width)

    attributes = primitive["attributes"]
    colours = column(attributes["COLOR_0"], "<u2", 4)
    return GlbMesh(
        column(attributes["POSITION"], "<f4", 3),
        np.round(colours / 257.0).astype(np.uint8),
        column(primitive["indices"], "<u4", 1).reshape(-1, 3),
    )


def placed(count: int, seed: int) -> tuple[Array, Array]:
    """Positions (N, 3) and orientations (N, 4) xyzw: a wide field before the camera, part of it out of view."""
    draw = rng.generator(seed, _KEY, count)
    columns = math.ceil(math.sqrt(count * 1.5))
    i = np.arange(count)
    x = (i % columns - (columns - 1) / 2) * 1.9 + draw.uniform(-0.4, 0.4, count)
    z = -3.0 - (i // columns) * 1.9 + draw.uniform(-0.4, 0.4, count)
    half = draw.uniform(0, math.pi, count)
    turns = np.stack([np.zeros(count), np.sin(half), np.zeros(count), np.cos(half)], 1)
    return np.stack([x, np.full(count, LONGEST_SIDE_M / 2), z], 1).astype(np.float32), turns.astype(np.float32)


def camera() -> Pose:
    """Where it is seen from."""
    return Pose(maths.vec3(0, 3.2, 1.5), maths.quat_from_yaw_pitch(0.0, math.radians(-14)))


def field_of_view(size: tuple[int, int]) -> Fov:
    """Of a picture of ``size`` pixels."""
    return Fov.symmetric(FOV_RAD, size[0] / size[1])
