"""What there is of OpenXR on this machine, for ``vrapp doctor``: found out without opening a session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from vrapp.display.openxr.probe import active_runtime

NEEDED = "XR_KHR_opengl_enable"
WELCOME = (
    "XR_MNDX_egl_enable", "XR_EXT_local_floor", "XR_EXT_user_presence", "XR_KHR_visibility_mask",
    "XR_KHR_composition_layer_depth", "XR_FB_display_refresh_rate", "XR_EXT_hand_tracking", "XR_EXT_hand_interaction",
    "XR_EXT_eye_gaze_interaction",
)  # fmt: skip


@dataclass(frozen=True)
class RuntimeReport:
    """Runtime and headset. ``problem`` is empty where both are there; ``extensions`` are those of interest."""

    manifest: Path | None = None
    runtime: str = ""
    system: str = ""
    extensions: tuple[str, ...] = ()
    problem: str = ""


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
        stereo = xr.ViewConfigurationType.PRIMARY_STEREO
        eye = xr.enumerate_view_configuration_views(instance, system_id, stereo)[0]
        system += f" (2 x {eye.recommended_image_rect_width}x{eye.recommended_image_rect_height})"
        return RuntimeReport(manifest, name, system, extensions)
    except xr.exception.FormFactorUnavailableError:
        return RuntimeReport(manifest, name, extensions=extensions, problem="no headset is connected")
    finally:
        xr.destroy_instance(instance)


def _text(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
