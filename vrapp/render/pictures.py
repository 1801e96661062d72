"""Pictures of text, by Pillow: (H, W, 4) uint8, sRGB with straight alpha, top row first.

Where nothing is painted the colour is the background's with alpha 0, so that filtering darkens no edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

BACKGROUND: Colour = (18, 22, 32)
_TITLE, _TEXT, _QUIET = (255, 214, 140), (240, 243, 248), (158, 168, 186)
_BUTTON, _CHOSEN, _BAR = (44, 54, 76), (36, 112, 178), (40, 104, 160)
_MESSAGE_ALPHA, _SHEET_ALPHA = 198, 242
_SCALE = 0.78  # an em of a line's height


@lru_cache(maxsize=16)
def _font(height_px: int) -> Any:
    """Pillow's own scalable font."""
    return ImageFont.load_default(size=round(height_px * _SCALE))


def text_picture(lines: Sequence[str], line_px: int, title: bool = False, step_px: int = 1) -> np.ndarray:
    """Lines on a dark rounded panel, as wide as the longest, rounded up to ``step_px``; the first may be a title."""
    font = _font(line_px)
    pad, down = round(line_px * 0.7), round(line_px * 1.18)
    width = max([round(font.getlength(line)) for line in lines] or [0]) + 2 * pad
    height = down * max(len(lines), 1) + 2 * pad - (down - line_px)
    size = (-(-width // step_px) * step_px, height)
    image = Image.new("RGBA", size, (*BACKGROUND, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), radius=pad, fill=(*BACKGROUND, _MESSAGE_ALPHA))
    left = pad + (size[0] - width) // 2
    for i, line in enumerate(lines):
        draw.text((left, pad + i * down), line, font=font, fill=_TITLE if title and i == 0 else _TEXT)
    return np.array(image)


Look = Literal["title", "text", "quiet", "button", "chosen", "bar"]


class Tile(NamedTuple):
    """A rectangle of a sheet, in pixels from its upper left corner. ``share`` 0…1: how much of a bar is filled."""

    x: int
    y: int
    width: int
    height: int
    text: str
    look: Look = "text"
    share: float = 0.0


def sheet_picture(size: tuple[int, int], tiles: Sequence[Tile]) -> np.ndarray:
    """A dark sheet of ``size`` (width, height) with its tiles. Quick where most tiles were painted before."""
    picture = _sheet(*size).copy()
    for tile in tiles:
        painted = _tile(tile.width, tile.height, tile.text, tile.look, round(tile.share * tile.width))
        picture[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width] = painted
    return picture


@lru_cache(maxsize=2)
def _sheet(width: int, height: int) -> np.ndarray:
    image = Image.new("RGBA", (width, height), (*BACKGROUND, 0))
    fill = (*BACKGROUND, _SHEET_ALPHA)
    ImageDraw.Draw(image).rounded_rectangle((0, 0, width - 1, height - 1), radius=28, fill=fill)
    return np.array(image)


@lru_cache(maxsize=128)
def _tile(width: int, height: int, text: str, look: Look, filled_px: int) -> np.ndarray:
    image = Image.new("RGBA", (width, height), (*BACKGROUND, _SHEET_ALPHA))
    draw = ImageDraw.Draw(image)
    box = (0, 0, width - 1, height - 1)
    boxed = look in ("button", "chosen")
    if boxed:
        draw.rounded_rectangle(box, radius=12, fill=_CHOSEN if look == "chosen" else _BUTTON)
    elif look == "bar":
        draw.rounded_rectangle(box, radius=6, fill=_BUTTON)
        if filled_px > 12:
            draw.rounded_rectangle((0, 0, filled_px - 1, height - 1), radius=6, fill=_BAR)
    colour = {"title": _TITLE, "quiet": _QUIET}.get(look, _TEXT)
    place = (width // 2, height // 2, "mm") if boxed else (0 if look != "bar" else 12, height // 2, "lm")
    draw.text(place[:2], text, font=_fitting(text, width, height), fill=colour, anchor=place[2])
    return np.array(image)


def _fitting(text: str, width: int, height: int) -> Any:
    """The font for a tile: two thirds of its height, smaller where the text is longer than the tile."""
    line_px = round(height * 0.66)
    length = _font(line_px).getlength(text)
    return _font(line_px if length <= width - 8 else max(int(line_px * (width - 8) / length), 8))


def frame_picture(width: int, height: int) -> np.ndarray:
    """A bright rounded outline of a tile's size, nothing inside: what is pointed at."""
    image = Image.new("RGBA", (width, height), (*_TITLE, 0))
    box = (1, 1, width - 2, height - 2)
    ImageDraw.Draw(image).rounded_rectangle(box, radius=14, outline=(*_TITLE, 255), width=5)
    return np.array(image)


def dot_picture(side: int = 64) -> np.ndarray:
    """A white dot with a dark rim: where the ray meets a board."""
    across = (np.arange(side) + 0.5) / side * 2 - 1
    r = np.hypot(*np.meshgrid(across, across))
    picture = np.zeros((side, side, 4), np.uint8)
    picture[..., :3] = np.where(r < 0.62, 255, 20)[..., None]
    picture[..., 3] = np.clip((1 - r) * side / 4, 0, 1) * 255
    return picture
