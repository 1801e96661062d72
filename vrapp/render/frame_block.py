"""The uniform block ``Frame`` of ``shaders/frame.glsl``: eyes, light, shadows and terrain of one frame."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from vrapp.core import floats, maths
from vrapp.core.maths import Array
from vrapp.core.pose import NEAR_M, Fov, Pose, View
from vrapp.core.record import record
from vrapp.render.daylight import Daylight

_LAST_ROW = [0.0, 0.0, 0.0, 1.0]
_CLOUD_PERIOD_S = 10_000.0  # the clouds have drifted by whole tiles (sky.frag), so starting again does not show

FRAME_DTYPE = np.dtype(
    [
        ("clip_from_world", "<f4", (2, 4, 4)),
        ("ray_from_ndc", "<f4", (2, 4, 4)),
        ("shadow_from_world", "<f4", (3, 4, 4)),
        ("eyes", "<f4", (2, 4)),
        ("viewer", "<f4", 4),
        ("to_sun", "<f4", 4),
        ("sun", "<f4", 4),
        ("zenith", "<f4", 4),
        ("horizon", "<f4", 4),
        ("bounce", "<f4", 4),
        ("shadow_texel", "<f4", 4),
        ("terrain", "<f4", 4),
        ("shadow_tile", "<f4", (3, 4)),
        ("counts", "<i4", 4),
    ]
)


@record
class Eye:
    """One view placed in the world. ``clip_from_world`` (4, 4); ``position`` (3,) in metres."""

    position: Array
    orientation: Array
    clip_from_world: Array
    ray_from_ndc: Array
    size: tuple[int, int]
    pixels_per_radian: float
    fov: Fov
    hidden: Array | None = None


def place_eyes(views: tuple[View, ...], world_from_stage: Pose) -> tuple[Eye, ...]:
    """The views as cameras in the world."""
    eyes = []
    for view in views:
        pose = world_from_stage @ view.pose
        projection, ray, height_tan = _lens(view.fov)
        right, up, back = floats.axes(pose.orientation.tolist())
        at = pose.position.tolist()
        view_from_world = [[*axis, -sum(map(float.__mul__, axis, at))] for axis in (right, up, back)]
        clip_from_world = projection @ np.array([*view_from_world, _LAST_ROW], np.float32)
        turn = [[*row, 0.0] for row in zip(right, up, back, strict=True)]
        ray_from_ndc = np.array([*turn, _LAST_ROW], np.float32) @ ray
        _, _, width, height = view.viewport
        density = height / height_tan
        lens = (width, height), density, view.fov, view.hidden
        eyes.append(Eye(pose.position, pose.orientation, clip_from_world, ray_from_ndc, *lens))
    return tuple(eyes)


@lru_cache(maxsize=8)
def _lens(fov: Fov) -> tuple[Array, Array, float]:
    """What the field of view alone decides: projection, rays from NDC, and the height of the picture at 1 m."""
    projection = maths.projection_reversed_z(fov.tan_left, fov.tan_right, fov.tan_up, fov.tan_down, NEAR_M)
    ray = np.eye(4, dtype=np.float32)
    ray[0, 0], ray[0, 2] = (fov.tan_right - fov.tan_left) / 2, (fov.tan_right + fov.tan_left) / 2
    ray[1, 1], ray[1, 2] = (fov.tan_up - fov.tan_down) / 2, (fov.tan_up + fov.tan_down) / 2
    ray[2, 2] = -1
    return projection, ray, fov.tan_up - fov.tan_down


class FrameBlock:
    """The block's values as one numpy record, and the uniform buffer that they are written to."""

    def __init__(self, ctx: Any) -> None:
        self.values = np.zeros(1, FRAME_DTYPE)
        self.row = self.values[0]  # a view
        self.viewer: Array = self.row["viewer"][:3]  # likewise: the middle of the eyes, metres
        self._buffer = ctx.buffer(reserve=FRAME_DTYPE.itemsize, dynamic=True)

    def set_eyes(self, eyes: tuple[Eye, ...], time_s: float) -> None:
        """Cameras, their middle, and the time of the moving things."""
        v = self.row
        for i, eye in enumerate(eyes):
            v["clip_from_world"][i] = eye.clip_from_world.T
            v["ray_from_ndc"][i] = eye.ray_from_ndc.T
            v["eyes"][i, :3] = eye.position
        self.viewer[:] = eyes[0].position if len(eyes) == 1 else (eyes[0].position + eyes[1].position) / 2
        v["viewer"][3] = 1 / eyes[0].pixels_per_radian
        v["to_sun"][3] = time_s % _CLOUD_PERIOD_S
        v["counts"][0] = len(eyes)

    def set_daylight(self, light: Daylight) -> None:
        """Sun, sky, bounce, exposure and fog."""
        v = self.row
        v["to_sun"][:3] = light.to_sun
        v["sun"][:] = (*light.sun, light.exposure)
        v["zenith"][:] = (*light.zenith, light.fog_per_m)
        v["horizon"][:3] = light.horizon
        v["bounce"][:3] = light.bounce

    def upload(self) -> None:
        """Send the values and bind the block."""
        self._buffer.write(self.values)
        self._buffer.bind_to_uniform_block(0)

    def release(self) -> None:
        """Delete the buffer."""
        self._buffer.release()
