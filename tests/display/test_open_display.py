"""Which display is opened, why, and what is said where none can be."""

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from vrapp.core.clock import FixedClock
from vrapp.core.errors import DisplayUnavailable, GraphicsError, UsageError
from vrapp.display.context import headless_context
from vrapp.display.offscreen import OffscreenDisplay
from vrapp.display.open import DisplayOptions, open_display
from vrapp.display.openxr import probe

MANIFEST = '{"runtime": {"library_path": "libruntime.so"}}'  # found by the system's own search

OPTIONS = DisplayOptions(FixedClock(), (64, 48))


class Opened:
    """Stands for a display that starts."""

    lost: str | None = None

    def __init__(self, options: DisplayOptions) -> None:
        self.options = options


def refuses(options: DisplayOptions) -> Any:
    raise DisplayUnavailable("it is not there.")


def too_old(options: DisplayOptions) -> Any:
    raise GraphicsError("it is too old.")


def test_auto_goes_on_to_the_next_and_says_why() -> None:
    display, reasons = open_display("auto", OPTIONS, [("openxr", refuses), ("desktop", too_old), ("offscreen", Opened)])
    assert isinstance(display, Opened)
    assert reasons == ["openxr: it is not there.", "desktop: it is too old."]


def test_auto_takes_a_headset_that_may_still_come_and_says_so() -> None:
    class Waiting(Opened):
        lost = "No headset is connected"

    display, reasons = open_display("auto", OPTIONS, [("openxr", Waiting), ("desktop", Opened)])
    assert display.options.wait_for_headset
    assert reasons == ["openxr: No headset is connected."]


@pytest.mark.parametrize("opener", [refuses, too_old])
def test_a_named_display_does_not_fall_back(opener: Any) -> None:
    with pytest.raises((DisplayUnavailable, GraphicsError), match="it is"):
        open_display("openxr", OPTIONS, [("openxr", opener), ("desktop", Opened)])


def test_nothing_at_all_names_every_reason() -> None:
    with pytest.raises(DisplayUnavailable, match=r"openxr: it is not there\. \| offscreen: it is too old\."):
        open_display("auto", OPTIONS, [("openxr", refuses), ("offscreen", too_old)])


def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"'hologram'.*auto, openxr, desktop, offscreen"):
        open_display("hologram", OPTIONS)


