"""Panda3D's side: each object one node with one geom, its smallest vertex format, vertex colours, no light.

Its own GLB loaders differ in what they keep, so the vertices come from the files by the reader that ours uses.
"""

from __future__ import annotations

import ctypes
import math
from pathlib import Path
from typing import Any

import numpy as np
from panda3d import core as p3d

from vrapp.app.peer.objects import BACKGROUND, FAR_M, FOV_RAD, NEAR_M, GlbMesh, camera, placed, read_glb

_SETTINGS = """
load-display p3headlessgl
coordinate-system yup-right
sync-video false
audio-library-name null
notify-level warning
"""


class PandaSide:
    """``child.Side`` of Panda3D, offscreen through EGL."""

    def __init__(self, paths: list[Path], seed: int, size: tuple[int, int]) -> None:
        p3d.load_prc_file_data("", _SETTINGS)
        self._engine = p3d.GraphicsEngine.get_global_ptr()
        self._buffer = self._open(size)
        root = p3d.NodePath("scene")
        self.triangles = 0
        for path, position, turn in zip(paths, *placed(len(paths), seed), strict=True):
            glb = read_glb(path)
            self.triangles += len(glb.triangles)
            node = root.attach_new_node(_node(glb))
            x, y, z, w = map(float, turn)
            node.set_pos_quat(p3d.LPoint3f(*map(float, position)), p3d.LQuaternionf(w, x, y, z))
        self._look(root, size)
        self._finish = ctypes.CDLL("libGL.so.1").glFinish
        self.frame()
        self.renderer: str = self._buffer.get_gsg().get_driver_renderer()

    def _open(self, size: tuple[int, int]) -> Any:
        pipe = p3d.GraphicsPipeSelection.get_global_ptr().make_default_pipe()
        wanted = p3d.FrameBufferProperties()
        wanted.set_rgba_bits(8, 8, 8, 8)
        wanted.set_depth_bits(24)
        flags = p3d.GraphicsPipe.BF_refuse_window
        made = self._engine.make_output(pipe, "peer", 0, wanted, p3d.WindowProperties.size(*size), flags)
        if made is None:
            raise RuntimeError("Panda3D found no OpenGL through EGL.")
        made.set_clear_color(p3d.LColor(*BACKGROUND, 1))
        return made

    def _look(self, root: Any, size: tuple[int, int]) -> None:
        lens = p3d.PerspectiveLens()
        wide = 2 * math.atan(math.tan(FOV_RAD / 2) * size[0] / size[1])
        lens.set_fov(math.degrees(wide), math.degrees(FOV_RAD))
        lens.set_near_far(NEAR_M, FAR_M)
        eye = root.attach_new_node(p3d.Camera("eye", lens))
        pose = camera()
        x, y, z, w = map(float, pose.orientation)
        eye.set_pos_quat(p3d.LPoint3f(*map(float, pose.position)), p3d.LQuaternionf(w, x, y, z))
        self._buffer.make_display_region().set_camera(eye)

    def frame(self) -> None:
        """Cull and draw; its context stays current, so that waiting for it is one call."""
        self._engine.render_frame()
        self._finish()

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        found = self._buffer.get_screenshot()
        rows = np.frombuffer(found.get_ram_image_as("RGB"), np.uint8)
        return rows.reshape(found.get_y_size(), found.get_x_size(), 3)[::-1]


def _node(glb: GlbMesh) -> Any:
    rows = np.zeros(len(glb.positions), [("position", "<f4", 3), ("colour", "u1", 4)])
    rows["position"], rows["colour"] = glb.positions, glb.colours
    vertices = p3d.GeomVertexData("object", _vertex_format(), p3d.Geom.UH_static)
    vertices.unclean_set_num_rows(len(rows))
    vertices.modify_array_handle(0).copy_data_from(rows.tobytes())
    triangles = p3d.GeomTriangles(p3d.Geom.UH_static)
    few = len(rows) <= 0xFFFF
    triangles.set_index_type(p3d.Geom.NT_uint16 if few else p3d.Geom.NT_uint32)
    indices = triangles.modify_vertices()
    indices.unclean_set_num_rows(glb.triangles.size)
    indices.modify_handle().copy_data_from(glb.triangles.astype("<u2" if few else "<u4").tobytes())
    geom = p3d.Geom(vertices)
    geom.add_primitive(triangles)
    node = p3d.GeomNode("object")
    node.add_geom(geom)
    return node


def _vertex_format() -> Any:
    """16 bytes: position and colour."""
    columns = p3d.GeomVertexArrayFormat()
    columns.add_column(p3d.InternalName.get_vertex(), 3, p3d.Geom.NT_float32, p3d.Geom.C_point)
    columns.add_column(p3d.InternalName.get_color(), 4, p3d.Geom.NT_uint8, p3d.Geom.C_color)
    return p3d.GeomVertexFormat.register_format(p3d.GeomVertexFormat(columns))
