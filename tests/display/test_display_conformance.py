"""What every display promises, whatever it shows on."""

import ctypes
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from vrapp.core.clock import FixedClock
from vrapp.core.comfort import Comfort
from vrapp.core.display import Board, Display
from vrapp.core.input import InputSnapshot
from vrapp.core.maths import quat_from_yaw_pitch, vec3
from vrapp.core.pose import Pose
from vrapp.display.desktop import DesktopDisplay
from vrapp.display.offscreen import OffscreenDisplay

SIZE = (96, 64)
Make = Callable[[], Display]


def offscreen() -> Display:
    return OffscreenDisplay(SIZE, FixedClock(), 90)


def offscreen_stereo() -> Display:
    return OffscreenDisplay(SIZE, FixedClock(), 90, view_count=2)


def desktop() -> Display:
    return DesktopDisplay(SIZE, "test", FixedClock(), 90)


@pytest.fixture(
    params=[
        pytest.param(offscreen, marks=pytest.mark.gl),
        pytest.param(offscreen_stereo, marks=pytest.mark.gl),
        pytest.param(desktop, marks=pytest.mark.window),
    ]
)
def display(request: pytest.FixtureRequest) -> Iterator[Display]:
    if request.param is desktop:
        request.getfixturevalue("screen")
    opened = request.param()
    yield opened
    opened.close()


def snapshot_at(time_ns: int) -> InputSnapshot:
    head = Pose(vec3(0.5, 1.65, -0.25), quat_from_yaw_pitch(0.3, -0.1))
    return InputSnapshot(time_ns, head=head)


def draw(display: Display, snapshot: InputSnapshot) -> None:
    """Each view in a colour of its own, inside its own viewport."""
    for i, (view, framebuffer) in enumerate(zip(display.views(snapshot), display.target().framebuffers, strict=True)):
        framebuffer.clear(0.2 + 0.4 * i, 0.5, 0.9 - 0.4 * i, 1.0, viewport=view.viewport)


def test_it_is_a_display(display: Display) -> None:
    assert isinstance(display, Display)
    assert display.name
    assert display.view_count in (1, 2)
    assert min(display.size) > 0
    assert not display.should_close
    assert display.ctx.version_code >= 450
    assert "\n" not in display.describe()


def test_frames_rise_strictly(display: Display) -> None:
    frames = []
    for _ in range(5):
        frames.append(display.begin_frame())
        display.end_frame()
    assert [f.index for f in frames] == list(range(frames[0].index, frames[0].index + 5))
    times = [f.predicted_time_ns for f in frames]
    assert times == sorted(set(times))
    assert all(f.period_ns > 0 and f.wait_s >= 0 for f in frames)


def test_a_frame_ends_even_when_drawing_fails(display: Display) -> None:
    display.begin_frame()
    try:
        display.target()  # the picture stays unfinished
    finally:
        display.end_frame()
    following = display.begin_frame()
    display.end_frame()
    assert following.index >= 1


def test_views_match_size_and_count(display: Display) -> None:
    timing = display.begin_frame()
    snapshot = snapshot_at(timing.predicted_time_ns)
    views = display.views(snapshot)
    assert len(views) == display.view_count == len(display.target().framebuffers)
    for view in views:
        assert view.viewport[2:] == display.size
        assert view.fov.tan_left < 0 < view.fov.tan_right
        assert view.fov.tan_down < 0 < view.fov.tan_up
        assert np.isfinite(view.pose.position).all()
        assert np.linalg.norm(view.pose.orientation) == pytest.approx(1, abs=1e-5)
    display.end_frame()


def test_what_is_drawn_can_be_read_back(display: Display) -> None:
    timing = display.begin_frame()
    snapshot = snapshot_at(timing.predicted_time_ns)
    draw(display, snapshot)
    # Before reading: ModernGL asks a window for GL_COLOR_ATTACHMENT0, which only textures have.
    assert display.ctx.error == "GL_NO_ERROR"
    for i, view in enumerate(display.views(snapshot)):
        pixels = display.target().framebuffers[i].read(viewport=view.viewport, components=3)
        mean = np.frombuffer(pixels, np.uint8).reshape(-1, 3).mean(0) / 255
        np.testing.assert_allclose(mean, (0.2 + 0.4 * i, 0.5, 0.9 - 0.4 * i), atol=0.01)
    display.end_frame()


def test_boards_are_shown_or_left_to_the_picture(display: Display) -> None:
    board = Board("menu", np.zeros((8, 16, 4), np.uint8), Pose(vec3(0, 1.5, -1)), 0.5)
    display.begin_frame()
    try:
        assert list(display.show([board])) in ([], [board])
        assert list(display.show([])) == []
        display.settle(Comfort(left_handed=True))
    finally:
        display.end_frame()


def test_no_index_restarts_a_primitive(display: Display) -> None:
    is_enabled = ctypes.CFUNCTYPE(ctypes.c_ubyte, ctypes.c_uint)(display.ctx.mglo._context.load("glIsEnabled"))
    assert not is_enabled(0x8F9D), "GL_PRIMITIVE_RESTART is on: a software rasteriser then looks at every index"


def test_closing_twice_is_safe(display: Display) -> None:
    display.begin_frame()
    display.end_frame()
    display.close()
    display.close()


@pytest.mark.gl
def test_two_eyes_are_a_pupil_distance_apart_and_left_comes_first() -> None:
    display = offscreen_stereo()
    left, right = display.views(snapshot_at(0))
    apart = left.pose.inverse().apply(right.pose.position)
    np.testing.assert_allclose(apart, (0.063, 0, 0), atol=1e-6)
    assert (left.viewport[0], right.viewport[0]) == (0, SIZE[0])
    display.close()
