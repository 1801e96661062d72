"""The contract of a display: headset, window and offscreen give the same calls in the same order.

A frame is ``begin_frame → views → show → (render into target) → end_frame``; ``end_frame`` is called in a
``finally`` for every ``begin_frame``. Everything happens on the one thread that owns the GL context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vrapp.core.comfort import Comfort
from vrapp.core.input import InputSnapshot, InputSource
from vrapp.core.pose import Pose, View
from vrapp.core.record import record


@record
class FrameTiming:
    """When this frame will be seen, on the monotonic clock, and how often frames come.

    ``should_render`` is False where the picture would not be shown (the loop then still ends the
    frame). ``wait_s`` is the time begin_frame slept or blocked: it is not part of the frame's own work. ``spent_ns``:
    of its period, what was over when the frame could begin; None where a compositor, or nobody, keeps the pace.
    """

    index: int
    predicted_time_ns: int
    period_ns: int
    should_render: bool = True
    wait_s: float = 0.0
    spent_ns: int | None = None


@record
class Target:
    """Where the finished picture of this frame goes.

    ``framebuffers[i]`` (moderngl.Framebuffer) receives view ``i``; both views may share one, each in
    its own ``View.viewport``. ``srgb_encode`` says that pixels are to be stored encoded in sRGB; else
    linear light is written with GL_FRAMEBUFFER_SRGB on (the format encodes, or whoever shows it).
    ``depth_textures[i]`` (GL name, GL_DEPTH_COMPONENT32F, of view ``i``'s size) receives its depth: 1 at
    ``pose.NEAR_M``, 0 infinitely far. Empty where nobody wants it.
    """

    framebuffers: tuple[Any, ...]
    srgb_encode: bool = True
    depth_textures: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Board:
    """A flat picture that stands before the user: text, a menu. ``name`` stays while its picture changes.

    ``pixels``: (H, W, 4) uint8, sRGB with straight alpha, top row first; the same array while it is unchanged.
    ``pose``: of its middle, in the stage; it is seen from its +Z side. ``width_m``: how wide it is.
    """

    name: str
    pixels: np.ndarray
    pose: Pose
    width_m: float

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height in metres."""
        height, width = self.pixels.shape[:2]
        return self.width_m, self.width_m * height / width


@runtime_checkable
class Display(Protocol):
    """A place where the world is seen. Owns the GL context (``ctx``: moderngl.Context)."""

    name: str
    ctx: Any
    size: tuple[int, int]  # pixels of one view
    view_count: int  # 1 or 2
    should_close: bool  # the user closed it, or the session is over

    def input(self) -> InputSource | None:
        """The display's own input (mouse and keys, controllers), or None."""

    def begin_frame(self) -> FrameTiming:
        """Wait for the display's pace and begin. Handles events."""

    def views(self, snapshot: InputSnapshot) -> tuple[View, ...]:
        """The eyes in the stage. A headset answers from its own tracking; others from ``snapshot.head``."""

    def show(self, boards: Sequence[Board]) -> Sequence[Board]:
        """This frame's boards, the nearest last. Answers those that are to be drawn into the picture.

        A headset shows them beside its picture, at its own resolution and over everything that is in it.
        """

    def settle(self, comfort: Comfort) -> None:
        """How the user likes it from now on; they sit or stand here, with their eyes at their height."""

    def target(self) -> Target:
        """Where to draw this frame. Valid until ``end_frame``."""

    def end_frame(self) -> None:
        """Show what was drawn. Always called once for each ``begin_frame``."""

    def describe(self) -> str:
        """One line for the log: what was opened, on which renderer."""

    def close(self) -> None:
        """Destroy everything in reverse order. Safe to call twice."""
