"""The world's own renderer on the simulated headset: colour, mask and depth of what is submitted, by pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import xr
from sim_runtime import SimulatedRuntime
from sim_space import FOVS
from sim_visit import Start, Visit

from vrapp.core.display import Board
from vrapp.core.maths import quat_from_yaw_pitch, vec3
from vrapp.core.pose import NEAR_M, Pose
from vrapp.core.scene import SceneArrays
from vrapp.render.extras import FrameExtras
from vrapp.render.renderer import Renderer

pytestmark = [pytest.mark.gl, pytest.mark.usefixtures("no_screen")]
SIZE = (96, 72)
SIGN = np.full((8, 8, 4), 255, np.uint8)
#: A quad that covers the left half of a view: two triangles, one of them wound the other way.
_L, _R, _U, _D = (math.tan(a) for a in FOVS[0])
HALF = (_L + _R) / 2
LEFT_HALF = ([(_L - 1, _D - 1), (HALF, _D - 1), (HALF, _U + 1), (_L - 1, _U + 1)], [0, 1, 2, 0, 3, 2])


def empty_scene() -> SceneArrays:
    def f(*shape: int) -> np.ndarray:
        return np.zeros((0, *shape), np.float32)

    def i(dtype: type) -> np.ndarray:
        return np.zeros(0, dtype)

    return SceneArrays(
        0, i(np.int8), i(np.int32), f(3), f(4), f(), f(), i(np.int32), i(np.uint8), i(np.int16), f(), f(2, 3)
    )


class Picture:
    """Draws the empty meadow as the program does."""

    def __init__(self, runtime: SimulatedRuntime, visit: Visit, preset: str) -> None:
        self.runtime, self.visit = runtime, visit
        self.renderer = Renderer(visit.display.ctx, preset)
        self.extras = FrameExtras()

    def frame(self) -> list[Any]:
        """What was submitted for both eyes."""
        display, scene = self.visit.display, empty_scene()
        timing = display.begin_frame()
        snapshot = display.input().poll(timing.predicted_time_ns)
        if timing.should_render:
            self.renderer.draw(display.views(snapshot), Pose(), scene, display.target(), self.extras)
        display.end_frame()
        return self.runtime.frames[-1].eyes


@pytest.fixture
def preset() -> str:
    return "light"


both_presets = pytest.mark.parametrize("preset", ["light", "full"])


@pytest.fixture
def picture(preset: str, runtime: SimulatedRuntime, start: Start) -> Iterator[Callable[[], Picture]]:
    runtime.capture, runtime.size = True, SIZE
    level = quat_from_yaw_pitch(0.8, 0)
    runtime.head = lambda time: Pose(vec3(1, 1.6, 2), level)
    made: list[Picture] = []

    def begin() -> Picture:
        visit = start()
        visit.frames(4)
        made.append(Picture(runtime, visit, preset))
        made[-1].frame()
        return made[-1]

    yield begin
    for one in made:
        one.renderer.release()
        assert one.visit.display.ctx.error == "GL_NO_ERROR"


def rgb(eye: Any) -> np.ndarray:
    return eye.pixels[..., :3].astype(int)


@both_presets
def test_what_the_lenses_hide_is_black_and_the_rest_is_as_before(
    runtime: SimulatedRuntime, picture: Callable[[], Picture]
) -> None:
    shown = picture()
    whole = [rgb(eye) for eye in shown.frame()]
    assert all((p > 10).any(axis=2).all() for p in whole)
    runtime.turn_lens_wheel(0, LEFT_HALF)
    masked = [rgb(eye) for eye in shown.frame()]
    middle = SIZE[0] // 2
    assert (masked[0][:, : middle - 1] < 24).all()  # bloom glows over it
    np.testing.assert_allclose(masked[0][:, middle + 6 :], whole[0][:, middle + 6 :], atol=3)
    np.testing.assert_allclose(masked[1], whole[1], atol=3)  # the other eye has no mask
    runtime.turn_lens_wheel(0, ([], []))
    np.testing.assert_allclose(rgb(shown.frame()[0]), whole[0], atol=3)


def test_a_mask_that_is_there_from_the_beginning(runtime: SimulatedRuntime, picture: Callable[[], Picture]) -> None:
    right = ([(-x, y) for x, y in LEFT_HALF[0]], LEFT_HALF[1])
    runtime.masks = [LEFT_HALF, right]
    left_eye, right_eye = (rgb(eye) for eye in picture().frame())
    middle = SIZE[0] // 2
    assert (left_eye[:, : middle - 1] < 24).all()
    assert (left_eye[:, middle + 2 :] > 10).any(axis=2).all()
    assert (right_eye[:, middle + 2 :] < 24).all()
    assert (right_eye[:, : middle - 2] > 10).any(axis=2).all()


def test_a_mask_with_indices_out_of_range_is_left_out(
    runtime: SimulatedRuntime, picture: Callable[[], Picture]
) -> None:
    runtime.masks = [(LEFT_HALF[0], [0, 1, 99]), ([], [])]
    assert (rgb(picture().frame()[0]) > 10).any(axis=2).all()


@pytest.mark.parametrize("lacking", ["extension", "function"])
def test_without_a_mask_all_is_drawn(runtime: SimulatedRuntime, picture: Callable[[], Picture], lacking: str) -> None:
    runtime.masks = [LEFT_HALF, LEFT_HALF]
    if lacking == "extension":
        runtime.extensions.remove("XR_KHR_visibility_mask")
    else:
        runtime.fail("xrGetVisibilityMaskKHR", xr.Result.ERROR_FEATURE_UNSUPPORTED, times=2)
    assert all((rgb(eye) > 10).any(axis=2).all() for eye in picture().frame())


@both_presets
def test_depth_is_where_things_are(runtime: SimulatedRuntime, picture: Callable[[], Picture]) -> None:
    """Flat ground, level eyes 1.6 m up: the distance along the view's axis under each pixel is known."""
    for k, eye in enumerate(picture().frame()):
        assert eye.depth_range == (0.0, 1.0, math.inf, pytest.approx(NEAR_M))
        down, up = math.tan(FOVS[k][3]), math.tan(FOVS[k][2])
        rows = np.arange(SIZE[1]) + 0.5
        slope = down + (up - down) * rows / SIZE[1]  # tangent below (-) or above the horizon
        assert (eye.depth[slope > 0.02] < 1e-3).all()  # sky, at most hills
        near = slope < -0.35
        expected = NEAR_M / (1.6 / -slope[near])
        measured = np.median(eye.depth[near], axis=1)  # tufts of grass stand before the ground here and there
        np.testing.assert_allclose(measured, expected, rtol=0.12)


