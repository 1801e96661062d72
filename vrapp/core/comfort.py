"""How one person likes to sit, stand and be moved. Chosen on the command line, the same for every display."""

from __future__ import annotations

from dataclasses import dataclass

MOVES = ("both", "walk", "teleport")
#: Eyes over the ground of a standing adult: what a window shows, and what is taken where nothing is measured.
STANDING_EYE_HEIGHT_M = 1.65


@dataclass(frozen=True)
class Comfort:
    """``eye_height_m`` holds where the floor is not measured: ``seated``, or a runtime without floor tracking.

    ``turn_deg`` is one snap of the stick, 0 turns smoothly. ``move`` is one of MOVES. ``vignette`` narrows the
    view while the user is moved: 0 never … 1 fully. The main hand points, turns and teleports, the other walks.
    """

    seated: bool = False
    left_handed: bool = False
    eye_height_m: float = STANDING_EYE_HEIGHT_M
    turn_deg: float = 30.0
    move: str = "both"
    vignette: float = 1.0

    @property
    def main_hand(self) -> int:
        """``core.input.LEFT`` or ``RIGHT``, which are 0 and 1. (Options are parsed without numpy.)"""
        return 0 if self.left_handed else 1
