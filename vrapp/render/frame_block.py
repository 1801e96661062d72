"""The uniform block ``Frame`` of ``shaders/frame.glsl``: eyes, light, shadows and terrain of one frame."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from vrapp.core import floats, maths
from vrapp.core.maths import Array
from vrapp.core.pose import NEAR_M, Fov, Pose, View
from vrapp.core.record import record
from vrapp.render.daylight import Daylight

_LAST_ROW = (0.0, 0.0, 0.0, 1.0)
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
        lens = _lens(view.fov)
        at, axes = pose.position.tolist(), floats.axes(pose.orientation.tolist())
        _, _, width, height = view.viewport
        size, density = (width, height), height / lens.height_tan
        matrices = _clip_from_world(lens, at, axes), _ray_from_ndc(lens, axes)
        eyes.append(Eye(pose.position, pose.orientation, *matrices, size, density, view.fov, view.hidden))
    return tuple(eyes)


class _Lens(NamedTuple):
    """Of a field of view: scale and shift of the projection, scale and shift of the rays through NDC, and the height
    of the picture at 1 m."""

    scale: tuple[float, float]
    shift: tuple[float, float]
    ray_scale: tuple[float, float]
    ray_shift: tuple[float, float]
    height_tan: float


@lru_cache(maxsize=8)
def _lens(fov: Fov) -> _Lens:
    projection = maths.projection_reversed_z(fov.tan_left, fov.tan_right, fov.tan_up, fov.tan_down, NEAR_M).tolist()
    width, height = fov.tan_right - fov.tan_left, fov.tan_up - fov.tan_down
    return _Lens(
        (projection[0][0], projection[1][1]), (projection[0][2], projection[1][2]), (width / 2, height / 2),
        ((fov.tan_right + fov.tan_left) / 2, (fov.tan_up + fov.tan_down) / 2), height,
    )  # fmt: skip


_Axes: TypeAlias = tuple[floats.Vector, floats.Vector, floats.Vector]


def _clip_from_world(lens: _Lens, at: list[float], axes: _Axes) -> Array:
    """Infinite reversed-Z projection of what an eye with these axes (right, up, back) sees from ``at``: (4, 4).

    Multiplied out: most of a projection is zeros.
    """
    x, y, z = at
    (a, b, c), (d, e, f), (g, h, i) = axes
    p, q, r = -(a * x + b * y + c * z), -(d * x + e * y + f * z), -(g * x + h * y + i * z)
    (s, t), (u, v) = lens.scale, lens.shift
    rows = (
        (s * a + u * g, s * b + u * h, s * c + u * i, s * p + u * r),
        (t * d + v * g, t * e + v * h, t * f + v * i, t * q + v * r),
        (0.0, 0.0, 0.0, NEAR_M),
        (-g, -h, -i, -r),
    )
    return np.array(rows, np.float32)


def _ray_from_ndc(lens: _Lens, axes: _Axes) -> Array:
    """(4, 4): the direction in the world, at 1 m of depth, of a point of the picture."""
    (s, t), (u, v) = lens.ray_scale, lens.ray_shift
    rows = [(s * a, t * d, u * a + v * d - g, 0.0) for a, d, g in zip(*axes, strict=True)]
    return np.array((*rows, _LAST_ROW), np.float32)


class FrameBlock:
    """The block's values as one numpy record, and the uniform buffer that they are written to."""

    def __init__(self, ctx: Any) -> None:
        self.values = np.zeros(1, FRAME_DTYPE)
        self.row = self.values[0]  # a view
        self.viewer: Array = self.row["viewer"][:3]  # likewise: the middle of the eyes, metres
        # Likewise, since looking for a field of a record takes longer than writing it.
        self._clip_from_world, self._ray_from_ndc = self.row["clip_from_world"], self.row["ray_from_ndc"]
        self._positions, self._to_sun, self._viewer = self.row["eyes"][:, :3], self.row["to_sun"], self.row["viewer"]
        self._counts = self.row["counts"]
        self._buffer = ctx.buffer(reserve=FRAME_DTYPE.itemsize, dynamic=True)

    def set_eyes(self, eyes: tuple[Eye, ...], time_s: float) -> None:
        """Cameras, their middle, and the time of the moving things."""
        for i, eye in enumerate(eyes):
            self._clip_from_world[i] = eye.clip_from_world.T
            self._ray_from_ndc[i] = eye.ray_from_ndc.T
            self._positions[i] = eye.position
        self.viewer[:] = eyes[0].position if len(eyes) == 1 else (eyes[0].position + eyes[1].position) / 2
        self._viewer[3] = 1 / eyes[0].pixels_per_radian
        self._to_sun[3] = time_s % _CLOUD_PERIOD_S
        self._counts[0] = len(eyes)

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
