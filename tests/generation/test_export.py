import json
import struct

import numpy as np
import pytest
import trimesh
from generation_shapes import small_object

from vrapp.core.errors import OutputError
from vrapp.generation.export import write_glb


def test_a_glb_opens_elsewhere(tmp_path):
    made = small_object(size=0.4)
    write_glb(tmp_path / "chair.glb", made.mesh, "chair", size_m=2.0)
    opened = trimesh.load(tmp_path / "chair.glb", force="mesh", process=False)
    level = made.mesh.levels[0]
    np.testing.assert_allclose(opened.vertices, level.vertices["position"] * 2, atol=1e-6)
    np.testing.assert_array_equal(opened.faces.reshape(-1), level.indices)
    assert opened.is_watertight
    assert opened.volume > 0
    np.testing.assert_allclose(opened.bounds, made.mesh.box * 2, atol=1e-6)


def test_colours_are_linear_and_the_material_is_the_mean(tmp_path):
    write_glb(tmp_path / "a.glb", small_object().mesh, "a")
    raw = (tmp_path / "a.glb").read_bytes()
    magic, version, length, json_bytes, kind = struct.unpack_from("<4s4I", raw)
    assert (magic, version, length, kind) == (b"glTF", 2, len(raw), 0x4E4F534A)
    document = json.loads(raw[20 : 20 + json_bytes])
    material = document["materials"][0]["pbrMetallicRoughness"]
    assert material["roughnessFactor"] == pytest.approx(64 / 255, abs=1e-3)
    assert material["metallicFactor"] == pytest.approx(51 / 255, abs=1e-3)
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]]
    start = 28 + json_bytes + document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    colour = np.frombuffer(raw, "<u2", 4, start) / 65535
    np.testing.assert_allclose(colour, [1.0, 0.2158605, 0.0, 1.0], atol=1e-4)  # sRGB 128 is linear 0.2159
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(OutputError, match=r"cannot be written to .*choose another folder"):
        write_glb(tmp_path / "nowhere" / "a.glb", small_object().mesh, "a")
