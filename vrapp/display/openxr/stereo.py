"""The pictures of both eyes, and how they are handed in: OpenXR 1.1, section 10.6 "Frame Submission".

Depth goes along where the runtime takes it (XR_KHR_composition_layer_depth): then it can correct for the
head's motion by place, not by direction alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import xr

from vrapp.core.display import Target
from vrapp.core.pose import NEAR_M
from vrapp.display.openxr import swapchains
from vrapp.display.openxr.owned import Owned
from vrapp.display.openxr.results import nicety
from vrapp.display.openxr.swapchains import EyeSwapchain, Swapchain, header_of

DEPTH_EXTENSION = "XR_KHR_composition_layer_depth"


class StereoPicture:
    """Owner of the swapchains. Acquire, draw both eyes, release, then ``layer``."""

    def __init__(self, session: Any, ctx: Any, size: tuple[int, int], depth: bool) -> None:
        """``depth``: hand it in, too, if the runtime has a format for it."""
        offered = [int(f) for f in xr.enumerate_swapchain_formats(session)]
        chosen = swapchains.choose_format(offered)
        self._depths: list[Swapchain] = []
        self._depth_infos: list[Any] = [None, None]  # the layers point to them: `next` holds no reference
        with Owned() as made:
            self._colours: list[EyeSwapchain] = []
            for _ in range(2):
                self._colours.append(EyeSwapchain(session, ctx, size, chosen))
                made.destroys(self._colours[-1].close)
            if depth and swapchains.DEPTH_FORMAT in offered:
                self._add_depth(session, size, made)
            self._eyes = (xr.CompositionLayerProjectionView * 2)(*(
                xr.CompositionLayerProjectionView(sub_image=colour.sub_image, next=depth)
                for colour, depth in zip(self._colours, self._depth_infos, strict=True)
            ))  # fmt: skip
            self._layer = xr.CompositionLayerProjection(views=self._eyes)
            self._header = header_of(self._layer)
            self._owned = made.pop_all()

    def _add_depth(self, session: Any, size: tuple[int, int], made: Owned) -> None:
        usage = xr.SwapchainUsageFlags.DEPTH_STENCIL_ATTACHMENT_BIT
        with nicety("The OpenXR runtime takes no depth"), Owned() as depths:
            eyes = []
            for _ in range(2):
                eyes.append(Swapchain(session, size, swapchains.DEPTH_FORMAT, usage))
                depths.destroys(eyes[-1].close)
            made.push(depths.pop_all())
            self._depths, self._depth_infos = eyes, [_reversed_depth(eye) for eye in eyes]

    @property
    def has_depth(self) -> bool:
        """Depth is handed in."""
        return bool(self._depths)

    def acquire(self) -> Target:
        """The images of both eyes, to be drawn now."""
        framebuffers = self.framebuffers()
        depths = tuple(eye.names[eye.acquire()] for eye in self._depths)
        return Target(framebuffers, self._colours[0].format.shader_encodes, depths)

    def framebuffers(self) -> tuple[Any, ...]:
        """Those of this frame, left eye first."""
        return tuple(eye.framebuffer() for eye in self._colours)

    def release(self) -> None:
        """Give all that was acquired to the compositor."""
        for eye in (*self._colours, *self._depths):
            eye.release()

    def layer(self, space: Any, views: Sequence[Any]) -> Any:
        """Header of the XrCompositionLayerProjection for ``views`` (located XrViews) in ``space``."""
        # All is made once: building the structures takes longer than the calls of a frame.
        for eye, view in zip(self._eyes, views, strict=True):
            eye.pose, eye.fov = view.pose, view.fov
        self._layer.space = space
        return self._header

    def close(self) -> None:
        """Destroy the swapchains, last made first."""
        self._owned.close()


def _reversed_depth(eye: Swapchain) -> Any:
    """0 infinitely far (``near_z``), 1 at the near plane (``far_z``), which the extension wants told just so:
    near_z belongs to min_depth, and may be infinite and greater than far_z.
    """
    return xr.CompositionLayerDepthInfoKHR(
        sub_image=eye.sub_image, min_depth=0.0, max_depth=1.0, near_z=math.inf, far_z=NEAR_M
    )
