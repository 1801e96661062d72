"""Swapchains and frames of the simulated runtime: OpenXR 1.1, chapter 10, with the order of calls enforced."""

from __future__ import annotations

import threading
from ctypes import POINTER, cast
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sim_images
import xr
from sim_base import R, Refused, T, Thing, handle_value, number, take_pose
from sim_space import SimSpace

from vrapp.core.clock import FixedClock
from vrapp.core.pose import Pose

S = xr.SessionState
XR_AHEAD_NS = 1_000_000_007  # XrTime is a clock of its own


@dataclass
class Eye:
    """What was submitted for one eye."""

    pixels: np.ndarray | None
    pose: Pose
    fov: tuple[float, float, float, float]
    depth: np.ndarray | None = None
    depth_range: tuple[float, float, float, float] | None = None  # min, max, near_z, far_z; None without depth


@dataclass
class Quad:
    """A quad layer: where it stands in its space, and what is on it (bottom row first)."""

    pixels: np.ndarray | None
    pose: Pose
    size: tuple[float, float]
    flags: xr.CompositionLayerFlags
    space: int


@dataclass
class Frame:
    """One xrEndFrame: ``eyes`` of the projection layer, empty without one; ``space`` it was given in."""

    display_time: int
    eyes: list[Eye] = field(default_factory=list)
    space: int = 0
    quads: list[Quad] = field(default_factory=list)


