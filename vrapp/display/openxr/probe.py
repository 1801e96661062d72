"""Whether there is a runtime at all, without importing ``xr`` or waking the loader."""

from __future__ import annotations

from vrapp.core.clock import Clock
from vrapp.core.display import Display
from vrapp.core.errors import DisplayUnavailable


def open_headset(clock: Clock, mirror_size: tuple[int, int], title: str, resolution_scale: float) -> Display:
    """Not built yet."""
    raise DisplayUnavailable("No OpenXR runtime is installed on this machine; install SteamVR, Monado or another.")
