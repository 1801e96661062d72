"""The images that the runtime shows: OpenXR 1.1, section 10.1 "Swapchain Image Management"."""

from __future__ import annotations

from ctypes import POINTER, byref, c_uint32, cast, pointer
from typing import Any, NamedTuple

import moderngl
import xr

from vrapp.core.errors import GraphicsError
from vrapp.display.openxr.calls import prepared
from vrapp.display.openxr.owned import Owned
from vrapp.display.openxr.results import check

#: A second: far beyond any frame, so that a stuck compositor ends in an error and not in a hang.
_WAIT = xr.SwapchainImageWaitInfo(timeout=1_000_000_000)
_WAIT_AT = byref(_WAIT)


class Format(NamedTuple):
    """``gl`` internal format; ``shader_encodes`` sRGB; ``dtype`` in ModernGL's words."""

    gl: int
    shader_encodes: bool
    dtype: str


#: In order of preference. A runtime shows the bytes of an sRGB format as they are, so shaders write encoded
#: colour with GL_FRAMEBUFFER_SRGB off. It takes other formats as linear, for which 8 bits are too coarse.
FORMATS = (
    Format(0x8C43, True, "f1"),  # GL_SRGB8_ALPHA8
    Format(0x8C41, True, "f1"),  # GL_SRGB8
    Format(0x881A, False, "f2"),  # GL_RGBA16F
    Format(0x8059, False, "f1"),  # GL_RGB10_A2
    Format(0x8058, False, "f1"),  # GL_RGBA8
)


def choose_format(offered: list[int]) -> Format:
    """The best of what the runtime offers. Raises xr.SwapchainFormatUnsupportedError."""
    for candidate in FORMATS:
        if candidate.gl in offered:
            return candidate
    raise xr.SwapchainFormatUnsupportedError(f"the runtime offers only {[hex(f) for f in offered]}")


#: GL_DEPTH_COMPONENT32F: what the picture is drawn with, and precise enough for reversed depth.
DEPTH_FORMAT = 0x8CAC


class Swapchain:
    """Images of one eye, in turn. ``names`` are their GL textures, which stay the runtime's.

    ``sub_image``: the whole image, for a composition layer.
    """

    def __init__(self, session: Any, size: tuple[int, int], gl_format: int, usage: Any) -> None:
        self.size = size
        info = xr.SwapchainCreateInfo(
            usage_flags=usage, format=gl_format, sample_count=1, width=size[0], height=size[1],
            face_count=1, array_size=1, mip_count=1,
        )  # fmt: skip
        self._acquired: int | None = None
        self._waited = False
        self._acquire, self._wait = prepared("xrAcquireSwapchainImage"), prepared("xrWaitSwapchainImage")
        self._release = prepared("xrReleaseSwapchainImage")
        self._index = c_uint32()
        self._index_at = byref(self._index)
        with Owned() as made:
            self.handle = xr.create_swapchain(session, info)
            made.destroys(xr.destroy_swapchain, self.handle)
            images = xr.enumerate_swapchain_images(self.handle, xr.SwapchainImageOpenGLKHR)
            self.names = [int(image.image) for image in images]
            whole = xr.Rect2Di(xr.Offset2Di(0, 0), xr.Extent2Di(*size))
            self.sub_image = xr.SwapchainSubImage(swapchain=self.handle, image_rect=whole)
            self._owned = made.pop_all()

    def acquire(self) -> int:
        """Index of the image to draw into until ``release``."""
        if self._acquired is None:
            check(self._acquire(self.handle, None, self._index_at))
            self._acquired = self._index.value
            check(self._wait(self.handle, _WAIT_AT))
            self._waited = True
        return self._acquired

    def release(self) -> None:
        """Give the image to the compositor; nothing where there is none that was waited for."""
        if self._waited:
            self._acquired, self._waited = None, False
            check(self._release(self.handle, None))

    def close(self) -> None:
        """Destroy it."""
        self._owned.close()


def _framebuffer_around(name: int, ctx: Any, size: tuple[int, int], chosen: Format) -> Any:
    try:
        return ctx.framebuffer([ctx.external_texture(name, size, 4, 0, chosen.dtype)])
    except moderngl.Error as e:
        raise GraphicsError(
            f"OpenGL cannot draw into the pictures that the OpenXR runtime gives ({e}); update the graphics driver "
            "and the runtime."
        ) from e


class EyeSwapchain(Swapchain):
    """Colour, with a framebuffer around each image."""

    def __init__(self, session: Any, ctx: Any, size: tuple[int, int], chosen: Format) -> None:
        usage = xr.SwapchainUsageFlags
        bits = usage.COLOR_ATTACHMENT_BIT | usage.SAMPLED_BIT | usage.TRANSFER_SRC_BIT
        super().__init__(session, size, chosen.gl, bits)
        self.format = chosen
        self._framebuffers = []
        with self._owned as made:  # destroyed again where one of these fails
            for name in self.names:
                self._framebuffers.append(_framebuffer_around(name, ctx, size, chosen))
                made.callback(self._framebuffers[-1].release)
            self._owned = made.pop_all()

    def framebuffer(self) -> Any:
        """The one to draw into until ``release``."""
        return self._framebuffers[self.acquire()]


def header_of(layer: Any) -> Any:
    """Pointer to the XrCompositionLayerBaseHeader of a layer, which has to be kept."""
    return cast(pointer(layer), POINTER(xr.CompositionLayerBaseHeader))
