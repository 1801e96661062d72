"""Mesh files → triangles with a material for each face.

GLB and glTF are read by `gltf.py`, OBJ and PLY through trimesh.  What fails raises `MeshRejected` with a reason of a
few words, for the report of what was left out; nothing outside the data folder is opened.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from vrapp.training.gltf import read_gltf
from vrapp.training.mesh_parts import (
    MAX_FILE_BYTES,
    MAX_TRIANGLES,
    FloatArray,
    Material,
    MeshRejected,
    Part,
    Texture,
    inside,
    linear_to_srgb,
    pixels_of,
    side_file,
    srgb_to_linear,
)  # fmt: skip

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply")
MIN_TRIANGLES = 4

__all__ = ["MESH_SUFFIXES", "MeshRejected", "SurfaceMesh", "load_mesh", "surface_appearance"]


@dataclass(frozen=True)
class SurfaceMesh:
    """Triangles of one model, in file units, Y up.

    `vertices` (V, 3) float64, `faces` (F, 3) int64, `face_material` (F,) int64 into `materials`; `uv` (V, 2) float64
    with v up and `colour` (V, 3), linear, white where the file has none.
    """

    vertices: FloatArray
    faces: NDArray[np.int64]
    face_material: NDArray[np.int64]
    materials: tuple[Material, ...]
    uv: FloatArray
    colour: FloatArray


def load_mesh(path: Path, root: Path) -> SurfaceMesh:
    """Read one model; `root` is the data folder that nothing may be read outside of.

    Raises MeshRejected with the reason.
    """
    try:
        inside(path.parent, path.name.replace("%", "%25"), root)
        if not path.is_file():
            raise MeshRejected("not a file")
        size = path.stat().st_size
        if size == 0:
            raise MeshRejected("empty file")
        if size > MAX_FILE_BYTES:
            raise MeshRejected(f"file of {size / 2**20:.0f} MiB, limit {MAX_FILE_BYTES // 2**20}")
        suffix = path.suffix.lower()
        return _merge(read_gltf(path, root) if suffix in (".glb", ".gltf") else _through_trimesh(path, root))
    except (MeshRejected, MemoryError):
        raise
    except Exception as error:  # readers raise nearly every type on damaged input
        raise MeshRejected(f"unreadable: {type(error).__name__}: {str(error)[:80]}") from error


class _FolderResolver(trimesh.resolvers.Resolver):
    """Gives trimesh the files beside a model, and none that lie outside `root`.

    trimesh goes on without what it does not get: `trouble` keeps the first reason.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.trouble: MeshRejected | None = None

    def get(self, name: str) -> bytes:
        try:
            return side_file(self.folder, str(name).replace("%", "%25"), self.root).read_bytes()
        except MeshRejected as error:
            missing_materials = "is missing" in str(error) and str(name).lower().endswith(".mtl")
            if not missing_materials:  # an OBJ is often passed on without its MTL
                self.trouble = self.trouble or error
            raise

    def keys(self) -> list[str]:
        return []

    def namespaced(self, namespace: str) -> _FolderResolver:
        return self

    def write(self, name: str, data: object) -> None:
        raise MeshRejected("reading a mesh must not write")


def _through_trimesh(path: Path, root: Path) -> list[Part]:
    """The triangles of an OBJ or PLY file."""
    logging.getLogger("trimesh").setLevel(logging.CRITICAL)  # what it says, the report says
    resolver = _FolderResolver(path.parent, root)
    with path.open("rb") as file:
        scene = trimesh.load(file, file_type=path.suffix.lower()[1:], process=False, resolver=resolver)
    if resolver.trouble:
        raise resolver.trouble
    parts = scene.dump() if isinstance(scene, trimesh.Scene) else [scene]
    return [_part(part) for part in parts if isinstance(part, trimesh.Trimesh) and len(part.faces)]


def _part(mesh: trimesh.Trimesh) -> Part:
    """One mesh of trimesh's; its colours are as seen (sRGB)."""
    points, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    uv = np.zeros((len(points), 2))
    visual: Any = mesh.visual
    source = getattr(visual, "material", None)
    if source is not None:
        coordinates = getattr(visual, "uv", None)
        placed = coordinates is not None and len(coordinates) == len(points)
        if placed:
            uv = np.nan_to_num(np.asarray(coordinates, np.float64)[:, :2])
        return Part(points, faces, _material(source, placed), uv)
    kind = getattr(visual, "kind", None)
    if kind == "face":
        faces_apart = np.arange(3 * len(faces)).reshape(-1, 3)
        colour = np.repeat(_as_seen(visual.face_colors), 3, 0)
        return Part(
            points[faces].reshape(-1, 3), faces_apart, Material((1.0, 1.0, 1.0)), np.zeros((len(colour), 2)), colour
        )
    if kind == "vertex":
        return Part(points, faces, Material((1.0, 1.0, 1.0)), uv, _as_seen(visual.vertex_colors))
    return Part(points, faces, Material(), uv)


