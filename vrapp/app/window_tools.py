"""What a window adds for developers: the panel (F1), pictures (F12), shaders that reload on save."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrapp.app import hardware
from vrapp.core.errors import OutputError
from vrapp.core.input import Button

if TYPE_CHECKING:
    from vrapp.app.loop import Loop, Parts

log = logging.getLogger(__name__)


class WindowTools:
    """Owns the panel, which is made when it is first opened."""

    def __init__(self, window: Any) -> None:
        self._window = window
        self._panel: Any = None
        self._shown = False

    def wants_mouse(self) -> bool:
        """The pointer is over the open panel."""
        return self._shown and self._panel is not None and bool(self._panel.wants_mouse())

    def pressed(self, buttons: Button, parts: Parts, now_s: float) -> None:
        """F1 and F12."""
        if buttons & Button.PANEL:
            self._shown = not self._shown
            if self._shown and self._panel is None:
                from vrapp.app.panel import Panel

                self._panel = Panel(self._window)
        if buttons & Button.SCREENSHOT:
            parts.hud.say(self._picture(parts), now_s)

    def _picture(self, parts: Parts) -> str:
        path = Path.cwd() / f"vrapp-{time.strftime('%Y%m%d-%H%M%S')}.png"
        try:
            hardware.write_png(path, parts.renderer.read_pixels())
        except OutputError as e:
            return str(e)
        return f"Picture: {path}"

    def draw(self, loop: Loop, delta_s: float) -> float:
        """After the world, into the window's back buffer. Answers the CPU seconds it took."""
        if message := loop.parts.renderer.reload_if_changed():
            loop.parts.hud.say(message, loop.snapshot.time_ns / 1e9)
            log.info(message)
        if not self._shown or self._panel is None:
            return 0.0
        before = time.thread_time_ns()
        chosen = self._panel.draw(self._facts(loop), delta_s)
        if chosen is not None:
            loop.parts.adaptation.use(chosen)
        return (time.thread_time_ns() - before) / 1e9

    def _facts(self, loop: Loop) -> Any:
        from vrapp.app.panel import PanelFacts

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
        if self._panel is not None:
            self._panel.close()
            self._panel = None
