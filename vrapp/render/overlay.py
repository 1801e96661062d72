"""What floats in the air or lies on the ground without being a thing: rays, rings, keep marks, the vignette."""

from __future__ import annotations

import math
from typing import Any

import moderngl
import numpy as np

from vrapp.render.extras import FrameExtras
from vrapp.render.shader_library import ShaderLibrary
from vrapp.render.stream_buffer import StreamBuffer

_RAY, _RING, _KEPT = 0.0, 1.0, 2.0
_KEPT_COLOUR = (1.0, 0.30, 0.36)


def glyphs_of(extras: FrameExtras, kept: np.ndarray) -> np.ndarray:
    """(G, 12) float32: the rays and rings of ``extras``, and a heart above each of ``kept`` (K,) OBJECT_DTYPE.

    Three vectors each (std430): start or centre, and kind; end or nothing, and size in metres; colour.
    """
    drawn = [
        (*ray.origin.tolist(), _RAY, *ray.end.tolist(), 0.004, *ray.colour, 1.0) for ray in extras.rays
    ]  # one array from plain numbers: far quicker than field by field
    drawn += [(*ring.centre.tolist(), _RING, 0.0, 0.0, 0.0, ring.radius_m, *ring.colour, 1.0) for ring in extras.rings]
    if len(kept):
        for (x, y, z), half in zip(kept["position"].tolist(), kept["half_extent"].tolist(), strict=True):
            drawn.append((x, y + math.hypot(*half) + 0.10, z, _KEPT, 0.0, 0.0, 0.0, 0.05, *_KEPT_COLOUR, 1.0))
    return np.array(drawn, np.float32)


class Overlay:
    """Draws glyphs and the vignette, blended over the picture."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._glyphs = StreamBuffer(ctx)
        self._arrays: dict[str, Any] = {}

    def draw(self, programs: ShaderLibrary, glyphs: np.ndarray, eyes: int) -> None:
        """All glyphs in one instanced draw; blending must be premultiplied alpha."""
        if len(glyphs):
            self._glyphs.write(glyphs).bind_to_storage_buffer(2)
            self._array(programs, "glyphs").render(moderngl.TRIANGLE_STRIP, 4, instances=len(glyphs) * eyes)

    def draw_vignette(self, programs: ShaderLibrary, amount: float, eyes: int) -> None:
        """Narrow the view for comfort while the user is moved; ``amount`` 0…1."""
        if amount > 0.003:
            programs["vignette"]["amount"].value = min(amount, 1.0)
            self._array(programs, "vignette").render(moderngl.TRIANGLE_STRIP, 4, instances=eyes)

    def _array(self, programs: ShaderLibrary, name: str) -> Any:
        if name not in self._arrays:
            self._arrays[name] = self._ctx.vertex_array(programs[name], [])
        return self._arrays[name]

    def forget_programs(self) -> None:
        """Drop the vertex arrays of programs that were replaced."""
        for array in self._arrays.values():
            array.release()
        self._arrays.clear()

    def release(self) -> None:
        """Delete all GL objects."""
        self.forget_programs()
        self._glyphs.release()
