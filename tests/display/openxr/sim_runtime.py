"""A simulated OpenXR runtime on pyopenxr's own C types: here instance, system and session.

The user lives in a *tracking frame*. Every base space is moved and turned in it, so that poses read in the
wrong space are wrong. Time is virtual: xrWaitFrame moves it by one period.
"""

from __future__ import annotations

import collections
from ctypes import POINTER, byref, cast, memmove, sizeof
from typing import Any

import xr
from sim_base import R, Refused, T, number
from sim_frames import XR_AHEAD_NS, S, SimFrames
from sim_space import Mask

from vrapp.core.pose import Pose

ALL_EXTENSIONS = (
    "XR_KHR_opengl_enable", "XR_MNDX_egl_enable", "XR_KHR_convert_timespec_time", "XR_EXT_local_floor",
    "XR_EXT_hand_tracking", "XR_EXT_hand_interaction", "XR_EXT_eye_gaze_interaction",
    "XR_EXT_hp_mixed_reality_controller", "XR_FB_display_refresh_rate", "XR_KHR_visibility_mask",
    "XR_EXT_user_presence", "XR_KHR_composition_layer_depth",
)  # fmt: skip


class SimulatedRuntime(SimFrames):
    """Set the attributes to change what the machine has; call ``put_on``, ``take_off``, ``go`` to act."""

    def __init__(self, size: tuple[int, int] = (64, 48)) -> None:
        self.size = size  # recommended pixels of one eye
        self.extensions = list(ALL_EXTENSIONS)
        self.api_versions = ((1, 1), (1, 0))
        self.connected, self.worn = True, True
        self.presence_supported = True
        self.least_gl = (4, 0)
        self.rates_hz = [72.0, 90.0, 120.0]
        self.states: list[xr.SessionState] = []
        self._events: collections.deque[Any] = collections.deque()
        self._leaving = self._asked_gl = False
        self._on: set[str] = set()
        super().__init__()

    # The user and the hardware.

    def go(self, state: xr.SessionState) -> None:
        """Change the session's state and tell the program."""
        sessions = self.alive("session")
        self._state = state
        self.states.append(state)
        if sessions:
            session = cast(sessions[0], xr.Session)
            self._events.append(xr.EventDataSessionStateChanged(session=session, state=state, time=self.now))

    def put_on(self) -> None:
        """The headset is on the head."""
        self.worn = True
        if self._state == S.IDLE:
            self.go(S.READY)

    def take_off(self) -> None:
        """The headset is taken off: the runtime winds the session down to IDLE."""
        self.worn = False
        self._wind_down()

    def _wind_down(self) -> None:
        for state in {S.FOCUSED: (S.VISIBLE, S.SYNCHRONIZED), S.VISIBLE: (S.SYNCHRONIZED,)}.get(self._state, ()):
            self.go(state)
        if self._running:
            self.go(S.STOPPING)

    def tell_presence(self, present: bool) -> None:
        """The sensor at the forehead."""
        session = cast(self.alive("session")[0], xr.Session)
        if "XR_EXT_user_presence" in self._on and self.presence_supported:
            self._events.append(xr.EventDataUserPresenceChangedEXT(session=session, is_user_present=present))

    def turn_lens_wheel(self, eye: int, mask: Mask) -> None:
        """The runtime's mask of one eye changes."""
        self.masks[eye] = mask
        session, stereo = cast(self.alive("session")[0], xr.Session), xr.ViewConfigurationType.PRIMARY_STEREO
        self._events.append(
            xr.EventDataVisibilityMaskChangedKHR(session=session, view_configuration_type=stereo, view_index=eye)
        )

    def change_rate(self, hz: float) -> None:
        """In the runtime's settings."""
        before, self.period_ns = 1e9 / self.period_ns, round(1e9 / hz)
        self._events.append(
            xr.EventDataDisplayRefreshRateChangedFB(from_display_refresh_rate=before, to_display_refresh_rate=hz)
        )

    def recentre(self, kind: xr.ReferenceSpaceType, base: Pose) -> None:
        """By the user, through the runtime: ``kind`` lies there from now on."""
        session = cast(self.alive("session")[0], xr.Session)
        self.bases[kind] = base
        self._events.append(
            xr.EventDataReferenceSpaceChangePending(
                session=session, reference_space_type=kind, change_time=self.now, pose_valid=0
            )
        )

    def lose_instance_soon(self) -> None:
        """The runtime says that it is going away."""
        self._events.append(xr.EventDataInstanceLossPending(loss_time=self.now + 10**9))

    def focused(self) -> bool:
        return self._running and self._state == S.FOCUSED

    def tell_profiles(self, session: Any) -> None:
        self._events.append(xr.EventDataInteractionProfileChanged(session=cast(session, xr.Session)))

    def extensions_on(self) -> set[str]:
        return self._on

    # Instance and system.

    def xrGetInstanceProcAddr(self, instance: Any, name: bytes, out: Any) -> None:
        found = self.table.get(name.decode())
        cast(out, POINTER(xr.typedefs.c_void_p))[0] = None
        if found is None:
            raise Refused(R.ERROR_FUNCTION_UNSUPPORTED)
        cast(out, POINTER(xr.typedefs.c_void_p))[0] = cast(found, xr.typedefs.c_void_p).value

    def xrEnumerateInstanceExtensionProperties(self, layer: Any, capacity: int, count: Any, out: Any) -> None:
        if self.room_for(capacity, count, len(self.extensions)):
            for k, name in enumerate(self.extensions):
                out[k].extension_name, out[k].extension_version = name.encode(), 1

    def xrEnumerateApiLayerProperties(self, capacity: int, count: Any, out: Any) -> None:
        count[0] = 0

    def xrCreateInstance(self, info: Any, out: Any) -> None:
        i = info.contents
        wanted = number(i.application_info.api_version)
        if (wanted >> 48, wanted >> 32 & 0xFFFF) not in self.api_versions:
            raise Refused(R.ERROR_API_VERSION_UNSUPPORTED)
        names = [i._enabled_extension_names[k].decode() for k in range(i.enabled_extension_count)]
        if missing := set(names) - set(self.extensions):
            raise Refused(R.ERROR_EXTENSION_NOT_PRESENT, str(missing))
        if self.alive("instance"):
            raise Refused(R.ERROR_LIMIT_REACHED, "a second instance")
        self._on = set(names)
        self.new("instance", 0, out)

    def xrDestroyInstance(self, instance: Any) -> None:
        self.destroy(instance, "instance")
        self._events.clear()

    def xrGetInstanceProperties(self, instance: Any, out: Any) -> None:
        self.get(instance, "instance")
        out.contents.runtime_name, out.contents.runtime_version = b"Simulated", 1 << 48 | 2 << 32 | 3

    def xrPollEvent(self, instance: Any, buffer: Any) -> xr.Result | None:
        self.get(instance, "instance")
        if not self._events:
            return R.EVENT_UNAVAILABLE
        event = self._events.popleft()
        memmove(buffer, byref(event), sizeof(event))
        return None

    def xrGetSystem(self, instance: Any, info: Any, out: Any) -> None:
        self.get(instance, "instance")
        if not self.connected:
            raise Refused(R.ERROR_FORM_FACTOR_UNAVAILABLE)
        out[0] = 1

    def xrGetSystemProperties(self, instance: Any, system: Any, out: Any) -> None:
        p = out.contents
        p.system_id, p.system_name = 1, b"Simulated headset"
        g = p.graphics_properties
        g.max_layer_count, g.max_swapchain_image_width, g.max_swapchain_image_height = 16, 4096, 4096
        hands = self.chained(p._next, T.SYSTEM_HAND_TRACKING_PROPERTIES_EXT, xr.SystemHandTrackingPropertiesEXT)
        eyes = self.chained(
            p._next, T.SYSTEM_EYE_GAZE_INTERACTION_PROPERTIES_EXT, xr.SystemEyeGazeInteractionPropertiesEXT
        )
        presence = self.chained(p._next, T.SYSTEM_USER_PRESENCE_PROPERTIES_EXT, xr.SystemUserPresencePropertiesEXT)
        if presence is not None:
            presence.supports_user_presence = self.presence_supported
        if hands is not None:
            hands.supports_hand_tracking = self.hands_supported
        if eyes is not None:
            eyes.supports_eye_gaze_interaction = self.eyes_supported

    def xrGetOpenGLGraphicsRequirementsKHR(self, instance: Any, system: Any, out: Any) -> None:
        major, minor = self.least_gl
        out.contents.min_api_version_supported = major << 48 | minor << 32
        out.contents.max_api_version_supported = 4 << 48 | 6 << 32
        self._asked_gl = True

    def xrConvertTimespecTimeToTimeKHR(self, instance: Any, timespec: Any, out: Any) -> None:
        t = timespec.contents
        out[0] = t.tv_sec * 10**9 + t.tv_nsec + XR_AHEAD_NS

    def xrStringToPath(self, instance: Any, text: bytes, out: Any) -> None:
        out[0] = self.path_of(text.decode())

    def xrPathToString(self, instance: Any, path: Any, capacity: int, count: Any, buffer: Any) -> None:
        text = self.text_of(path).encode() + b"\0"
        if self.room_for(capacity, count, len(text)):
            memmove(buffer, text, len(text))

    def xrEnumerateViewConfigurations(self, instance: Any, system: Any, capacity: int, count: Any, out: Any) -> None:
        if self.room_for(capacity, count, 1):
            out[0] = xr.ViewConfigurationType.PRIMARY_STEREO.value

    def xrEnumerateViewConfigurationViews(
        self, instance: Any, system: Any, kind: Any, capacity: int, count: Any, out: Any
    ) -> None:
        if self.room_for(capacity, count, 2):
            for k in range(2):
                out[k].recommended_image_rect_width, out[k].recommended_image_rect_height = self.size
                out[k].max_image_rect_width = out[k].max_image_rect_height = 4096
                out[k].recommended_swapchain_sample_count = out[k].max_swapchain_sample_count = 1

    def xrEnumerateEnvironmentBlendModes(
        self, instance: Any, system: Any, kind: Any, capacity: int, count: Any, out: Any
    ) -> None:
        if self.room_for(capacity, count, len(self.blend_modes)):
            for k, mode in enumerate(self.blend_modes):
                out[k] = mode.value

    def xrEnumerateDisplayRefreshRatesFB(self, session: Any, capacity: int, count: Any, out: Any) -> None:
        self.get(session, "session")
        if self.room_for(capacity, count, len(self.rates_hz)):
            for k, hz in enumerate(self.rates_hz):
                out[k] = hz

    def xrRequestDisplayRefreshRateFB(self, session: Any, hz: Any) -> None:
        value = float(getattr(hz, "value", hz))
        if value not in self.rates_hz:
            raise Refused(R.ERROR_DISPLAY_REFRESH_RATE_UNSUPPORTED_FB, f"{value} Hz")
        self.period_ns = round(1e9 / value)

    # Session.

    def xrCreateSession(self, instance: Any, info: Any, out: Any) -> None:
        self.get(instance, "instance")
        chain = info.contents._next
        x11 = self.chained(chain, T.GRAPHICS_BINDING_OPENGL_XLIB_KHR, xr.GraphicsBindingOpenGLXlibKHR)
        egl = self.chained(chain, T.GRAPHICS_BINDING_EGL_MNDX, xr.GraphicsBindingEGLMNDX)
        if not self._asked_gl:
            raise Refused(R.ERROR_GRAPHICS_REQUIREMENTS_CALL_MISSING, "requirements were not asked for")
        if x11 is not None and not (x11.x_display and x11.glx_fbconfig and x11.glx_context and x11.visualid):
            raise Refused(R.ERROR_GRAPHICS_DEVICE_INVALID, "GLX binding with a NULL in it")
        if egl is not None and not (egl.display and egl.config and egl.context and egl.get_proc_address):
            raise Refused(R.ERROR_GRAPHICS_DEVICE_INVALID, "EGL binding with a NULL in it")
        if x11 is None and egl is None:
            raise Refused(R.ERROR_GRAPHICS_DEVICE_INVALID, "no graphics binding")
        self.new("session", instance, out)
        self._asked_gl = self._running = self._begun = self._leaving = False
        self._waited, self.synced = 0, None
        self.go(S.IDLE)
        if self.worn:
            self.go(S.READY)

    def xrDestroySession(self, session: Any) -> None:
        self.destroy(session, "session")
        self._running = False

    def xrBeginSession(self, session: Any, info: Any) -> None:
        self.get(session, "session")
        if self._running:
            raise Refused(R.ERROR_SESSION_RUNNING, "begun twice")
        if self._state != S.READY:
            raise Refused(R.ERROR_SESSION_NOT_READY, f"begun in {self._state.name}")
        self._running = True
        self.tell_presence(self.worn)
        for state in (S.SYNCHRONIZED, S.VISIBLE, S.FOCUSED):
            self.go(state)

    def xrEndSession(self, session: Any) -> None:
        if self._state != S.STOPPING or not self._running:
            raise Refused(R.ERROR_SESSION_NOT_STOPPING, f"ended in {self._state.name}")
        self._running = False
        self.go(S.IDLE)
        if self._leaving:
            self.go(S.EXITING)

    def xrRequestExitSession(self, session: Any) -> None:
        if not self._running:
            raise Refused(R.ERROR_SESSION_NOT_RUNNING, "exit asked of a session that is not running")
        self._leaving = True
        self._wind_down()
