"""What is drawn beside the scene's objects: hands, rays, rings, text panels, boards, the comfort vignette."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vrapp.core.display import Board
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.core.record import record

#: Linear RGB in [0, 1].
Colour = tuple[float, float, float]

Anchor = Literal["top-left", "top", "top-right", "left", "centre", "right", "bottom-left", "bottom", "bottom-right"]

WHITE: Colour = (1.0, 1.0, 1.0)


@record
class HandLook:
    """A hand or a controller. ``pose``: the grip pose in the world; ``squeeze`` 0 open … 1 fist."""

    kind: Literal["hand", "controller"]
    pose: Pose
    colour: Colour = (0.93, 0.76, 0.64)
    squeeze: float = 0.0
    left: bool = False


@record
class RayLook:
    """A pointing ray from ``origin`` (3,) to ``end`` (3,) in world metres; brightest at the end."""

    origin: Array
    end: Array
    colour: Colour = WHITE


@record
class GroundRing:
    """A glowing ring that lies on the ground around ``centre`` (3,): the target of a teleport."""

    centre: Array
    radius_m: float = 0.35
    colour: Colour = (0.35, 0.85, 1.0)


@dataclass(frozen=True)
class PanelText:
    """Lines of text on a dark, rounded, translucent panel, at an anchor of the screen (one view; eyes get boards).

    ``height_px`` is the height of a line. The first line is a title if ``title`` is set.
    """

    lines: tuple[str, ...]
    place: Anchor = "top-left"
    height_px: int = 18
    title: bool = False
    opacity: float = 1.0


@record
class FrameExtras:
    """Everything of one frame that is not a scene object. ``vignette`` 0 (none) … 1 (tunnel).

    ``boards``: those that are drawn into the picture, with their poses in the world.
    """

    time_s: float = 0.0
    hands: tuple[HandLook, ...] = ()
    rays: tuple[RayLook, ...] = ()
    rings: tuple[GroundRing, ...] = ()
    panels: tuple[PanelText, ...] = ()
    boards: tuple[Board, ...] = ()
    vignette: float = 0.0