def test_what_is_written_over_the_world_leaves_depth_alone(
    runtime: SimulatedRuntime, picture: Callable[[], Picture]
) -> None:
    shown = picture()
    before = shown.frame()[0].depth
    shown.extras = FrameExtras(boards=(Board("sign", SIGN, Pose(vec3(0, 1.5, -1)), 0.5),), vignette=1.0)
    np.testing.assert_allclose(shown.frame()[0].depth, before, atol=1e-4)


@pytest.mark.parametrize("lacking", ["extension", "format", "swapchain"])
def test_without_depth_colour_goes_alone(
    runtime: SimulatedRuntime, picture: Callable[[], Picture], lacking: str
) -> None:
    if lacking == "extension":
        runtime.extensions.remove("XR_KHR_composition_layer_depth")
    elif lacking == "format":
        runtime.formats.remove(0x8CAC)
    else:  # the fourth of four: the third has to go, too
        runtime.fail("xrCreateSwapchain", xr.Result.ERROR_SWAPCHAIN_FORMAT_UNSUPPORTED, after=3)
    eyes = picture().frame()
    assert [eye.depth_range for eye in eyes] == [None, None]
    assert len(runtime.alive("swapchain")) == 2


def test_a_runtime_that_takes_depth_ill_gets_none(runtime: SimulatedRuntime, picture: Callable[[], Picture]) -> None:
    runtime.refuses_depth = True
    shown = picture()
    assert "LAYER_INVALID" in (shown.visit.display.lost or "")
    shown.visit.wait_s(5)
    for _ in range(4):
        eyes = shown.frame()
    assert shown.visit.display.lost is None
    assert [eye.depth_range for eye in eyes] == [None, None]


@both_presets
def test_a_format_without_srgb_gets_linear_light(runtime: SimulatedRuntime, picture: Callable[[], Picture]) -> None:
    """A runtime takes it as linear and encodes it: what is seen is the same."""
    shown = picture()
    encoded = rgb(shown.frame()[0]) / 255
    runtime.formats = [0x8058]
    runtime.fail("xrEndFrame", xr.Result.ERROR_SESSION_LOST)
    shown.frame()
    shown.visit.wait_s(5)
    for _ in range(4):
        eyes = shown.frame()
    linear = rgb(eyes[0]) / 255
    seen = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(seen - encoded).mean() < 0.02
