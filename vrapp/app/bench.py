"""``vrapp bench``: what this machine reaches, compared within one run, as a table and as JSON."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

from vrapp.app import hardware
from vrapp.app.options import Options
from vrapp.core.errors import CheckFailed, UsageError

Rows = list[dict[str, Any]]
Summary = dict[str, float | None]
#: A bench answers its table, its summary (flat names of design.md §8) and the GL renderer it used.
Bench = Callable[[Options], tuple[Rows, Summary, str | None]]


def run(what: str, options: Options, json_path: Path | None) -> int:
    """Run one bench and print its table; returns the exit code. CheckFailed where it checks, and something failed."""
    rows, summary, renderer = _bench(what)(options)
    machine = hardware.describe_hardware(renderer)
    _print(what, rows, summary, machine)
    if json_path is not None:
        figures = {
            "hardware": machine,
            "command": hardware.command_line(),
            "commit": hardware.commit(),
            "rows": rows,
            "summary": summary,
        }
        hardware.write_json(json_path, figures)
    if failed := summary.get("checks_failed"):
        raise CheckFailed(f"bench {what}: {failed:.0f} of its checks failed; the table above tells which.")
    return 0


#: Each bench lives in a module of its own, imported when it runs.
_PLACES = {
    "frame": ("bench_frame", "frame"), "frame beside panda3d": ("bench_peer", "frame_beside"),
    "scale": ("bench_scale", "scale"), "generate": ("bench_generate", "generate"),
    "record": ("bench_record", "record"), "headset": ("bench_headset", "headset"), "soak": ("bench_soak", "soak"),
    "reshape": ("bench_reshape", "reshape"), "memory": ("bench_memory", "memory"),
}  # fmt: skip


def require(module: str, package: str) -> None:
    """Raises UsageError where what a bench compares with is not installed."""
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{package} is not installed; '{sys.executable} -m pip install {package}' brings it.")


def _bench(what: str) -> Bench:
    module, name = _PLACES[what]
    found: Bench = getattr(import_module(f"vrapp.app.{module}"), name)
    return found


def _print(
    what: str, rows: Sequence[Mapping[str, Any]], summary: Mapping[str, float | None], machine: Mapping[str, Any]
) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for _, alike in groupby(rows, key=tuple):  # rows with the same columns
        same = list(alike)
        table = Table(title=f"bench {what}")
        measured = [name for name in same[0] if any(row[name] is not None for row in same)]
        for name in measured:
            table.add_column(name, justify="left" if isinstance(same[0][name], str) else "right")
        for row in same:
            table.add_row(*(_cell(row[name]) for name in measured))
        console.print(table)
    for name, value in summary.items():
        console.print(f"{name}: {_cell(value)}")
    console.print("on " + ", ".join(f"{name} {value}" for name, value in machine.items() if value is not None))


def _cell(value: Any) -> str:
    if value is None:
        return "not measured here"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
