"""Views of a display without eyes of its own: one camera at the head, or two beside it."""

from __future__ import annotations

from vrapp.core import maths
from vrapp.core.pose import Fov, Pose, View

#: Mean distance between the pupils of adults in metres (Dodgson 2004: 63 mm).
PUPIL_DISTANCE_M = 0.063


def views_of_head(head: Pose, fov: Fov, size: tuple[int, int], count: int) -> tuple[View, ...]:
    """``count`` (1 or 2) views of ``size`` pixels, side by side in one target, left eye first."""
    width, height = size
    if count == 1:
        return (View(head, fov, (0, 0, width, height)),)
    return tuple(
        View(head @ Pose(maths.vec3(side * PUPIL_DISTANCE_M / 2, 0, 0)), fov, (i * width, 0, width, height))
        for i, side in enumerate((-1, 1))
    )
