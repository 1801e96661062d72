"""Both eyes: OpenXR 1.1, chapter 8 "View Configurations" and 10.5 "View and Projection State"."""

from __future__ import annotations

import math
from collections.abc import Sequence
from ctypes import byref, c_uint32
from typing import Any

import xr

from vrapp.core.errors import DisplayUnavailable
from vrapp.core.maths import Array
from vrapp.core.pose import Fov, View
from vrapp.display.openxr.calls import prepared
from vrapp.display.openxr.results import check
from vrapp.display.openxr.spaces import floats_of, pose_from

STEREO = xr.ViewConfigurationType.PRIMARY_STEREO
_ORIENTATION_VALID = int(xr.ViewStateFlags.ORIENTATION_VALID_BIT)


def recommended_size(instance: Any, system_id: int, scale: float) -> tuple[int, int]:
    """Pixels of one eye: the runtime's recommendation times ``scale``, within its limits, the same for both.

    Raises DisplayUnavailable where the headset has no stereo.
    """
    if STEREO not in [xr.ViewConfigurationType(v) for v in xr.enumerate_view_configurations(instance, system_id)]:
        raise DisplayUnavailable("The headset offers no stereo views through OpenXR; vrapp needs two eyes.")
    eyes = xr.enumerate_view_configuration_views(instance, system_id, STEREO)
    width = max(eye.recommended_image_rect_width for eye in eyes)
    height = max(eye.recommended_image_rect_height for eye in eyes)
    widest = min(eye.max_image_rect_width for eye in eyes)
    highest = min(eye.max_image_rect_height for eye in eyes)
    return min(max(round(width * scale), 16), widest), min(max(round(height * scale), 16), highest)


def blend_mode(instance: Any, system_id: int) -> Any:
    """OPAQUE, or on see-through headsets that have none the mode that the runtime likes best."""
    offered = [xr.EnvironmentBlendMode(m) for m in xr.enumerate_environment_blend_modes(instance, system_id, STEREO)]
    opaque = xr.EnvironmentBlendMode.OPAQUE
    return opaque if opaque in offered or not offered else offered[0]


class EyeLocator:
    """xrLocateViews, into structures that are made once. ``located``: the XrViews of both eyes."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._info = xr.ViewLocateInfo(view_configuration_type=STEREO)
        self._state, self._count = xr.ViewState(), c_uint32()
        array = (xr.View * 2)(xr.View(), xr.View())
        self.located = list(array)
        self._asked = byref(self._info), byref(self._state), 2, byref(self._count), array
        # XrPosef and XrFovf, one behind the other.
        self._floats = [floats_of(view, xr.View.pose.offset, 11) for view in self.located]
        self._call = prepared("xrLocateViews")

    def locate(self, stage: Any, xr_time: int) -> bool:
        """Put both eyes in the stage into ``located``. False without a known orientation."""
        self._info.space, self._info.display_time = stage, xr_time
        check(self._call(self._session, *self._asked))
        return bool(self._state._view_state_flags & _ORIENTATION_VALID) and self._count.value == 2

    def views(self, size: tuple[int, int], hidden: Sequence[Array | None]) -> tuple[View, ...]:
        """``located`` as Views, each with a framebuffer of its own. ``hidden`` as in View, for each eye."""
        return tuple(_view(floats.copy(), size, h) for floats, h in zip(self._floats, hidden, strict=True))


def _view(floats: Array, size: tuple[int, int], hidden: Array | None) -> View:
    left, right, up, down = map(math.tan, floats[7:].tolist())
    return View(pose_from(floats), Fov(left, right, up, down), (0, 0, *size), hidden)
