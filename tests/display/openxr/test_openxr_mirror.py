"""The headset with a window: GLX, the mirror, and the window's own life when the headset is away."""

import ctypes

import glfw
import numpy as np
import pytest
import xr
from sim_runtime import SimulatedRuntime
from sim_visit import Start, Visit

from vrapp.core.display import Board
from vrapp.core.errors import DisplayUnavailable
from vrapp.core.input import Button, SourceKind, Valid
from vrapp.core.maths import vec3
from vrapp.core.pose import Pose
from vrapp.display.openxr.mirror import crop

pytestmark = [pytest.mark.window, pytest.mark.usefixtures("screen")]


def window_pixels() -> np.ndarray:
    """(64, 96, 3) of the window's back buffer, bottom row first, to be read before the swap."""
    gl = ctypes.CDLL("libGL.so.1")
    pixels = np.empty((64, 96, 4), np.uint8)
    gl.glReadPixels(0, 0, 96, 64, 0x1908, 0x1401, ctypes.c_void_p(pixels.ctypes.data))
    return pixels[..., :3]


def watched(visit: Visit) -> list[np.ndarray]:
    """What the mirror showed, frame by frame."""
    seen: list[np.ndarray] = []
    visit.display.overlay = lambda: seen.append(window_pixels())
    return seen


