"""Single vectors and quaternions (xyzw, of unit length) in Python's floats.

A frame handles a few of them, and numpy's calls on so little cost several times more than the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Vector: TypeAlias = tuple[float, float, float]
Quaternion: TypeAlias = tuple[float, float, float, float]


def rotate(q: Sequence[float], v: Sequence[float]) -> Vector:
    """``v`` rotated by ``q``."""
    x, y, z, w = q
    a, b, c = v
    tx, ty, tz = 2 * (y * c - z * b), 2 * (z * a - x * c), 2 * (x * b - y * a)
    return a + w * tx + y * tz - z * ty, b + w * ty + z * tx - x * tz, c + w * tz + x * ty - y * tx


def multiply(a: Sequence[float], b: Sequence[float]) -> Quaternion:
    """Hamilton product ``a ⊗ b``: rotate by ``b`` first."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def conjugate(q: Sequence[float]) -> Quaternion:
    """The opposite rotation."""
    x, y, z, w = q
    return -x, -y, -z, w


def axes(q: Sequence[float]) -> tuple[Vector, Vector, Vector]:
    """Where ``q`` takes +X, +Y and +Z: the columns of its matrix."""
    x, y, z, w = q
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)),
        (2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)),
        (2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)),
    )


def forward(q: Sequence[float]) -> Vector:
    """Where a pose with orientation ``q`` looks: its -Z axis."""
    x, y, z, w = q
    return -2 * (x * z + y * w), 2 * (x * w - y * z), 2 * (x * x + y * y) - 1


def normalise(q: Sequence[float]) -> Quaternion:
    """``q`` at unit length; a zero stays zero."""
    x, y, z, w = q
    length = math.sqrt(x * x + y * y + z * z + w * w) or 1.0
    return x / length, y / length, z / length, w / length


def slerp(a: Sequence[float], b: Sequence[float], share: float) -> Quaternion:
    """Interpolation along the shorter arc."""
    (ax, ay, az, aw), (bx, by, bz, bw) = a, b
    cosine = ax * bx + ay * by + az * bz + aw * bw
    side = -1.0 if cosine < 0 else 1.0
    cosine *= side
    if cosine > 0.9995:  # nearly equal: sin → 0, and a straight line is exact enough
        of_a, of_b = 1 - share, side * share
    else:
        angle = math.acos(cosine)
        sine = math.sin(angle)
        of_a, of_b = math.sin((1 - share) * angle) / sine, side * math.sin(share * angle) / sine
    return normalise((of_a * ax + of_b * bx, of_a * ay + of_b * by, of_a * az + of_b * bz, of_a * aw + of_b * bw))


def spin(a: Sequence[float], b: Sequence[float], dt_s: float) -> list[float]:
    """Angular velocity (3,) in the body's frame that turns ``a`` into ``b`` (xyzw) in ``dt_s``."""
    *axis, w = multiply(conjugate(a), b)
    length = math.hypot(*axis)
    if length < 1e-9:
        return [0.0, 0.0, 0.0]
    rate = math.copysign(2 * math.atan2(length, abs(w)) / dt_s / length, w)
    return [x * rate for x in axis]
