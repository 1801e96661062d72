"""Text panels: rasterised by Pillow once for each content, shown as quads in the world or on the screen."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import Any

import moderngl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.render.extras import Anchor, PanelText
from vrapp.render.frame_block import Eye
from vrapp.render.shader_library import ShaderLibrary

_WORLD_LINE_PX = 64  # resolution of a line that stands in the world: enough at 40 pixels a degree
_KEPT_TEXTURES = 32
_BACKGROUND = (18, 22, 32, 198)
_TITLE, _TEXT = (255, 214, 140, 255), (240, 243, 248, 255)
_MARGIN_PX = 16  # between a screen panel and the screen's edge
#: Letters of 24 mrad (an em), about 28 pixels in a headset of 20 pixels a degree: read without effort.
_HEADSET_DISTANCE_M, _HEADSET_LINE_M = 1.3, 0.040


@lru_cache(maxsize=8)
def _font(height_px: int) -> Any:
    """Pillow's own scalable font."""
    return ImageFont.load_default(size=round(height_px * 0.78))


def rasterise(lines: tuple[str, ...], line_px: int, title: bool) -> np.ndarray:
    """(H, W, 4) uint8: sRGB, premultiplied, on a dark rounded panel; top row first."""
    font = _font(line_px)
    pad, step = round(line_px * 0.7), round(line_px * 1.18)
    width = max([round(font.getlength(line)) for line in lines] or [0])
    size = (width + 2 * pad, step * max(len(lines), 1) + 2 * pad - (step - line_px))
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius=pad, fill=_BACKGROUND)
    layer = Image.new("RGBA", size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for i, line in enumerate(lines):
        pen.text((pad, pad + i * step), line, font=font, fill=_TITLE if title and i == 0 else _TEXT)
    image.alpha_composite(layer)
    pixels = np.asarray(image).astype(np.uint16)
    alpha = pixels[..., 3:]
    return np.concatenate([pixels[..., :3] * alpha // 255, alpha], axis=-1).astype(np.uint8)


class TextPanels:
    """Owner of the panels' textures; the least recently shown are dropped."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._textures: OrderedDict[tuple[tuple[str, ...], int, bool], Any] = OrderedDict()
        self._array: Any = None

    def draw(self, programs: ShaderLibrary, panels: tuple[PanelText, ...], eyes: tuple[Eye, ...]) -> None:
        """Draw all panels over the picture; blending must be premultiplied alpha."""
        if not panels:
            return
        if self._array is None:
            self._array = self._ctx.vertex_array(programs["panels"], [])
        program = programs["panels"]
        for panel in panels:
            if not panel.lines or panel.opacity <= 0:
                continue
            in_world = isinstance(panel.place, Pose) or len(eyes) == 2
            texture = self._texture(panel.lines, _WORLD_LINE_PX if in_world else panel.height_px, panel.title)
            quad = np.zeros((3, 4), np.float32)
            quad[:, :3] = _quad(panel, texture.size, eyes)
            quad[:2, 3] = not in_world, panel.opacity
            program["quad"].write(quad)
            texture.use(2)
            self._array.render(moderngl.TRIANGLE_STRIP, 4, instances=len(eyes))

    def _texture(self, lines: tuple[str, ...], line_px: int, title: bool) -> Any:
        key = (lines, line_px, title)
        if key in self._textures:
            self._textures.move_to_end(key)
            return self._textures[key]
        pixels = rasterise(lines, line_px, title)
        texture = self._ctx.texture(pixels.shape[1::-1], 4, pixels.tobytes())
        texture.repeat_x = texture.repeat_y = False
        if line_px == _WORLD_LINE_PX:
            texture.build_mipmaps()
            texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
        self._textures[key] = texture
        if len(self._textures) > _KEPT_TEXTURES:
            self._textures.popitem(last=False)[1].release()
        return texture

    def forget_programs(self) -> None:
        """Drop the vertex array of a program that was replaced."""
        if self._array is not None:
            self._array.release()
            self._array = None

    def release(self) -> None:
        """Delete all GL objects."""
        self.forget_programs()
        for texture in self._textures.values():
            texture.release()
        self._textures.clear()


def _quad(panel: PanelText, pixels: tuple[int, int], eyes: tuple[Eye, ...]) -> tuple[Array, Array, Array]:
    """Lower left corner, right edge and up edge of the panel: in world metres, or in clip space."""
    if isinstance(panel.place, Pose):
        return _standing(panel.place, pixels, panel.height_m / _WORLD_LINE_PX)
    across, above = _anchor(panel.place)
    if len(eyes) == 2:
        middle = (eyes[0].position + eyes[1].position) / 2
        offset = maths.vec3(0.32 * across, 0.24 * above, -_HEADSET_DISTANCE_M)
        ahead = maths.rotate(eyes[0].orientation, offset)
        pose = Pose((middle + ahead).astype(np.float32), eyes[0].orientation)
        return _standing(pose, pixels, _HEADSET_LINE_M / _WORLD_LINE_PX)
    width, height = eyes[0].size
    left = (width - pixels[0]) * (across + 1) / 2 - _MARGIN_PX * across
    bottom = (height - pixels[1]) * (above + 1) / 2 - _MARGIN_PX * above
    corner = maths.vec3(round(left) / width * 2 - 1, round(bottom) / height * 2 - 1, 0)
    return corner, maths.vec3(2 * pixels[0] / width, 0, 0), maths.vec3(0, 2 * pixels[1] / height, 0)


def _standing(centre: Pose, pixels: tuple[int, int], metres_per_pixel: float) -> tuple[Array, Array, Array]:
    right = maths.rotate(centre.orientation, maths.vec3(pixels[0] * metres_per_pixel, 0, 0))
    up = maths.rotate(centre.orientation, maths.vec3(0, pixels[1] * metres_per_pixel, 0))
    return (centre.position - right / 2 - up / 2).astype(np.float32), right, up


def _anchor(place: Anchor) -> tuple[int, int]:
    """(-1 left … 1 right, -1 bottom … 1 top)."""
    across = -1 if "left" in place else 1 if "right" in place else 0
    above = 1 if "top" in place else -1 if "bottom" in place else 0
    return across, above
