"""What glTF files may hold beyond a plain mesh: read as the specification has it, or left out with a reason."""

import io
from pathlib import Path

import numpy as np
import pytest
from gltf_files import FACES, POINTS, GltfFile
from PIL import Image

from vrapp.training.meshes import MeshRejected, SurfaceMesh, load_mesh, surface_appearance


def loaded(file: GltfFile, tmp_path: Path) -> SurfaceMesh:
    return load_mesh(file.write(tmp_path / "model.glb"), tmp_path)


def sides(mesh: SurfaceMesh) -> np.ndarray:
    """Lengths of the box along x, y, z over the longest."""
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    return np.round(np.ptp(corners, axis=0), 4)


def colour(mesh: SurfaceMesh) -> np.ndarray:
    """(N, 6) in the middle of every face."""
    return surface_appearance(mesh, np.arange(len(mesh.faces)), np.full((len(mesh.faces), 3), 1 / 3))


def volume(mesh: SurfaceMesh) -> float:
    """Six times the signed volume: positive when the faces look outward."""
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    return float(np.einsum("fk,fk->", a, np.cross(b, c)))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, None])
def test_indices_of_all_sizes_and_none(tmp_path: Path, kind: type | None) -> None:
    points = POINTS if kind else POINTS[FACES]
    mesh = loaded(GltfFile(points, FACES.astype(kind) if kind else None), tmp_path)
    assert len(mesh.faces) == 12
    assert volume(mesh) == pytest.approx(6 * 2 / 8)


def test_strips_and_fans_keep_their_front(tmp_path: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 13)
    rim = np.stack([np.cos(angles), 0 * angles, np.sin(angles)], 1)
    cone = np.concatenate([[[0, 1, 0]], rim[::-1]]).astype(np.float32)
    file = GltfFile(cone, None, mode=6)
    base = np.concatenate([[[0, 0, 0]], rim]).astype(np.float32)
    file.tree["meshes"][0]["primitives"].append({"attributes": {"POSITION": file.accessor(base)}, "mode": 6})
    fans = loaded(file, tmp_path)
    assert len(fans.faces) == 24
    assert volume(fans) > 0.7
    tube = np.stack([rim, rim + np.array([0, 1, 0])], 1).reshape(-1, 3).astype(np.float32)
    strip = loaded(GltfFile(tube, None, mode=5), tmp_path)
    assert len(strip.faces) == 24
    corners = strip.vertices[strip.faces]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = corners.mean(1) - strip.vertices.mean(0)
    along = (outward * middle).sum(1)
    assert (along > 0).all() or (along < 0).all()


def test_nodes_move_mirror_and_repeat(tmp_path: Path) -> None:
    file = GltfFile()
    file.tree["nodes"] = [
        {"children": [1, 2], "scale": [1, 2, 1]}, {"mesh": 0, "scale": [-1, 1, 1]},
        {"mesh": 0, "translation": [0, 1, 0], "rotation": [0, 1, 0, 0]},
    ]  # fmt: skip
    mesh = loaded(file, tmp_path)
    assert sides(mesh).tolist() == [0.5, 1.0, 0.25]
    assert volume(mesh) == pytest.approx(6 * (2 * 4 * 1) / 4**3)  # the mirrored box looks outward, too


def test_circles_of_nodes_end(tmp_path: Path) -> None:
    file = GltfFile()
    file.tree["nodes"] = [{"mesh": 0, "children": [1, 0]}, {"mesh": 0, "children": [0], "translation": [0, 3, 0]}]
    assert len(loaded(file, tmp_path).faces) == 24


def test_more_instances_than_memory_holds_are_counted_first(tmp_path: Path) -> None:
    file = GltfFile()
    file.tree["nodes"] = [{"mesh": 0}] * 200_000
    file.tree["scenes"] = [{"nodes": list(range(200_000))}]
    with pytest.raises(MeshRejected, match="2,400,000 triangles, limit 2,000,000"):
        loaded(file, tmp_path)


