"""What the wearer sees, on the desktop: the left eye or both, with the boards that the compositor lays over them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import moderngl
import numpy as np

from vrapp.core import maths
from vrapp.core.display import Board
from vrapp.core.maths import Array
from vrapp.core.pose import NEAR_M, View
from vrapp.display.desktop import DesktopDisplay

_SRGB8_ALPHA8 = 0x8C43
_KEPT = 8  # textures of boards
_VERTEX = """
#version 450 core
uniform mat3x4 corners;  // in clip space: lower left, right edge, upward edge
uniform vec4 part;  // of the texture: lower left, upper right
out vec2 uv;
void main() {
    vec2 at = vec2(gl_VertexID & 1, gl_VertexID >> 1);
    uv = mix(part.xy, part.zw, at);
    gl_Position = corners[0] + corners[1] * at.x + corners[2] * at.y;
}
"""
_FRAGMENT = """
#version 450 core
layout(binding = 0) uniform sampler2D picture;  // linear light, whatever its format: OpenGL decodes sRGB
in vec2 uv;
out vec4 pixel;
void main() {
    vec4 light = clamp(texture(picture, uv), 0.0, 1.0);
    vec3 encoded = mix(12.92 * light.rgb, 1.055 * pow(light.rgb, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, light.rgb));
    pixel = vec4(encoded, light.a);
}
"""
_WHOLE = np.array([[-1, -1, 0, 1], [2, 0, 0, 0], [0, 2, 0, 0]], np.float32)


class Mirror:
    """Shows the middle of each eye's picture, filling its part of the window without distortion.

    ``both``: both eyes side by side, else the left one. ``cpu_s``: CPU seconds in the last frame's GL calls.
    """

    def __init__(self, desk: DesktopDisplay) -> None:
        self.both, self.cpu_s = False, 0.0
        self._window, ctx = desk.window, desk.ctx
        self._ctx: Any = ctx
        self._program = ctx.program(_VERTEX, _FRAGMENT)
        self._quad = ctx.vertex_array(self._program, [])
        self._sampler = ctx.sampler(repeat_x=False, repeat_y=False, filter=(moderngl.LINEAR, moderngl.LINEAR))
        self._boards: dict[str, tuple[np.ndarray, Any]] = {}  # by name: the pixels, and their texture

    def draw(self, eyes: Sequence[Any], views: Sequence[View], boards: Sequence[Board]) -> None:
        """Into the window's back buffer. ``eyes``: moderngl.Framebuffers, just drawn. Nothing while it is minimised."""
        width, height = self._window.framebuffer_size
        before_s = time.thread_time()
        self.cpu_s = 0.0
        if width == 0 or height == 0:
            return
        self._ctx.screen.use()
        self._ctx.enable_only(moderngl.NOTHING)
        shown = 2 if self.both else 1
        shape = (width // shown, height)
        for i, (eye, view) in enumerate(zip(eyes[:shown], views[:shown], strict=True)):
            self._ctx.viewport = (i * shape[0], 0, *shape)
            self._draw_eye(eye, view, boards, shape)
        self._ctx.blend_func = moderngl.DEFAULT_BLENDING
        self._ctx.viewport = (0, 0, width, height)
        self.cpu_s = time.thread_time() - before_s

    def _draw_eye(self, eye: Any, view: View, boards: Sequence[Board], shape: tuple[int, int]) -> None:
        (width, height), (x0, y0, x1, y1) = eye.size, crop(eye.size, shape)
        part: Array = np.array([x0 / width, y0 / height, x1 / width, y1 / height], np.float32)
        self._sampler.use(0)  # in place of what the runtime has set for its own texture
        self._render(eye.color_attachments[0], _WHOLE, part)
        self._sampler.clear(0)
        if not boards:
            return
        self._ctx.enable_only(moderngl.BLEND)
        self._ctx.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA
        view_from_stage = maths.view_matrix(view.pose.position, view.pose.orientation)
        clip_from_stage = _window_from_eye(part) @ view.projection(NEAR_M) @ view_from_stage
        for board in boards:
            corners: Array = (_corners(board) @ clip_from_stage.T).astype(np.float32)
            self._render(self._texture(board), corners, np.array([0, 1, 1, 0], np.float32))  # top row first
        self._ctx.enable_only(moderngl.NOTHING)

    def _render(self, texture: Any, corners: Array, part: Array) -> None:
        texture.use(0)
        self._program["corners"].write(np.ascontiguousarray(corners))
        self._program["part"].write(part)
        self._quad.render(moderngl.TRIANGLE_STRIP, 4)

    def _texture(self, board: Board) -> Any:
        pixels, texture = self._boards.pop(board.name, (None, None))
        if pixels is not board.pixels:
            if texture is not None:
                texture.release()
            size = board.pixels.shape[1::-1]
            texture = self._ctx.texture(size, 4, board.pixels.tobytes(), internal_format=_SRGB8_ALPHA8)
            texture.build_mipmaps()
            texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
            texture.repeat_x = texture.repeat_y = False
        self._boards[board.name] = board.pixels, texture
        if len(self._boards) > _KEPT:
            self._boards.pop(next(iter(self._boards)))[1].release()
        return texture

    def show(self) -> None:
        """Swap; returns at once, as the window has no vertical sync."""
        before_s = time.thread_time()
        self._window.swap()
        self.cpu_s += time.thread_time() - before_s

    def close(self) -> None:
        """Delete all GL objects; before the window goes. Safe to call twice."""
        for thing in (self._quad, self._program, self._sampler, *(texture for _, texture in self._boards.values())):
            thing.release()
        self._boards.clear()


def _corners(board: Board) -> Array:
    """(3, 4): lower left corner, right edge and upward edge, homogeneous, in the stage."""
    width, height = board.size_m
    right = maths.rotate(board.pose.orientation, maths.vec3(width, 0, 0))
    up = maths.rotate(board.pose.orientation, maths.vec3(0, height, 0))
    corner = board.pose.position - (right + up) / 2
    return np.array([[*corner, 1], [*right, 0], [*up, 0]], np.float32)


def _window_from_eye(part: Array) -> Array:
    """(4, 4): clip space of the window, of which ``part`` of the eye's picture fills all."""
    low, high = part[:2] * 2 - 1, part[2:] * 2 - 1
    middle, half = (low + high) / 2, (high - low) / 2
    m = np.eye(4, dtype=np.float32)
    m[0, 0], m[1, 1] = 1 / half
    m[0, 3], m[1, 3] = -middle / half
    return m


def crop(source: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest rectangle (x0, y0, x1, y1) in the middle of ``source`` with the proportions of ``shape``."""
    width = min(source[0], source[1] * shape[0] // shape[1])
    height = min(source[1], source[0] * shape[1] // shape[0])
    x0, y0 = (source[0] - width) // 2, (source[1] - height) // 2
    return x0, y0, x0 + width, y0 + height
