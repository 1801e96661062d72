"""glTF files made by hand, for what exporters at hand do not write."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

_KINDS = {"u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
BOX = trimesh.creation.box((2, 1, 1))
POINTS = BOX.vertices.astype(np.float32)  # (8, 3): 2 long, 1 high, 1 deep
FACES = BOX.faces.ravel().astype(np.uint16)


class GltfFile:
    """A tree with one mesh of one primitive (a box, unless told otherwise) on one node, to be changed at will."""

    def __init__(self, points: np.ndarray = POINTS, faces: np.ndarray | None = FACES, **primitive: Any) -> None:
        self.binary = b""
        self.tree: dict[str, Any] = {
            "asset": {"version": "2.0"}, "bufferViews": [], "accessors": [], "nodes": [{"mesh": 0}],
            "scenes": [{"nodes": [0]}], "scene": 0,
        }  # fmt: skip
        self.primitive: dict[str, Any] = {"attributes": {"POSITION": self.accessor(points)}, **primitive}
        if faces is not None:
            self.primitive["indices"] = self.accessor(faces)
        self.tree["meshes"] = [{"primitives": [self.primitive]}]

    def view(self, raw: bytes, **more: Any) -> int:
        """The number of a new buffer view."""
        self.binary += bytes(-len(self.binary) % 4)
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(raw), **more})
        self.binary += raw
        return len(self.tree["bufferViews"]) - 1

    def accessor(self, numbers: np.ndarray, **more: Any) -> int:
        """The number of a new accessor of numbers (N,) or (N, width)."""
        kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[numbers.shape[1] if numbers.ndim > 1 else 1]
        view = self.view(np.ascontiguousarray(numbers).tobytes())
        component = _KINDS[numbers.dtype.str[1:]]
        entry = {"bufferView": view, "componentType": component, "count": len(numbers), "type": kind, **more}
        self.tree["accessors"].append(entry)
        return len(self.tree["accessors"]) - 1

    def textured(self, image: dict[str, Any], uv: np.ndarray, **texture: Any) -> None:
        """Give the primitive a material with this image at coordinates (V, 2) float32."""
        self.primitive["attributes"]["TEXCOORD_0"] = self.accessor(uv)
        self.primitive["material"] = 0
        self.tree["images"], self.tree["textures"] = [image], [{"source": 0, "sampler": 0}]
        self.tree.setdefault("samplers", [{}])
        self.tree["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, **texture}}}]

    def glb(self) -> bytes:
        """The file."""
        text = json.dumps({**self.tree, "buffers": [{"byteLength": len(self.binary)}]}).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + bytes(-len(self.binary) % 4)
        body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body

    def write(self, path: Path) -> Path:
        """The file in a file."""
        path.write_bytes(self.glb())
        return path
