"""The comparison with another engine: both sides read the same files and draw the same picture."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vrapp.app import bench_peer
from vrapp.app.cli import main
from vrapp.app.options import Options
from vrapp.app.peer.child import WITH_LEVELS
from vrapp.app.peer.objects import BACKGROUND, read_glb
from vrapp.core.mesh import VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.generation.export import linear_from_srgb, write_glb

OBJECTS = 12


def pyramid(colour: tuple[int, int, int]) -> Mesh:
    corners = np.array([(-0.5, -0.5, -0.5), (0.5, -0.5, -0.5), (0.5, -0.5, 0.5), (-0.5, -0.5, 0.5), (0, 0.5, 0)])
    vertices = np.zeros(5, VERTEX_DTYPE)
    vertices["position"], vertices["colour"][:, :3] = corners, colour
    vertices["normal"][:, 1] = 127
    faces = np.array([(0, 1, 2), (0, 2, 3), (0, 4, 1), (1, 4, 2), (2, 4, 3), (3, 4, 0)], np.uint32)
    level = MeshLevel(vertices, faces.reshape(-1))
    return Mesh((level,) * 3, np.stack([corners.min(0), corners.max(0)]).astype(np.float32), corners.astype(np.float32))


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    for number in range(OBJECTS):
        mesh = pyramid((250 - 20 * number, 20 * number, 120))
        for level in range(3):
            write_glb(tmp_path / f"{number:04d}_level{level}.glb", mesh, "pyramid", 1.2)
    return tmp_path


def test_what_was_exported_is_read(exports: Path) -> None:
    found = read_glb(exports / "0003_level0.glb")
    mesh = pyramid((190, 60, 120))
    np.testing.assert_allclose(found.positions, mesh.levels[0].vertices["position"] * 1.2, rtol=1e-6)
    np.testing.assert_array_equal(found.triangles.reshape(-1), mesh.levels[0].indices)
    linear = 255 * linear_from_srgb(np.array([190, 60, 120]) / 255)
    np.testing.assert_allclose(found.colours[:, :3], np.tile(linear, (5, 1)), atol=0.51)


@pytest.mark.parametrize("words", [["frame", "--peer", "panda3d"], ["generate"]])
def test_a_missing_peer_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["bench", *words]) == 2
    assert "pip install" in capfd.readouterr().err


class Cold:
    """A side whose first frame after another's is slow; one that follows itself stays warm."""

    last = ""

    def __init__(self, name: str, *_: object) -> None:
        self.name, self.told = name, {"renderer": "r", "triangles": 1}

    def __enter__(self) -> Cold:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def frames(self, count: int) -> np.ndarray:
        found = np.full(count, 10.0)
        if Cold.last != self.name:
            found[0] = 500.0
        Cold.last = self.name
        return found

    def picture(self, path: Path) -> str:
        return str(path)


def test_whoever_draws_directly_after_itself_has_no_advantage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_peer, "Side", Cold)
    monkeypatch.setattr(bench_peer, "exported", lambda *_: Path())
    monkeypatch.setattr(bench_peer, "FRAMES", 1)
    rows, summary = bench_peer.compare(Options())
    assert {row["ms_p99"] for row in rows} == {10.0}
    assert summary["peer_ratio_least"] == summary["peer_ratio_most"] == 1.0


@pytest.mark.gl
def test_both_sides_draw_the_same_picture(exports: Path, gl_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("panda3d", reason="panda3d (the extra 'peer') is not installed")
    monkeypatch.setattr(bench_peer, "OBJECTS", OBJECTS)
    pictures = {}
    for name in bench_peer.SIDES:
        with bench_peer.Side(name, exports, 3, (96, 64)) as side:
            assert side.told["triangles"] == 6 * OBJECTS
            assert (side.frames(2) > 0).all()
            pictures[name] = np.asarray(Image.open(side.picture(exports / f"{name}.png"))).astype(int)
    ours, theirs, levels = (pictures[name] for name in ("vrapp", "panda3d", WITH_LEVELS))
    background = round(255 * math.pow(BACKGROUND[0], 1 / 2.2))
    assert (np.abs(ours[..., 0] - background) > 12).mean() > 0.05  # something stands there
    assert (np.abs(ours - theirs).max(-1) > 12).mean() < 0.02
    assert (np.abs(ours - levels).max(-1) > 12).mean() < 0.02
