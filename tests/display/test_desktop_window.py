"""The window for real: an X server, and xdotool at the mouse and the keys."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import glfw
import pytest

from vrapp.core.clock import RealClock
from vrapp.core.input import LEFT, RIGHT, Button, InputSnapshot
from vrapp.display.desktop import DesktopDisplay

pytestmark = pytest.mark.window


@pytest.fixture
def display(screen: str) -> Iterator[DesktopDisplay]:
    opened = DesktopDisplay((320, 240), "vrapp window test", RealClock(), pace_hz=100)
    yield opened
    opened.close()


def frames_until(display: DesktopDisplay, done: Callable[[InputSnapshot], bool], limit: int = 2000) -> InputSnapshot:
    """Run the display's loop until ``done``; the limit is in frames, not in seconds."""
    for _ in range(limit):
        timing = display.begin_frame()
        snapshot = display.input().poll(timing.predicted_time_ns)
        display.ctx.screen.clear(0.1, 0.2, 0.3)
        display.end_frame()
        if done(snapshot):
            return snapshot
    pytest.fail("it did not happen")


def xdotool(*words: str) -> None:
    if not shutil.which("xdotool"):
        pytest.skip("xdotool is not installed")
    subprocess.run(["xdotool", *words], check=True)


def focus(display: DesktopDisplay) -> None:
    glfw.focus_window(display.window.handle)  # no window manager does it under Xvfb
    frames_until(display, lambda s: glfw.get_window_attrib(display.window.handle, glfw.FOCUSED) == 1)


def pointer_to(x: int, y: int, display: DesktopDisplay) -> None:
    left, top = glfw.get_window_pos(display.window.handle)
    xdotool("mousemove", str(left + x), str(top + y))


def test_typed_keys_arrive(display: DesktopDisplay) -> None:
    focus(display)
    xdotool("key", "k")
    frames_until(display, lambda s: bool(s.buttons & Button.KEEP))
    xdotool("keydown", "w")
    frames_until(display, lambda s: s.hands[LEFT].stick[1] > 0.5)
    xdotool("keyup", "w")
    frames_until(display, lambda s: s.hands[LEFT].stick == (0, 0))


def test_mouse_click_captures_and_motion_looks_around(display: DesktopDisplay) -> None:
    focus(display)
    pointer_to(160, 120, display)
    frames_until(display, lambda s: True, 1)
    xdotool("click", "1")
    frames_until(display, lambda s: display.input().captured)
    for _ in range(5):
        xdotool("mousemove_relative", "40", "0")
        frames_until(display, lambda s: True, 2)
    frames_until(display, lambda s: s.head.forward[0] > 0.2)
    xdotool("mousedown", "1")
    frames_until(display, lambda s: s.hands[RIGHT].squeeze == 1)
    xdotool("mouseup", "1")
    xdotool("key", "Escape")
    frames_until(display, lambda s: not display.input().captured)
    xdotool("key", "Escape")
    frames_until(display, lambda s: display.should_close)


def test_free_pointer_drags(display: DesktopDisplay) -> None:
    focus(display)
    pointer_to(40, 120, display)
    xdotool("mousedown", "1")
    pointer_to(80, 120, display)
    s = frames_until(display, lambda s: s.hands[RIGHT].squeeze == 1)
    assert s.hands[RIGHT].aim.forward[0] < -0.1
    xdotool("mouseup", "1")
    frames_until(display, lambda s: s.hands[RIGHT].squeeze == 0)
    assert not display.input().captured


def test_resizing_changes_size_and_views(display: DesktopDisplay) -> None:
    glfw.set_window_size(display.window.handle, 500, 200)
    s = frames_until(display, lambda s: display.size == (500, 200))
    (view,) = display.views(s)
    assert view.viewport == (0, 0, 500, 200)
    assert view.fov.tan_right / view.fov.tan_up == pytest.approx(2.5)


def test_close_button_closes(display: DesktopDisplay) -> None:
    glfw.set_window_should_close(display.window.handle, True)
    frames_until(display, lambda s: display.should_close)


def test_a_minimised_window_renders_nothing_and_lives(display: DesktopDisplay, monkeypatch: pytest.MonkeyPatch) -> None:
    size = display.size
    monkeypatch.setattr(glfw, "get_framebuffer_size", lambda window: (0, 0))
    timing = display.begin_frame()
    display.end_frame()
    assert not timing.should_render
    assert display.size == size


def test_two_windows_one_after_the_other(screen: str) -> None:
    for _ in range(3):
        opened = DesktopDisplay((64, 64), "again", RealClock())
        frames_until(opened, lambda s: True, 2)
        opened.close()


def run_without_screen(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Open a window in a process of its own, where GLFW has not been initialised."""
    code = (
        "from vrapp.core.clock import RealClock\n"
        "from vrapp.core.errors import VrappError\n"
        "from vrapp.display.desktop import DesktopDisplay\n"
        "try: DesktopDisplay((64, 64), 't', RealClock())\n"
        "except VrappError as e: print(type(e).__name__, e)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("environment", "says"),
    [({"DISPLAY": ""}, "DISPLAY is not set"), ({"DISPLAY": ":4242"}, "Failed to open display :4242")],
)
def test_no_screen_is_one_sentence(environment: dict[str, str], says: str) -> None:
    done = run_without_screen(environment)
    assert done.returncode == 0
    assert done.stdout.startswith("DisplayUnavailable")
    assert says in done.stdout
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_too_old_a_driver_is_one_sentence(screen: str) -> None:
    done = run_without_screen({"DISPLAY": screen, "MESA_GL_VERSION_OVERRIDE": "3.3"})
    assert done.stdout.startswith("GraphicsError")
    assert "4.5" in done.stdout
    assert done.stderr == ""


def test_it_keeps_the_monitors_pace_where_no_sync_blocks(screen: str) -> None:
    opened = DesktopDisplay((64, 64), "pace", RealClock())
    timing = opened.begin_frame()
    opened.end_frame()
    following = opened.begin_frame()
    opened.end_frame()
    opened.close()
    assert following.predicted_time_ns - timing.predicted_time_ns >= timing.period_ns
