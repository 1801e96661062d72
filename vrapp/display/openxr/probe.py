"""Whether there is an OpenXR runtime at all, found without importing ``xr`` or waking the loader.

Where the loader looks: OpenXR Loader specification, "Runtime discovery". Its own search prints errors
and takes a while; this answers at once and in silence.
"""

from __future__ import annotations

import ctypes.util
import json
import os
import platform
import sys
from pathlib import Path

from vrapp.core.clock import Clock
from vrapp.core.display import Display
from vrapp.core.errors import DisplayUnavailable
from vrapp.display.openxr.wishes import Wishes

_INSTALL_ONE = "install and start SteamVR, Monado, WiVRn or the headset maker's runtime"


def active_runtime() -> Path | None:
    """The manifest of the active runtime, None where there is none."""
    if override := os.environ.get("XR_RUNTIME_JSON"):
        return Path(override)
    if sys.platform == "win32":
        return _windows_runtime()
    return next((path for path in _manifest_places() if path.is_file()), None)


def _manifest_places() -> list[Path]:
    config_dirs = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    folders = [os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config"), *config_dirs.split(":")]
    folders += ["/etc", "/usr/local/etc", "/usr/local/share"]
    names = (f"active_runtime.{platform.machine()}.json", "active_runtime.json")
    return [Path(folder) / "openxr" / "1" / name for folder in folders for name in names]


if sys.platform == "win32":

    def _windows_runtime() -> Path | None:
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Khronos\OpenXR\1") as key:
                return Path(winreg.QueryValueEx(key, "ActiveRuntime")[0])
        except OSError:
            return None

else:

    def _windows_runtime() -> Path | None:
        return None


def require_runtime() -> Path:
    """The manifest. Raises DisplayUnavailable where no headset can work on this machine, and says why."""
    manifest = active_runtime()
    if manifest is None:
        raise DisplayUnavailable(f"No OpenXR runtime is installed on this machine; {_INSTALL_ONE}.")
    if not manifest.is_file():
        raise DisplayUnavailable(f"The OpenXR runtime's manifest '{manifest}' is missing; {_INSTALL_ONE}.")
    if (library := _library_of(manifest)) is not None and not library.exists():
        raise DisplayUnavailable(
            f"The active OpenXR runtime ('{manifest}') has lost its library '{library}'; install it again, "
            "or make another runtime the active one."
        )
    if sys.platform == "linux" and not ctypes.util.find_library("GL"):
        # Without it pyopenxr's import ends in an AttributeError.
        raise DisplayUnavailable("OpenXR needs libGL, which is missing; on Debian or Ubuntu: 'apt-get install libgl1'.")
    return manifest


def _library_of(manifest: Path) -> Path | None:
    """OpenXR Loader specification, "Runtime Manifest File Format". None where the system looks for it by name."""
    try:
        named = Path(json.loads(manifest.read_text("utf-8-sig"))["runtime"]["library_path"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DisplayUnavailable(
            f"The OpenXR runtime's manifest '{manifest}' cannot be read ({type(e).__name__}: {e}); "
            "install the runtime again, or make another one the active one."
        ) from e
    return manifest.resolve().parent / named if named.parent != Path() else None


def open_headset(
    clock: Clock,
    mirror_size: tuple[int, int],
    title: str,
    wishes: Wishes | None = None,
    wait: bool = False,
) -> Display:
    """The headset with its mirror window. ``wait``: also where no headset is connected *yet*.

    Raises DisplayUnavailable with the reason: no loader, no runtime, a failing one, one without OpenGL, no headset;
    GraphicsError where the runtime wants a newer OpenGL.
    """
    require_runtime()
    # The reasons are told in our own words; XR_LOADER_DEBUG set by the user stays.
    os.environ.setdefault("XR_LOADER_DEBUG", "none")
    try:
        from vrapp.display.openxr.display import OpenXRDisplay
    except (AttributeError, ImportError, OSError) as e:
        raise DisplayUnavailable(
            f"The OpenXR loader of the Python package pyopenxr cannot be loaded ({e}); install it again: "
            "'python -m pip install --force-reinstall pyopenxr'."
        ) from e
    return OpenXRDisplay(clock, mirror_size, title, wishes, wait)
