"""Mesh files → triangles with a material for each face.

Reads GLB, glTF, OBJ and PLY through trimesh, after checks of our own: the file's size, the lengths a
GLB header claims, and that every texture URI stays inside the data folder.  What fails raises
`MeshRejected` with a reason of a few words, for the report of what was left out.
"""

from __future__ import annotations

import json
import struct
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import trimesh
from numpy.typing import NDArray

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply")
MAX_FILE_BYTES = 256 * 2**20
MAX_TRIANGLES = 2_000_000
MIN_TRIANGLES = 4
MAX_TEXTURE_BYTES = 64 * 2**20

FloatArray = NDArray[np.float64]


class MeshRejected(Exception):
    """A mesh file that cannot be used; the message is the reason, a few words."""


@dataclass(frozen=True)
class SurfaceMesh:
    """Triangles of one model, in file units, Y up.

    `vertices` (V, 3) float64, `faces` (F, 3) int64, `face_material` (F,) int64 into `materials`
    (M, 6) float64: linear RGB, roughness, metalness, emission.  `corner_uv` (F, 3, 2) float64 with v up,
    and `textures` one (H, W, 3) uint8 sRGB image or None a material.  `corner_colour` (F, 3, 3) holds
    vertex colours (linear), white where the file has none.
    """

    vertices: FloatArray
    faces: NDArray[np.int64]
    face_material: NDArray[np.int64]
    materials: FloatArray
    corner_uv: FloatArray
    corner_colour: FloatArray
    textures: tuple[NDArray[np.uint8] | None, ...]


