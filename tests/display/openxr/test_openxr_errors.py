"""Every OpenXR call of the program, failing in one way for each way of handling it.

Retry, make the session again, make the instance again, fall back on less, stop asking: never a crash, a leak, or
an end of the world. ``test_openxr_losses`` has the stories; here is the table.
"""

from __future__ import annotations

import pytest
import xr
from sim_runtime import SimulatedRuntime
from sim_visit import Start, Visit
from test_openxr_losses import AT_THE_START, IN_THE_FRAME

from vrapp.core.errors import DisplayUnavailable, GraphicsError
from vrapp.core.input import RIGHT, Button, Valid
from vrapp.display.openxr.wishes import Wishes

R, S = xr.Result, xr.SessionState
pytestmark = [pytest.mark.gl, pytest.mark.usefixtures("no_screen")]

#: Also made at the start, where the headset has what they are for.
OPTIONAL_AT_THE_START = (
    "xrEnumerateInstanceExtensionProperties", "xrEnumerateEnvironmentBlendModes", "xrGetVisibilityMaskKHR",
    "xrCreateHandTrackerEXT", "xrEnumerateDisplayRefreshRatesFB", "xrRequestDisplayRefreshRateFB",
    "xrSuggestInteractionProfileBindings", "xrGetCurrentInteractionProfile", "xrPathToString",
)  # fmt: skip
OPTIONAL_IN_THE_FRAME = ("xrLocateHandJointsEXT", "xrApplyHapticFeedback")
AT_THE_END = ("xrEndSession", "xrRequestExitSession")
DESTROYING = (
    "xrDestroySession", "xrDestroySwapchain", "xrDestroySpace", "xrDestroyInstance", "xrDestroyAction",
    "xrDestroyActionSet", "xrDestroyHandTrackerEXT",
)  # fmt: skip
#: A failure is the lack of a nicety.
HARMLESS = ("xrConvertTimespecTimeToTimeKHR",)
#: The loader's own, which have no failure that the program could meet.
OF_THE_LOADER = ("xrGetInstanceProcAddr", "xrEnumerateApiLayerProperties")


def equipped(start: Start, runtime: SimulatedRuntime) -> Visit:
    """A headset that has everything, and a visit that uses it."""
    runtime.hands_supported = runtime.eyes_supported = True
    return start(wishes=Wishes(refresh_hz=90.0))


def frame_with_a_pulse(visit: Visit) -> None:
    timing = visit.display.begin_frame()
    visit.snapshot = visit.display.input().poll(timing.predicted_time_ns)
    visit.display.input().vibrate(RIGHT, 0.5, 0.02)
    visit.display.end_frame()


def wait_until_worn(visit: Visit, tries: int = 12) -> bool:
    for _ in range(tries):
        visit.wait_s(40)
        visit.frames(4)
        if visit.counts[-1] == 2:
            return True
    return False


def test_every_call_is_in_a_table(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.masks = [([(0, 0), (1, 0), (0, 1)], [0, 1, 2])] * 2
    visit = equipped(start, runtime)
    visit.frames(5)
    frame_with_a_pulse(visit)
    runtime.take_off()
    visit.frames(3)
    runtime.put_on()
    visit.frames(3)
    visit.display.close()
    tables = (AT_THE_START, IN_THE_FRAME, OPTIONAL_AT_THE_START, OPTIONAL_IN_THE_FRAME, AT_THE_END, DESTROYING)
    known = {name for table in (*tables, HARMLESS) for name in table}
    assert set(runtime.calls) - set(OF_THE_LOADER) == known


@pytest.mark.parametrize("call", [*AT_THE_START, *OPTIONAL_AT_THE_START])
@pytest.mark.parametrize(
    "result", [R.ERROR_SESSION_LOST, R.ERROR_INSTANCE_LOST, R.ERROR_FORM_FACTOR_UNAVAILABLE, R.ERROR_OUT_OF_MEMORY]
)
def test_a_failure_while_coming_back_is_got_over(
    runtime: SimulatedRuntime, start: Start, call: str, result: xr.Result
) -> None:
    """Session and instance are both made again, so that every call of the start is made."""
    visit = equipped(start, runtime)
    visit.frames(4)
    runtime.fail("xrEndFrame", R.ERROR_INSTANCE_LOST)
    runtime.fail(call, result)
    visit.frames(2)
    assert wait_until_worn(visit)
    assert visit.display.lost is None


@pytest.mark.parametrize("call", ["xrCreateInstance", "xrGetSystem", "xrCreateSession", "xrCreateSwapchain"])
@pytest.mark.parametrize("result", [R.ERROR_GRAPHICS_DEVICE_INVALID, R.ERROR_EXTENSION_NOT_PRESENT])
def test_what_cannot_get_better_is_not_asked_again(
    runtime: SimulatedRuntime, start: Start, call: str, result: xr.Result
) -> None:
    visit = equipped(start, runtime)
    visit.frames(4)
    runtime.fail("xrEndFrame", R.ERROR_INSTANCE_LOST)
    runtime.fail(call, result)
    visit.frames(2)
    assert not wait_until_worn(visit)
    assert "cannot show this program; " in (visit.display.lost or "")


@pytest.mark.parametrize("call", OPTIONAL_IN_THE_FRAME)
@pytest.mark.parametrize("result", [R.ERROR_SESSION_LOST, R.ERROR_INSTANCE_LOST])
def test_hands_and_pulses_may_fail_too(runtime: SimulatedRuntime, start: Start, call: str, result: xr.Result) -> None:
    visit = equipped(start, runtime)
    visit.frames(4)
    runtime.fail(call, result)
    frame_with_a_pulse(visit)
    visit.frames(2)
    assert result.name in (visit.display.lost or "")
    assert wait_until_worn(visit)


@pytest.mark.parametrize("call", ["xrApplyHapticFeedback", "xrSyncActions", "xrBeginFrame", "xrPollEvent"])
def test_qualified_successes_are_no_failures(runtime: SimulatedRuntime, start: Start, call: str) -> None:
    visit = equipped(start, runtime)
    visit.frames(4)
    if call == "xrBeginFrame":
        visit.display.begin_frame()
        visit.display._link.headset._frame_state = None  # never ended: the next one is FRAME_DISCARDED
    elif call == "xrPollEvent":
        runtime.fail(call, R.EVENT_UNAVAILABLE)
    else:  # the menu was opened since the last events were read
        runtime.fail(call, R.SESSION_NOT_FOCUSED)
    frame_with_a_pulse(visit)
    visit.frames(2)
    assert visit.display.lost is None
    assert visit.counts[-1] == 2


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("xrCreateHandTrackerEXT", R.ERROR_FEATURE_UNSUPPORTED),
        ("xrGetVisibilityMaskKHR", R.ERROR_FEATURE_UNSUPPORTED),
        ("xrEnumerateDisplayRefreshRatesFB", R.ERROR_FEATURE_UNSUPPORTED),
        ("xrRequestDisplayRefreshRateFB", R.ERROR_DISPLAY_REFRESH_RATE_UNSUPPORTED_FB),
        ("xrConvertTimespecTimeToTimeKHR", R.ERROR_TIME_INVALID),
        ("xrSuggestInteractionProfileBindings", R.ERROR_PATH_UNSUPPORTED),
        ("xrCreateInstance", R.ERROR_API_VERSION_UNSUPPORTED),
        # Codes that say nothing of the kind: which one a runtime answers is nothing to rely on.
        ("xrCreateHandTrackerEXT", R.ERROR_RUNTIME_FAILURE),
        ("xrGetVisibilityMaskKHR", R.ERROR_VALIDATION_FAILURE),
        ("xrRequestDisplayRefreshRateFB", R.ERROR_RUNTIME_FAILURE),
        ("xrSuggestInteractionProfileBindings", R.ERROR_VALIDATION_FAILURE),
    ],
)
def test_without_a_nicety_the_visit_goes_on(
    runtime: SimulatedRuntime, start: Start, call: str, result: xr.Result
) -> None:
    runtime.fail(call, result)
    visit = equipped(start, runtime)
    snapshot = visit.frames(4)
    assert visit.display.lost is None
    assert snapshot.valid & Valid.RIGHT_HAND
    assert snapshot.buttons == Button(0)


