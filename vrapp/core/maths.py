"""Rotations, poses and projections in OpenXR's conventions: right-handed, +Y up, -Z forward.

Quaternions are ``(x, y, z, w)`` and all arrays float32. Matrices are row-major numpy arrays for
column vectors (``p' = M @ p``); transpose once on upload to OpenGL. pyrr is used here alone, because
its quaternion and matrix constructors turn in opposite ways and it computes in float64 by default.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyrr

from vrapp.core import floats

Array: TypeAlias = npt.NDArray[np.float32]

IDENTITY_QUATERNION: Array = np.array([0.0, 0.0, 0.0, 1.0], np.float32)
IDENTITY_QUATERNION.setflags(write=False)


def vec3(x: float, y: float, z: float) -> Array:
    """A float32 vector of three."""
    return np.array([x, y, z], np.float32)


def normalise(v: npt.ArrayLike) -> Array:
    """``v / |v|`` along the last axis; zero vectors stay zero."""
    a = np.asarray(v, np.float32)
    length = np.linalg.norm(a, axis=-1, keepdims=True)
    return (a / np.where(length > 0, length, 1)).astype(np.float32)


def quat_from_axis_angle(axis: npt.ArrayLike, angle: float) -> Array:
    """Right-handed rotation by ``angle`` radians about ``axis``."""
    x, y, z = np.asarray(axis, np.float32).tolist()
    s = math.sin(angle / 2) / (math.sqrt(x * x + y * y + z * z) or 1.0)
    return np.array([x * s, y * s, z * s, math.cos(angle / 2)], np.float32)


def quat_from_matrix(matrix: npt.ArrayLike) -> Array:
    """Quaternion of a pure rotation matrix (3, 3) or (4, 4)."""
    # pyrr reads matrices for row vectors and returns the conjugate: two turns that cancel out.
    q: Array = np.asarray(pyrr.quaternion.create_from_matrix(np.asarray(matrix, float)), np.float32)
    return normalise(q)


def quat_from_yaw_pitch(yaw: float, pitch: float) -> Array:
    """Head orientation: ``yaw`` about +Y (left is positive), then ``pitch`` about the head's +X."""
    return quat_multiply(quat_from_axis_angle((0, 1, 0), yaw), quat_from_axis_angle((1, 0, 0), pitch))


def _columns(v: npt.NDArray[np.float32]) -> list[Any]:
    """The last axis taken apart: Python floats of a single vector (quicker by far), else views."""
    return v.tolist() if v.ndim == 1 else [v[..., i] for i in range(v.shape[-1])]


def _joined(columns: tuple[Any, ...]) -> Array:
    """The inverse of ``_columns``."""
    if isinstance(columns[0], float):
        return np.array(columns, np.float32)
    out = np.empty((*columns[0].shape, len(columns)), np.float32)
    for i, column in enumerate(columns):
        out[..., i] = column
    return out


def quat_multiply(a: npt.ArrayLike, b: npt.ArrayLike) -> Array:
    """Hamilton product ``a ⊗ b`` (rotate by ``b`` first); broadcasts over leading axes."""
    ax, ay, az, aw = _columns(np.asarray(a, np.float32))
    bx, by, bz, bw = _columns(np.asarray(b, np.float32))
    return _joined(
        (
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        )
    )


def quat_conjugate(q: npt.ArrayLike) -> Array:
    """The inverse of a unit quaternion; broadcasts."""
    return (np.asarray(q, np.float32) * np.array([-1, -1, -1, 1], np.float32)).astype(np.float32)


def rotate(q: npt.ArrayLike, v: npt.ArrayLike) -> Array:
    """Vector(s) ``v`` rotated by unit quaternion(s) ``q``; broadcasts over leading axes.

    Written out: ``np.cross`` costs 80 µs a call, which is much for a function of every frame.
    """
    x, y, z, w = _columns(np.asarray(q, np.float32))
    a, b, c = _columns(np.asarray(v, np.float32))
    tx, ty, tz = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return _joined((a + w * tx + y * tz - z * ty, b + w * ty + z * tx - x * tz, c + w * tz + x * ty - y * tx))


def quat_slerp(a: npt.ArrayLike, b: npt.ArrayLike, t: float) -> Array:
    """Shortest-arc spherical interpolation of two unit quaternions. (pyrr's goes wrong where q and -q meet.)"""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return np.array(floats.slerp(a.tolist(), b.tolist(), t), np.float32)


def forward(q: npt.ArrayLike) -> Array:
    """Where a pose with orientation ``q`` looks: its -Z axis."""
    x, y, z, w = _columns(np.asarray(q, np.float32))
    return _joined((-2 * (x * z + y * w), 2 * (x * w - y * z), 2 * (x * x + y * y) - 1))


def yaw_of(q: npt.ArrayLike) -> float:
    """Heading of ``q`` about +Y in radians; 0 looks along -Z, left is positive."""
    f = forward(q)
    return math.atan2(-float(f[0]), -float(f[2]))


def matrices_from(position: npt.ArrayLike, orientation: npt.ArrayLike, scale: npt.ArrayLike = 1.0) -> Array:
    """``(…, 4, 4)`` matrices that scale, rotate, then translate; ``scale`` is ``(…)`` or ``(…, 3)``."""
    p, q = np.asarray(position, np.float32), np.asarray(orientation, np.float32)
    x, y, z, w = _columns(q)
    turn = _joined(
        (
            1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
            2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
            2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
        )
    )  # fmt: skip
    m = np.zeros((*q.shape[:-1], 4, 4), np.float32)
    m[..., :3, :3] = turn.reshape(*q.shape[:-1], 3, 3)
    if not (isinstance(scale, float) and scale == 1.0):
        s = np.asarray(scale, np.float32)
        m[..., :3, :3] *= s[..., None, None] if s.ndim < p.ndim else s[..., None, :]
    m[..., :3, 3] = p
    m[..., 3, 3] = 1
    return m


def view_matrix(position: npt.ArrayLike, orientation: npt.ArrayLike) -> Array:
    """``view_from_world`` of a camera at a pose."""
    inverse = quat_conjugate(orientation)
    return matrices_from(-rotate(inverse, position), inverse)


def projection_reversed_z(tan_left: float, tan_right: float, tan_up: float, tan_down: float, near: float) -> Array:
    """Infinite reversed-Z projection (clip depth 1 at ``near``, 0 at infinity; needs clip range 0…1).

    The four tangents are of signed half-angles as in ``XrFovf`` (left and down negative), so
    asymmetric frusta are exact: their corners land on ±1.
    """
    width, height = tan_right - tan_left, tan_up - tan_down
    m = np.zeros((4, 4), np.float32)
    m[0, 0], m[0, 2] = 2 / width, (tan_right + tan_left) / width
    m[1, 1], m[1, 2] = 2 / height, (tan_up + tan_down) / height
    m[2, 3] = near
    m[3, 2] = -1
    return m


def look_at(position: npt.ArrayLike, target: npt.ArrayLike) -> Array:
    """Quaternion whose -Z axis points from ``position`` to ``target``, with +Y up."""
    d = normalise(np.asarray(target, np.float32) - np.asarray(position, np.float32))
    return quat_from_yaw_pitch(math.atan2(-float(d[0]), -float(d[2])), math.asin(float(np.clip(d[1], -1, 1))))
