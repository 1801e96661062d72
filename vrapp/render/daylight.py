"""The light of the world: one warm sun, a sky around it, and the ground's bounce."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.render.extras import Colour


@dataclass(frozen=True)
class Daylight:
    """A clear late morning. Irradiances are divided by π (a white surface shows them as they are)."""

    elevation_rad: float = math.radians(40)
    azimuth_rad: float = math.radians(118)  # from -Z (ahead at the start) towards +X
    sun: Colour = (2.35, 2.05, 1.62)
    zenith: Colour = (0.16, 0.36, 0.78)
    horizon: Colour = (0.74, 0.86, 0.98)
    bounce: Colour = (0.26, 0.25, 0.15)
    exposure: float = 0.80
    fog_per_m: float = 0.0016

    @property
    def to_sun(self) -> Array:
        """Unit vector (3,) towards the sun."""
        flat = math.cos(self.elevation_rad)
        return maths.vec3(
            flat * math.sin(self.azimuth_rad), math.sin(self.elevation_rad), -flat * math.cos(self.azimuth_rad)
        )
