"""What there is of OpenXR on this machine, for ``vrapp doctor``: found out without opening a session."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

NEEDED = "XR_KHR_opengl_enable"
WELCOME = ("XR_EXT_hand_tracking", "XR_EXT_eye_gaze_interaction", "XR_FB_display_refresh_rate")


@dataclass(frozen=True)
class RuntimeReport:
    """Runtime and headset. ``problem`` is empty where both are there; ``extensions`` are those of interest."""

    manifest: Path | None = None
    runtime: str = ""
    system: str = ""
    extensions: tuple[str, ...] = ()
    problem: str = ""


def active_runtime() -> Path | None:
    """The manifest of the active runtime, as the loader looks for it; None where there is none."""
    if chosen := os.environ.get("XR_RUNTIME_JSON"):
        return Path(chosen)
    if sys.platform == "win32":
        return _registered_runtime()
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    folders = [config, *(os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"), "/etc", "/usr/local/etc"]
    manifests = (Path(folder) / "openxr" / "1" / "active_runtime.json" for folder in folders)
    return next((manifest for manifest in manifests if manifest.exists()), None)


def _registered_runtime() -> Path | None:
    if sys.platform != "win32":
        return None
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Khronos\OpenXR\1") as key:
            return Path(winreg.QueryValueEx(key, "ActiveRuntime")[0])
    except OSError:
        return None


def report() -> RuntimeReport:
    """Load the real loader and ask the runtime. May crash with a bad runtime: call it in a process of its own."""
    manifest = active_runtime()
    if manifest is None:
        return RuntimeReport(problem="no OpenXR runtime is installed (SteamVR, Monado, WiVRn, Meta or another)")
    try:
        runtime = json.loads(manifest.read_text("utf-8"))["runtime"]
        name = str(runtime.get("name") or Path(runtime["library_path"]).name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        return RuntimeReport(manifest, problem=f"its manifest cannot be read ({type(e).__name__}: {e})")
    try:
        return _ask(manifest, name)
    except Exception as e:  # whatever a runtime answers is what the user has to know
        return RuntimeReport(manifest, name, problem=f"it does not start ({type(e).__name__}: {e})")


def _ask(manifest: Path, name: str) -> RuntimeReport:
    import xr

    offered = {_text(item.extension_name) for item in xr.enumerate_instance_extension_properties()}
    extensions = tuple(extension for extension in (NEEDED, *WELCOME) if extension in offered)
    if NEEDED not in offered:
        return RuntimeReport(manifest, name, extensions=extensions, problem=f"it does not offer {NEEDED}")
    application = xr.ApplicationInfo("vrapp doctor", 1, "vrapp", 1, xr.Version(1, 0, 0))
    instance = xr.create_instance(xr.InstanceCreateInfo(application_info=application))
    try:
        name = _text(xr.get_instance_properties(instance).runtime_name)
        system_id = xr.get_system(instance, xr.SystemGetInfo(xr.FormFactor.HEAD_MOUNTED_DISPLAY))
        system = _text(xr.get_system_properties(instance, system_id).system_name)
        return RuntimeReport(manifest, name, system, extensions)
    except xr.exception.FormFactorUnavailableError:
        return RuntimeReport(manifest, name, extensions=extensions, problem="no headset is connected")
    finally:
        xr.destroy_instance(instance)


def _text(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
