"""The doctor tells the truth about each part, and no driver takes it down."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from vrapp.app import doctor, probes
from vrapp.app.probes import FAIL, OK, WARN, Finding

GOOD = dict.fromkeys(probes.PROBES, Finding(OK, "there"))
BAD = Finding(FAIL, "broken")


def test_every_part_is_known() -> None:
    assert set(doctor.NEEDED) | set(doctor.OPENGL) <= set(probes.PROBES)


@pytest.mark.parametrize(
    ("broken", "usable"),
    [
        ((), True),
        (("weights",), False),
        (("packages",), False),
        (("torch and CUDA",), False),
        (("OpenXR",), True),
        (("OpenGL window",), True),
        (("OpenGL offscreen",), True),
        (doctor.OPENGL, False),
        (("folders", "audio"), True),
    ],
)
def test_what_is_needed(broken: tuple[str, ...], usable: bool) -> None:
    found = doctor.weigh({**GOOD, **dict.fromkeys(broken, BAD)})
    assert doctor.can_run(found) is usable
    if usable:
        assert all(found[name].state == WARN for name in broken)


def test_the_table_and_the_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long_name = "a [bracketed] name, " * 20
    findings = {**GOOD, "weights": Finding(FAIL, long_name, "train some")}
    monkeypatch.setattr(doctor, "examine", lambda name, weights: findings[name])
    path = tmp_path / "d.json"
    assert doctor.run(path) == 1
    said = capsys.readouterr().out
    assert "[bracketed]" in said
    assert "cannot run here" in said
    written = json.loads(path.read_text())
    assert written["can_run"] is False
    row = next(row for row in written["rows"] if row["part"] == "weights")
    assert row == {"part": "weights", "state": FAIL, "found": long_name, "remedy": "train some"}


def test_a_real_probe() -> None:
    found = doctor.examine("Python", None)
    assert found.state == OK
    assert found.found.startswith(".".join(map(str, sys.version_info[:3])))


def test_damaged_weights_are_a_finding(tmp_path: Path) -> None:
    damaged = tmp_path / "w.safetensors"
    damaged.write_bytes(b"nonsense")
    found = doctor.examine("weights", damaged)
    assert found.state == FAIL
    assert "w.safetensors" in found.found


def test_a_crash_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crasher = tmp_path / "python"
    crasher.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crasher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crasher))
    assert "crashed" in doctor.examine("OpenGL window", None).found


def test_a_hang_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(sleeper))
    assert "no answer within" in doctor.examine("OpenGL window", None, timeout_s=0.2).found


def test_a_probe_that_raises_is_a_finding(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def raise_it(_: Path | None) -> Finding:
        raise AttributeError("no attribute 'xrCreateInstance'")

    monkeypatch.setitem(probes.PROBES, "OpenXR", raise_it)
    assert probes.main(["OpenXR"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["state"] == FAIL
    assert "xrCreateInstance" in written["found"]


@pytest.mark.gl
def test_opengl_is_found(gl_context: object) -> None:
    found = doctor.examine("OpenGL offscreen", None)
    assert found.state in (OK, WARN)
    assert "OpenGL 4" in found.found


@pytest.mark.window
def test_a_window_is_found(screen: str) -> None:
    found = doctor.examine("OpenGL window", None)
    assert found.state in (OK, WARN)
    assert "OpenGL 4" in found.found


def test_no_screen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems always have a screen")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    found = doctor.examine("OpenGL window", None)
    assert found.state == WARN
    assert "no screen" in found.found


def test_locked_folders_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VRAPP_CACHE", "/dev/null/cache")
    found = doctor.examine("folders", None)
    assert found.state == WARN
    assert "VRAPP_CACHE" in found.remedy


@pytest.mark.parametrize(
    ("manifest", "said"),
    [("", "cannot be read"), ("[]", "cannot be read"), ('{"runtime": {"library_path": "/nowhere.so"}}', "nowhere.so")],
)
def test_a_broken_openxr_runtime_is_told(
    manifest: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runtime.json"
    path.write_text(manifest)
    monkeypatch.setenv("XR_RUNTIME_JSON", str(path))
    found = doctor.examine("OpenXR", None)
    assert found.state == WARN
    assert said in found.found
    assert str(path) in found.found
