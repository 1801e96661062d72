"""The multisampled picture that a frame is drawn into, made anew when its size changes."""

from __future__ import annotations

from typing import Any

from vrapp.render.gl_native import NativeGL


class SceneTarget:
    """Colour and 32-bit float depth of all views side by side: ``size`` is (sum of widths, height)."""

    def __init__(self, ctx: Any, native: NativeGL, samples: int, colour_dtype: str) -> None:
        self._ctx = ctx
        self._native = native
        self._samples = min(samples, ctx.max_samples)
        self._dtype = colour_dtype
        self.size = (0, 0)
        self.colour: Any = None
        self.depth: Any = None
        self.framebuffer: Any = None

    def fit(self, size: tuple[int, int]) -> bool:
        """Have exactly this size; True where that made new attachments."""
        if size == self.size:
            return False
        self.release()
        self.colour = self._ctx.texture(size, 4, samples=self._samples, dtype=self._dtype)
        self.depth = self._native.depth_texture(self._ctx, size, self._samples)
        self.framebuffer = self._ctx.framebuffer([self.colour], self.depth)
        self.size = size
        return True

    def release(self) -> None:
        """Delete the attachments."""
        for owned in (self.framebuffer, self.colour, self.depth):
            if owned is not None:
                owned.release()
        self.framebuffer = self.colour = self.depth = None
        self.size = (0, 0)
