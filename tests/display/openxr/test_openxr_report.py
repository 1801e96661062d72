"""What the doctor is told of runtime and headset."""

from pathlib import Path

import pytest
import xr
from sim_runtime import SimulatedRuntime

from vrapp.display.openxr.instance import OPTIONAL_EXTENSIONS
from vrapp.display.openxr.report import NICETIES, report
from vrapp.display.openxr.time_bridge import EXTENSION as OF_THE_CLOCK


def test_all_is_told_of_a_headset_that_has_all(runtime: SimulatedRuntime) -> None:
    runtime.hands_supported = runtime.eyes_supported = True
    found = report()
    assert found.runtime == "Simulated 1.2.3, OpenXR 1.1"
    assert found.headset == "Simulated headset, 2 x 64x48 recommended"
    assert set(found.offers) == set(NICETIES.values())
    assert (found.lacks, found.problem) == ((), "")
    assert runtime.calls["xrCreateSession"] == 0  # the headset is not woken
    assert runtime.things == {}


def test_of_sensors_the_headset_is_asked_not_the_runtime(runtime: SimulatedRuntime) -> None:
    runtime.presence_supported = False
    runtime.extensions.remove("XR_KHR_visibility_mask")
    found = report()
    assert set(found.lacks) == {"bare hands", "eyes", "presence", "hidden area"}


def test_what_is_core_is_offered(runtime: SimulatedRuntime) -> None:
    runtime.extensions.remove("XR_EXT_local_floor")
    assert "floor" in report().offers
    runtime.api_versions = ((1, 0),)
    found = report()
    assert found.runtime.endswith("OpenXR 1.0")
    assert "floor" in found.lacks


def test_every_extension_that_is_used_is_told() -> None:
    assert set(NICETIES) - {"XR_MNDX_egl_enable"} == set(OPTIONAL_EXTENSIONS) - {OF_THE_CLOCK}


@pytest.mark.parametrize(
    ("call", "result", "says"),
    [
        ("xrCreateInstance", xr.Result.ERROR_RUNTIME_UNAVAILABLE, "is not running or fails; start it"),
        ("xrGetSystem", xr.Result.ERROR_FORM_FACTOR_UNAVAILABLE, "connect and switch it on"),
        ("xrGetSystemProperties", xr.Result.ERROR_RUNTIME_FAILURE, "fails; start it"),
    ],
)
def test_a_failure_says_what_to_do(runtime: SimulatedRuntime, call: str, result: xr.Result, says: str) -> None:
    runtime.fail(call, result)
    found = report()
    assert says in found.problem
    assert found.headset == ""
    assert runtime.things == {}


def test_without_opengl_and_with_an_older_one(runtime: SimulatedRuntime) -> None:
    runtime.least_gl = (4, 6)
    assert "needs OpenGL 4.6" in report().problem
    runtime.extensions.remove("XR_KHR_opengl_enable")
    assert "no OpenGL support" in report().problem


def test_no_runtime_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XR_RUNTIME_JSON", str(tmp_path / "gone.json"))
    found = report()
    assert "is missing; install" in found.problem
    assert found.manifest == tmp_path / "gone.json"
