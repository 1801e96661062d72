"""What ``doctor`` finds out: each probe looks at one part of the machine, in a process of its own.

``python -m vrapp.app.probes NAME [WEIGHTS]`` prints the finding as JSON. A driver that crashes or hangs
takes down that process and nothing else.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from vrapp.core import resources
from vrapp.core.errors import VrappError

OK, WARN, FAIL = "ok", "warn", "fail"
CUDA_REMEDY = "on a machine with an NVIDIA GPU, install torch for CUDA as pytorch.org says, and its driver"


@dataclass(frozen=True)
class Finding:
    """One row of the table. ``state``: ok, warn (the program runs without it) or fail."""

    state: str
    found: str
    remedy: str = ""


def python(_: Path | None) -> Finding:
    """The interpreter and the system."""
    found = f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores"
    if sys.version_info < (3, 11):  # noqa: UP036 (someone may have forced the installation)
        return Finding(FAIL, found, "use Python 3.11 or newer")
    return Finding(OK, found)


def packages(_: Path | None) -> Finding:
    """What pyproject.toml requires, by name and version."""
    required = [line for line in metadata.requires("vrapp") or [] if "extra ==" not in line]
    if not required:
        return Finding(FAIL, "vrapp is not installed as a package", "start it with 'python3 run.py'")
    versions, missing = [], []
    for line in required:
        match = re.match(r"[A-Za-z0-9_.-]+", line)
        name = match.group() if match else line
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(
            FAIL, f"missing: {', '.join(missing)}", f"run '{sys.executable} -m pip install {' '.join(missing)}'"
        )
    return Finding(OK, ", ".join(versions))


def gl_offscreen(_: Path | None) -> Finding:
    """OpenGL with no window system, through EGL (on Windows a hidden window)."""
    if sys.platform == "win32":
        return gl_window(_)
    from vrapp.display.context import headless_context

    return _describe_context(headless_context())


def gl_window(_: Path | None) -> Finding:
    """OpenGL in a window, by really making a hidden one."""
    import glfw

    from vrapp.display.context import context_of_current_window

    if not glfw.init():
        return Finding(WARN, "no screen (no X or Wayland display can be opened)", "start it from a desktop session")
    for hint, value in ((glfw.VISIBLE, 0), (glfw.CONTEXT_VERSION_MAJOR, 4), (glfw.CONTEXT_VERSION_MINOR, 5)):
        glfw.window_hint(hint, value)
    glfw.window_hint(glfw.OPENGL_PROFILE, glfw.OPENGL_CORE_PROFILE)
    window = glfw.create_window(64, 64, "vrapp doctor", None, None)
    if not window:
        return Finding(WARN, "a screen, but no window with OpenGL 4.5", "update the graphics driver")
    glfw.make_context_current(window)
    return _describe_context(context_of_current_window())


def _describe_context(ctx: Any) -> Finding:
    found = f"{ctx.info['GL_RENDERER']}, OpenGL {ctx.info['GL_VERSION']}"
    if "llvmpipe" in found or "softpipe" in found:
        return Finding(WARN, f"{found} (drawn by the CPU)", "install the driver of your graphics card, if there is one")
    return Finding(OK, found)


def openxr(_: Path | None) -> Finding:
    """Runtime and headset."""
    from vrapp.display.openxr.report import report

    found = report()
    offers, lacks = (f"{verb} {', '.join(what)}" if what else "" for verb, what in
                     (("with", found.offers), ("without", found.lacks)))  # fmt: skip
    what = "; ".join(filter(None, (found.runtime, found.headset, offers, lacks, found.problem.rstrip("."))))
    where = f" [{found.manifest}]" if found.manifest else ""
    if found.problem:
        return Finding(WARN, what + where, "a window does as well; for a headset see 'In a headset' in README.md")
    return Finding(OK, what + where)


_ASK_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
name = torch.cuda.get_device_name() if cuda else None
print(json.dumps([torch.__version__, torch.version.cuda, name]))
"""


def cuda(_: Path | None) -> Finding:
    """torch, driver and the package that shares memory between CUDA and OpenGL."""
    asked = subprocess.run([sys.executable, "-P", "-c", _ASK_TORCH], capture_output=True, text=True, check=False)
    if asked.returncode:
        last = (asked.stderr.strip().splitlines() or [f"it crashed ({asked.returncode})"])[-1]
        return Finding(FAIL, f"torch cannot be imported: {last}", "install it again: delete .venv and start run.py")
    version, built_for, device = json.loads(asked.stdout.splitlines()[-1])
    if device is None:
        why = "no GPU that it can use" if built_for else "built for the CPU"
        return Finding(WARN, f"torch {version}: {why}; objects are generated on the CPU", CUDA_REMEDY)
    if importlib.util.find_spec("cuda") is None:
        remedy = f"run '{sys.executable} -m pip install cuda-bindings'"
        return Finding(WARN, f"torch {version} on {device}, without cuda-bindings", remedy)
    return Finding(OK, f"torch {version} on {device}, cuda-bindings {metadata.version('cuda-bindings')}")


def weights(path: Path | None) -> Finding:
    """The generator's weights, read whole, so that damage is found."""
    from vrapp.generation.weights import describe_weights, load_weights

    path = path or resources.assets() / "objects.safetensors"
    known = describe_weights(path)
    load_weights(path)
    card = ", ".join(f"{name}: {value}" for name, value in known.card.items() if isinstance(value, str | int | float))
    found = f"{path}, {known.weights_hash[:12]} (hash right), {len(known.categories)} categories: "
    return Finding(OK, f"{found}{', '.join(known.categories)}. {card[:300]}")


def folders(_: Path | None) -> Finding:
    """Where settings, start sets and logs are kept."""
    locked = []
    for folder in (resources.config_folder(), resources.cache_folder()):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as e:
            locked.append(f"{folder} ({e.strerror})")
    if locked:
        return Finding(
            WARN, f"not writable: {', '.join(locked)}", "set VRAPP_CONFIG and VRAPP_CACHE to folders of yours"
        )
    return Finding(OK, f"{resources.config_folder()}, {resources.cache_folder()}")


def audio(_: Path | None) -> Finding:
    """Not part of this version."""
    return Finding(OK, "not used: this version makes no sound")


PROBES: dict[str, Callable[[Path | None], Finding]] = {
    "Python": python, "packages": packages, "OpenGL offscreen": gl_offscreen, "OpenGL window": gl_window,
    "OpenXR": openxr, "torch and CUDA": cuda, "weights": weights, "folders": folders, "audio": audio,
}  # fmt: skip


def main(words: list[str]) -> int:
    """Run the probe ``words[0]`` and print its finding."""
    try:
        finding = PROBES[words[0]](Path(words[1]) if words[1:] else None)
    except VrappError as e:
        finding = Finding(FAIL, str(e))
    except Exception as e:  # a probe's failure is a finding
        finding = Finding(FAIL, f"{type(e).__name__}: {e}")
    print("\n" + json.dumps(asdict(finding)), flush=True)
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    os._exit(status)  # the contexts above are given back by the system, not by destructors of a doubtful driver
