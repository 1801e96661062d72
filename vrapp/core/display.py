"""The contract of a display: headset, window and offscreen give the same calls in the same order.

A frame is ``begin_frame → views → (render into target) → end_frame``; ``end_frame`` is called in a
``finally`` for every ``begin_frame``. Everything happens on the one thread that owns the GL context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from vrapp.core.input import InputSnapshot, InputSource
from vrapp.core.pose import View


@dataclass(frozen=True)
class FrameTiming:
    """When this frame will be seen, on the monotonic clock, and how often frames come.

    ``should_render`` is False where the picture would not be shown (the loop then still ends the
    frame). ``wait_s`` is the time begin_frame slept or blocked: it is not part of the frame's own work.
    """

    index: int
    predicted_time_ns: int
    period_ns: int
    should_render: bool = True
    wait_s: float = 0.0


@dataclass(frozen=True)
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

    def target(self) -> Target:
        """Where to draw this frame. Valid until ``end_frame``."""

    def end_frame(self) -> None:
        """Show what was drawn. Always called once for each ``begin_frame``."""

    def describe(self) -> str:
        """One line for the log: what was opened, on which renderer."""

    def close(self) -> None:
        """Destroy everything in reverse order. Safe to call twice."""
