"""Keys and mouse buttons held on a window, and which ``core.input.Button`` each one is."""

from __future__ import annotations

import glfw

from vrapp.core.input import Button

KEYS: dict[int, Button] = {
    glfw.KEY_K: Button.KEEP,
    glfw.KEY_X: Button.DISMISS,
    glfw.KEY_M: Button.MORE,
    glfw.KEY_TAB: Button.MENU,
    glfw.KEY_H: Button.HELP,
    glfw.KEY_HOME: Button.RECENTRE,
    glfw.KEY_F1: Button.PANEL,
    glfw.KEY_F2: Button.POLICY,
    glfw.KEY_F3: Button.MIRROR,
    glfw.KEY_F12: Button.SCREENSHOT,
    glfw.KEY_T: Button.TELEPORT,
}


class Held:
    """What is held down. A tap shorter than a frame still counts as held for one poll."""

    def __init__(self) -> None:
        self._down: set[int] = set()
        self._tapped: set[int] = set()

    def press(self, key: int) -> None:
        """It went down."""
        self._down.add(key)
        self._tapped.add(key)

    def release(self, key: int) -> None:
        """It went up."""
        self._down.discard(key)

    def is_down(self, key: int) -> bool:
        """Now."""
        return key in self._down

    def release_all(self) -> None:
        """The window lost the focus: releases will not be told."""
        self._down.clear()
        self._tapped.clear()

    def latch(self) -> frozenset[int]:
        """All that was down at some time since the last call."""
        seen = frozenset(self._down | self._tapped)
        self._tapped.clear()
        return seen
