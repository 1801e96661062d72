"""The calls of every frame, without pyopenxr's wrappers.

Those build structures, copy lists and make an exception for each answer, and there are thirty calls in a frame: that
took longer than the calls. Here the caller makes its structures once, and the answer is a number for ``results.check``.
"""

from __future__ import annotations

from ctypes import CFUNCTYPE, c_int32, c_void_p, cast
from typing import Any

import xr

from vrapp.display.openxr.meter import Call, through_meter


def prepared(name: str, function: Any = None) -> Call:
    """The loader's function ``name``, or a given ``function`` of an extension, that answers its XrResult as an int."""
    function = function or getattr(xr.raw_functions, name)
    call: Call = CFUNCTYPE(c_int32, *function.argtypes)(cast(function, c_void_p).value or 0)
    return through_meter(call)
