"""GL textures of the simulated runtime's swapchains, through libGL alone: no context of its own."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_uint, c_void_p

import numpy as np

_gl = ctypes.CDLL("libGL.so.1")
_TEXTURE_2D, _BINDING, _RGBA, _UNSIGNED_BYTE, _PACK_ALIGNMENT = 0x0DE1, 0x8069, 0x1908, 0x1401, 0x0D05
_DEPTH, _FLOAT = 0x1902, 0x1406
DEPTH_FORMATS = (0x81A5, 0x81A6, 0x8CAC)  # GL_DEPTH_COMPONENT16, 24, 32F
_gl.glGetTexImage.argtypes = [c_uint, c_int, c_uint, c_uint, c_void_p]


def make_texture(gl_format: int, width: int, height: int) -> int:
    """Immutable storage, as runtimes make it; the caller's binding stays."""
    name, before = c_uint(), c_int()
    _gl.glGetIntegerv(_BINDING, byref(before))
    _gl.glGenTextures(1, byref(name))
    _gl.glBindTexture(_TEXTURE_2D, name)
    _gl.glTexStorage2D(_TEXTURE_2D, 1, gl_format, width, height)
    _gl.glBindTexture(_TEXTURE_2D, before.value)
    return name.value


def delete_textures(names: list[int]) -> None:
    """Free them."""
    _gl.glDeleteTextures(len(names), (c_uint * len(names))(*names))


def make_error() -> None:
    """A GL error that nobody has asked for yet."""
    _gl.glEnable(0xFFFF)


def take_error() -> int:
    """The oldest GL error, 0 where there is none."""
    return int(_gl.glGetError())


def read_texture(name: int, width: int, height: int) -> np.ndarray:
    """(height, width, 4) uint8 as stored, bottom row first."""
    return _read(name, _RGBA, _UNSIGNED_BYTE, np.empty((height, width, 4), np.uint8))


def read_depth(name: int, width: int, height: int) -> np.ndarray:
    """(height, width) float32, bottom row first."""
    return _read(name, _DEPTH, _FLOAT, np.empty((height, width), np.float32))


def _read(name: int, layout: int, kind: int, pixels: np.ndarray) -> np.ndarray:
    before = c_int()
    _gl.glGetIntegerv(_BINDING, byref(before))
    _gl.glBindTexture(_TEXTURE_2D, name)
    _gl.glPixelStorei(_PACK_ALIGNMENT, 1)
    _gl.glGetTexImage(_TEXTURE_2D, 0, layout, kind, pixels.ctypes.data)
    _gl.glBindTexture(_TEXTURE_2D, before.value)
    return pixels
