"""Spatial questions about all objects at once: what a ray meets, what a cone or a hand's reach holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState, SceneArrays, handle_of

_TOUCHABLE = (ObjectState.GROWING, ObjectState.RESTING, ObjectState.HELD, ObjectState.FLYING)


@dataclass(frozen=True)
class Hit:
    """What a ray met: slot and handle of the object, distance in metres and point in the world."""

    slot: int
    handle: int
    distance_m: float
    point: Array


def touchable(arrays: SceneArrays) -> np.ndarray:
    """(N,) bool: shown and not on its way out."""
    return np.isin(arrays.state, _TOUCHABLE) & (arrays.growth > 0)


def box_centres(arrays: SceneArrays, slots: np.ndarray) -> tuple[Array, Array]:
    """World centres (n, 3) and half extents (n, 3), metres, of the objects' boxes as they are drawn now."""
    scale = (arrays.size[slots] * arrays.growth[slots])[:, None]
    lower, upper = arrays.box[slots, 0], arrays.box[slots, 1]
    centre = arrays.position[slots] + maths.rotate(arrays.orientation[slots], (lower + upper) / 2 * scale)
    return centre, (upper - lower) / 2 * scale


def ray_hit(arrays: SceneArrays, origin: Array, direction: Array, reach_m: float, slack_m: float = 0.02) -> Hit | None:
    """The nearest object whose box, made ``slack_m`` larger, the ray meets within ``reach_m``; None if there is none.

    ``direction`` is a unit vector. The slack grows by 1 % of the distance: far small things can be pointed at.
    """
    to_centre = arrays.position - origin
    along = to_centre @ direction
    miss2 = np.einsum("ij,ij->i", to_centre, to_centre) - along**2
    reach = arrays.radius + slack_m + 0.01 * np.maximum(along, 0)
    slots = np.flatnonzero(touchable(arrays) & (miss2 < reach**2) & (along > -reach) & (along - reach < reach_m))
    if not len(slots):
        return None
    centre, half = box_centres(arrays, slots)
    half = half + (slack_m + 0.01 * np.maximum(along[slots], 0))[:, None]
    inverse = maths.quat_conjugate(arrays.orientation[slots])
    o = maths.rotate(inverse, origin - centre)
    d = maths.rotate(inverse, np.broadcast_to(direction, o.shape))
    with np.errstate(divide="ignore", invalid="ignore"):
        t1, t2 = (-half - o) / d, (half - o) / d
    enter = np.nanmax(np.minimum(t1, t2), axis=1)
    leave = np.nanmin(np.maximum(t1, t2), axis=1)
    distance = np.where((enter <= leave) & (leave >= 0), np.maximum(enter, 0), np.inf)
    best = int(np.argmin(distance))
    if not distance[best] <= reach_m:
        return None
    slot, t = int(slots[best]), float(distance[best])
    return Hit(slot, handle_of(arrays, slot), t, (origin + direction * t).astype(np.float32))


def distance_to_boxes(arrays: SceneArrays, point: Array, slots: np.ndarray) -> Array:
    """(n,) metres from ``point`` to the objects' oriented boxes; 0 inside."""
    centre, half = box_centres(arrays, slots)
    local = maths.rotate(maths.quat_conjugate(arrays.orientation[slots]), point - centre)
    return np.asarray(np.linalg.norm(np.maximum(np.abs(local) - half, 0), axis=1), np.float32)


def nearest(arrays: SceneArrays, point: Array, reach_m: float) -> Hit | None:
    """The object whose box is nearest to ``point``, within ``reach_m``: what a hand can take without pointing."""
    gap = np.linalg.norm(arrays.position - point, axis=1) - arrays.radius
    slots = np.flatnonzero(touchable(arrays) & (gap < reach_m))
    if not len(slots):
        return None
    distance = distance_to_boxes(arrays, point, slots)
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
    distance = np.maximum(np.linalg.norm(to_centre, axis=1), 1e-3)
    cosine = to_centre @ eye.forward / distance
    wide = 2 * np.arctan2(arrays.radius * arrays.growth, distance) >= least_angle_rad
    return np.flatnonzero(
        touchable(arrays) & (cosine > np.cos(half_angle_rad)) & (distance - arrays.radius <= reach_m) & wide
    )
