"""Our side: arena, culling, indirect draw, with an unlit shader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vrapp.app.peer.objects import BACKGROUND, GlbMesh, camera, field_of_view, placed, read_glb
from vrapp.core.clock import RealClock
from vrapp.core.mesh import VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.core.platform import tune_heap
from vrapp.core.pose import View
from vrapp.core.scene import ObjectState, SceneArrays
from vrapp.display.offscreen import OffscreenDisplay
from vrapp.render.unlit import UnlitRenderer


class OurSide:
    """``child.Side`` of this project. ``paths``: the objects' files, finest level first."""

    def __init__(self, paths: list[list[Path]], seed: int, size: tuple[int, int]) -> None:
        tune_heap()  # as in the world
        self._display = OffscreenDisplay(size, RealClock())
        self._unlit = UnlitRenderer(self._display.ctx, BACKGROUND)
        meshes = [_mesh([read_glb(path) for path in levels]) for levels in zip(*paths, strict=True)]
        ids = [self._unlit.arena.add(mesh) for mesh in meshes]
        self._unlit.arena.pump(1 << 40)
        self._scene = _scene(meshes, ids, seed)
        self._view = View(camera(), field_of_view(size), (0, 0, *size))
        self.renderer: str = self._display.ctx.info["GL_RENDERER"]
        self.triangles = sum(mesh.levels[0].triangles for mesh in meshes)

    def frame(self) -> None:
        """All of it: culling, levels, commands, drawing."""
        self._unlit.draw(self._view, self._scene)
        self._display.end_frame()

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return self._unlit.read_pixels()


def _mesh(levels: list[GlbMesh]) -> Mesh:
    finest = levels[0].positions
    box = np.stack([finest.min(0), finest.max(0)])
    return Mesh(tuple(map(_level, levels)), box, finest[:1])


def _level(glb: GlbMesh) -> MeshLevel:
    vertices = np.zeros(len(glb.positions), VERTEX_DTYPE)
    vertices["position"], vertices["colour"] = glb.positions, glb.colours
    return MeshLevel(vertices, glb.triangles.reshape(-1))


def _scene(meshes: list[Mesh], ids: list[int], seed: int) -> SceneArrays:
    n = len(meshes)
    position, orientation = placed(n, seed)
    box = np.stack([mesh.box for mesh in meshes])
    return SceneArrays(
        count=n,
        state=np.full(n, int(ObjectState.RESTING), np.int8),
        generation=np.zeros(n, np.int32),
        position=position,
        orientation=orientation,
        size=np.ones(n, np.float32),
        growth=np.ones(n, np.float32),
        mesh_id=np.array(ids, np.int32),
        mark=np.zeros(n, np.uint8),
        category=np.zeros(n, np.int16),
        radius=np.linalg.norm(np.abs(box).max(1), axis=1).astype(np.float32),
        box=box,
    )
