"""What floats in the air or lies on the ground without being a thing: rays, rings, keep marks, the vignette."""

from __future__ import annotations

from typing import Any

import moderngl
import numpy as np

from vrapp.core.scene import Mark
from vrapp.render.extras import FrameExtras
from vrapp.render.shader_library import ShaderLibrary
from vrapp.render.stream_buffer import StreamBuffer

_RAY, _RING, _KEPT = 0.0, 1.0, 2.0
_KEPT_COLOUR = (1.0, 0.30, 0.36)

#: One glyph (std430): ``a`` start or centre and kind, ``b`` end or unused and size in metres, colour.
GLYPH_DTYPE = np.dtype([("a", "<f4", 4), ("b", "<f4", 4), ("colour", "<f4", 4)])


def glyphs_of(extras: FrameExtras, rows: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """(G,) of GLYPH_DTYPE: the rays and rings of ``extras``, and a heart above each kept object.

    ``rows`` (M,) is OBJECT_DTYPE, ``marks`` (M,) the scene's marks of the same objects.
    """
    kept = rows[(marks & Mark.KEPT) != 0]
    out = np.zeros(len(extras.rays) + len(extras.rings) + len(kept), GLYPH_DTYPE)
    for i, ray in enumerate(extras.rays):
        out[i] = ((*ray.origin, _RAY), (*ray.end, 0.004), (*ray.colour, 1))
    for i, ring in enumerate(extras.rings, len(extras.rays)):
        out[i] = ((*ring.centre, _RING), (0, 0, 0, ring.radius_m), (*ring.colour, 1))
    if not len(kept):
        return out
    hearts = out[-len(kept) :]
    hearts["a"][:, :3] = kept["position"]
    hearts["a"][:, 1] += np.linalg.norm(kept["half_extent"], axis=1) + 0.10
    hearts["a"][:, 3] = _KEPT
    hearts["b"][:, 3] = 0.05
    hearts["colour"] = (*_KEPT_COLOUR, 1)
    return out


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
