"""The headset's frame rate: XR_FB_display_refresh_rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xr

from vrapp.display.openxr.results import nicety

EXTENSION = "XR_FB_display_refresh_rate"


def nearest_rate(offered: Sequence[float], wanted_hz: float) -> float | None:
    """The offered rate that is nearest to the wanted one, the higher of two; None where none is offered."""
    return min(offered, key=lambda hz: (abs(hz - wanted_hz), -hz), default=None)


def request_rate(session: Any, wanted_hz: float) -> None:
    """Ask for the nearest rate. What comes is in the frames' predicted period: the runtime may refuse."""
    with nicety(f"The headset does not run at {wanted_hz:g} Hz"):
        rate = nearest_rate([float(hz) for hz in xr.enumerate_display_refresh_rates_fb(session)], wanted_hz)
        if rate is not None:
            xr.request_display_refresh_rate_fb(session, rate)
