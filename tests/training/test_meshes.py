"""Files that must be left out, with a reason, and never read outside the folder."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh

from vrapp.training.meshes import MeshRejected, load_mesh


def glb(tree: dict[str, object], claimed: int | None = None) -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    length = len(text) if claimed is None else claimed
    return struct.pack("<4sIII4s", b"glTF", 2, min(20 + length, 2**32 - 1), length, b"JSON") + text


def rejected(path: Path, root: Path) -> str:
    with pytest.raises(MeshRejected) as caught:
        load_mesh(path, root)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"glTF", "cut off"),
        (b"x" * 64, "not a glTF 2"),
        (glb({}, claimed=2**32 - 64), "claims"),
        (glb({"accessors": [{"count": 2**31}]}), "accessor"),
        (glb({"buffers": [{"byteLength": 2**32}]}), "256 MiB"),
        (glb({"images": [{"uri": "../../secret.png"}]}), "leaves the data folder"),
        (glb({"images": [{"uri": "..%2f..%2fsecret.png"}]}), "leaves the data folder"),
        (glb({"images": [{"uri": "/etc/hostname"}]}), "leaves the data folder"),
        (glb({"buffers": [{"uri": "file:///etc/hostname", "byteLength": 4}]}), "not a local file"),
        (glb({"asset": {"version": "2.0"}}), ""),
    ],
)
def test_bad_glb(tmp_path: Path, content: bytes, reason: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "bad.glb").write_bytes(content)
    assert reason in rejected(folder / "bad.glb", folder)


def test_not_finite_one_triangle_and_flat_meshes(tmp_path: Path) -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    trimesh.Trimesh(corners, [[0, 1, 2]], process=False).export(tmp_path / "one.ply")
    assert "1 triangles" in rejected(tmp_path / "one.ply", tmp_path)
    lines = "".join(f"v {x} 0 0\n" for x in range(9)) + "".join(f"f {i} {i + 1} {i + 2}\n" for i in range(1, 7))
    (tmp_path / "flat.obj").write_text(lines)
    assert "0 triangles" in rejected(tmp_path / "flat.obj", tmp_path)
    box = trimesh.creation.box()
    box.vertices[0, 0] = np.nan
    trimesh.Trimesh(box.vertices, box.faces, process=False).export(tmp_path / "nan.ply")
    assert "finite" in rejected(tmp_path / "nan.ply", tmp_path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside.ply", tmp_path / "models"
    folder.mkdir()
    trimesh.creation.box().export(outside)
    (folder / "link.ply").symlink_to(outside)
    assert "leaves" in rejected(folder / "link.ply", folder)
