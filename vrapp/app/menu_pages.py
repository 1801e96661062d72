"""What stands on the menu: its pages as sheets of text and buttons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from vrapp.core.comfort import Comfort
from vrapp.render.pictures import Look, Tile, sheet_picture

WIDTH_PX, WIDTH_M = 896, 0.64  # at 1.1 m a texel for each pixel up to 27 a degree, letters of 20 mrad
_PAD, _GAP, _TITLE, _COLUMNS, _ROWS = 32, 12, 60, 4, 7
_CELL = ((WIDTH_PX - 2 * _PAD - (_COLUMNS - 1) * _GAP) // _COLUMNS, 56)
_LINE = 46
_HEIGHT_PX = 2 * _PAD + _TITLE + _ROWS * (_CELL[1] + _GAP)


class Page(Enum):
    """One of the menu's pages."""

    MAIN = "Menu"
    HELP = "Help"
    TASTE = "What you seem to like"
    KEPT = "What you keep"


class Do(Enum):
    """What a button does, beside opening a page and changing a setting."""

    CLOSE = "Go on"
    PAUSE = "Pause"
    RECENTRE = "Recentre"
    LEAVE = "Leave"


#: What a button stands for: an act, a page, or (field of Comfort, value).
Meaning = Do | Page | tuple[str, Any]


class Button(NamedTuple):
    """Where it is on the sheet, in pixels from the upper left corner."""

    x: int
    y: int
    width: int
    height: int
    meaning: Meaning

    def holds(self, x: float, y: float) -> bool:
        """Whether this pixel is on it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


@dataclass(frozen=True)
class MenuFacts:
    """``likes``: (category, share of what is made next); ``kept``: (category, how many)."""

    policy: str = ""
    choices: int = 0
    likes: tuple[tuple[str, float], ...] = ()
    kept: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class MenuState:
    """Everything that shows on a sheet. ``sure``: the next click on Leave leaves."""

    page: Page
    comfort: Comfort
    facts: MenuFacts
    help: tuple[str, ...]
    paused: bool
    sure: bool


@dataclass(frozen=True)
class Sheet:
    """A page as it is seen: its picture, and where its buttons are."""

    pixels: np.ndarray
    buttons: tuple[Button, ...]


_SETTINGS: tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...] = (
    ("Turn by", "turn_deg", (("30\N{DEGREE SIGN}", 30.0), ("45\N{DEGREE SIGN}", 45.0), ("smooth", 0.0))),
    ("Move by", "move", (("both", "both"), ("walking", "walk"), ("teleport", "teleport"))),
    ("Vignette", "vignette", (("never", 0.0), ("half", 0.5), ("full", 1.0))),
    ("Main hand", "left_handed", (("right", False), ("left", True))),
    ("You", "seated", (("stand", False), ("sit", True))),
)


def sheet_of(state: MenuState) -> Sheet:
    """Paint a page."""
    tiles = [Tile(_PAD, _PAD, WIDTH_PX - 2 * _PAD, _TITLE, _title(state), "title")]
    buttons: list[Button] = []
    for row, column, text, look, meaning in _cells(state):
        x, y = _place(row, column)
        tiles.append(Tile(x, y, *_CELL, text, look))
        if meaning is not None:
            buttons.append(Button(x, y, *_CELL, meaning))
    tiles += _lines(state)
    return Sheet(sheet_picture((WIDTH_PX, _HEIGHT_PX), tiles), tuple(buttons))


def _title(state: MenuState) -> str:
    return "Paused" if state.paused and state.page is Page.MAIN else state.page.value


def _place(row: int, column: int) -> tuple[int, int]:
    return _PAD + column * (_CELL[0] + _GAP), _PAD + _TITLE + row * (_CELL[1] + _GAP)


def _cells(state: MenuState) -> Iterator[tuple[int, int, str, Look, Meaning | None]]:
    """(row, column, text, look, what a click means or None)."""
    if state.page is not Page.MAIN:
        yield _ROWS - 1, 0, "Back", "button", Page.MAIN
        return
    for column, do in enumerate(Do):
        text = "Really leave?" if do is Do.LEAVE and state.sure else do.value
        lit = (do is Do.PAUSE and state.paused) or (do is Do.LEAVE and state.sure)
        yield 0, column, text, "chosen" if lit else "button", do
    for column, (text, page) in enumerate((("Help", Page.HELP), ("Your taste", Page.TASTE), ("Kept", Page.KEPT))):
        yield 1, column, text, "button", page
    for row, (label, field, values) in enumerate(_SETTINGS, start=2):
        yield row, 0, label, "quiet", None
        for column, (text, value) in enumerate(values, start=1):
            chosen = getattr(state.comfort, field) == value
            yield row, column, text, "chosen" if chosen else "button", (field, value)


def _lines(state: MenuState) -> list[Tile]:
    """The text of the pages that are read."""
    facts, width = state.facts, WIDTH_PX - 2 * _PAD
    if state.page is Page.TASTE:
        told = f"{facts.choices} choices seen, policy {facts.policy}" if facts.choices else "Nothing yet: pick, keep"
        return [
            _line(0, told, "quiet", width),
            *(_line(i, f"{name}   {share:.0%}", "bar", width, share) for i, (name, share) in enumerate(facts.likes, 1)),
        ]
    if state.page is Page.KEPT:
        kept = [f"{count}  {name}" for name, count in facts.kept] or ["Nothing yet: point at it and press A or X"]
        return [_line(i, text, "text", width) for i, text in enumerate(kept[:7])]
    if state.page is Page.HELP:
        return [_line(i, text, "text", width) for i, text in enumerate(state.help[:8])]
    return []


def _line(index: int, text: str, look: Look, width: int, share: float = 0.0) -> Tile:
    return Tile(_PAD, _PAD + _TITLE + index * _LINE, width, _LINE - 4, text, look, share)
