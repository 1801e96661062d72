"""What the lenses hide of each eye's picture: XR_KHR_visibility_mask."""

from __future__ import annotations

from ctypes import POINTER, byref, cast
from typing import Any

import numpy as np
import xr

from vrapp.core.maths import Array
from vrapp.display.openxr.results import check, nicety
from vrapp.display.openxr.views import STEREO

EXTENSION = "XR_KHR_visibility_mask"
_HIDDEN = xr.VisibilityMaskTypeKHR.HIDDEN_TRIANGLE_MESH.value


class VisibilityMasks:
    """``hidden[eye]``: triangles (3T, 2) float32 in the plane z = -1 m before the eye; None where there are none."""

    def __init__(self, instance: Any, session: Any, extensions: frozenset[str]) -> None:
        """``instance``: the XrInstance."""
        self.hidden: list[Array | None] = [None, None]
        self._instance, self._session = instance, session
        self._offered = EXTENSION in extensions
        for eye in range(2):
            self.refresh(eye)

    def refresh(self, eye: int) -> None:
        """Ask again: the runtime has changed it (the user turned the lenses' wheel)."""
        if not self._offered or eye not in (0, 1):
            return
        self.hidden[eye] = None
        with nicety("The headset does not tell what its lenses hide"):
            self.hidden[eye] = self._ask(eye)

    def _ask(self, eye: int) -> Array | None:
        # pyopenxr's wrapper gives the counts only, so both calls of the two-call idiom are made by hand.
        name = "xrGetVisibilityMaskKHR"
        get = cast(xr.get_instance_proc_addr(self._instance, name), xr.PFN_xrGetVisibilityMaskKHR)
        mask = xr.VisibilityMaskKHR()
        check(get(self._session, STEREO.value, eye, _HIDDEN, byref(mask)))
        if not mask.vertex_count_output or not mask.index_count_output:
            return None
        vertices = np.zeros((mask.vertex_count_output, 2), np.float32)
        indices = np.zeros(mask.index_count_output, np.uint32)
        mask.vertex_capacity_input, mask.index_capacity_input = len(vertices), len(indices)
        mask.vertices = vertices.ctypes.data_as(POINTER(xr.Vector2f))
        mask.indices = indices.ctypes.data_as(POINTER(xr.typedefs.c_uint32))
        check(get(self._session, STEREO.value, eye, _HIDDEN, byref(mask)))
        indices = indices[: mask.index_count_output // 3 * 3]
        return np.ascontiguousarray(vertices[indices]) if indices.max(initial=0) < len(vertices) else None
