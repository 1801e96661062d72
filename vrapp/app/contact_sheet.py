"""A picture of many objects, each drawn by the world's own renderer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vrapp.core import maths
from vrapp.core.clock import FixedClock
from vrapp.core.generation import GeneratedObject
from vrapp.core.input import InputSnapshot
from vrapp.core.pose import Pose
from vrapp.display.offscreen import OffscreenDisplay
from vrapp.render.extras import FrameExtras, PanelText
from vrapp.render.renderer import Renderer
from vrapp.scene.store import SceneStore

TILE = 240
COLUMNS = 8
_DISTANCE = 2.1  # of the camera from an object one metre long


def contact_sheet(objects: Sequence[GeneratedObject], labels: Sequence[str]) -> np.ndarray:
    """(H, W, 3) uint8, ``COLUMNS`` tiles wide, in the order given."""
    rows = -(-len(objects) // COLUMNS)
    sheet = np.full((rows * TILE, min(len(objects), COLUMNS) * TILE, 3), 255, np.uint8)
    display = OffscreenDisplay((TILE, TILE), FixedClock())
    renderer = Renderer(display.ctx, "full")
    try:
        for i, (made, label) in enumerate(zip(objects, labels, strict=True)):
            y, x = divmod(i, COLUMNS)
            tile = _tile(display, renderer, made, label)
            sheet[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] = tile
    finally:
        renderer.release()
        display.close()
    return sheet


def _tile(display: OffscreenDisplay, renderer: Renderer, made: GeneratedObject, label: str) -> np.ndarray:
    """One object, a metre long, standing on the ground, from a little above and to the side."""
    store = SceneStore(capacity=1)
    box = made.mesh.box
    size = 1 / float((box[1] - box[0]).max())
    mesh_id = renderer.arena.add(made.mesh)
    renderer.arena.pump(1 << 30)
    height = float(box[1, 1] - box[0, 1]) * size
    pose = Pose(maths.vec3(0, -float(box[0, 1]) * size, 0), maths.quat_from_axis_angle((0, 1, 0), 0.6))
    store.add(made, pose, size, mesh_id, 0, grown=True)
    eye = maths.vec3(0, height / 2 + 0.75, _DISTANCE)
    head = Pose(eye, maths.look_at(eye, (0, height / 2, 0)))
    display.begin_frame()
    try:
        views = display.views(InputSnapshot(0, head))
        extras = FrameExtras(panels=(PanelText((label,), "bottom", height_px=15),))
        renderer.draw(views, Pose(), store.arrays(), display.target(), extras)
        return renderer.read_pixels()
    finally:
        display.end_frame()
        renderer.arena.release(mesh_id)
