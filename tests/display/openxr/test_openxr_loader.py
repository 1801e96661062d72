"""Under the real OpenXR loader with Khronos' core validation layer: not one error or warning."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sim_install import compiler

CHILD = Path(__file__).with_name("loader_child.py")
KINDS = [pytest.param("egl", marks=pytest.mark.gl), pytest.param("glx", marks=pytest.mark.window)]


@pytest.mark.openxr
@pytest.mark.skipif(sys.platform != "linux" or compiler() is None, reason="needs Linux and a C compiler for the shim")
@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_visit_is_valid(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind == "glx":
        request.getfixturevalue("screen")
    command = [sys.executable, str(CHILD), str(tmp_path), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Core Validation Layer is initialized" in done.stdout + done.stderr
    findings = re.findall(r"\[VALID_(?:ERROR|WARNING).*", done.stdout + done.stderr)
    assert findings == []
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert "Simulated headset through Simulated 1.2.3, 2 x 64x48, floor by LOCAL" in told["opened"]
    assert told["valid"] == 1 | 2 | 4
    assert (told["hidden"], told["hidden_later"]) == ([[3, 2], [3, 2]], None)
    assert told["away"] == 1 | 64
    assert told["depths"] == [[0, 1, math.inf, pytest.approx(0.05)]] * 2
    assert told["quads"] == [[pytest.approx(0.4), pytest.approx(0.2)]]
    assert told["grabbed"] == 1
    assert told["haptics"] == [["/user/hand/right", 0.5, 50_000_000]]
    assert (told["idle"], told["worn_again"], told["back"]) == (1, 2, 2)
    assert told["means"] == [[64, 128, 191], [191, 128, 64]]
    assert (told["breaches"], told["leaks"], told["alive"]) == ([], [], 0)
    assert told["states"][-1] == "EXITING"
