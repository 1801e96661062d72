"""A display without a screen: the world drawn into a framebuffer, for servers, tests and pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from vrapp.core.clock import Clock
from vrapp.core.comfort import Comfort
from vrapp.core.display import Board, FrameTiming, Target
from vrapp.core.errors import GraphicsError
from vrapp.core.input import InputSnapshot
from vrapp.core.pose import Fov, View
from vrapp.display import context
from vrapp.display.eyes import views_of_head
from vrapp.display.pace import Pace
from vrapp.display.window import Window

#: Full vertical angle of view of a screen, radians (70°).
SCREEN_FOV_RAD = 1.22


class OffscreenDisplay:
    """Draws into an RGBA8 framebuffer, ``view_count`` views side by side. Never closes by itself.

    Needs EGL on Linux and no X; elsewhere a hidden window gives the context.
    """

    name = "offscreen"

    def __init__(
        self,
        size: tuple[int, int],
        clock: Clock,
        pace_hz: float | None = None,
        view_count: int = 1,
        fov: Fov | None = None,
    ) -> None:
        """``size``: pixels of one view. ``fov``: of each view, 70° high if not given.

        Raises DisplayUnavailable without a driver, GraphicsError below OpenGL 4.5 or above its sizes.
        """
        self.size, self.view_count, self.should_close = size, view_count, False
        self._fov = fov or Fov.symmetric(SCREEN_FOV_RAD, size[0] / size[1])
        self._window = None if sys.platform == "linux" else Window(size, "vrapp", visible=False)
        self.ctx: Any = self._window.ctx if self._window else context.headless_context()
        self._colour, self._framebuffer = self._make_framebuffer()
        self._pace = Pace(clock, pace_hz)
        self._closed = False

    def _make_framebuffer(self) -> tuple[Any, Any]:
        width, height = self.size[0] * self.view_count, self.size[1]
        limit = self.ctx.info["GL_MAX_TEXTURE_SIZE"]
        if max(width, height) > limit:
            self._release_context()
            raise GraphicsError(
                f"A picture of {width}x{height} is larger than this driver's {limit}x{limit}; choose a smaller --size."
            )
        colour = self.ctx.texture((width, height), 4)
        return colour, self.ctx.framebuffer([colour])

    def input(self) -> None:
        """There is nobody in front of it."""
        return None

    def begin_frame(self) -> FrameTiming:
        """Wait for the pace."""
        if self._window:
            self._window.poll_events()  # or the system takes the program for hung
        return self._pace.wait()

    def views(self, snapshot: InputSnapshot) -> tuple[View, ...]:
        """One camera at the head, or two eyes beside it."""
        return views_of_head(snapshot.head, self._fov, self.size, self.view_count)

    def show(self, boards: Sequence[Board]) -> Sequence[Board]:
        """All are drawn into the picture."""
        return boards

    def settle(self, comfort: Comfort) -> None:
        """There is nobody in front of it."""

    def target(self) -> Target:
        """The framebuffer, shared by both views."""
        return Target((self._framebuffer,) * self.view_count)

    def end_frame(self) -> None:
        """Hand the frame to the driver, as a swap would."""
        self.ctx.finish()

    def describe(self) -> str:
        """Size and renderer."""
        eyes = "" if self.view_count == 1 else f" x {self.view_count} eyes"
        return f"offscreen {self.size[0]}x{self.size[1]}{eyes} on {self.ctx.info['GL_RENDERER']}"

    def close(self) -> None:
        """Release framebuffer, texture and context."""
        if self._closed:
            return
        self._closed = True
        self._framebuffer.release()
        self._colour.release()
        self._release_context()

    def _release_context(self) -> None:
        if self._window:
            self._window.close()
        else:
            context.release_headless_context(self.ctx)