def test_the_mirror_shows_the_left_eye_and_panels_are_drawn_over_it(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.capture = True
    visit = start()
    mirrored = watched(visit)
    visit.frames(6)
    np.testing.assert_allclose(mirrored[-1].mean((0, 1)), (64, 128, 191), atol=2)
    left, right = runtime.frames[-1].eyes
    np.testing.assert_allclose(left.pixels[..., :3].mean((0, 1)), (64, 128, 191), atol=1)
    np.testing.assert_allclose(right.pixels[..., :3].mean((0, 1)), (191, 128, 64), atol=1)


@pytest.mark.parametrize("gl_format", [0x8C41, 0x881A, 0x8059, 0x8058])
def test_the_mirror_is_as_bright_as_the_headset(runtime: SimulatedRuntime, start: Start, gl_format: int) -> None:
    """A format without sRGB holds linear light, which the runtime encodes: so does the mirror."""
    runtime.formats = [gl_format]
    mirrored = watched(visit := start())
    visit.frames(6)
    shown = (64, 128, 191) if gl_format == 0x8C41 else (137, 188, 225)
    np.testing.assert_allclose(mirrored[-1].mean((0, 1)), shown, atol=3)


@pytest.mark.parametrize(("hz", "drawn"), [(72, 12), (90, 6), (144, 6)])
def test_a_fast_headset_has_its_mirror_drawn_less_often(
    runtime: SimulatedRuntime, start: Start, hz: int, drawn: int
) -> None:
    runtime.period_ns = round(1e9 / hz)
    mirrored = watched(visit := start())
    visit.frames(6)
    before = len(mirrored)
    visit.frames(12)
    assert len(mirrored) - before == drawn


def test_f3_shows_both_eyes_and_again_one(runtime: SimulatedRuntime, start: Start) -> None:
    mirrored = watched(visit := start())
    visit.frames(5)
    keyboard = visit.display._desk.input()
    keyboard.keyboard_callback(None, glfw.KEY_F3, 0, glfw.PRESS, 0)
    visit.frames(4)  # held: it turns once
    np.testing.assert_allclose(mirrored[-1][:, :48].mean((0, 1)), (64, 128, 191), atol=2)
    np.testing.assert_allclose(mirrored[-1][:, 48:].mean((0, 1)), (191, 128, 64), atol=2)
    keyboard.keyboard_callback(None, glfw.KEY_F3, 0, glfw.RELEASE, 0)
    visit.frame()
    keyboard.keyboard_callback(None, glfw.KEY_F3, 0, glfw.PRESS, 0)
    visit.frames(2)
    np.testing.assert_allclose(mirrored[-1][:, 48:].mean((0, 1)), (64, 128, 191), atol=2)


def test_boards_are_where_the_wearer_sees_them(runtime: SimulatedRuntime, start: Start) -> None:
    """They are not in the eye's picture: the compositor lays them over it, and the mirror has to do the same."""
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[:10] = (255, 0, 0, 255)  # red above
    pixels[10:] = (0, 255, 0, 255)
    mirrored = watched(visit := start())
    visit.frames(5)
    view = visit.views[0]
    visit.boards = (Board("sign", pixels, view.pose @ Pose(vec3(0.3, 0.1, -2)), 0.4),)
    visit.frames(3)
    picture = mirrored[-1].astype(int)

    def at(x: float, y: float) -> np.ndarray:
        """The mirror's pixel at a place 2 m before the left eye."""
        clip = view.projection(0.05) @ np.array([x, y, -2, 1])
        x0, y0, x1, y1 = crop(visit.display.size, (96, 64))
        u, v = ((clip[:2] / clip[3] + 1) / 2 * visit.display.size - (x0, y0)) / (x1 - x0, y1 - y0)
        return picture[int(v * 64), int(u * 96)]

    np.testing.assert_allclose(at(0.3, 0.16), (255, 0, 0), atol=60)  # so small, the halves mix
    np.testing.assert_allclose(at(0.3, 0.04), (0, 255, 0), atol=60)
    for outside in ((0.05, 0.1), (0.55, 0.1), (0.3, 0.25), (0.3, -0.05), (-0.3, 0.1)):
        np.testing.assert_allclose(at(*outside), (64, 128, 191), atol=3)


def test_keys_in_the_mirror_reach_the_wearer(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    keyboard = visit.display._desk.input()
    keyboard.keyboard_callback(None, glfw.KEY_F1, 0, glfw.PRESS, 0)
    snapshot = visit.frame()
    assert snapshot.buttons & Button.PANEL
    assert snapshot.source is SourceKind.HEADSET


def test_closing_the_mirror_ends_the_visit(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    assert not visit.display.should_close
    glfw.set_window_should_close(visit.display.window.handle, True)
    visit.frame()
    assert visit.display.should_close


def test_taken_off_the_world_waits_in_the_window_and_comes_back(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    worn = visit.frames(5)
    assert (visit.display.view_count, visit.display.size) == (2, runtime.size)
    runtime.take_off()
    away = visit.frames(3)
    assert (visit.display.view_count, visit.display.size) == (1, (96, 64))
    assert (worn.source, away.source) == (SourceKind.HEADSET, SourceKind.HEADSET)
    assert away.valid == Valid.AWAY
    assert visit.display.lost is None
    desk = visit.display._desk.input()
    desk.keyboard_callback(None, glfw.KEY_K, 0, glfw.PRESS, 0)
    desk.keyboard_callback(None, glfw.KEY_F1, 0, glfw.PRESS, 0)
    assert visit.frame().buttons == Button.PANEL  # the world waits for its wearer
    desk.captured = True  # somebody clicks into the window and goes on there
    assert visit.frames(3).source is SourceKind.DESKTOP
    runtime.put_on()
    assert visit.frames(4).source is SourceKind.HEADSET
    assert not desk.captured  # or the next time the world would not wait
    assert visit.display.view_count == 2


def test_waiting_for_a_headset_that_is_connected_later(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.connected = False
    visit = start(wait=True)
    assert "No headset is connected" in (visit.display.lost or "")
    visit.frames(3)
    asked = runtime.calls["xrGetSystem"]
    assert runtime.calls["xrCreateInstance"] == 1
    visit.wait_s(3)
    visit.frames(2)
    assert runtime.calls["xrGetSystem"] == asked + 1  # now and then, not every frame
    assert runtime.calls["xrCreateInstance"] == 1
    runtime.connected = True
    visit.wait_s(3)
    visit.frames(5)
    assert visit.display.lost is None
    assert visit.display.view_count == 2


def test_a_runtime_that_does_not_start_is_not_waited_for(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.fail("xrCreateInstance", xr.Result.ERROR_RUNTIME_UNAVAILABLE)
    with pytest.raises(DisplayUnavailable, match="not running"):
        start(wait=True)


@pytest.mark.parametrize(
    ("source", "shape", "expected"),
    [
        ((100, 100), (100, 50), (0, 25, 100, 75)),
        ((100, 100), (50, 100), (25, 0, 75, 100)),
        ((64, 48), (640, 480), (0, 0, 64, 48)),
        ((1832, 1920), (1280, 720), (0, 445, 1832, 1475)),
    ],
)
def test_the_mirror_crops_the_middle(
    source: tuple[int, int], shape: tuple[int, int], expected: tuple[int, int, int, int]
) -> None:
    assert crop(source, shape) == expected
