"""Spatial questions about all objects at once: what a ray meets, what a cone or a hand's reach holds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState, SceneArrays, handle_of

_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)


@dataclass(frozen=True)
class Hit:
    """What a ray met: slot and handle of the object, distance in metres and point in the world."""

    slot: int
    handle: int
    distance_m: float
    point: Array


def touchable(arrays: SceneArrays) -> np.ndarray:
    """(N,) bool: shown and not on its way out."""
    shown: np.ndarray = (arrays.state > ObjectState.FREE) & (arrays.state < ObjectState.SHRINKING)
    return shown & (arrays.growth > 0)


def lowest_corner(box: Array, orientation: Array) -> float:
    """Height of the lowest corner of ``box`` (2, 3), turned by ``orientation``, over the cube centre, in edges."""
    corners = box[0] + _CORNERS * (box[1] - box[0])
    return float(maths.rotate(orientation, corners)[:, 1].min())


def into_boxes(arrays: SceneArrays, slots: np.ndarray, point: Array) -> tuple[Array, Array, Array]:
    """``point`` in the frame of each object's box, as drawn now, about its middle.

    Returns (n, 3) points and (n, 3) half extents, metres, and (n, 4) the turns from the world into the boxes.
    """
    scale = (arrays.size[slots] * arrays.growth[slots])[:, None]
    lower, upper = arrays.box[slots, 0], arrays.box[slots, 1]
    turn = maths.quat_conjugate(arrays.orientation[slots])
    local = maths.rotate(turn, point - arrays.position[slots]) - (lower + upper) / 2 * scale
    return local, (upper - lower) / 2 * scale, turn


def ray_hit(arrays: SceneArrays, origin: Array, direction: Array, reach_m: float, slack_m: float = 0.02) -> Hit | None:
    """The nearest object whose box, made ``slack_m`` larger, the ray meets within ``reach_m``; None if there is none.

    ``direction`` is a unit vector. The slack grows by 1 % of the distance: far small things can be pointed at.
    """
    to_centre = arrays.position - origin
    along = to_centre @ direction
    miss2 = np.einsum("ij,ij->i", to_centre, to_centre) - along**2
    slack = slack_m + 0.01 * np.maximum(along, 0)
    reach = arrays.radius + 2 * slack
    slots = np.flatnonzero(touchable(arrays) & (miss2 < reach**2) & (along > -reach) & (along - reach < reach_m))
    if not len(slots):
        return None
    local, half, turn = into_boxes(arrays, slots, origin)
    half = half + slack[slots, None]
    d = maths.rotate(turn, np.broadcast_to(direction, local.shape))
    d = np.where(np.abs(d) < 1e-9, 1e-9, d)  # parallel to a side: meets it very far away
    t1, t2 = (-half - local) / d, (half - local) / d
    enter, leave = np.minimum(t1, t2).max(1), np.maximum(t1, t2).min(1)
    distance = np.where((enter <= leave) & (leave >= 0), np.maximum(enter, 0), np.inf)
    best = int(np.argmin(distance))
    if not distance[best] <= reach_m:
        return None
    slot, t = int(slots[best]), float(distance[best])
    return Hit(slot, handle_of(arrays, slot), t, (origin + direction * t).astype(np.float32))


def nearest(arrays: SceneArrays, point: Array, reach_m: float) -> Hit | None:
    """The object whose box is nearest to ``point``, within ``reach_m``: what a hand can take without pointing."""
    apart, limit = arrays.position - point, arrays.radius + np.float32(reach_m)
    slots = np.flatnonzero(touchable(arrays) & (np.einsum("ij,ij->i", apart, apart) < limit * limit))
    if not len(slots):
        return None
    local, half, _ = into_boxes(arrays, slots, np.asarray(point, np.float32))
    distance = np.linalg.norm(np.maximum(np.abs(local) - half, 0), axis=1)
    best = int(np.argmin(distance + 1e-3 * arrays.radius[slots]))  # the smaller one where both are touched
    if distance[best] > reach_m:
        return None
    slot = int(slots[best])
    return Hit(slot, handle_of(arrays, slot), float(distance[best]), np.asarray(point, np.float32))


def seen_from(
    arrays: SceneArrays, eye: Pose, half_angle_rad: float = 0.79, reach_m: float = 8.0, least_angle_rad: float = 0.035
) -> np.ndarray:
    """Slots of touchable objects inside the view cone, within ``reach_m`` and at least so wide in the eye.

    The choice set of a pick (generation-notes.md): in view, within 8 m and at least 2° wide.
    """
    to_centre = arrays.position - eye.position
    distance = np.maximum(np.sqrt(np.einsum("ij,ij->i", to_centre, to_centre)), 1e-3)
    central = to_centre @ eye.forward > math.cos(half_angle_rad) * distance
    wide = arrays.radius * arrays.growth >= math.tan(least_angle_rad / 2) * distance
    return np.flatnonzero(touchable(arrays) & central & wide & (distance - arrays.radius <= reach_m))
