"""Files that must be left out, with a reason, and never read outside the folder."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from gltf_files import GltfFile

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
        (glb({"asset": {"version": "2.0"}}), ""),
    ],
)
def test_bad_glb(tmp_path: Path, content: bytes, reason: str) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "bad.glb").write_bytes(content)
    assert reason in rejected(folder / "bad.glb", folder)


def claimed(count: int, size: int) -> GltfFile:
    file = GltfFile()
    file.tree["accessors"][0]["count"], file.tree["bufferViews"][0]["byteLength"] = count, size
    return file


@pytest.mark.parametrize(
    ("count", "size", "reason"),
    [(2**31, 96, "an accessor claims"), (-1, 96, "an accessor claims"), (9, 96, "more than its buffer holds"),
     (8, 2**31, "shorter than its views claim"), (8, -1, "shorter than its views claim")],
)  # fmt: skip
def test_claims_that_the_file_does_not_back(tmp_path: Path, count: int, size: int, reason: str) -> None:
    assert reason in rejected(claimed(count, size).write(tmp_path / "bad.glb"), tmp_path)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("../../secret.png", "leaves the data folder"),
        ("..%2f..%2fsecret.png", "leaves the data folder"),
        ("..\\..\\secret.png", "leaves the data folder"),
        ("/etc/hostname", "leaves the data folder"),
        ("//server/share/x.png", "leaves the data folder"),
        ("link.png", "leaves the data folder"),
        ("a%00.png", "leaves the data folder"),
        ("file:///etc/hostname", "not a local file"),
        ("HTTP://127.0.0.1:9/x.png", "not a local file"),
        ("gone.png", "is missing"),
        (".", "is missing"),
        ("x" * 5000, "cannot be read"),
        ("data:image/png;base64,@@", "data URI is damaged"),
        (5, "not text"),
    ],
)
def test_textures_come_from_the_folder_alone(tmp_path: Path, uri: object, reason: str) -> None:
    folder = tmp_path / "models" / "chair"
    folder.mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    file = GltfFile()
    file.textured({"uri": uri}, np.zeros((8, 2), np.float32))
    assert reason in rejected(file.write(folder / "bad.glb"), tmp_path / "models")


def test_an_obj_keeps_to_the_folder_too_and_may_lack_its_mtl(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret.mtl").write_text("newmtl a\nKd 1 0 0\n")
    lines = "".join(f"v {x} {y} {z}\n" for x in (0, 1) for y in (0, 1) for z in (0, 1))
    lines += "usemtl a\nf 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"
    for name, reason in (("../secret.mtl", "leaves"), ("/etc/hostname", "leaves"), ("map.mtl", "is missing")):
        (folder / "map.mtl").write_text("newmtl a\nmap_Kd gone.png\n")
        (folder / "model.obj").write_text(f"mtllib {name}\n{lines}")
        assert reason in rejected(folder / "model.obj", folder)
    (folder / "model.obj").write_text(f"mtllib gone.mtl\n{lines}")
    assert len(load_mesh(folder / "model.obj", folder).faces) == 12


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
    (folder / "loop.ply").symlink_to("loop.ply")
    assert "leaves" in rejected(folder / "loop.ply", folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.glb")
    assert "not a file" in rejected(tmp_path / "pipe.glb", tmp_path)
