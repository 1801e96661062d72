"""The few GL calls that ModernGL has no name for, through the context's own function loader.

PyOpenGL would look for a GLX or EGL context by itself and may find the wrong one; ``glcontext`` gives
the addresses that belong to this context. Everything here is core in GL 4.5.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

_U, _I, _P = ctypes.c_uint, ctypes.c_int, ctypes.c_void_p

GL_CLIP_DISTANCE0 = 0x3000
GL_FRAMEBUFFER_SRGB = 0x8DB9
_LOWER_LEFT, _NEGATIVE_ONE_TO_ONE, _ZERO_TO_ONE = 0x8CA1, 0x935E, 0x935F
_TEXTURE_2D, _TEXTURE_2D_MULTISAMPLE = 0x0DE1, 0x9100
_DEPTH_COMPONENT, _DEPTH_COMPONENT32F, _FLOAT = 0x1902, 0x8CAC, 0x1406
_DEPTH_ATTACHMENT = 0x8D00
_COLOR_BUFFER_BIT, _DEPTH_BUFFER_BIT, _NEAREST = 0x4000, 0x0100, 0x2600

_SIGNATURES: dict[str, list[Any]] = {
    "glClipControl": [_U, _U],
    "glBindTexture": [_U, _U],
    "glTexImage2D": [_U, _I, _I, _I, _I, _I, _U, _U, _P],
    "glTexImage2DMultisample": [_U, _I, _U, _I, _I, ctypes.c_ubyte],
    "glBlitNamedFramebuffer": [_U, _U, *[_I] * 8, _U, _U],
    "glCreateFramebuffers": [_I, ctypes.POINTER(_U)],
    "glDeleteFramebuffers": [_I, ctypes.POINTER(_U)],
    "glNamedFramebufferTexture": [_U, _U, _U, _I],
    "glCopyImageSubData": [_U, _U, _I, _I, _I, _I, _U, _U, _I, _I, _I, _I, _I, _I, _I],
}


class NativeGL:
    """Clip control, 32-bit float depth, and blits between rectangles, for one ModernGL context."""

    def __init__(self, ctx: Any) -> None:
        prototype = ctypes.WINFUNCTYPE if hasattr(ctypes, "WINFUNCTYPE") else ctypes.CFUNCTYPE
        self._calls: dict[str, Any] = {}
        for name, arguments in _SIGNATURES.items():
            address = ctx.mglo._context.load(name)
            if address:
                self._calls[name] = prototype(None, *arguments)(address)
        self.has_clip_control = "glClipControl" in self._calls
        self._depth_out = _U(0)  # a framebuffer for textures that ModernGL did not make

    def clip_depth_zero_to_one(self, on: bool) -> None:
        """Clip-space depth 0…1 (reversed-Z needs it), or back to OpenGL's -1…1."""
        if self.has_clip_control:
            self._calls["glClipControl"](_LOWER_LEFT, _ZERO_TO_ONE if on else _NEGATIVE_ONE_TO_ONE)

    def depth_texture(self, ctx: Any, size: tuple[int, int], samples: int = 0) -> Any:
        """A depth texture of 32-bit floats: ModernGL makes 24-bit ones, so its storage is made anew."""
        texture = ctx.depth_texture(size, samples=samples)
        kind = _TEXTURE_2D_MULTISAMPLE if samples else _TEXTURE_2D
        self._calls["glBindTexture"](kind, texture.glo)
        if samples:
            self._calls["glTexImage2DMultisample"](kind, samples, _DEPTH_COMPONENT32F, *size, 1)
        else:
            self._calls["glTexImage2D"](kind, 0, _DEPTH_COMPONENT32F, *size, 0, _DEPTH_COMPONENT, _FLOAT, None)
        self._calls["glBindTexture"](kind, 0)
        return texture

    def blit(
        self, source: Any, rectangle: Sequence[int], target: Any, corner: tuple[int, int], depth: bool = False
    ) -> None:
        """Copy ``(x, y, width, height)`` of a framebuffer to ``corner`` of another; resolves multisampling."""
        x, y, w, h = rectangle
        u, v = corner
        mask = _DEPTH_BUFFER_BIT if depth else _COLOR_BUFFER_BIT
        box = (x, y, x + w, y + h, u, v, u + w, v + h)
        self._calls["glBlitNamedFramebuffer"](source.glo, target.glo, *box, mask, _NEAREST)

    def resolve_depth(self, source: Any, rectangle: Sequence[int], texture: int) -> None:
        """Copy the depth in ``(x, y, width, height)`` of a framebuffer to a 32-bit float texture, by its GL name."""
        if not self._depth_out.value:
            self._calls["glCreateFramebuffers"](1, ctypes.byref(self._depth_out))
        attach = self._calls["glNamedFramebufferTexture"]
        attach(self._depth_out, _DEPTH_ATTACHMENT, texture, 0)
        x, y, w, h = rectangle
        box = (x, y, x + w, y + h, 0, 0, w, h)
        self._calls["glBlitNamedFramebuffer"](source.glo, self._depth_out, *box, _DEPTH_BUFFER_BIT, _NEAREST)
        attach(self._depth_out, _DEPTH_ATTACHMENT, 0, 0)  # the texture is another's, who may delete it

    def release(self) -> None:
        """Delete the framebuffer that it may have made."""
        if self._depth_out.value:
            self._calls["glDeleteFramebuffers"](1, ctypes.byref(self._depth_out))
            self._depth_out = _U(0)

    def copy_texture(self, source: Any, target: Any) -> None:
        """Copy a 2-D texture to another of the same size and format; on a software rasteriser a plain memcpy."""
        place = (_TEXTURE_2D, 0, 0, 0, 0)
        self._calls["glCopyImageSubData"](source.glo, *place, target.glo, *place, *source.size, 1)