class _FolderResolver(trimesh.resolvers.Resolver):
    """Gives trimesh the files beside a model, and none that lie outside `root`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.root = root

    def get(self, name: str) -> bytes:
        path = _inside(self.folder, str(name), self.root)
        if not path.is_file():
            raise MeshRejected(f"missing file {str(name)[:80]!r}")
        if path.stat().st_size > MAX_TEXTURE_BYTES:
            raise MeshRejected(f"side file {str(name)[:80]!r} is too large")
        return path.read_bytes()

    def keys(self) -> list[str]:
        return []

    def namespaced(self, namespace: str) -> _FolderResolver:
        return self

    def write(self, name: str, data: object) -> None:
        raise MeshRejected("reading a mesh must not write")


def _inside(folder: Path, uri: str, root: Path) -> Path:
    """`folder`/`uri` when that lies in `root`, else MeshRejected."""
    name = urllib.parse.unquote(uri).replace("\\", "/")
    path = (folder / name).resolve()
    if "\0" in name or not path.is_relative_to(root.resolve()):
        raise MeshRejected(f"URI {uri[:80]!r} leaves the data folder")
    return path


def _gltf_tree(path: Path, size: int) -> dict[str, Any]:
    """The JSON part of a GLB or glTF file, its header's claims checked against the file's size."""
    if path.suffix.lower() == ".gltf":
        raw = path.read_bytes()
    else:
        with path.open("rb") as file:
            head = file.read(20)
            if len(head) < 20:
                raise MeshRejected("cut off in the GLB header")
            magic, version, total, json_length, kind = struct.unpack("<4sIII4s", head)
            if magic != b"glTF" or version != 2 or kind != b"JSON":
                raise MeshRejected("not a glTF 2 binary")
            if total > size or json_length > size - 20:
                raise MeshRejected(f"header claims {max(total, json_length):,} bytes, file has {size:,}")
            raw = file.read(json_length)
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise MeshRejected("glTF JSON is damaged") from error
    if not isinstance(tree, dict):
        raise MeshRejected("glTF JSON is not an object")
    return tree


def _check_gltf(path: Path, root: Path, size: int) -> None:
    """Raise unless accessors and URIs of a glTF file are plausible; nothing is allocated before."""
    tree = _gltf_tree(path, size)
    for section in ("buffers", "images"):
        for entry in tree.get(section, []) or []:
            uri = entry.get("uri") if isinstance(entry, dict) else None
            if isinstance(uri, str) and not uri.startswith("data:"):
                if "://" in uri:
                    raise MeshRejected(f"URI {uri[:80]!r} is not a local file")
                _inside(path.parent, uri, root)
            if section == "buffers" and int(entry.get("byteLength", 0)) > MAX_FILE_BYTES:
                raise MeshRejected("a buffer claims more than 256 MiB")
    for accessor in tree.get("accessors", []) or []:
        if not 0 <= int(accessor.get("count", 0)) <= 3 * MAX_TRIANGLES:
            raise MeshRejected(f"an accessor claims {accessor.get('count')} elements")


def load_mesh(path: Path, root: Path) -> SurfaceMesh:
    """Read one model; `root` is the data folder that nothing may be read outside of.

    Raises MeshRejected with the reason.
    """
    size = path.stat().st_size
    if size == 0:
        raise MeshRejected("empty file")
    if size > MAX_FILE_BYTES:
        raise MeshRejected(f"file of {size / 2**20:.0f} MiB, limit {MAX_FILE_BYTES // 2**20}")
    suffix = path.suffix.lower()
    try:
        if suffix in (".glb", ".gltf"):
            _check_gltf(path, root, size)
        _inside(path.parent, path.name, root)
        with path.open("rb") as file:
            scene = trimesh.load(file, file_type=suffix[1:], process=False, resolver=_FolderResolver(path.parent, root))
        parts = scene.dump() if isinstance(scene, trimesh.Scene) else [scene]
    except MeshRejected:
        raise
    except Exception as error:  # trimesh raises nearly every type on damaged input
        raise MeshRejected(f"unreadable: {type(error).__name__}: {str(error)[:80]}") from error
    return _merge([part for part in parts if isinstance(part, trimesh.Trimesh) and len(part.faces)])


def _merge(parts: list[trimesh.Trimesh]) -> SurfaceMesh:
    if not parts:
        raise MeshRejected("no triangles")
    if sum(len(part.faces) for part in parts) > MAX_TRIANGLES:
        raise MeshRejected(f"more than {MAX_TRIANGLES:,} triangles")
    vertices, faces, materials, textures, uvs, colours, index = [], [], [], [], [], [], []
    offset = 0
    for number, part in enumerate(parts):
        triangles = np.asarray(part.faces, np.int64)
        points = np.asarray(part.vertices, np.float64)
        if triangles.max() >= len(points) or triangles.min() < 0:
            raise MeshRejected("a face names a vertex that is not there")
        material, texture, uv, colour = _appearance(part, triangles)
        vertices.append(points)
        faces.append(triangles + offset)
        offset += len(points)
        materials.append(material)
        textures.append(texture)
        uvs.append(uv)
        colours.append(colour)
        index.append(np.full(len(triangles), number, np.int64))
    mesh = SurfaceMesh(
        np.concatenate(vertices), np.concatenate(faces), np.concatenate(index), np.stack(materials),
        np.concatenate(uvs), np.concatenate(colours), tuple(textures),
    )  # fmt: skip
    return _checked(mesh)


def _checked(mesh: SurfaceMesh) -> SurfaceMesh:
    """Without faces that are not finite or have no area; raises where too little is left."""
    corners = mesh.vertices[mesh.faces]  # (F, 3, 3)
    if not np.isfinite(corners).all():
        raise MeshRejected("vertices that are not finite")
    extent = corners.max((0, 1)) - corners.min((0, 1))
    longest = float(extent.max())
    if not 1e-9 < longest < 1e9:
        raise MeshRejected("no extent" if longest <= 1e-9 else "absurd extent")
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    good = area > 1e-12 * longest**2
    if int(good.sum()) < MIN_TRIANGLES:
        raise MeshRejected(f"only {int(good.sum())} triangles with an area")
    return SurfaceMesh(
        mesh.vertices, mesh.faces[good], mesh.face_material[good], mesh.materials,
        mesh.corner_uv[good], mesh.corner_colour[good], mesh.textures,
    )  # fmt: skip


def _appearance(
    part: trimesh.Trimesh, triangles: NDArray[np.int64]
) -> tuple[FloatArray, NDArray[np.uint8] | None, FloatArray, FloatArray]:
    """Material row (6,), texture, corner UV (F, 3, 2), corner colour (F, 3, 3) of one part."""
    material = np.array([0.5, 0.5, 0.5, 0.8, 0.0, 0.0])
    uv = np.zeros((len(triangles), 3, 2))
    colour = np.ones((len(triangles), 3, 3))
    texture: NDArray[np.uint8] | None = None
    visual: Any = part.visual
    source = getattr(visual, "material", None)
    if source is not None:
        material, texture = _material(source)
        coordinates = getattr(visual, "uv", None)
        if coordinates is not None and len(coordinates) == len(part.vertices):
            uv = np.nan_to_num(np.asarray(coordinates, np.float64))[triangles]
        else:
            texture = None
    elif getattr(visual, "kind", None) == "vertex":
        colour = srgb_to_linear(np.asarray(visual.vertex_colors, np.float64)[:, :3] / 255.0)[triangles]
        material[:3] = 1.0
    elif getattr(visual, "kind", None) == "face":
        face_colour = srgb_to_linear(np.asarray(visual.face_colors, np.float64)[:, :3] / 255.0)
        colour = np.repeat(face_colour[:, None], 3, 1)
        material[:3] = 1.0
    return material, texture, uv, colour


def _material(source: Any) -> tuple[FloatArray, NDArray[np.uint8] | None]:
    """One trimesh material as (linear RGB, roughness, metalness, emission) and its sRGB texture."""
    pbr = isinstance(source, trimesh.visual.material.PBRMaterial)
    base = source.baseColorFactor if pbr else getattr(source, "diffuse", None)
    rgb = np.ones(3) if base is None else np.asarray(base, np.float64)[:3]
    if base is not None and (np.asarray(base).dtype.kind in "ui" or rgb.max() > 1.0):
        rgb = rgb / 255.0
    if not pbr:
        rgb = srgb_to_linear(rgb)  # OBJ's Kd is meant as seen
    rough = getattr(source, "roughnessFactor", None)
    metal = getattr(source, "metallicFactor", None)
    rough, metal = (0.8 if rough is None else float(rough)), (0.0 if metal is None else float(metal))
    if rough == 1.0 and metal == 1.0:
        rough, metal = 0.8, 0.0  # glTF's defaults: the exporter left them unset, nobody meant raw metal
    glow = getattr(source, "emissiveFactor", None)
    emission = 0.0 if glow is None else float(np.clip(np.max(np.asarray(glow, np.float64)), 0, 1))
    image = source.baseColorTexture if pbr else getattr(source, "image", None)
    texture = None
    if image is not None and image.width * image.height <= 8192 * 8192:
        texture = np.asarray(image.convert("RGB"), np.uint8)
    row = np.array([*rgb, rough, metal, emission])
    return np.clip(np.nan_to_num(row, nan=0.5), 0.0, 1.0), texture


def srgb_to_linear(value: FloatArray) -> FloatArray:
    """sRGB-encoded 0..1 → linear 0..1 (IEC 61966-2-1)."""
    value = np.clip(value, 0.0, 1.0)
    return cast(FloatArray, np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


def linear_to_srgb(value: FloatArray) -> FloatArray:
    """Linear 0..1 → sRGB-encoded 0..1 (IEC 61966-2-1)."""
    value = np.clip(value, 0.0, 1.0)
    return cast(FloatArray, np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055))


def surface_appearance(mesh: SurfaceMesh, face: NDArray[np.int64], barycentric: FloatArray) -> FloatArray:
    """(N, 6) sRGB colour 0..1, roughness, metalness, emission at points of faces.

    `face` (N,) int64, `barycentric` (N, 3) float64.  Textures are read at the nearest texel: palette
    textures have no in-between colours.
    """
    rows = mesh.materials[mesh.face_material[face]].copy()  # (N, 6)
    rows[:, :3] *= np.einsum("nc,nck->nk", barycentric, mesh.corner_colour[face])
    uv = np.einsum("nc,nck->nk", barycentric, mesh.corner_uv[face])
    for number, texture in enumerate(mesh.textures):
        chosen = np.nonzero(mesh.face_material[face] == number)[0]
        if texture is None or not len(chosen):
            continue
        height, width = texture.shape[:2]
        column = np.floor((uv[chosen, 0] % 1.0) * width).astype(np.int64).clip(0, width - 1)
        row = np.floor(((1.0 - uv[chosen, 1]) % 1.0) * height).astype(np.int64).clip(0, height - 1)
        rows[chosen, :3] *= srgb_to_linear(texture[row, column] / 255.0)
    rows[:, :3] = linear_to_srgb(rows[:, :3])
    return rows
