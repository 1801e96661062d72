"""glTF 2.0 (.glb, .gltf) → parts as they stand in the file's scene: nodes, skins and morphs in their rest state.

A reader of our own, because what others leave out silently (fans, skins, quantised numbers, texture transforms, vertex
colours beside a material) would be learnt as if it were so.  Nothing is allocated for a claim that the file's own bytes
do not back.  Section numbers are those of the glTF 2.0 specification.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrapp.training.mesh_parts import (
    MAX_FILE_BYTES,
    MAX_TRIANGLES,
    Material,
    MeshRejected,
    Part,
    Texture,
    read_picture,
    side_file,
)  # fmt: skip

Tree = dict[str, Any]
FloatArray = NDArray[np.float64]

_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_WRAPS = {33071: "clamp", 33648: "mirror"}
#: What a file may require: materials beyond ours only shine otherwise.
_KNOWN = ("KHR_materials_", "KHR_texture_transform", "KHR_mesh_quantization", "EXT_texture_webp", "KHR_lights_",
          "KHR_animation_pointer", "KHR_xmp", "EXT_lights_", "KHR_node_visibility")  # fmt: skip


def read_gltf(path: Path, root: Path) -> list[Part]:
    """Every drawn primitive of triangles. Raises MeshRejected, and nearly anything on damaged input."""
    file = _File(path, root)
    for name in file.tree.get("extensionsRequired", []):
        if not str(name).startswith(_KNOWN):
            raise MeshRejected(f"needs the extension {str(name)[:60]!r}, which is not supported")
    placed = _placed_nodes(file.tree)
    _check_triangles(file.tree, [node for node, drawn in placed if drawn is not None])
    worlds = {number: world for number, (_, world) in enumerate(placed) if world is not None}
    parts = []
    for number, world in worlds.items():
        node = placed[number][0]
        if "mesh" in node:
            parts += _mesh_parts(file, node, world, worlds)
    return parts


class _File:
    """The JSON tree of a file, and what it refers to."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path, self._root = path, root
        raw = path.read_bytes()
        self._rest = b""
        if path.suffix.lower() != ".gltf":
            raw, self._rest = _chunks(raw)
        try:
            self.tree: Tree = json.loads(raw.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise MeshRejected("glTF JSON is damaged") from error
        if not isinstance(self.tree, dict):
            raise MeshRejected("glTF JSON is not an object")
        self._buffers: dict[int, bytes] = {}
        self._pictures: dict[int, NDArray[np.uint8]] = {}

    def accessor(self, number: int) -> NDArray[Any]:
        """(count, width) numbers (§3.6.2): integers as they are, or floats where they are normalised."""
        entry = self.tree["accessors"][_index(number)]
        kind, width, count = np.dtype(_TYPES[entry["componentType"]]), _WIDTHS[entry["type"]], int(entry["count"])
        if not 0 <= count <= 3 * MAX_TRIANGLES:
            raise MeshRejected(f"an accessor claims {count} elements")
        if "bufferView" in entry:
            found = self._strided(entry, kind, width, count)
        elif "sparse" in entry:
            found = np.zeros((count, width), kind)
        else:
            raise MeshRejected("its numbers are compressed or missing")
        if "sparse" in entry:
            sparse, indices, values = entry["sparse"], entry["sparse"]["indices"], entry["sparse"]["values"]
            some = int(sparse["count"])
            where = self._strided(indices, np.dtype(_TYPES[indices["componentType"]]), 1, some)[:, 0]
            found = found.copy()
            found[where] = self._strided(values, kind, width, some)
        if entry.get("normalized") and kind.kind != "f":
            return np.maximum(found / np.iinfo(kind).max, -1.0)
        return found

    def _strided(self, entry: Tree, kind: np.dtype[Any], width: int, count: int) -> NDArray[Any]:
        view = self.tree["bufferViews"][_index(entry["bufferView"])]
        raw, row = self._view(view), width * kind.itemsize
        stride, start = int(view.get("byteStride", row)) or row, int(entry.get("byteOffset", 0))
        if start < 0 or stride < 0 or count < 0 or (count and start + (count - 1) * stride + row > len(raw)):
            raise MeshRejected(f"an accessor claims {count} elements, more than its buffer holds")
        if not count:
            return np.zeros((0, width), kind)
        return np.ndarray((count, width), kind, raw, start, (stride, kind.itemsize))

    def _view(self, view: Tree) -> bytes:
        number, start, length = _index(view["buffer"]), int(view.get("byteOffset", 0)), int(view["byteLength"])
        raw = self._buffer(number)
        if start < 0 or length < 0 or start + length > len(raw):
            raise MeshRejected("a buffer is shorter than its views claim")
        return raw[start : start + length]

    def _buffer(self, number: int) -> bytes:
        if number not in self._buffers:
            entry = self.tree["buffers"][number]
            if int(entry.get("byteLength", 0)) > MAX_FILE_BYTES:
                raise MeshRejected("a buffer claims more than 256 MiB")
            self._buffers[number] = self._uri(entry["uri"]) if "uri" in entry else self._rest
        return self._buffers[number]

    def _uri(self, uri: object) -> bytes:
        if not isinstance(uri, str):
            raise MeshRejected("a URI is not text")
        if not uri.startswith("data:"):
            return side_file(self._path.parent, uri, self._root).read_bytes()
        head, _, body = uri.partition(",")
        try:
            return (
                base64.b64decode(body, validate=True)
                if head.endswith(";base64")
                else urllib.parse.unquote_to_bytes(body)
            )
        except binascii.Error as error:
            raise MeshRejected("a data URI is damaged") from error

    def picture(self, number: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 of an image."""
        if number not in self._pictures:
            entry = self.tree["images"][_index(number)]
            raw = (
                self._uri(entry["uri"]) if "uri" in entry else self._view(self.tree["bufferViews"][entry["bufferView"]])
            )
            name = str(entry.get("uri", entry.get("name", number)))[:60]
            self._pictures[number] = read_picture(raw, "embedded" if name.startswith("data:") else name)
        return self._pictures[number]


def _chunks(raw: bytes) -> tuple[bytes, bytes]:
    """The JSON and the binary chunk of a GLB (§4.4), the header's claims checked against the file's size."""
    if len(raw) < 20:
        raise MeshRejected("cut off in the GLB header")
    magic, version, total, length, kind = struct.unpack("<4sIII4s", raw[:20])
    if magic != b"glTF" or version != 2 or kind != b"JSON":
        raise MeshRejected("not a glTF 2 binary")
    if total > len(raw) or length > len(raw) - 20:
        raise MeshRejected(f"header claims {max(total, length):,} bytes, file has {len(raw):,}")
    start = 20 + length
    if len(raw) < start + 8:
        return raw[20:start], b""
    size, kind = struct.unpack("<I4s", raw[start : start + 8])
    if kind == b"BIN\0" and size > len(raw) - start - 8:
        raise MeshRejected(f"its binary chunk claims {size:,} bytes, file has {len(raw):,}")
    return raw[20:start], raw[start + 8 : start + 8 + size] if kind == b"BIN\0" else b""


def _index(number: object) -> int:
    """A reference into a list of the tree; Python would take negative ones."""
    if not isinstance(number, int) or number < 0:
        raise MeshRejected(f"refers to number {str(number)[:20]!r} of a list")
    return number


def _placed_nodes(tree: Tree) -> list[tuple[Tree, FloatArray | None]]:
    """All nodes with their matrices in the scene (§3.5), None for those that it does not show.

    A node is placed once: by the specification it has one parent, and so neither cycles nor diamonds do harm.
    """
    nodes: list[Tree] = tree.get("nodes", [])
    worlds: list[FloatArray | None] = [None] * len(nodes)
    if tree.get("scenes"):
        roots = tree["scenes"][_index(tree.get("scene", 0))].get("nodes", [])
    else:
        roots = sorted({*range(len(nodes))} - {child for node in nodes for child in node.get("children", [])})
    waiting = [(_index(number), np.eye(4)) for number in roots]
    while waiting:
        number, parent = waiting.pop()
        if worlds[number] is None:
            world = worlds[number] = parent @ _local(nodes[number])
            waiting += [(_index(child), world) for child in nodes[number].get("children", [])]
    return list(zip(nodes, worlds, strict=True))


def _local(node: Tree) -> FloatArray:
    """(4, 4) of a node: its matrix, or translation · rotation · scale."""
    if "matrix" in node:
        return np.asarray(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = _quaternion(node.get("rotation", (0.0, 0.0, 0.0, 1.0)))
    rotation = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    found = np.eye(4)
    found[:3, :3] = rotation * np.asarray(node.get("scale", (1.0, 1.0, 1.0)), np.float64).reshape(3)
    found[:3, 3] = np.asarray(node.get("translation", (0.0, 0.0, 0.0)), np.float64).reshape(3)
    return found


def _quaternion(value: object) -> FloatArray:
    quaternion = np.asarray(value, np.float64).reshape(4)
    length = float(np.linalg.norm(quaternion))
    return quaternion / length if length > 0 else np.array([0.0, 0.0, 0.0, 1.0])


def _check_triangles(tree: Tree, drawn: list[Tree]) -> None:
    """Raise where the scene draws too many, counted before anything is made: instances multiply."""
    counts = []
    for mesh in tree.get("meshes", []):
        total = 0
        for primitive in mesh["primitives"]:
            mode = primitive.get("mode", _TRIANGLES)
            if mode in (_TRIANGLES, _STRIP, _FAN):
                corners = primitive.get("indices", primitive["attributes"].get("POSITION"))
                count = int(tree["accessors"][_index(corners)]["count"])
                total += count // 3 if mode == _TRIANGLES else max(0, count - 2)
        counts.append(total)
    total = sum(counts[_index(node["mesh"])] for node in drawn if "mesh" in node)
    if total > MAX_TRIANGLES:
        raise MeshRejected(f"{total:,} triangles, limit {MAX_TRIANGLES:,}")


def _mesh_parts(file: _File, node: Tree, world: FloatArray, worlds: dict[int, FloatArray]) -> list[Part]:
    """A node's primitives in scene space."""
    mesh = file.tree["meshes"][node["mesh"]]
    weights = node.get("weights", mesh.get("weights", []))
    parts = []
    for primitive in mesh["primitives"]:
        if (
            primitive.get("mode", _TRIANGLES) not in (_TRIANGLES, _STRIP, _FAN)
            or "POSITION" not in primitive["attributes"]
        ):
            continue
        points = file.accessor(primitive["attributes"]["POSITION"]).astype(np.float64)
        faces = _faces(file, primitive, len(points))
        for weight, target in zip(weights, primitive.get("targets", []), strict=False):
            if weight and "POSITION" in target:
                points += float(weight) * file.accessor(target["POSITION"])
        if "skin" in node and "JOINTS_0" in primitive["attributes"]:
            points = _skinned(file, primitive["attributes"], node["skin"], points, worlds)
        else:
            points = points @ world[:3, :3].T + world[:3, 3]
            if np.linalg.det(world[:3, :3]) < 0:
                faces = faces[:, ::-1]  # mirrored: the front stays the front (§3.7.4)
        material, uv = _material(file, primitive, len(points))
        colour = None
        if "COLOR_0" in primitive["attributes"]:
            colour = np.clip(file.accessor(primitive["attributes"]["COLOR_0"])[:, :3].astype(np.float64), 0.0, 1.0)
        parts.append(Part(points, faces, material, uv, colour))
    return parts


def _faces(file: _File, primitive: Tree, count: int) -> NDArray[np.int64]:
    """(F, 3) of a primitive of `count` vertices (§3.7.2.1)."""
    corners = np.arange(count)
    if "indices" in primitive:
        corners = file.accessor(primitive["indices"])[:, 0].astype(np.int64)
    mode = primitive.get("mode", _TRIANGLES)
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if len(corners) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == _FAN:
        return np.stack([corners[1:-1], corners[2:], np.full(len(corners) - 2, corners[0])], 1)
    faces = np.stack([corners[:-2], corners[1:-1], corners[2:]], 1)
    faces[1::2] = faces[1::2, [0, 2, 1]]
    return faces


def _skinned(file: _File, attributes: Tree, skin: int, points: FloatArray, worlds: dict[int, FloatArray]) -> FloatArray:
    """Points (V, 3) where the joints at rest put them (§3.7.3); the node's own matrix does not count."""
    entry = file.tree["skins"][_index(skin)]
    joints = np.stack([worlds.get(_index(joint), np.eye(4)) for joint in entry["joints"]])
    if "inverseBindMatrices" in entry:
        joints = joints @ file.accessor(entry["inverseBindMatrices"]).astype(np.float64).reshape(-1, 4, 4).transpose(
            0, 2, 1
        )
    flat = np.concatenate([points, np.ones((len(points), 1))], 1)
    found, total = np.zeros((len(points), 4)), np.zeros((len(points), 1))
    for number in range(4):
        if f"JOINTS_{number}" not in attributes:
            break
        which = file.accessor(attributes[f"JOINTS_{number}"]).astype(np.int64)
        share = file.accessor(attributes[f"WEIGHTS_{number}"]).astype(np.float64)
        for lane in range(4):
            weight = share[:, lane : lane + 1]
            found += weight * np.einsum("vij,vj->vi", joints[which[:, lane]], flat)
            total += weight
    return found[:, :3] / np.where(total == 0, 1.0, total)


def _material(file: _File, primitive: Tree, count: int) -> tuple[Material, FloatArray]:
    """The material of a primitive (§3.9) and its texture coordinates (V, 2), v up."""
    uv = np.zeros((count, 2))
    if "material" not in primitive:
        return Material(rgb=(1.0, 1.0, 1.0) if "COLOR_0" in primitive["attributes"] else (0.5, 0.5, 0.5)), uv
    entry = file.tree["materials"][_index(primitive["material"])]
    extensions = entry.get("extensions", {})
    surface, gloss = entry.get("pbrMetallicRoughness", {}), extensions.get("KHR_materials_pbrSpecularGlossiness")
    if gloss is not None:
        surface = {
            "baseColorFactor": gloss.get("diffuseFactor", [1, 1, 1]),
            "baseColorTexture": gloss.get("diffuseTexture"),
            "roughnessFactor": 1.0 - gloss.get("glossinessFactor", 1.0),
            "metallicFactor": 0.0,
        }
    red, green, blue = np.asarray(surface.get("baseColorFactor", (1, 1, 1)), np.float64)[:3]
    glow = np.asarray(entry.get("emissiveFactor", (0, 0, 0)), np.float64)
    strength = extensions.get("KHR_materials_emissive_strength", {}).get("emissiveStrength", 1.0)
    found = {name: surface.get(name) for name in ("baseColorTexture", "metallicRoughnessTexture")}
    found["emissiveTexture"] = entry.get("emissiveTexture")
    textures: dict[str, Texture | None] = {}
    for name, reference in found.items():
        textures[name] = _texture(file, reference) if reference else None
        if reference and textures[name] and not uv.any():
            uv = _coordinates(file, primitive, reference, count)
    rough, metal = float(surface.get("roughnessFactor", 1.0)), float(surface.get("metallicFactor", 1.0))
    if rough == metal == 1.0 and not textures["metallicRoughnessTexture"]:
        rough, metal = 0.8, 0.0  # glTF's defaults: the exporter left them unset, nobody meant raw metal
    material = Material(
        (float(red), float(green), float(blue)), rough, metal, float(np.max(glow) * strength),
        textures["baseColorTexture"], textures["metallicRoughnessTexture"], textures["emissiveTexture"],
    )  # fmt: skip
    return material, uv


def _texture(file: _File, reference: Tree) -> Texture | None:
    """The image that a material refers to; None where the file has none that can be read by anyone."""
    entry = file.tree["textures"][_index(reference["index"])]
    source = entry.get("extensions", {}).get("EXT_texture_webp", entry).get("source", entry.get("source"))
    if source is None:
        return None
    sampler: Tree = file.tree["samplers"][_index(entry["sampler"])] if "sampler" in entry else {}
    wraps = [_WRAPS.get(sampler.get(name, 0), "repeat") for name in ("wrapS", "wrapT")]
    return Texture(file.picture(_index(source)), (wraps[0], wraps[1]))


def _coordinates(file: _File, primitive: Tree, reference: Tree, count: int) -> FloatArray:
    """(V, 2), v up, as KHR_texture_transform moves them."""
    moved = reference.get("extensions", {}).get("KHR_texture_transform", {})
    name = f"TEXCOORD_{moved.get('texCoord', reference.get('texCoord', 0))}"
    if name not in primitive["attributes"]:
        return np.zeros((count, 2))
    uv = np.nan_to_num(file.accessor(primitive["attributes"][name])[:, :2].astype(np.float64))
    if len(uv) != count:
        raise MeshRejected("has fewer texture coordinates than vertices")
    turn = float(moved.get("rotation", 0.0))
    scaled = uv * np.asarray(moved.get("scale", (1, 1)), np.float64)
    along = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    uv = scaled @ along.T + np.asarray(moved.get("offset", (0, 0)), np.float64)
    return np.stack([uv[:, 0], 1.0 - uv[:, 1]], 1)
