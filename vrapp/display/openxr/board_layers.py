"""Boards as layers of their own: OpenXR 1.1, section 10.6.3 "Quad Layer Composition".

The compositor draws them straight from their own pixels, so text is as sharp as the lenses allow, whatever the
resolution of the world; and they stay put where a frame comes late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xr

from vrapp.core.display import Board
from vrapp.display.openxr.owned import Owned
from vrapp.display.openxr.results import nicety
from vrapp.display.openxr.swapchains import Swapchain, header_of

#: GL_SRGB8_ALPHA8. Without it (no known runtime) boards are drawn into the picture.
FORMAT = 0x8C43
_USAGE = xr.SwapchainUsageFlags.COLOR_ATTACHMENT_BIT | xr.SwapchainUsageFlags.SAMPLED_BIT
_FLAGS = xr.CompositionLayerFlags.BLEND_TEXTURE_SOURCE_ALPHA_BIT | xr.CompositionLayerFlags.UNPREMULTIPLIED_ALPHA_BIT


class _Images(Swapchain):
    """The images of one board, written when its picture changes."""

    def __init__(self, session: Any, ctx: Any, size: tuple[int, int]) -> None:
        super().__init__(session, size, FORMAT, _USAGE | xr.SwapchainUsageFlags.TRANSFER_DST_BIT)
        self._textures = [ctx.external_texture(name, size, 4, 0, "f1") for name in self.names]
        self._written: np.ndarray | None = None
        self._layer = xr.CompositionLayerQuad(layer_flags=_FLAGS, sub_image=self.sub_image)
        self._header = header_of(self._layer)

    def write(self, pixels: np.ndarray) -> None:
        """Nothing while it is the same array: the compositor goes on showing the last image."""
        if pixels is self._written:
            return
        # OpenGL's images begin with the bottom row.
        self._textures[self.acquire()].write(np.ascontiguousarray(pixels[::-1]))
        self.release()
        self._written = pixels

    def layer(self, board: Board, space: Any) -> Any:
        """Header of the XrCompositionLayerQuad with the board's pose in ``space``."""
        layer, pose = self._layer, self._layer.pose
        layer.space = space
        pose.position.x, pose.position.y, pose.position.z = board.pose.position.tolist()
        q = pose.orientation
        q.x, q.y, q.z, q.w = board.pose.orientation.tolist()
        layer.size.width, layer.size.height = board.size_m
        return self._header


class BoardLayers:
    """Owns a swapchain for each board's name. ``shown``: the boards of this frame."""

    def __init__(self, session: Any, ctx: Any, wanted: bool) -> None:
        """``wanted``: False where the runtime has taken them ill; then all are drawn into the picture."""
        self._session, self._ctx = session, ctx
        self._able = wanted and FORMAT in [int(f) for f in xr.enumerate_swapchain_formats(session)]
        self._images: dict[str, _Images] = {}
        self.shown: tuple[Board, ...] = ()

    def take(self, boards: Sequence[Board]) -> Sequence[Board]:
        """Answers those that have to be drawn into the picture: all or none, so that they stay in their order."""
        self.shown = ()
        if not self._able or not boards:
            return boards
        with nicety("The OpenXR runtime takes no layers for text"):
            for board in boards:
                self._images_for(board).write(board.pixels)
            self.shown = tuple(boards)
            return ()
        self._able = False
        return boards

    def _images_for(self, board: Board) -> _Images:
        height, width = board.pixels.shape[:2]
        images = self._images.get(board.name)
        if images is None or images.size != (width, height):
            if images is not None:
                del self._images[board.name]
                images.close()
            images = self._images[board.name] = _Images(self._session, self._ctx, (width, height))
        return images

    def layers(self, space: Any) -> list[Any]:
        """Headers of the layers of this frame, with poses in ``space``."""
        return [self._images[board.name].layer(board, space) for board in self.shown]

    def close(self) -> None:
        """Destroy all swapchains."""
        with Owned() as owned:
            for images in self._images.values():
                owned.destroys(images.close)
        self._images.clear()