@pytest.mark.gl
def test_a_machine_without_screen_and_runtime_in_silence() -> None:
    """In a process of its own: nothing on stderr, and neither ``xr`` nor PyOpenGL is loaded."""
    code = (
        "import sys\n"
        "from vrapp.core.clock import FixedClock\n"
        "from vrapp.display.open import DisplayOptions, open_display\n"
        "display, reasons = open_display('auto', DisplayOptions(FixedClock(), (64, 48)))\n"
        "print(display.name, *reasons, sep='\\n')\n"
        "assert not {'xr', 'OpenGL', 'torch'} & set(sys.modules)\n"
        "display.close()\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "XR_RUNTIME_JSON")}
    environment |= {"XDG_CONFIG_HOME": "/nonexistent", "XDG_CONFIG_DIRS": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if probe.active_runtime():
        pytest.skip("this machine has an OpenXR runtime in /etc")
    assert (done.returncode, done.stderr) == (0, "")
    name, headset, window = done.stdout.splitlines()
    assert name == "offscreen"
    assert headset.startswith("openxr: No OpenXR runtime is installed")
    assert "DISPLAY is not set" in window


class TestProbe:
    @pytest.fixture(autouse=True)
    def _nothing(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("XR_RUNTIME_JSON", raising=False)
        monkeypatch.setattr(probe, "_manifest_places", lambda: [tmp_path / "active_runtime.json"])

    def test_finds_the_manifest(self, tmp_path: Path) -> None:
        assert probe.active_runtime() is None
        (tmp_path / "active_runtime.json").write_text(MANIFEST)
        assert probe.require_runtime() == tmp_path / "active_runtime.json"
        (tmp_path / "active_runtime.json").write_text(MANIFEST, "utf-8-sig")  # as Windows programs like to write it
        assert probe.require_runtime() == tmp_path / "active_runtime.json"

    def test_the_variable_comes_first(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XR_RUNTIME_JSON", str(tmp_path / "mine.json"))
        with pytest.raises(DisplayUnavailable, match=r"mine\.json' is missing"):
            probe.require_runtime()

    def test_a_library_that_is_gone(self, tmp_path: Path) -> None:
        manifest = tmp_path / "active_runtime.json"
        manifest.write_text('{"runtime": {"library_path": "./bin/libruntime.so"}}')
        with pytest.raises(DisplayUnavailable, match=r"lost its library .*libruntime\.so'; install it again"):
            probe.require_runtime()
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "libruntime.so").touch()
        assert probe.require_runtime() == manifest
        manifest.write_text(MANIFEST)
        assert probe.require_runtime() == manifest

    def test_a_manifest_that_cannot_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "active_runtime.json").write_text('{"runtime": {"library_pa')
        with pytest.raises(DisplayUnavailable, match=r"cannot be read .* install the runtime again"):
            probe.require_runtime()

    def test_no_libgl_is_said_before_xr_is_imported(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "active_runtime.json").write_text(MANIFEST)
        monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
        with pytest.raises(DisplayUnavailable, match="libGL"):
            probe.require_runtime()

    def test_a_broken_package_is_a_sentence(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "active_runtime.json").write_text(MANIFEST)
        monkeypatch.setitem(sys.modules, "vrapp.display.openxr.display", None)
        with pytest.raises(DisplayUnavailable, match=r"pyopenxr cannot be loaded .* install it again"):
            probe.open_headset(FixedClock(), (64, 48), "test")


def test_the_loader_looks_where_the_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/me/config")
    monkeypatch.setenv("XDG_CONFIG_DIRS", "/a:/b")
    places = [str(p) for p in probe._manifest_places()]
    assert "/home/me/config/openxr/1/active_runtime.json" in places
    assert places.index("/a/openxr/1/active_runtime.json") < places.index("/etc/openxr/1/active_runtime.json")


@pytest.mark.gl
def test_a_picture_larger_than_the_driver_takes_is_a_sentence() -> None:
    with pytest.raises(GraphicsError, match="smaller --size"):
        OffscreenDisplay((10_000, 16), FixedClock(), view_count=2)
    headless_context().release()  # the next one still starts


def run_offscreen(environment: dict[str, str], before: str = "") -> subprocess.CompletedProcess[str]:
    code = (
        "from vrapp.core.clock import FixedClock\n"
        "from vrapp.core.errors import VrappError\n"
        "from vrapp.display import context\n"
        "from vrapp.display.offscreen import OffscreenDisplay\n"
        f"{before}\n"
        "try: OffscreenDisplay((64, 48), FixedClock())\n"
        "except VrappError as e: print(type(e).__name__, e)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.mark.gl
@pytest.mark.parametrize(
    ("environment", "before", "says"),
    [
        (
            {"MESA_GL_VERSION_OVERRIDE": "3.3"},
            "",
            "GraphicsError This machine's OpenGL driver does not offer version 4.5",
        ),
        ({}, "context._EGL_LIBRARIES['libegl'] = 'libNone.so.1'", "DisplayUnavailable The OpenGL library libNone.so.1"),
        ({}, "context._EGL_LIBRARIES['libgl'] = 'libNone.so.1'", "apt-get install"),
        ({"LIBGL_DRIVERS_PATH": "/nonexistent", "EGL_LOG_LEVEL": "fatal"}, "", "No OpenGL driver could be started"),
    ],
)
def test_no_usable_opengl_is_one_sentence(environment: dict[str, str], before: str, says: str) -> None:
    done = run_offscreen(environment, before)
    assert done.returncode == 0
    assert says in done.stdout
    assert done.stdout.count("\n") == 1
