"""Text and menus in layers of their own: where they stand, what is on them, and what happens where that fails."""

from dataclasses import replace

import numpy as np
import pytest
import xr
from sim_runtime import SimulatedRuntime
from sim_visit import Start, Visit

from vrapp.core.comfort import Comfort
from vrapp.core.display import Board
from vrapp.core.maths import quat_from_yaw_pitch, vec3
from vrapp.core.pose import Pose

pytestmark = [pytest.mark.gl, pytest.mark.usefixtures("no_screen")]
R = xr.Result


def board(shade: int = 200, size: tuple[int, int] = (40, 30), name: str = "menu") -> Board:
    """The upper half of one shade, the lower half black."""
    width, height = size
    pixels = np.zeros((height, width, 4), np.uint8)
    pixels[: height // 2] = (shade, 10, 20, 128)
    return Board(name, pixels, Pose(vec3(0.1, 1.5, -1.2), quat_from_yaw_pitch(0.3, 0.1)), 0.6)


def shown(runtime: SimulatedRuntime, start: Start, *boards: Board) -> Visit:
    runtime.capture = True
    visit = start()
    visit.boards = boards
    visit.frames(6)
    return visit


def test_a_board_is_a_layer_over_the_picture(runtime: SimulatedRuntime, start: Start) -> None:
    menu = board()
    visit = shown(runtime, start, menu)
    assert visit.rest == ()
    frame = runtime.frames[-1]
    (quad,) = frame.quads
    assert len(frame.eyes) == 2
    assert quad.space == frame.space  # the stage
    assert quad.size == pytest.approx((0.6, 0.45))
    np.testing.assert_allclose(quad.pose.position, menu.pose.position)
    np.testing.assert_allclose(quad.pose.orientation, menu.pose.orientation, atol=1e-6)
    assert quad.flags == xr.CompositionLayerFlags.BLEND_TEXTURE_SOURCE_ALPHA_BIT | (
        xr.CompositionLayerFlags.UNPREMULTIPLIED_ALPHA_BIT
    )
    assert quad.pixels is not None
    np.testing.assert_array_equal(quad.pixels[::-1], menu.pixels)  # as stored: no conversion, upright


def test_it_is_written_again_only_when_it_changes(runtime: SimulatedRuntime, start: Start) -> None:
    first, second = board(), board(90)
    visit = shown(runtime, start, first)
    made, written = runtime.calls["xrCreateSwapchain"], runtime.calls["xrAcquireSwapchainImage"]
    visit.boards = (replace(first, pose=Pose(vec3(0, 1, -1))),)  # glides: the same picture
    visit.frames(3)
    per_frame = 4  # colour and depth of both eyes
    assert runtime.calls["xrAcquireSwapchainImage"] == written + 3 * per_frame
    visit.boards = (second,)
    visit.frames(3)
    assert runtime.calls["xrAcquireSwapchainImage"] == written + 6 * per_frame + 1
    assert runtime.calls["xrCreateSwapchain"] == made
    assert runtime.frames[-1].quads[0].pixels[-1, 0, 0] == 90
    visit.boards = (board(60, (20, 20)),)  # another size needs other images; the old ones go
    alive = len(runtime.alive("swapchain"))
    visit.frames(2)
    assert runtime.frames[-1].quads[0].pixels.shape == (20, 20, 4)
    assert len(runtime.alive("swapchain")) == alive
    visit.boards = ()
    visit.frames(2)
    assert runtime.frames[-1].quads == []


def test_later_boards_lie_over_earlier_ones(runtime: SimulatedRuntime, start: Start) -> None:
    shown(runtime, start, board(50, name="menu"), board(250, name="cursor"))
    assert [int(quad.pixels[-1, 0, 0]) for quad in runtime.frames[-1].quads] == [50, 250]


@pytest.mark.parametrize("result", [R.ERROR_RUNTIME_FAILURE, R.ERROR_LIMIT_REACHED, R.ERROR_SIZE_INSUFFICIENT])
def test_a_runtime_that_has_no_images_for_it_leaves_it_to_the_picture(
    runtime: SimulatedRuntime, start: Start, result: xr.Result
) -> None:
    visit = start()
    visit.frames(4)
    runtime.fail("xrCreateSwapchain", result)
    visit.boards = (board(), board(name="cursor"))
    visit.frames(3)
    assert visit.display.lost is None
    assert visit.rest == visit.boards
    assert runtime.frames[-1].quads == []


def test_without_srgb_it_is_left_to_the_picture(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.formats = [0x881A]
    visit = shown(runtime, start, board())
    assert visit.rest == visit.boards


def test_a_runtime_that_takes_layers_ill_gets_none(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.refuses_quads = True
    visit = start()
    visit.frames(4)
    visit.boards = (board(),)
    visit.frame()
    assert "LAYER_INVALID" in (visit.display.lost or "")
    visit.wait_s(5)
    visit.frames(5)
    assert visit.display.lost is None
    assert visit.rest == visit.boards
    assert runtime.frames[-1].eyes[0].depth_range is not None  # which was not to blame


def test_after_a_loss_it_is_there_again(runtime: SimulatedRuntime, start: Start) -> None:
    visit = shown(runtime, start, board())
    runtime.fail("xrAcquireSwapchainImage", R.ERROR_SESSION_LOST)
    visit.boards = (board(70),)
    visit.frames(2)
    assert visit.rest == visit.boards  # the window shows it meanwhile
    visit.wait_s(5)
    visit.frames(5)
    assert visit.rest == ()
    assert runtime.frames[-1].quads[0].pixels[-1, 0, 0] == 70


def test_gl_errors_of_a_runtime_are_its_own(runtime: SimulatedRuntime, start: Start) -> None:
    """As SteamVR does: it leaves errors behind, and takes those that it finds for a failure of its own."""
    runtime.minds_gl_errors = True
    visit = shown(runtime, start, board())
    visit.boards = (board(80),)
    visit.frames(4)
    assert visit.display.lost is None
    assert runtime.frames[-1].quads[0].pixels[-1, 0, 0] == 80
    assert visit.display.ctx.error == "GL_NO_ERROR"


def test_sitting_down_and_changing_hands_in_the_middle(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    standing_m = float(visit.frames(5).head.position[1])
    spaces = len(runtime.alive("space"))
    visit.display.settle(Comfort(seated=True, left_handed=True, eye_height_m=1.4))
    seated = visit.frames(3)
    assert standing_m == pytest.approx(1.6, abs=1e-3)
    assert float(seated.head.position[1]) == pytest.approx(1.4, abs=1e-3)
    assert len(runtime.alive("space")) == spaces
    runtime.fail("xrEndFrame", R.ERROR_SESSION_LOST)
    visit.frames(2)
    visit.wait_s(5)
    assert float(visit.frames(5).head.position[1]) == pytest.approx(1.4, abs=1e-3)  # the next session knows
    runtime.fail("xrCreateReferenceSpace", R.ERROR_SESSION_LOST)
    visit.display.begin_frame()
    visit.display.settle(Comfort())
    visit.display.end_frame()
    assert visit.display.lost is not None
    visit.wait_s(5)
    assert float(visit.frames(5).head.position[1]) == pytest.approx(1.6, abs=1e-3)
