"""Everything that can be seen, drawn once into a small picture before anybody looks on.

Drivers finish compiling a program when it is first drawn with, in the state that it is drawn in: without this, the
first outline, ray, text or vignette of a visit would make its frame late.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vrapp.core import maths
from vrapp.core.display import Board, Target
from vrapp.core.mesh import VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.core.pose import Fov, Pose, View
from vrapp.core.scene import Mark, ObjectState, SceneArrays
from vrapp.render.extras import FrameExtras, GroundRing, HandLook, PanelText, RayLook
from vrapp.render.renderer import Renderer

_SIDE = 64  # pixels
_AT = maths.vec3(0.0, 1.5, -1.0)  # in front of the eyes
_FRAMES = 2  # what was stored in the first is used in the second


def warm_up(renderer: Renderer, ctx: Any, eyes: int) -> None:
    """Draw for one or two ``eyes``. The renderer has its ground, and no object yet."""
    mesh_id = renderer.arena.add(_mesh())
    renderer.arena.pump(1 << 20)
    colour = ctx.texture((_SIDE * eyes, _SIDE), 4)
    before, picture = ctx.fbo, ctx.framebuffer([colour])
    hidden = np.array([[-0.7, -0.7], [-0.6, -0.7], [-0.7, -0.6]], np.float32)
    views = tuple(
        View(Pose(maths.vec3(0.06 * eye, 1.6, 0.0)), Fov(-0.7, 0.7, 0.7, -0.7), (_SIDE * eye, 0, _SIDE, _SIDE), hidden)
        for eye in range(eyes)
    )
    try:
        for _ in range(_FRAMES):
            renderer.draw(views, Pose(), _scene(mesh_id), Target((picture,) * eyes), _extras())
    finally:
        renderer.arena.release(mesh_id)
        # ModernGL returns to the framebuffer in use, which must not be a deleted one.
        (before or ctx.detect_framebuffer(0)).use()
        picture.release()
        colour.release()


def _mesh() -> Mesh:
    """A tetrahedron."""
    vertices = np.zeros(4, VERTEX_DTYPE)
    vertices["position"] = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.4
    vertices["normal"][:, 1] = 127
    points = vertices["position"].copy()
    level = MeshLevel(vertices, np.array([0, 1, 2, 0, 3, 1, 0, 2, 3, 1, 3, 2], np.uint32))
    return Mesh((level,), np.stack((points.min(0), points.max(0))), points)


def _scene(mesh_id: int) -> SceneArrays:
    """One object, with every mark."""
    marks = np.bitwise_or.reduce([int(mark) for mark in Mark])
    return SceneArrays(
        1, np.array([ObjectState.RESTING], np.int8), np.zeros(1, np.int32), _AT[None].copy(),
        maths.IDENTITY_QUATERNION[None].copy(), np.full(1, 0.4, np.float32), np.ones(1, np.float32),
        np.array([mesh_id], np.int32), np.array([marks], np.uint8), np.zeros(1, np.int16),
        np.full(1, 0.4, np.float32), np.array([[[-0.4] * 3, [0.4] * 3]], np.float32),
    )  # fmt: skip


def _extras() -> FrameExtras:
    """One of each."""
    board = Board("warm-up", np.full((8, 8, 4), 200, np.uint8), Pose(_AT), 0.2)
    return FrameExtras(
        hands=(HandLook("hand", Pose(_AT)), HandLook("controller", Pose(_AT))),
        rays=(RayLook(maths.vec3(0, 1, 0), _AT),),
        rings=(GroundRing(maths.vec3(0, 0, -1)),),
        panels=(PanelText(("warm",)),),
        boards=(board,),
        vignette=0.5,
    )
