"""``vrapp doctor``: a table of what works on this machine, and what to do about the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

from vrapp import __version__
from vrapp.app import hardware
from vrapp.app.probes import FAIL, PROBES, WARN, Finding

TIMEOUT_S = 90.0

#: Without these the program does not run; of the two ways to OpenGL it needs one.
NEEDED = ("Python", "packages", "torch and CUDA", "weights")
OPENGL = ("OpenGL offscreen", "OpenGL window")


def run(json_path: Path | None = None, weights: Path | None = None) -> int:
    """Print the table; 0 if the program can run here, else 1. Raises OutputError."""
    with ThreadPoolExecutor(len(PROBES)) as pool:  # each thread only waits for its process
        found = dict(zip(PROBES, pool.map(lambda name: examine(name, weights), PROBES), strict=True))
    found = weigh(found)
    usable = can_run(found)
    _print_table(found)
    print("vrapp can run here." if usable else "vrapp cannot run here: see the rows that say fail.")
    if json_path:
        rows = [{"part": name, **asdict(finding)} for name, finding in found.items()]
        about = {"vrapp": __version__, "hardware": hardware.describe_hardware(), "command": hardware.command_line()}
        hardware.write_json(json_path, {**about, "rows": rows, "can_run": usable})
    return 0 if usable else 1


def examine(name: str, weights: Path | None, timeout_s: float = TIMEOUT_S) -> Finding:
    """Run one probe in a process of its own."""
    command = [sys.executable, "-m", "vrapp.app.probes", name, *([str(weights.resolve())] if weights else [])]
    home = Path(__file__).parents[2]  # so that -m finds this very vrapp, and nothing of the user's folder
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_s, cwd=home, check=False
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding(FAIL, f"no answer within {timeout_s:.0f} s", "its driver hangs: update or reinstall it")
    try:
        return Finding(**json.loads(asked.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        return Finding(FAIL, f"the probe crashed (exit code {asked.returncode})", "update or reinstall its driver")


def weigh(found: dict[str, Finding]) -> dict[str, Finding]:
    """What is not needed only warns: one way to OpenGL will do, and all of OpenXR is optional."""
    one_works = any(found[name].state != FAIL for name in OPENGL)
    needed = {*NEEDED, *(() if one_works else OPENGL)}
    return {
        name: replace(finding, state=WARN) if finding.state == FAIL and name not in needed else finding
        for name, finding in found.items()
    }


def can_run(found: dict[str, Finding]) -> bool:
    """True where nothing that is needed failed."""
    return all(finding.state != FAIL for finding in found.values())


def _print_table(found: dict[str, Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("part", "state", "found", "what to do", show_lines=True)
    colours = {"ok": "green", WARN: "yellow", FAIL: "red"}
    for name, finding in found.items():
        state = Text(finding.state, style=colours[finding.state])
        table.add_row(Text(name), state, Text(finding.found), Text(finding.remedy))
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table)
