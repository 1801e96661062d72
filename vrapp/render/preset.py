"""The two qualities of picture: for a graphics card, and for a software rasteriser."""

from __future__ import annotations

from dataclasses import dataclass

from vrapp.core.errors import UsageError
from vrapp.render.sun_shadow import ShadowQuality

_SOFTWARE = ("llvmpipe", "softpipe", "swiftshader", "microsoft basic render")


@dataclass(frozen=True)
class Preset:
    """``fine_pixels``, ``coarse_ratio``, ``triangle_budget``: see DetailChooser. ``defines`` go into every shader."""

    name: str
    defines: tuple[str, ...]
    colour_dtype: str
    samples: int
    fine_pixels: float
    coarse_ratio: float
    triangle_budget: int
    shadow: ShadowQuality


LIGHT = Preset(
    name="light",
    defines=("LIGHT", "SHADOW_VOXEL 0.045"),
    colour_dtype="f1",
    samples=0,
    fine_pixels=760.0,
    coarse_ratio=6.0,
    triangle_budget=100_000,
    shadow=ShadowQuality(1024, (15.0,), ahead=0.0, step=0.25, softness_m=0.03, coarse=True),
)

FULL = Preset(
    name="full",
    defines=("SHADOW_VOXEL 0.012",),
    colour_dtype="f2",
    samples=4,
    fine_pixels=160.0,
    coarse_ratio=2.5,
    triangle_budget=3_000_000,
    shadow=ShadowQuality(2048, (6.0, 22.0, 80.0), ahead=0.55, step=0.06, softness_m=0.02, coarse=False),
)


def preset_for(name: str | None, renderer_name: str) -> Preset:
    """The preset called ``name``, or the one that suits the GL renderer. Raises UsageError."""
    if name is None:
        return LIGHT if any(s in renderer_name.lower() for s in _SOFTWARE) else FULL
    if name not in ("full", "light"):
        raise UsageError(f"There is no render preset '{name}'; choose full or light.")
    return LIGHT if name == "light" else FULL
