"""What a window adds for developers: the panel (F1), pictures (F12), shaders that reload on save."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrapp.app import hardware
from vrapp.app.panel import Panel, PanelFacts
from vrapp.core.errors import OutputError
from vrapp.core.input import Button

if TYPE_CHECKING:
    from vrapp.app.loop import Loop, Parts

log = logging.getLogger(__name__)

_NO_PANEL = "The developers' panel cannot be shown on this machine"


class WindowTools:
    """Owns the panel, which is drawn over the window's picture. It is made at the start: no frame has time for it.

    ``display`` is one that has a ``window``, an ``overlay`` and ``attach`` (desktop, or a headset's mirror).
    """

    def __init__(self, display: Any) -> None:
        self._display = display
        self._panel = panel = _panel(display.window)
        self._shown = False
        self._loop: Loop | None = None
        if panel is not None:
            display.attach(panel, lambda: self._shown and panel.wants_mouse(), lambda: False)
        self._drawn_s = time.perf_counter()
        display.overlay = self._draw

    def update(self, loop: Loop) -> None:
        """Once a frame: shaders that were saved, and what the overlay will show."""
        self._loop = loop
        self._display.menu_open(loop.parts.hud.menu.is_open)
        if message := loop.parts.renderer.reload_if_changed():
            loop.parts.hud.say(message, loop.snapshot.time_ns / 1e9)
            log.info(message)

    def pressed(self, buttons: Button, parts: Parts, now_s: float) -> None:
        """F1 and F12."""
        if buttons & Button.PANEL and self._panel is None:
            parts.hud.say(_NO_PANEL, now_s)
        elif buttons & Button.PANEL:
            self._shown = not self._shown
        if buttons & Button.SCREENSHOT:
            parts.hud.say(self._picture(parts), now_s)

    def _picture(self, parts: Parts) -> str:
        path = Path.cwd() / f"vrapp-{time.strftime('%Y%m%d-%H%M%S')}.png"
        try:
            hardware.write_png(path, parts.renderer.read_pixels())
        except OutputError as e:
            return str(e)
        return f"Picture: {path}"

    def _draw(self) -> None:
        """The display's overlay: into the window's back buffer, after the world."""
        now_s = time.perf_counter()
        delta_s, self._drawn_s = now_s - self._drawn_s, now_s
        if not self._shown or self._loop is None or self._panel is None:
            return
        chosen = self._panel.draw(self._facts(self._loop), delta_s)
        if chosen is not None:
            self._loop.parts.adaptation.use(chosen)

    def _facts(self, loop: Loop) -> PanelFacts:
        p = loop.parts
        pointed, components = loop.pointed_components()
        return PanelFacts(
            timers=loop.timers,
            gpu_ms=p.renderer.stage_ms(),
            figures=p.generator.figures,
            bank=len(p.bank),
            objects=len(p.store),
            triangles=p.renderer.triangles_drawn,
            period_ms=1e3 / 60,
            policies=p.adaptation.policies,
            preference=p.adaptation.summary(),
            categories=p.categories,
            pointed=pointed,
            components=components,
        )

    def close(self) -> None:
        """Destroy the panel."""
        self._display.overlay = lambda: None
        if self._panel is not None:
            self._panel.close()


def _panel(window: Any) -> Panel | None:
    """The panel, or None: the world goes on without it."""
    try:
        return Panel(window)
    except Exception as error:  # Dear ImGui's build, or its shaders on a driver that nobody has tried
        log.warning("%s: %s: %s", _NO_PANEL, type(error).__name__, str(error).splitlines()[:1])
        return None
