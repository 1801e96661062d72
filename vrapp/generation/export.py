"""Objects as GLB files (glTF 2.0, Khronos) for Blender, Unity, Godot and others.

glTF wants linear vertex colours and one roughness and metalness a material, so these two are the
mean over the surface; +Y up and counter-clockwise outside are glTF's conventions as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vrapp.core.errors import OutputError
from vrapp.core.mesh import Mesh

_FLOAT, _UNSIGNED_INT, _UNSIGNED_SHORT = 5126, 5125, 5123  # glTF component types
_VERTEX_TARGET, _INDEX_TARGET = 34962, 34963
_GLB_MAGIC, _JSON_CHUNK, _BINARY_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942


@dataclass(frozen=True)
class _Column:
    """One accessor: its array, and what glTF calls it."""

    values: np.ndarray
    component: int
    kind: str
    target: int
    is_normalised: bool = False
    has_bounds: bool = False


def linear_from_srgb(encoded: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, 0…1 both ways."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def write_glb(path: Path, mesh: Mesh, name: str, size_m: float = 1.0) -> None:
    """Write the finest level of ``mesh`` with its cube's edge ``size_m`` metres long.

    Raises OutputError where the file cannot be written.
    """
    vertices = mesh.levels[0].vertices
    normal = vertices["normal"][:, :3].astype(np.float32)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    unit = np.where(length > 0, normal / np.maximum(length, 1e-9), np.array([0, 1, 0], np.float32))
    colour = linear_from_srgb(vertices["colour"][:, :3] / 255.0)
    rgba = np.concatenate((colour, np.ones((len(colour), 1))), 1)
    columns = {
        "POSITION": _Column(
            (vertices["position"] * size_m).astype("<f4"), _FLOAT, "VEC3", _VERTEX_TARGET, has_bounds=True
        ),
        "NORMAL": _Column(unit.astype("<f4"), _FLOAT, "VEC3", _VERTEX_TARGET),
        "COLOR_0": _Column(
            np.round(rgba * 65535).astype("<u2"), _UNSIGNED_SHORT, "VEC4", _VERTEX_TARGET, is_normalised=True
        ),
        "indices": _Column(mesh.levels[0].indices.astype("<u4"), _UNSIGNED_INT, "SCALAR", _INDEX_TARGET),
    }
    document, binary = _document(columns, name)
    document["materials"] = [_material(vertices, name)]
    try:
        path.write_bytes(_container(document, binary))
    except OSError as e:
        raise OutputError(f"The object cannot be written to {path} ({e.strerror}); choose another folder.") from e


def _material(vertices: np.ndarray, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [1.0, 1.0, 1.0, 1.0],
            "roughnessFactor": round(float(vertices["colour"][:, 3].mean()) / 255, 4),
            "metallicFactor": round(float(vertices["material"][:, 0].mean()) / 255, 4),
        },
    }


def _document(columns: dict[str, _Column], name: str) -> tuple[dict[str, Any], bytes]:
    """The glTF JSON without its materials, and the buffer that it describes."""
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    binary = bytearray()
    for column in columns.values():
        raw = column.values.tobytes()
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(raw), "target": column.target})
        binary += raw + bytes(-len(raw) % 4)
        accessor = {
            "bufferView": len(views) - 1,
            "componentType": column.component,
            "count": len(column.values),
            "type": column.kind,
        }
        if column.is_normalised:
            accessor["normalized"] = True
        if column.has_bounds:
            accessor["min"], accessor["max"] = (column.values.min(0).tolist(), column.values.max(0).tolist())
        accessors.append(accessor)
    attributes = {key: index for index, key in enumerate(columns) if key != "indices"}
    primitive = {"attributes": attributes, "indices": list(columns).index("indices"), "material": 0}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "vrapp"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"name": name, "primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    return document, bytes(binary)


def _container(document: dict[str, Any], binary: bytes) -> bytes:
    """The two chunks of a GLB file, each padded to four bytes."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        (
            np.array([_GLB_MAGIC, 2, total, len(text), _JSON_CHUNK], "<u4").tobytes(),
            text,
            np.array([len(binary), _BINARY_CHUNK], "<u4").tobytes(),
            binary,
        )
    )