def test_a_skin_puts_points_where_its_joints_are_and_not_its_node(tmp_path: Path) -> None:
    file = GltfFile()
    weights = np.zeros((8, 4), np.float32)
    weights[:, 0] = 1
    attributes = file.primitive["attributes"]
    attributes["JOINTS_0"], attributes["WEIGHTS_0"] = file.accessor(np.zeros((8, 4), np.uint8)), file.accessor(weights)
    shrunk = np.diag([0.5, 0.5, 0.5, 1]).astype(np.float32).reshape(1, 16)
    file.tree["skins"] = [{"joints": [1], "inverseBindMatrices": file.accessor(shrunk)}]
    upright = {"rotation": [0, 0, np.sqrt(0.5), np.sqrt(0.5)]}
    file.tree["nodes"] = [{"mesh": 0, "skin": 0, "scale": [100, 1, 1]}, upright]
    file.tree["scenes"] = [{"nodes": [0, 1]}]
    assert sides(loaded(file, tmp_path)).tolist() == [0.5, 1.0, 0.5]


def test_quantised_and_sparse_numbers_and_morphs_at_rest(tmp_path: Path) -> None:
    quantised = GltfFile()
    numbers = np.zeros((8, 4), np.uint16)
    numbers[:, :3] = np.round((POINTS - POINTS.min(0)) / 2 * 65535)
    view = quantised.view(numbers.tobytes(), byteStride=8)
    entry = {"bufferView": view, "componentType": 5123, "count": 8, "type": "VEC3", "normalized": True}
    quantised.tree["accessors"][0] = entry
    quantised.tree["nodes"] = [
        {"mesh": 0, "scale": [2, 2, 2]},
        {"mesh": 0, "scale": [2, 2, 2], "translation": [0, 1, 0]},
    ]
    quantised.tree["scenes"] = [{"nodes": [0, 1]}]
    quantised.tree["extensionsRequired"] = ["KHR_mesh_quantization"]
    assert sides(loaded(quantised, tmp_path)).tolist() == [1.0, 1.0, 0.5]

    sparse, above = GltfFile(), np.nonzero(POINTS[:, 1] > 0)[0]
    indices = {"bufferView": sparse.view(above.astype(np.uint16).tobytes()), "componentType": 5123}
    values = {"bufferView": sparse.view((POINTS[above] * [1, 7, 1]).astype(np.float32).tobytes())}
    sparse.tree["accessors"][0]["sparse"] = {"count": len(above), "indices": indices, "values": values}
    assert sides(loaded(sparse, tmp_path)).tolist() == [0.5, 1.0, 0.25]

    morphed = GltfFile()
    morphed.primitive["targets"] = [{"POSITION": morphed.accessor(POINTS * np.float32([0, 6, 0]))}]
    assert sides(loaded(morphed, tmp_path)).tolist() == [1.0, 0.5, 0.5]
    morphed.tree["meshes"][0]["weights"] = [0.5]
    assert sides(loaded(morphed, tmp_path)).tolist() == [0.5, 1.0, 0.25]


