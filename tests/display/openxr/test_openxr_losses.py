"""Losing and finding: every call may fail in every way, and the world goes on."""

from ctypes import cast
from pathlib import Path

import pytest
import xr
from sim_install import MANIFEST
from sim_runtime import SimulatedRuntime
from sim_visit import Start

from vrapp.core.errors import DisplayUnavailable
from vrapp.display.openxr.results import Remedy, describe, remedy_for

R = xr.Result
pytestmark = [pytest.mark.gl, pytest.mark.usefixtures("no_screen")]

IN_THE_FRAME = (
    "xrPollEvent", "xrWaitFrame", "xrBeginFrame", "xrLocateViews", "xrLocateSpace", "xrSyncActions",
    "xrGetActionStateFloat", "xrGetActionStateBoolean", "xrGetActionStateVector2f", "xrAcquireSwapchainImage",
    "xrWaitSwapchainImage", "xrReleaseSwapchainImage", "xrEndFrame",
)  # fmt: skip
AT_THE_START = (
    "xrCreateInstance", "xrGetInstanceProperties", "xrGetSystem", "xrGetSystemProperties",
    "xrGetOpenGLGraphicsRequirementsKHR", "xrCreateSession", "xrEnumerateReferenceSpaces", "xrCreateReferenceSpace",
    "xrEnumerateViewConfigurations", "xrEnumerateViewConfigurationViews", "xrEnumerateSwapchainFormats",
    "xrCreateSwapchain", "xrEnumerateSwapchainImages", "xrCreateActionSet", "xrCreateAction", "xrStringToPath",
    "xrAttachSessionActionSets", "xrCreateActionSpace", "xrBeginSession",
)  # fmt: skip
OTHER_LOSSES = (R.SESSION_LOSS_PENDING, R.ERROR_RUNTIME_FAILURE, R.ERROR_OUT_OF_MEMORY, R.ERROR_LAYER_INVALID)


@pytest.mark.parametrize(
    ("call", "result"),
    [(call, result) for call in IN_THE_FRAME for result in (R.ERROR_SESSION_LOST, R.ERROR_INSTANCE_LOST)]
    + [("xrEndFrame", result) for result in OTHER_LOSSES],
)
def test_a_failure_in_a_frame_costs_a_moment(
    runtime: SimulatedRuntime, start: Start, call: str, result: xr.Result
) -> None:
    visit = start()
    visit.frames(4)
    runtime.fail(call, result)
    visit.frames(3)
    assert visit.display.lost is not None
    assert result.name in visit.display.lost or "SESSION_LOSS_PENDING" in visit.display.lost
    assert visit.counts[-1] == 1  # the world goes on
    visit.wait_s(5)
    visit.frames(5)
    assert visit.display.lost is None
    assert visit.counts[-1] == 2  # and the headset is back
    assert not visit.display.should_close


@pytest.mark.parametrize("call", AT_THE_START)
def test_a_failure_at_the_start_is_one_sentence(runtime: SimulatedRuntime, start: Start, call: str) -> None:
    runtime.fail(call, R.ERROR_RUNTIME_FAILURE)
    if call == "xrBeginSession":
        visit = start()
        visit.frames(2)
        assert "RUNTIME_FAILURE" in (visit.display.lost or "")
        return
    with pytest.raises(DisplayUnavailable, match="XR_ERROR_RUNTIME_FAILURE") as raised:
        start()
    assert "\n" not in str(raised.value)
    assert runtime.things == {}


@pytest.mark.parametrize("call", ["xrDestroySession", "xrDestroySwapchain", "xrDestroySpace", "xrDestroyInstance"])
def test_a_failing_destroy_does_not_keep_the_others(runtime: SimulatedRuntime, start: Start, call: str) -> None:
    visit = start()
    visit.frames(4)
    runtime.fail(call, R.ERROR_RUNTIME_FAILURE)
    visit.display.close()
    left = {thing.kind for thing in runtime.things.values()}
    assert left <= {"session", "swapchain", "space", "instance"}
    runtime.things.clear()
    runtime.leaks.clear()