def test_a_depth_format_that_cannot_be_made_is_done_without(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.fail("xrCreateSwapchain", R.ERROR_RUNTIME_FAILURE, after=2)  # met on SteamVR for Linux
    visit = start()
    visit.frames(4)
    assert visit.display.lost is None
    assert len(runtime.alive("swapchain")) == 2
    assert [eye.depth_range for eye in runtime.frames[-1].eyes] == [None, None]


@pytest.mark.parametrize("call", OPTIONAL_IN_THE_FRAME)
def test_hands_that_fail_for_good_leave_the_controllers(runtime: SimulatedRuntime, start: Start, call: str) -> None:
    visit = equipped(start, runtime)
    visit.frames(4)
    runtime.fail(call, R.ERROR_RUNTIME_FAILURE, times=1000)
    frame_with_a_pulse(visit)
    snapshot = visit.frames(3)
    assert visit.display.lost is None
    assert snapshot.valid & Valid.RIGHT_HAND


@pytest.mark.parametrize("call", AT_THE_END)
@pytest.mark.parametrize("result", [R.ERROR_SESSION_NOT_RUNNING, R.ERROR_SESSION_LOST, R.ERROR_INSTANCE_LOST])
def test_the_end_comes_anyway(runtime: SimulatedRuntime, start: Start, call: str, result: xr.Result) -> None:
    visit = equipped(start, runtime)
    visit.frames(4)
    runtime.fail(call, result)
    visit.display.close()
    assert runtime.things == {}


@pytest.mark.parametrize("call", DESTROYING)
def test_what_cannot_be_destroyed_keeps_nothing_else(runtime: SimulatedRuntime, start: Start, call: str) -> None:
    visit = equipped(start, runtime)
    visit.frames(4)
    runtime.fail(call, R.ERROR_RUNTIME_FAILURE)
    visit.display.close()
    assert all(runtime.calls[other] for other in DESTROYING)
    runtime.things.clear()
    runtime.leaks.clear()


def test_images_that_opengl_cannot_use_are_one_sentence(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.broken_images = True
    with pytest.raises(GraphicsError, match=r"cannot draw into the pictures .* update"):
        start()
    assert runtime.things == {}


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (R.ERROR_RUNTIME_UNAVAILABLE, r"is not running or fails; start it \(SteamVR, monado-service"),
        (R.ERROR_FORM_FACTOR_UNAVAILABLE, "No headset is connected .* switch it on"),
        (R.ERROR_FORM_FACTOR_UNSUPPORTED, "make a runtime for headsets the active one"),
        (R.ERROR_GRAPHICS_DEVICE_INVALID, "graphics card that the headset is connected to"),
    ],
)
def test_the_reason_says_what_to_do(runtime: SimulatedRuntime, start: Start, result: xr.Result, says: str) -> None:
    """No loader, no runtime, its library gone: test_open_display. No GL extension, older GL: test_openxr_frames."""
    runtime.fail("xrGetSystem", result)
    with pytest.raises(DisplayUnavailable, match=says) as raised:
        start()
    assert str(raised.value).endswith(f"(XR_{result.name}).")