class SimFrames(SimSpace):
    """``frames``: all that was submitted, with pixels where ``capture`` is on.

    Time is virtual, and that of ``clock`` where the program shares one.
    """

    def __init__(self) -> None:
        self.period_ns, self.now = 11_111_111, 5_000_000_000
        self.clock: FixedClock | None = None
        self.formats = [0x8058, 0x8C43, 0x881A, 0x8CAC]
        self.blend_modes = [xr.EnvironmentBlendMode.OPAQUE]
        self.capture = self.refuses_depth = self.refuses_quads = self.broken_images = False
        self.minds_gl_errors = False  # as SteamVR does: leaves some behind, fails on those that it finds
        self.open_gate = threading.Event()  # cleared, it holds xrWaitFrame back in these states
        self.open_gate.set()
        self.hold_back_in: tuple[xr.SessionState, ...] = (S.SYNCHRONIZED, S.STOPPING)
        self.frames: list[Frame] = []
        self._state = S.UNKNOWN
        self._running = self._begun = False
        self._waited = 0
        super().__init__()

    # Swapchains.

    def xrEnumerateSwapchainFormats(self, session: Any, capacity: int, count: Any, out: Any) -> None:
        if self.room_for(capacity, count, len(self.formats)):
            for k, gl_format in enumerate(self.formats):
                out[k] = gl_format

    def xrCreateSwapchain(self, session: Any, info: Any, out: Any) -> None:
        i = info.contents
        if number(i.format) not in self.formats:
            raise Refused(R.ERROR_SWAPCHAIN_FORMAT_UNSUPPORTED, hex(number(i.format)))
        self.get(session, "session")
        wanted = xr.SwapchainUsageFlags(int(number(i.usage_flags)))
        is_depth = number(i.format) in sim_images.DEPTH_FORMATS
        if is_depth != bool(wanted & xr.SwapchainUsageFlags.DEPTH_STENCIL_ATTACHMENT_BIT):
            raise Refused(R.ERROR_VALIDATION_FAILURE, "usage does not suit the format")
        textures = [sim_images.make_texture(number(i.format), i.width, i.height) for _ in range(3)]
        size = (i.width, i.height)
        self.new("swapchain", session, out, textures=textures, size=size, acquired=[], waited=False, last=None, turn=-1)

    def xrDestroySwapchain(self, swapchain: Any) -> None:
        sim_images.delete_textures(self.get(swapchain, "swapchain").textures)
        self.destroy(swapchain, "swapchain")

    def xrEnumerateSwapchainImages(self, swapchain: Any, capacity: int, count: Any, out: Any) -> None:
        textures = self.get(swapchain, "swapchain").textures
        if self.room_for(capacity, count, len(textures)):
            images = cast(out, POINTER(xr.SwapchainImageOpenGLKHR))
            for k, texture in enumerate(textures):
                images[k].image = 987_654 if self.broken_images else texture

    def xrAcquireSwapchainImage(self, swapchain: Any, info: Any, out: Any) -> None:
        f = self.get(swapchain, "swapchain").fields
        if len(f["acquired"]) == len(f["textures"]):
            raise Refused(R.ERROR_CALL_ORDER_INVALID, "all images are acquired")
        if self.minds_gl_errors and sim_images.take_error():
            raise Refused(R.ERROR_RUNTIME_FAILURE)
        f["turn"] = (f["turn"] + 1) % len(f["textures"])
        f["acquired"].append(f["turn"])
        out[0] = f["turn"]

    def xrWaitSwapchainImage(self, swapchain: Any, info: Any) -> None:
        f = self.get(swapchain, "swapchain").fields
        if not f["acquired"] or f["waited"]:
            raise Refused(R.ERROR_CALL_ORDER_INVALID, "wait without an acquired image")
        f["waited"] = True

    def xrReleaseSwapchainImage(self, swapchain: Any, info: Any) -> None:
        f = self.get(swapchain, "swapchain").fields
        if not f["waited"]:
            raise Refused(R.ERROR_CALL_ORDER_INVALID, "release without wait")
        f["waited"], f["last"] = False, f["acquired"].pop(0)

    # Frames.

    def xrWaitFrame(self, session: Any, info: Any, out: Any) -> None:
        self.get(session, "session")
        if not self._running:
            raise Refused(R.ERROR_SESSION_NOT_RUNNING, "wait without a running session")
        if self._state in self.hold_back_in:
            self.open_gate.wait(20)
            if not self._running:
                raise Refused(R.ERROR_SESSION_NOT_RUNNING)
        self.now += self.period_ns
        if self.clock:
            self.clock.sleep_until_ns(self.clock.now_ns() + self.period_ns)
            self.now = self.clock.now_ns() + XR_AHEAD_NS
        self._waited += 1
        o = out.contents
        o.predicted_display_time, o.predicted_display_period = self.now, self.period_ns
        # As runtimes do, the first frame is not shown.
        o.should_render = bool(self.frames) and self._state in (S.VISIBLE, S.FOCUSED)

    def xrBeginFrame(self, session: Any, info: Any) -> xr.Result | None:
        if not self._waited:
            raise Refused(R.ERROR_CALL_ORDER_INVALID, "begin without wait")
        self._waited -= 1
        discarded, self._begun = self._begun, True
        return R.FRAME_DISCARDED if discarded else None

    def xrEndFrame(self, session: Any, info: Any) -> None:
        i = info.contents
        if not self._begun:
            raise Refused(R.ERROR_CALL_ORDER_INVALID, "end without begin")
        self._begun = False
        if number(i.display_time) != self.now:
            raise Refused(R.ERROR_TIME_INVALID, "display time is not the predicted one")
        if xr.EnvironmentBlendMode(i._environment_blend_mode) not in self.blend_modes:
            raise Refused(R.ERROR_ENVIRONMENT_BLEND_MODE_UNSUPPORTED, "blend mode")
        frame = Frame(self.now)
        if i.layer_count > 16:
            raise Refused(R.ERROR_LAYER_LIMIT_EXCEEDED, f"{i.layer_count} layers")
        for k in range(i.layer_count):
            base = cast(i._layers[k], POINTER(xr.CompositionLayerBaseHeader)).contents
            if base._type == T.COMPOSITION_LAYER_PROJECTION.value:
                layer = cast(i._layers[k], POINTER(xr.CompositionLayerProjection)).contents
                frame.space = handle_value(layer.space)
                frame.eyes = [self._eye(layer._views[v]) for v in range(layer.view_count)]
            elif base._type == T.COMPOSITION_LAYER_QUAD.value:
                frame.quads.append(self._quad(cast(i._layers[k], POINTER(xr.CompositionLayerQuad)).contents))
            else:
                raise Refused(R.ERROR_LAYER_INVALID, f"a layer of type {base._type}")
        self.frames.append(frame)
        if self.minds_gl_errors:
            sim_images.make_error()

    def _quad(self, layer: Any) -> Quad:
        self.get(layer.space, "space")
        swapchain = self._submitted(layer.sub_image)
        if not (layer.size.width > 0 and layer.size.height > 0):
            raise Refused(R.ERROR_LAYER_INVALID, "size")
        if self.refuses_quads:
            raise Refused(R.ERROR_LAYER_INVALID)
        flags = xr.CompositionLayerFlags(int(number(layer._layer_flags)))
        size = (layer.size.width, layer.size.height)
        return Quad(self._pixels(swapchain), take_pose(layer.pose), size, flags, handle_value(layer.space))

    def _submitted(self, sub_image: Any) -> Thing:
        """The swapchain of a sub-image, which has to be released and whole."""
        swapchain = self.get(sub_image.swapchain, "swapchain")
        if swapchain.last is None or swapchain.acquired:
            raise Refused(R.ERROR_LAYER_INVALID, "submitted an image that is not released")
        rect = sub_image.image_rect
        if (rect.extent.width, rect.extent.height) != swapchain.size or rect.offset.x or rect.offset.y:
            raise Refused(R.ERROR_SWAPCHAIN_RECT_INVALID, "rectangle")
        return swapchain

    def _pixels(self, swapchain: Thing) -> np.ndarray | None:
        if not self.capture:
            return None
        return sim_images.read_texture(swapchain.textures[swapchain.last], *swapchain.size)

    def _eye(self, view: Any) -> Eye:
        f = view.fov
        pixels = self._pixels(self._submitted(view.sub_image))
        eye = Eye(pixels, take_pose(view.pose), (f.angle_left, f.angle_right, f.angle_up, f.angle_down))
        info = self.chained(view._next, T.COMPOSITION_LAYER_DEPTH_INFO_KHR, xr.CompositionLayerDepthInfoKHR)
        if info is not None:
            self._take_depth(info, eye)
        return eye

    def _take_depth(self, info: Any, eye: Eye) -> None:
        if "XR_KHR_composition_layer_depth" not in self.extensions_on():
            raise Refused(R.ERROR_LAYER_INVALID, "depth without its extension")
        chain = self._submitted(info.sub_image)
        near_z, far_z = info.near_z, info.far_z
        if not (0 <= info.min_depth <= info.max_depth <= 1 and near_z >= 0 and far_z >= 0 and near_z != far_z):
            raise Refused(R.ERROR_LAYER_INVALID, "depth range")
        if self.refuses_depth:
            raise Refused(R.ERROR_LAYER_INVALID)
        eye.depth_range = (info.min_depth, info.max_depth, near_z, far_z)
        if self.capture:
            eye.depth = sim_images.read_depth(chain.textures[chain.last], *chain.size)
