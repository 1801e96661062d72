"""The whole program with wrong files and on poor machines: exit code 2 and one sentence, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
OFFSCREEN = ("--display", "offscreen", "--frames", "2", "--size", "64x64")


def enter(*words: str, **more: str | None) -> subprocess.CompletedProcess[str]:
    """Run the program; a variable of None is taken out of its environment."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), **more}
    kept = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, "-m", "vrapp", *words]
    return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=300, check=False)


def assert_told(ended: subprocess.CompletedProcess[str], *expected: str) -> None:
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    for words in expected:
        assert words in last


@pytest.fixture
def damaged_weights(tmp_path: Path) -> Path:
    """The shipped weights with one bit turned in the middle; rubbish where none are shipped."""
    shipped = PROJECT / "assets" / "objects.safetensors"
    content = bytearray(shipped.read_bytes() if shipped.exists() else bytes(1000))
    content[len(content) // 2] ^= 1
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    return path


@pytest.mark.gl
def test_damaged_weights(damaged_weights: Path, gl_context: object) -> None:
    assert_told(enter(*OFFSCREEN, "--weights", str(damaged_weights)), "damaged.safetensors")


@pytest.mark.gl
@pytest.mark.parametrize("content", [b"", b"no trace", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n" + bytes(200)])
def test_damaged_trace(content: bytes, tmp_path: Path, gl_context: object) -> None:
    trace = tmp_path / "t.mcap"
    trace.write_bytes(content)
    assert_told(enter(*OFFSCREEN, "--input", str(trace)), "t.mcap")


@pytest.mark.gl
def test_a_world_file_that_is_none(tmp_path: Path, gl_context: object) -> None:
    own = tmp_path / "mine.toml"
    own.write_text("[[cluster]]\n")
    assert_told(enter(*OFFSCREEN, "--world", str(own)), "mine.toml")


@pytest.mark.skipif(sys.platform != "linux", reason="how a driver is hidden is particular to Linux")
def test_no_opengl() -> None:
    ended = enter(*OFFSCREEN, __EGL_VENDOR_LIBRARY_FILENAMES="/dev/null", LIBGL_DRIVERS_PATH="/dev/null")
    assert_told(ended, "OpenGL")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_no_screen() -> None:
    assert_told(enter("--display", "desktop", "--frames", "2", DISPLAY=None, WAYLAND_DISPLAY=None), "screen")


def test_no_headset() -> None:
    assert_told(enter("--display", "openxr", "--frames", "2", XR_RUNTIME_JSON="/nowhere.json"), "OpenXR")
