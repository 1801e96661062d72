"""What the program asks of a headset."""

from __future__ import annotations

from dataclasses import dataclass, field

from vrapp.core.comfort import Comfort


@dataclass(frozen=True)
class Wishes:
    """``resolution_scale``: of the recommended size. ``refresh_hz``: None leaves the rate to the user.

    ``depth``: give the compositor depth, too, where it takes any; ``boards``: text in layers of its own.
    """

    resolution_scale: float = 1.0
    refresh_hz: float | None = None
    comfort: Comfort = field(default_factory=Comfort)
    depth: bool = True
    boards: bool = True
