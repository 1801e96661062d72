"""A window on the desktop: the world on a screen, with mouse and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vrapp.core.clock import Clock
from vrapp.core.comfort import Comfort
from vrapp.core.display import Board, FrameTiming, Target
from vrapp.core.input import InputSnapshot
from vrapp.core.pose import Fov, View
from vrapp.display import context
from vrapp.display.desktop_input import DesktopInput
from vrapp.display.eyes import views_of_head
from vrapp.display.offscreen import SCREEN_FOV_RAD
from vrapp.display.pace import Pace
from vrapp.display.window import Window, WindowListener


class DesktopDisplay:
    """A resizable window with one view, drawn straight into its back buffer.

    ``pace_hz`` None leaves the pace to the vertical sync; a software rasteriser has none, so there the
    monitor's rate is kept by the clock. ``overlay`` is called at the end of each frame, to draw panels
    over the world.
    """

    name = "desktop"
    view_count = 1

    def __init__(
        self,
        size: tuple[int, int],
        title: str,
        clock: Clock,
        pace_hz: float | None = None,
        vsync: bool = True,
        hidden: bool = False,
        comfort: Comfort | None = None,
    ) -> None:
        """Open the window. Raises DisplayUnavailable (no screen, no GLX) or GraphicsError (below 4.5)."""
        self.window = Window(size, title, visible=not hidden, vsync=vsync and not pace_hz)
        self.ctx: Any = self.window.ctx
        self.size, self.should_close = self.window.framebuffer_size, False
        refresh_hz = self.window.refresh_hz
        if vsync and not pace_hz and context.is_software(self.ctx):
            pace_hz = refresh_hz
        self._pace = Pace(clock, pace_hz, nominal_hz=refresh_hz)
        self._input = DesktopInput(self.window, self._fov, comfort)
        self.overlay: Callable[[], None] = lambda: None
        self.window.attach(self._input)
        self.window.on_focus = self._input.focus_changed

    def attach(
        self,
        listener: WindowListener,
        wants_mouse: Callable[[], bool],
        wants_keyboard: Callable[[], bool],
    ) -> None:
        """Send the window's events to a panel (imgui's GlfwRenderer), which may keep them from the world.

        Escape and the function keys reach the world only while ``wants_keyboard`` is False, so say
        True where text is typed, not wherever a panel is open.
        """
        self.window.attach(listener)
        self._input.wants_mouse, self._input.wants_keyboard = wants_mouse, wants_keyboard

    def menu_open(self, is_open: bool) -> None:
        """While it is, the pointer is free, a press belongs to it at once, and Escape closes it."""
        self._input.menu_open(is_open)

    def _fov(self) -> Fov:
        return Fov.symmetric(SCREEN_FOV_RAD, self.size[0] / self.size[1])

    def input(self) -> DesktopInput:
        """Mouse and keys."""
        return self._input

    def begin_frame(self) -> FrameTiming:
        """Handle events, then wait for the pace. A minimised window renders nothing."""
        shown = self.handle_events()
        return self._pace.wait(should_render=shown)

    def handle_events(self) -> bool:
        """Deliver events and take the window's present size. False while it is minimised."""
        self.window.poll_events()
        self.should_close = self.window.should_close or self._input.quit_asked
        width, height = self.window.framebuffer_size
        shown = width > 0 and height > 0
        if shown:
            self.size = (width, height)
        return shown

    def views(self, snapshot: InputSnapshot) -> tuple[View, ...]:
        """One camera at the head."""
        return views_of_head(snapshot.head, self._fov(), self.size, 1)

    def show(self, boards: Sequence[Board]) -> Sequence[Board]:
        """All are drawn into the picture."""
        return boards

    def settle(self, comfort: Comfort) -> None:
        """The mouse's hand and the height of the eyes follow."""
        self._input.comfort = comfort

    def target(self) -> Target:
        """The back buffer. ModernGL keeps the size it had at the start; the view's viewport has the present one."""
        return Target((self.ctx.screen,))

    def end_frame(self) -> None:
        """Draw the overlay and swap the buffers."""
        self.overlay()
        self.window.swap()

    def describe(self) -> str:
        """Size and renderer."""
        return f"window {self.size[0]}x{self.size[1]} on {self.ctx.info['GL_RENDERER']}"

    def close(self) -> None:
        """Give the pointer back and destroy the window."""
        if self.window.handle is not None:
            self._input.close()
            self.window.close()
