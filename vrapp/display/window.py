"""A GLFW window with an OpenGL 4.5 core context, and the events that come from it.

Shared by the desktop display, the headset's mirror, and offscreen where there is no EGL. GLFW is
never terminated: that would destroy every other window of the process; the system cleans up.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import glfw

from vrapp.core.errors import DisplayUnavailable, GraphicsError, VrappError
from vrapp.display import context


class WindowListener(Protocol):
    """Gets a window's raw events; the names are those of imgui-bundle's ``GlfwRenderer``.

    Make that with ``attach_callbacks=False`` and give it to ``Window.attach``.
    """

    def keyboard_callback(self, window: Any, key: int, scancode: int, action: int, mods: int) -> None:
        """A key went down, repeated, or went up."""

    def char_callback(self, window: Any, char: int) -> None:
        """A character was typed."""

    def mouse_callback(self, window: Any, x: float, y: float) -> None:
        """The pointer moved, in window coordinates."""

    def mouse_button_callback(self, window: Any, button: int, action: int, mods: int) -> None:
        """A mouse button went down or up."""

    def scroll_callback(self, window: Any, x: float, y: float) -> None:
        """The wheel turned."""


class Window:
    """Owns one GLFW window and its context. All calls on the thread that made it."""

    def __init__(self, size: tuple[int, int], title: str, visible: bool = True, vsync: bool = False) -> None:
        """Open it. Raises DisplayUnavailable without a window system, GraphicsError below OpenGL 4.5."""
        self.handle = _create(size, title, visible)
        try:
            glfw.make_context_current(self.handle)
            glfw.swap_interval(int(vsync))
            self.ctx = context.context_of_current_window()
        except VrappError:
            glfw.destroy_window(self.handle)
            raise
        self._listeners: list[WindowListener] = []
        self.on_focus: Callable[[bool], None] = lambda focused: None
        self._connect()

    def attach(self, listener: WindowListener) -> None:
        """Send events to ``listener`` too, after those attached before it."""
        self._listeners.append(listener)

    def _connect(self) -> None:
        def to_all(name: str) -> Callable[..., None]:
            def send(*event: Any) -> None:
                for listener in self._listeners:
                    getattr(listener, name)(*event)

            return send

        glfw.set_key_callback(self.handle, to_all("keyboard_callback"))
        glfw.set_char_callback(self.handle, to_all("char_callback"))
        glfw.set_cursor_pos_callback(self.handle, to_all("mouse_callback"))
        glfw.set_mouse_button_callback(self.handle, to_all("mouse_button_callback"))
        glfw.set_scroll_callback(self.handle, to_all("scroll_callback"))
        glfw.set_window_focus_callback(self.handle, lambda _, focused: self.on_focus(bool(focused)))

    @property
    def framebuffer_size(self) -> tuple[int, int]:
        """Pixels, (0, 0) while minimised; on high-DPI screens more than ``logical_size``."""
        width, height = glfw.get_framebuffer_size(self.handle)
        return width, height

    @property
    def logical_size(self) -> tuple[int, int]:
        """Screen coordinates: those of the pointer."""
        width, height = glfw.get_window_size(self.handle)
        return width, height

    @property
    def should_close(self) -> bool:
        """The user pressed the close button."""
        return bool(glfw.window_should_close(self.handle))

    @property
    def refresh_hz(self) -> float:
        """Of the primary monitor; 60 where the system does not say."""
        monitor = glfw.get_primary_monitor()
        mode = glfw.get_video_mode(monitor) if monitor else None
        return float(mode.refresh_rate) if mode and mode.refresh_rate > 0 else 60.0

    def capture_pointer(self, captured: bool) -> None:
        """Hide and hold the pointer (endless relative motion), or give it back."""
        glfw.set_input_mode(self.handle, glfw.CURSOR, glfw.CURSOR_DISABLED if captured else glfw.CURSOR_NORMAL)
        if glfw.raw_mouse_motion_supported():
            glfw.set_input_mode(self.handle, glfw.RAW_MOUSE_MOTION, int(captured))

    def poll_events(self) -> None:
        """Deliver what happened since the last call."""
        glfw.poll_events()

    def swap(self) -> None:
        """Show the back buffer."""
        glfw.swap_buffers(self.handle)

    def close(self) -> None:
        """Destroy window and context. Safe to call twice."""
        if self.handle:
            self._listeners.clear()
            self.ctx.release()
            glfw.destroy_window(self.handle)
            self.handle = None


def _create(size: tuple[int, int], title: str, visible: bool) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", glfw.GLFWError)  # told below, in one sentence
        if not glfw.init():
            raise DisplayUnavailable(_no_window_system())
        glfw.default_window_hints()
        hints = {
            glfw.CONTEXT_VERSION_MAJOR: 4,
            glfw.CONTEXT_VERSION_MINOR: 5,
            glfw.OPENGL_PROFILE: glfw.OPENGL_CORE_PROFILE,
            glfw.VISIBLE: int(visible),
            glfw.SCALE_TO_MONITOR: glfw.TRUE,
            glfw.DEPTH_BITS: 0,  # the renderer brings its own depth
            glfw.STENCIL_BITS: 0,
        }
        for hint, value in hints.items():
            glfw.window_hint(hint, value)
        handle = glfw.create_window(*size, title, None, None)
    if handle:
        return handle
    code, reason = _last_error()
    if code == glfw.VERSION_UNAVAILABLE:
        raise GraphicsError(f"The driver has no OpenGL 4.5 core for a window ({reason}); update the graphics driver.")
    raise DisplayUnavailable(
        f"No window with OpenGL could be opened ({reason}); check the graphics driver, or use --display offscreen."
    )


def _no_window_system() -> str:
    reason = _last_error()[1]
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        reason = "the variable DISPLAY is not set"
        if os.environ.get("WAYLAND_DISPLAY"):
            reason += ", and on Wayland the window needs XWayland"
    return (
        f"There is no screen to open a window on ({reason}); start it in a desktop session or use --display offscreen."
    )


def _last_error() -> tuple[int, str]:
    code, text = glfw.get_error()
    reason = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return code, (reason or "no reason given").strip()
