"""The connection to the runtime: OpenXR 1.1, chapter 4 "Instance" and 5 "System"."""

from __future__ import annotations

from ctypes import byref
from typing import Any

import xr

from vrapp.core.errors import DisplayUnavailable, GraphicsError
from vrapp.display.openxr import binding, refresh, stereo, time_bridge, visibility
from vrapp.display.openxr.owned import Owned
from vrapp.display.openxr.results import check

#: Taken where the runtime offers them; the program works without each.
OPTIONAL_EXTENSIONS = (
    time_bridge.EXTENSION,
    "XR_EXT_local_floor",  # core in 1.1
    "XR_EXT_hp_mixed_reality_controller",  # core in 1.1
    "XR_EXT_hand_tracking",
    "XR_EXT_hand_interaction",
    "XR_EXT_eye_gaze_interaction",
    "XR_EXT_user_presence",
    visibility.EXTENSION,
    stereo.DEPTH_EXTENSION,
    refresh.EXTENSION,
)
_VERSIONS = ((1, 1), (1, 0))


class Instance:
    """``handle``, ``system_id``, and what runtime and system can do. Made again after InstanceLost.

    ``extensions`` are in use, ``offered`` is all that the runtime has.
    ``hand_tracking``, ``eye_gaze`` and ``user_presence`` are what the *system* supports: an extension may be
    offered by a runtime whose headset has no such sensor.
    """

    def __init__(self, surfaceless: bool) -> None:
        """Connect; ``surfaceless`` where the context is EGL's and there is no window.

        Raises DisplayUnavailable where the runtime cannot take OpenGL, xr.XrException otherwise.
        """
        offered = _offered_extensions()
        required = binding.required_extensions(surfaceless)
        if missing := [name for name in required if name not in offered]:
            raise DisplayUnavailable(_without_opengl(missing[0], surfaceless))
        wanted = (*required, *(name for name in OPTIONAL_EXTENSIONS if name in offered))
        self.extensions, self.offered = frozenset(wanted), frozenset(offered)
        self.system_id = 0  # XR_NULL_SYSTEM_ID until there is a headset
        self.hand_tracking = self.eye_gaze = self.user_presence = False
        self.system_name = ""
        with Owned() as made:
            self.handle, self.api_version = _create(wanted)
            made.destroys(xr.destroy_instance, self.handle)
            properties = xr.get_instance_properties(self.handle)
            version = xr.Version(int(properties.runtime_version))
            self.runtime = f"{_text(properties.runtime_name)} {version.major}.{version.minor}.{version.patch}"
            self._owned = made.pop_all()

    def find_headset(self, gl_version: tuple[int, int]) -> None:
        """Look for a head-mounted display. Raises xr.FormFactorUnavailableError while none is connected.

        Raises GraphicsError where the runtime does not take this OpenGL version.
        """
        get_info = xr.SystemGetInfo(form_factor=xr.FormFactor.HEAD_MOUNTED_DISPLAY)
        self.system_id = xr.get_system(self.handle, get_info)
        self._ask_properties()
        # The specification wants this asked before every session, and answers with versions.
        needs = xr.get_opengl_graphics_requirements_khr(self.handle, self.system_id)
        lowest = xr.Version(int(needs.min_api_version_supported))
        if gl_version < (lowest.major, lowest.minor):
            raise GraphicsError(
                f"The OpenXR runtime needs OpenGL {lowest.major}.{lowest.minor} and the context is "
                f"{gl_version[0]}.{gl_version[1]}; update the graphics driver."
            )

    def _ask_properties(self) -> None:
        # Chained by hand: pyopenxr's wrapper takes no `next`, and that takes structures, not pointers to them.
        # All of them live until the call is over.
        hands, eyes = xr.SystemHandTrackingPropertiesEXT(), xr.SystemEyeGazeInteractionPropertiesEXT()
        presence, properties = xr.SystemUserPresencePropertiesEXT(), xr.SystemProperties()
        known = {"XR_EXT_hand_tracking": hands, "XR_EXT_eye_gaze_interaction": eyes, "XR_EXT_user_presence": presence}
        for extension, asked in known.items():
            if extension in self.extensions:
                asked.next = properties.next
                properties.next = asked
        check(xr.raw_functions.xrGetSystemProperties(self.handle, self.system_id, byref(properties)))
        self.system_name = _text(properties.system_name)
        self.hand_tracking, self.eye_gaze = bool(hands.supports_hand_tracking), bool(eyes.supports_eye_gaze_interaction)
        self.user_presence = bool(presence.supports_user_presence)

    def close(self) -> None:
        """Destroy it. Safe to call twice."""
        self._owned.close()


def _offered_extensions() -> set[str]:
    return {_text(p.extension_name) for p in xr.enumerate_instance_extension_properties()}


def _create(extensions: tuple[str, ...]) -> tuple[Any, tuple[int, int]]:
    """SteamVR has refused 1.1: ask for it, then for 1.0."""
    for version in _VERSIONS:
        application = xr.ApplicationInfo(
            application_name="vrapp", application_version=1, engine_name="vrapp", engine_version=1,
            api_version=xr.Version(*version, 0),
        )  # fmt: skip
        info = xr.InstanceCreateInfo(application_info=application, enabled_extension_names=list(extensions))
        try:
            return xr.create_instance(info), version
        except xr.ApiVersionUnsupportedError:
            if version == _VERSIONS[-1]:
                raise
    raise AssertionError("unreachable")


def _without_opengl(missing: str, surfaceless: bool) -> str:
    if surfaceless and missing != binding.OPENGL_EXTENSION:
        return (
            "The OpenXR runtime works with a window only (it does not offer XR_MNDX_egl_enable); "
            "start vrapp in a desktop session."
        )
    return (
        f"The active OpenXR runtime has no OpenGL support (it does not offer {missing}); "
        "make SteamVR, Monado or WiVRn the active runtime."
    )


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
