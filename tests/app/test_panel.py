"""The developers' panel over a window's picture."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vrapp.app import panel as panel_module
from vrapp.app.panel import Panel
from vrapp.app.window_tools import WindowTools
from vrapp.core.clock import RealClock
from vrapp.core.input import Button
from vrapp.display.desktop import DesktopDisplay

pytestmark = pytest.mark.window


def picture(display: DesktopDisplay) -> np.ndarray:
    """What the overlay leaves of a grey picture: (H, W, 3)."""
    display.begin_frame()
    display.ctx.screen.use()
    display.ctx.screen.clear(0.5, 0.5, 0.5)
    display.overlay()
    assert display.ctx.error == "GL_NO_ERROR"
    pixels = np.frombuffer(display.ctx.screen.read(components=3, alignment=1), np.uint8).reshape(480, 640, 3)
    display.ctx.clear_errors()  # ModernGL asks for an attachment, which a window has not
    return pixels[::-1]


def test_it_is_ready_before_it_is_opened_and_shows_only_then(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    display = DesktopDisplay((640, 480), "vrapp panel test", RealClock(), pace_hz=100)
    drawn: list[str] = []
    draw = Panel.draw

    def counted(self: Panel, facts: panel_module.PanelFacts, delta_s: float) -> str | None:
        drawn.append(facts.pointed)
        return draw(self, facts, delta_s)

    monkeypatch.setattr(Panel, "draw", counted)
    facts = replace(panel_module._everything(), pointed="a chair")
    monkeypatch.setattr(WindowTools, "_facts", lambda self, loop: facts)
    tools = WindowTools(display)
    try:
        assert len(drawn) == 1  # with every letter, so that the first frame makes none
        assert set("chair 0123456789.%") <= set(drawn[0])
        tools._loop = object()  # type: ignore[assignment]
        assert (picture(display) == picture(display)[0, 0]).all()
        tools.pressed(Button.PANEL, None, 0.0)  # type: ignore[arg-type]
        picture(display)
        shown = picture(display)
        assert (shown[:, :400] != shown[0, 639]).any(axis=2).mean() > 0.3
        assert (shown[:, 450:] == shown[0, 639]).all()
        tools.pressed(Button.PANEL, None, 0.0)  # type: ignore[arg-type]
        assert (picture(display) == picture(display)[0, 0]).all()
        assert drawn[1:] == ["a chair"] * 2
    finally:
        tools.close()
        display.close()


def test_without_the_panel_the_world_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Panel, "__init__", lambda self, window: 1 / 0)
    said: list[str] = []
    display: Any = SimpleNamespace(window=None, overlay=None)
    parts: Any = SimpleNamespace(hud=SimpleNamespace(say=lambda text, now_s: said.append(text)))
    tools = WindowTools(display)
    tools.pressed(Button.PANEL, parts, 0.0)
    display.overlay()
    tools.close()
    assert said == ["The developers' panel cannot be shown on this machine"]
