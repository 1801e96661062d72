"""Which display this run gets, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from vrapp.core.clock import Clock
from vrapp.core.comfort import Comfort
from vrapp.core.display import Display
from vrapp.core.errors import DisplayUnavailable, GraphicsError, UsageError

NAMES = ("auto", "openxr", "desktop", "offscreen")


@dataclass(frozen=True)
class DisplayOptions:
    """What the displays are opened with. ``size``: pixels of one view; ``view_count``: offscreen only."""

    clock: Clock
    size: tuple[int, int] = (1280, 720)
    pace_hz: float | None = None
    vsync: bool = True
    view_count: int = 1
    title: str = "vrapp"
    resolution_scale: float = 1.0  # of the headset's recommended size
    wait_for_headset: bool = False  # open the mirror window alone where the headset is not connected yet
    comfort: Comfort = field(default_factory=Comfort)


def _open_openxr(options: DisplayOptions) -> Display:
    from vrapp.display.openxr.probe import open_headset
    from vrapp.display.openxr.wishes import Wishes

    wishes = Wishes(options.resolution_scale, options.pace_hz, options.comfort)
    return open_headset(options.clock, options.size, options.title, wishes, options.wait_for_headset)


def _open_desktop(options: DisplayOptions) -> Display:
    from vrapp.display.desktop import DesktopDisplay

    size, title, clock = options.size, options.title, options.clock
    return DesktopDisplay(size, title, clock, options.pace_hz, options.vsync, comfort=options.comfort)


def _open_offscreen(options: DisplayOptions) -> Display:
    from vrapp.display.offscreen import OffscreenDisplay

    return OffscreenDisplay(options.size, options.clock, options.pace_hz, options.view_count)


Opener = Callable[[DisplayOptions], Display]

#: In the order in which ``auto`` tries them.
OPENERS: Sequence[tuple[str, Opener]] = (
    ("openxr", _open_openxr),
    ("desktop", _open_desktop),
    ("offscreen", _open_offscreen),
)


def open_display(
    name: str, options: DisplayOptions, openers: Sequence[tuple[str, Opener]] = OPENERS
) -> tuple[Display, list[str]]:
    """Open the display called ``name``; ``auto`` takes the first that starts.

    Returns it with the reasons, one line each, for which those before it were passed over. A named
    display raises DisplayUnavailable or GraphicsError rather than fall back; so does ``auto`` when
    nothing starts. Raises UsageError for an unknown name.
    """
    known = dict(openers)
    if name in known:
        return known[name](options), []
    if name != "auto":
        raise UsageError(f"There is no display '{name}'; choose one of {', '.join(('auto', *known))}.")
    reasons: list[str] = []
    options = replace(options, wait_for_headset=True)
    for candidate, opener in openers:
        try:
            display = opener(options)
        except (DisplayUnavailable, GraphicsError) as e:
            reasons.append(f"{candidate}: {e}")
            continue
        if lost := getattr(display, "lost", None):
            reasons.append(f"{candidate}: {lost}.")
        return display, reasons
    raise DisplayUnavailable("No display can be opened on this machine: " + " | ".join(reasons))
