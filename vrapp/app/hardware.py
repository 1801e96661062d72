"""What machine a figure was measured on, and on which commit: part of every JSON that holds figures."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from vrapp.core.errors import OutputError


def describe_hardware(renderer: str | None = None) -> dict[str, Any]:
    """CPU, cores, memory, system, versions; ``renderer`` is the GL renderer where one was opened."""
    found: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    for package in ("torch", "moderngl", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    if renderer:
        found["renderer"] = renderer
    if device := _cuda_device():
        found["cuda_device"] = device
    return found


def _cuda_device() -> str | None:
    """Of the torch that this process has loaded: who has not made anything on a device has not loaded it."""
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)  # none while it is being imported
    return str(cuda.get_device_name(0)) if cuda is not None and cuda.is_available() else None


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # no sysconf on Windows
        return None


def resident_mb(process: int | None = None) -> float | None:
    """Memory of a process (of this one) in MB, None where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{process or 'self'}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def commit() -> str | None:
    """The checkout's commit, None outside one."""
    try:
        here = Path(__file__).resolve().parents[2]
        asked = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "--short=12", "HEAD"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None


def command_line() -> str:
    """The command as the user could type it again."""
    return " ".join(["vrapp", *sys.argv[1:]])


def write_json(path: Path, figures: Mapping[str, Any]) -> None:
    """Write figures; OutputError where the place can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    except OSError as e:
        raise OutputError(f"The figures cannot be written to {path} ({e.strerror}); choose another place.") from e


def write_png(path: Path, pixels: Any) -> None:
    """Write an (H, W, 3) uint8 picture; OutputError where the place can't be written."""
    from PIL import Image

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    except (OSError, ValueError) as e:
        raise OutputError(f"The picture cannot be written to {path} ({e}); use a name like picture.png.") from e