@pytest.mark.parametrize(("kind", "half"), [(np.float32, 0.5), (np.uint8, 128), (np.uint16, 32768)])
def test_vertex_colours_are_linear_and_tint_the_material(tmp_path: Path, kind: type, half: float) -> None:
    file = GltfFile()
    some = np.tile(np.array([half, half, half], kind), (8, 1))
    padded = np.concatenate([some, some[:, :1]], 1)
    file.primitive["attributes"]["COLOR_0"] = file.accessor(padded, normalized=kind is not np.float32)
    assert np.allclose(colour(loaded(file, tmp_path))[:, :3], 0.735, atol=0.003)  # sRGB of 0.5
    file.primitive["material"] = 0
    file.tree["materials"] = [{"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}]
    assert np.allclose(colour(loaded(file, tmp_path))[0, :3], [0.735, 0, 0], atol=0.003)


def picture(mode: str = "RGB", kind: str = "PNG") -> bytes:
    """Two pixels: red on the left, green on the right."""
    image, raw = Image.new(mode, (2, 1)), io.BytesIO()
    image.putpixel((0, 0), (255, 0, 0))
    image.putpixel((1, 0), (0, 255, 0))
    image.save(raw, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return raw.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize(
    ("along", "sampler", "transform", "seen"),
    [
        (0.25, {}, {}, "red"),
        (1.25, {}, {}, "red"),
        (1.25, {"wrapS": 33071}, {}, "green"),
        (1.75, {"wrapS": 33648}, {}, "red"),
        (0.25, {}, {"offset": [0.5, 0]}, "green"),
        (0.75, {}, {"rotation": np.pi}, "red"),  # to −0.75, which is 0.25 again
    ],
)
def test_textures_are_read_where_sampler_and_transform_say(
    tmp_path: Path, kind: str, along: float, sampler: dict[str, int], transform: dict[str, object], seen: str
) -> None:
    file = GltfFile()
    image = {"bufferView": file.view(picture(kind=kind)), "mimeType": f"image/{kind.lower()}"}
    file.tree["samplers"] = [sampler]
    moved = {"extensions": {"KHR_texture_transform": transform}} if transform else {}
    file.textured(image, np.tile(np.float32([along, 0.5]), (8, 1)), **moved)
    expected = [1, 0, 0] if seen == "red" else [0, 1, 0]
    assert np.allclose(colour(loaded(file, tmp_path))[:, :3], expected)


def test_roughness_metalness_and_glow_come_from_their_textures(tmp_path: Path) -> None:
    file, raw = GltfFile(), io.BytesIO()
    Image.new("RGB", (2, 2), (0, 51, 204)).save(raw, "PNG")
    file.textured({"bufferView": file.view(raw.getvalue()), "mimeType": "image/png"}, np.zeros((8, 2), np.float32))
    material = {"pbrMetallicRoughness": {"metallicRoughnessTexture": {"index": 0}}}
    file.tree["materials"] = [{**material, "emissiveTexture": {"index": 0}, "emissiveFactor": [1, 1, 1]}]
    assert np.allclose(colour(loaded(file, tmp_path))[:, 3:], [0.2, 0.8, 0.604], atol=0.002)  # glow: linear of 204


@pytest.mark.parametrize(
    ("extension", "reason"),
    [
        ("KHR_draco_mesh_compression", "needs the extension 'KHR_draco_mesh_compression'"),
        ("EXT_meshopt_compression", "needs the extension"),
        ("KHR_materials_unlit", ""),
    ],
)
def test_what_a_file_requires_is_known_or_told(tmp_path: Path, extension: str, reason: str) -> None:
    file = GltfFile()
    file.tree["extensionsRequired"] = [extension]
    if not reason:
        assert len(loaded(file, tmp_path).faces) == 12
        return
    with pytest.raises(MeshRejected, match=reason):
        loaded(file, tmp_path)


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 9])
def test_points_and_lines_alone_are_no_model(tmp_path: Path, mode: int) -> None:
    with pytest.raises(MeshRejected, match="no triangles"):
        loaded(GltfFile(mode=mode), tmp_path)


@pytest.mark.parametrize("raw", [b"", b"\x89PNG\r\n\x1a\nrubbish", picture()[:-30], b"GIF89a"])
def test_a_texture_that_cannot_be_read_leaves_the_model_out(tmp_path: Path, raw: bytes) -> None:
    file = GltfFile()
    file.textured({"bufferView": file.view(raw), "mimeType": "image/png", "name": "bark"}, np.zeros((8, 2), np.float32))
    with pytest.raises(MeshRejected, match="texture 'bark' cannot be read"):
        loaded(file, tmp_path)


@pytest.mark.slow
def test_damaged_files_are_read_or_rejected_and_nothing_else(tmp_path: Path) -> None:
    file = GltfFile()
    file.textured({"bufferView": file.view(picture()), "mimeType": "image/png"}, np.zeros((8, 2), np.float32))
    whole, rejected = file.glb(), 0
    rng = np.random.default_rng(0)
    for _ in range(3000):
        raw = bytearray(whole)
        for place in rng.integers(12, len(raw), rng.integers(1, 4)):
            raw[place] = rng.choice([rng.integers(256), *b"0123456789-,[]{}"])
        (tmp_path / "model.glb").write_bytes(bytes(raw))
        try:
            mesh = load_mesh(tmp_path / "model.glb", tmp_path)
            assert np.isfinite(colour(mesh)).all()
        except MeshRejected:
            rejected += 1
    assert 500 < rejected < 3000
