"""What there is of OpenXR on this machine, for ``vrapp doctor``: found out without opening a session."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vrapp.core.errors import VrappError
from vrapp.display.openxr.probe import active_runtime, require_runtime

if TYPE_CHECKING:
    from vrapp.display.openxr.instance import Instance

GL_VERSION = (4, 5)  # what the program's own context has at least
#: What each extension is good for, in the order of importance.
NICETIES = {
    "XR_EXT_local_floor": "floor",
    "XR_KHR_composition_layer_depth": "depth",
    "XR_KHR_visibility_mask": "hidden area",
    "XR_FB_display_refresh_rate": "choice of refresh rate",
    "XR_EXT_user_presence": "presence",
    "XR_EXT_hand_tracking": "bare hands",
    "XR_EXT_hand_interaction": "pinch and grasp",
    "XR_EXT_eye_gaze_interaction": "eyes",
    "XR_EXT_hp_mixed_reality_controller": "HP controllers",
    "XR_MNDX_egl_enable": "use without a window",
}


@dataclass(frozen=True)
class RuntimeReport:
    """Runtime and headset. ``problem`` is empty where both are there, else a sentence that says what to do."""

    manifest: Path | None = None
    runtime: str = ""
    headset: str = ""
    offers: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    problem: str = ""


def report() -> RuntimeReport:
    """Load the real loader and ask the runtime. May crash with a bad runtime: call it in a process of its own."""
    manifest = active_runtime()
    try:
        require_runtime()
        return _ask(manifest)
    except VrappError as e:
        return RuntimeReport(manifest, problem=str(e))
    except Exception as e:  # whatever a runtime answers is what the user has to know
        return RuntimeReport(manifest, problem=f"It does not start ({type(e).__name__}: {e}).")


def _ask(manifest: Path | None) -> RuntimeReport:
    import xr

    from vrapp.display.openxr.instance import Instance
    from vrapp.display.openxr.results import explain

    try:
        instance = Instance(surfaceless=False)
    except xr.XrException as e:
        return RuntimeReport(manifest, problem=f"{explain(e)}.")
    try:
        runtime = f"{instance.runtime}, OpenXR {'.'.join(map(str, instance.api_version))}"
        headset, problem = "", ""
        try:
            instance.find_headset(GL_VERSION)
            headset = _describe(instance)
        except VrappError as e:
            problem = str(e)
        except xr.XrException as e:
            problem = f"{explain(e)}."
        offers, lacks = _niceties(instance, bool(headset))
        return RuntimeReport(manifest, runtime, headset, offers, lacks, problem)
    finally:
        instance.close()


def _describe(instance: Instance) -> str:
    from vrapp.display.openxr.views import recommended_size

    width, height = recommended_size(instance.handle, instance.system_id, 1.0)
    return f"{instance.system_name}, 2 x {width}x{height} recommended"


def _niceties(instance: Instance, has_headset: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What it offers and what it lacks. The extension alone says little: of sensors the headset itself is asked."""
    found = {what: name in instance.offered or _is_core(instance, name) for name, what in NICETIES.items()}
    if has_headset:
        found |= {"presence": instance.user_presence, "bare hands": instance.hand_tracking, "eyes": instance.eye_gaze}
    return tuple(what for what, there in found.items() if there), tuple(
        what for what, there in found.items() if not there
    )


def _is_core(instance: Instance, extension: str) -> bool:
    core = ("XR_EXT_local_floor", "XR_EXT_hp_mixed_reality_controller")
    return extension in core and instance.api_version >= (1, 1)
