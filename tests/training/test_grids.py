"""Meshes → grids: geometry, colours, and meshes that are not clean."""

from pathlib import Path

import numpy as np
import trimesh
from training_shapes import coloured_box

from vrapp.training.grids import OBJECT_VOXELS, TRUNCATION_VOXELS, grid_from_mesh
from vrapp.training.meshes import load_mesh


def saved(tmp_path: Path, mesh: trimesh.Trimesh, name: str = "model.glb") -> Path:
    path = tmp_path / name
    mesh.export(path)
    return path


def test_a_box_fills_its_share_and_keeps_its_material(tmp_path: Path) -> None:
    grid = grid_from_mesh(load_mesh(saved(tmp_path, coloured_box((2, 1, 1), (1.0, 0.0, 0.0))), tmp_path))
    inside = grid[0] < 127
    extents = [np.ptp(np.nonzero(inside.any((1, 2)))[0]) + 1, np.ptp(np.nonzero(inside.any((0, 2)))[0]) + 1]
    assert abs(extents[0] - OBJECT_VOXELS) <= 2
    assert abs(extents[1] - OBJECT_VOXELS / 2) <= 2
    near = np.abs(grid[0].astype(int) - 127) < 60
    red, green, _, rough, metal, glow = grid[1:, near].mean(1)
    assert red > 250
    assert green < 5
    assert abs(rough - 64) < 3
    assert abs(metal - 128) < 3
    assert glow == 0


def test_distance_is_in_voxels_and_positive_outside(tmp_path: Path) -> None:
    grid = grid_from_mesh(load_mesh(saved(tmp_path, trimesh.creation.box((1, 1, 1))), tmp_path))
    line = (grid[0, :, 32, 32] / 127.5 - 1) * TRUNCATION_VOXELS
    assert line[0] > 2.9
    assert line[32] < -3
    assert np.allclose(np.diff(line[2:6]), -1.0, atol=0.05)


def test_flipped_and_open_shells_still_have_an_inside(tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(2)
    expected = grid_from_mesh(load_mesh(saved(tmp_path, ball), tmp_path))[0] < 127
    flipped = ball.copy()
    flipped.invert()
    opened = ball.copy()
    opened.update_faces(np.arange(len(ball.faces)) >= 4)
    for mesh in (flipped, opened):
        found = grid_from_mesh(load_mesh(saved(tmp_path, mesh), tmp_path))[0] < 127
        assert (found & expected).sum() / (found | expected).sum() > 0.97


def test_faces_turned_here_and_there_and_two_sided_meshes_have_an_inside(tmp_path: Path) -> None:
    ring = trimesh.creation.torus(1, 0.3, 24, 12)
    expected = grid_from_mesh(load_mesh(saved(tmp_path, ring), tmp_path))[0] < 127
    turned = ring.faces.copy()
    some = np.random.default_rng(0).random(len(turned)) < 0.4
    turned[some] = turned[some][:, ::-1]
    for faces in (turned, np.vstack([ring.faces, ring.faces[:, ::-1]])):
        mesh = trimesh.Trimesh(ring.vertices, faces, process=False)
        found = grid_from_mesh(load_mesh(saved(tmp_path, mesh, "ring.glb"), tmp_path))[0] < 127
        assert (found & expected).sum() / (found | expected).sum() > 0.99


def test_what_is_not_closed_is_left_as_it_is(tmp_path: Path) -> None:
    """Two-sided panes in a frame: each taken once, their winding numbers would add up to a lens around them."""
    pane = trimesh.creation.box((1.6, 1.6, 0.1))
    pane.update_faces(np.abs(pane.face_normals[:, 2]) > 0.5)  # its front and its back
    faces = pane.faces.copy()
    faces[pane.face_normals[:, 2] < 0] = faces[pane.face_normals[:, 2] < 0][:, ::-1]
    two_sided = trimesh.Trimesh(pane.vertices, np.vstack([faces, faces[:, ::-1]]), process=False)
    mesh = trimesh.util.concatenate([trimesh.creation.torus(1, 0.3, 24, 12), two_sided])
    found = grid_from_mesh(load_mesh(saved(tmp_path, mesh), tmp_path))[0]
    assert (found[32, 32] < 127).sum() <= 5  # through both panes: two sheets


def test_the_lid_of_an_open_body_has_its_colour(tmp_path: Path) -> None:
    cup = coloured_box((1, 1, 1), (1.0, 0.0, 0.0))
    cup.update_faces(cup.face_normals[:, 1] < 0.5)
    grid = grid_from_mesh(load_mesh(saved(tmp_path, cup), tmp_path))
    lid = int(np.nonzero(grid[0, 32, :, 32] < 127)[0].max())
    assert 40 < lid < 64
    assert grid[1, 32, lid, 32] > 250


def test_a_hollow_body_stays_hollow(tmp_path: Path) -> None:
    cavity = trimesh.creation.icosphere(2, 0.7)
    cavity.invert()
    mesh = trimesh.util.concatenate([trimesh.creation.icosphere(2), cavity])
    grid = grid_from_mesh(load_mesh(saved(tmp_path, mesh), tmp_path))
    assert grid[0, 32, 32, 32] == 255


def test_a_sheet_without_thickness_does_not_vanish(tmp_path: Path) -> None:
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0]],
                            [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])  # fmt: skip
    grid = grid_from_mesh(load_mesh(saved(tmp_path, sheet, "sheet.ply"), tmp_path))
    assert (grid[0] < 127).sum() > 50 * 50


def test_obj_and_ply_are_read(tmp_path: Path) -> None:
    for name in ("model.obj", "model.ply"):
        mesh = load_mesh(saved(tmp_path, trimesh.creation.icosphere(1), name), tmp_path)
        assert len(mesh.faces) == 80
