"""Text on the screen, and boards that stand in the world. (In a headset boards are layers of the compositor's.)"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import moderngl
import numpy as np

from vrapp.core import maths
from vrapp.core.display import Board
from vrapp.core.maths import Array
from vrapp.render.extras import Anchor, PanelText
from vrapp.render.frame_block import Eye
from vrapp.render.pictures import text_picture
from vrapp.render.shader_library import ShaderLibrary

_KEPT_TEXTURES = 32
_MARGIN_PX = 16  # between a screen panel and the screen's edge


class TextPanels:
    """Owner of the textures; of the panels' the least recently shown are dropped."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._textures: OrderedDict[tuple[tuple[str, ...], int, bool], Any] = OrderedDict()
        self._boards: dict[str, tuple[np.ndarray, Any]] = {}  # by name: the pixels, and their texture
        self._array: Any = None

    def draw(
        self,
        programs: ShaderLibrary,
        panels: Sequence[PanelText],
        boards: Sequence[Board],
        eyes: tuple[Eye, ...],
    ) -> None:
        """Draw all over the picture, boards first; blending must be premultiplied alpha.

        ``boards`` have their poses in the world. A panel has its place on a screen: two eyes have none.
        """
        for board in boards:
            self._draw_quad(programs, self._board_texture(board), _standing(board), 1.0, eyes)
        for panel in panels if len(eyes) == 1 else ():
            if panel.lines and panel.opacity > 0:
                texture = self._texture(panel.lines, panel.height_px, panel.title)
                quad = _on_screen(panel, texture.size, eyes[0])
                self._draw_quad(programs, texture, quad, panel.opacity, eyes, on_screen=True)

    def _draw_quad(
        self, programs: ShaderLibrary, texture: Any, corners: tuple[Array, Array, Array], opacity: float,
        eyes: tuple[Eye, ...], on_screen: bool = False,
    ) -> None:  # fmt: skip
        program = programs["panels"]
        if self._array is None:
            self._array = self._ctx.vertex_array(program, [])
        quad = np.zeros((3, 4), np.float32)
        quad[:, :3] = corners
        quad[:2, 3] = on_screen, opacity
        program["quad"].write(quad)
        texture.use(2)
        self._array.render(moderngl.TRIANGLE_STRIP, 4, instances=len(eyes))

    def _texture(self, lines: tuple[str, ...], line_px: int, title: bool) -> Any:
        key = (lines, line_px, title)
        if key in self._textures:
            self._textures.move_to_end(key)
            return self._textures[key]
        texture = self._textures[key] = self._made(text_picture(lines, line_px, title))
        if len(self._textures) > _KEPT_TEXTURES:
            self._textures.popitem(last=False)[1].release()
        return texture

    def _board_texture(self, board: Board) -> Any:
        pixels, texture = self._boards.get(board.name, (None, None))
        if pixels is not board.pixels:
            if texture is not None:
                texture.release()
            texture = self._made(board.pixels)
            texture.build_mipmaps()
            texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
            self._boards[board.name] = board.pixels, texture
        return texture

    def _made(self, pixels: np.ndarray) -> Any:
        texture = self._ctx.texture(pixels.shape[1::-1], 4, pixels.tobytes())
        texture.repeat_x = texture.repeat_y = False
        return texture

    def forget_programs(self) -> None:
        """Drop the vertex array of a program that was replaced."""
        if self._array is not None:
            self._array.release()
            self._array = None

    def release(self) -> None:
        """Delete all GL objects."""
        self.forget_programs()
        for texture in (*self._textures.values(), *(texture for _, texture in self._boards.values())):
            texture.release()
        self._textures.clear()
        self._boards.clear()


def _on_screen(panel: PanelText, pixels: tuple[int, int], eye: Eye) -> tuple[Array, Array, Array]:
    """Lower left corner, right edge and up edge of the panel in clip space."""
    across, above = _anchor(panel.place)
    width, height = eye.size
    left = (width - pixels[0]) * (across + 1) / 2 - _MARGIN_PX * across
    bottom = (height - pixels[1]) * (above + 1) / 2 - _MARGIN_PX * above
    corner = maths.vec3(round(left) / width * 2 - 1, round(bottom) / height * 2 - 1, 0)
    return corner, maths.vec3(2 * pixels[0] / width, 0, 0), maths.vec3(0, 2 * pixels[1] / height, 0)


def _standing(board: Board) -> tuple[Array, Array, Array]:
    """Lower left corner, right edge and up edge of the board in world metres."""
    width, height = board.size_m
    right = maths.rotate(board.pose.orientation, maths.vec3(width, 0, 0))
    up = maths.rotate(board.pose.orientation, maths.vec3(0, height, 0))
    return (board.pose.position - right / 2 - up / 2).astype(np.float32), right, up


def _anchor(place: Anchor) -> tuple[int, int]:
    """(-1 left … 1 right, -1 bottom … 1 top)."""
    across = -1 if "left" in place else 1 if "right" in place else 0
    above = 1 if "top" in place else -1 if "bottom" in place else 0
    return across, above
