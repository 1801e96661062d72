"""One eye on the desktop. The one file that calls glBlitFramebuffer: ModernGL's copy cannot crop."""

from __future__ import annotations

import ctypes
from typing import Any

import glfw

from vrapp.display.desktop import DesktopDisplay

_READ, _DRAW = 0x8CA8, 0x8CA9  # GL_READ_FRAMEBUFFER, GL_DRAW_FRAMEBUFFER
_COLOUR, _LINEAR = 0x4000, 0x2601  # GL_COLOR_BUFFER_BIT, GL_LINEAR


class Mirror:
    """Copies the middle of an eye's picture into the window, filling it without distortion."""

    def __init__(self, desk: DesktopDisplay) -> None:
        self._window = desk.window
        ints, uints = [ctypes.c_int] * 8, [ctypes.c_uint] * 2
        blit = ctypes.CFUNCTYPE(None, *ints, *uints)
        bind = ctypes.CFUNCTYPE(None, ctypes.c_uint, ctypes.c_uint)
        self._blit = blit(_address("glBlitFramebuffer"))
        self._bind = bind(_address("glBindFramebuffer"))

    def copy(self, eye: Any) -> None:
        """``eye``: moderngl.Framebuffer, just drawn. Nothing while the window is minimised."""
        width, height = self._window.framebuffer_size
        if width == 0 or height == 0:
            return
        x0, y0, x1, y1 = crop(eye.size, (width, height))
        self._bind(_READ, eye.glo)
        self._bind(_DRAW, 0)
        self._blit(x0, y0, x1, y1, 0, 0, width, height, _COLOUR, _LINEAR)
        self._window.ctx.screen.use()

    def show(self) -> None:
        """Swap; returns at once, as the window has no vertical sync."""
        self._window.swap()


def crop(source: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest rectangle (x0, y0, x1, y1) in the middle of ``source`` with the proportions of ``shape``."""
    width = min(source[0], source[1] * shape[0] // shape[1])
    height = min(source[1], source[0] * shape[1] // shape[0])
    x0, y0 = (source[0] - width) // 2, (source[1] - height) // 2
    return x0, y0, x0 + width, y0 + height


def _address(name: str) -> int:
    return ctypes.cast(glfw.get_proc_address(name), ctypes.c_void_p).value or 0