def test_no_headset_is_said_once(runtime: SimulatedRuntime, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    runtime.connected = False
    with pytest.raises(DisplayUnavailable, match="No headset is connected"):
        start()
    assert caplog.records == []  # the error says it


def test_a_loss_is_told_once_and_the_return_too(
    runtime: SimulatedRuntime, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    visit = start()
    visit.frames(4)
    runtime.connected = False
    runtime.fail("xrEndFrame", R.ERROR_SESSION_LOST)
    for _ in range(5):
        visit.frames(2)
        visit.wait_s(60)
    runtime.connected = True
    visit.frames(5)
    told = [record.getMessage() for record in caplog.records]
    assert sum("session was lost" in line for line in told) == 1
    assert sum("No headset is connected" in line for line in told) == 1
    assert sum("headset is back" in line for line in told) == 1


def test_the_runtime_says_it_is_losing_the_session(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime.go(xr.SessionState.LOSS_PENDING)
    visit.frames(2)
    assert visit.counts[-1] == 1
    visit.wait_s(5)
    visit.frames(5)
    assert visit.counts[-1] == 2


def test_the_runtime_says_it_is_going_away(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime.lose_instance_soon()
    visit.frames(2)
    assert visit.counts[-1] == 1
    assert runtime.alive("instance") == []
    visit.wait_s(5)
    visit.frames(5)
    assert visit.counts[-1] == 2
    assert runtime.calls["xrCreateInstance"] == 2


def test_the_cable_is_out_and_in_again(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime.connected = False
    runtime.fail("xrEndFrame", R.ERROR_SESSION_LOST)
    visit.frames(2)
    for _ in range(5):
        visit.wait_s(5)
        visit.frames(2)
    assert "No headset is connected" in (visit.display.lost or "")
    runtime.connected = True
    visit.wait_s(5)
    visit.frames(5)
    assert visit.counts[-1] == 2


def test_the_runtime_is_stopped_and_started_again(runtime: SimulatedRuntime, start: Start, tmp_path: Path) -> None:
    visit = start()
    visit.frames(4)
    manifest = tmp_path / "runtime.json"
    manifest.unlink()  # as WiVRn does when it ends
    runtime.fail("xrWaitFrame", R.ERROR_INSTANCE_LOST)
    visit.frames(2)
    for _ in range(4):
        visit.wait_s(10)
        visit.frames(1)
    assert "manifest" in (visit.display.lost or "")
    manifest.write_text(MANIFEST)
    visit.wait_s(40)
    visit.frames(5)
    assert visit.counts[-1] == 2


def test_leaving_by_the_runtimes_menu_closes_the_program(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime._leaving = True
    runtime.take_off()
    visit.frames(3)
    assert visit.display.should_close
    assert runtime.alive("session") == []


def test_what_can_never_work_is_not_asked_again(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime.fail("xrEndFrame", R.ERROR_SESSION_LOST)
    runtime.fail("xrCreateSession", R.ERROR_GRAPHICS_DEVICE_INVALID, times=100)
    visit.frames(2)
    for _ in range(5):
        visit.wait_s(100)
        visit.frames(1)
    assert "cannot show this program" in (visit.display.lost or "")
    assert runtime.calls["xrCreateSession"] == 2


def test_a_session_that_fails_every_time_is_given_up(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    runtime.fail("xrWaitFrame", R.ERROR_RUNTIME_FAILURE, times=1000)
    for _ in range(20):
        visit.frames(3)
        visit.wait_s(60)
    assert visit.display.lost is not None
    assert 3 <= runtime.calls["xrCreateSession"] <= 8
    assert visit.counts[-1] == 1


def test_events_of_a_lost_session_do_not_touch_the_next(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime.fail("xrEndFrame", R.ERROR_SESSION_LOST)
    visit.frame()
    stale = xr.EventDataSessionStateChanged(
        session=cast(0x4242, xr.Session), state=xr.SessionState.STOPPING, time=runtime.now
    )
    visit.wait_s(5)
    visit.frames(5)
    runtime._events.append(stale)
    visit.frames(3)
    assert visit.counts[-1] == 2


def test_a_good_frame_forgives_earlier_failures(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    for _ in range(12):
        visit.frames(5)
        assert visit.counts[-1] == 2
        runtime.fail("xrEndFrame", R.ERROR_SESSION_LOST)
        visit.frames(2)
        visit.wait_s(5)
        visit.frames(2)
    assert visit.display.lost is None


def test_a_stuck_compositor_is_a_lost_session(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime.fail("xrWaitSwapchainImage", R.TIMEOUT_EXPIRED)
    visit.frames(2)
    assert "TIMEOUT_EXPIRED" in (visit.display.lost or "")


def test_a_discarded_frame_is_no_failure(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime.fail("xrEndFrame", R.SUCCESS)  # swallowed: the runtime thinks that the frame is still open
    visit.frames(3)
    assert visit.display.lost is None


def test_closing_mid_frame_and_twice(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    visit.display.begin_frame()
    visit.display.target()
    visit.display.close()
    visit.display.close()


def test_quitting_follows_the_runtime_to_its_end(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    visit.display.close()
    assert [s.name for s in runtime.states[-3:]] == ["STOPPING", "IDLE", "EXITING"]


def test_every_code_has_a_remedy_and_a_name() -> None:
    for result in R:
        error = xr.exception.check_result(result)
        assert isinstance(remedy_for(error), Remedy)
        assert result.name.split("_")[0] in describe(error) or describe(error)
    assert remedy_for(xr.FormFactorUnavailableError()) is Remedy.WAIT
    assert describe(xr.SessionLostError()) == "XR_ERROR_SESSION_LOST"