def _as_seen(colours: Any) -> FloatArray:
    """(N, 3) linear of (N, 4) uint8."""
    return srgb_to_linear(np.asarray(colours, np.float64)[:, :3] / 255.0)


def _material(source: Any, textured: bool) -> Material:
    """Of an MTL file, or of a PLY's texture."""
    diffuse = getattr(source, "diffuse", None)
    red, green, blue = (1.0, 1.0, 1.0) if diffuse is None else _as_seen(np.asarray(diffuse)[None])[0].tolist()
    image = getattr(source, "image", None) if textured else None
    return Material((red, green, blue), colours=Texture(_pixels(image)) if image is not None else None)


def _pixels(image: Any) -> NDArray[np.uint8]:
    try:
        return pixels_of(image, "of the material")
    except (MeshRejected, MemoryError):
        raise
    except Exception as error:  # Pillow raises whatever the bytes lead it to
        raise MeshRejected("its texture cannot be read") from error


def _merge(parts: list[Part]) -> SurfaceMesh:
    parts = [part for part in parts if len(part.faces)]
    if not parts:
        raise MeshRejected("no triangles")
    total = sum(len(part.faces) for part in parts)
    if total > MAX_TRIANGLES:
        raise MeshRejected(f"{total:,} triangles, limit {MAX_TRIANGLES:,}")
    faces, starts = [], np.cumsum([0, *(len(part.vertices) for part in parts)])
    for part, start in zip(parts, starts, strict=False):
        if part.faces.max() >= len(part.vertices) or part.faces.min() < 0:
            raise MeshRejected("a face names a vertex that is not there")
        faces.append(part.faces + start)
    white = [np.ones((len(part.vertices), 3)) if part.colour is None else part.colour for part in parts]
    mesh = SurfaceMesh(
        np.concatenate([part.vertices for part in parts]), np.concatenate(faces),
        np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts]), tuple(part.material for part in parts),
        np.concatenate([part.uv for part in parts]), np.concatenate(white),
    )  # fmt: skip
    return _checked(mesh)


def _checked(mesh: SurfaceMesh) -> SurfaceMesh:
    """Without faces that have no area, about the origin and of size 1; raises where too little is left."""
    corners = mesh.vertices[mesh.faces]  # (F, 3, 3)
    if not np.isfinite(corners).all():
        raise MeshRejected("vertices that are not finite")
    low, high = corners.min((0, 1)), corners.max((0, 1))
    longest = float((high - low).max())
    if not np.isfinite(longest) or longest <= 1e-12 * float(np.abs(corners).max()):
        raise MeshRejected("no extent")
    corners, vertices = (corners - low) / longest, (mesh.vertices - low) / longest
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    good = area > 1e-12
    if int(good.sum()) < MIN_TRIANGLES:
        raise MeshRejected(f"only {int(good.sum())} triangles with an area")
    return SurfaceMesh(vertices, mesh.faces[good], mesh.face_material[good], mesh.materials, mesh.uv, mesh.colour)


def surface_appearance(mesh: SurfaceMesh, face: NDArray[np.int64], barycentric: FloatArray) -> FloatArray:
    """(N, 6) sRGB colour 0..1, roughness, metalness, emission at points of faces.

    `face` (N,) int64, `barycentric` (N, 3) float64.
    """
    rows = np.stack([material.row() for material in mesh.materials])[mesh.face_material[face]]  # (N, 6)
    corners = mesh.faces[face]
    rows[:, :3] *= np.einsum("nc,nck->nk", barycentric, mesh.colour[corners])
    uv = np.einsum("nc,nck->nk", barycentric, mesh.uv[corners])
    for number, material in enumerate(mesh.materials):
        chosen = np.nonzero(mesh.face_material[face] == number)[0]
        if material.colours is not None:
            rows[chosen, :3] *= srgb_to_linear(material.colours.read(uv[chosen]))
        if material.rough_metal is not None:
            rows[chosen, 3:5] *= material.rough_metal.read(uv[chosen])[:, 1:]
        if material.glow is not None:
            rows[chosen, 5] *= srgb_to_linear(material.glow.read(uv[chosen])).max(1, initial=0.0)
    rows[:, :3] = linear_to_srgb(rows[:, :3])
    return rows
