"""How far a training is: a bar with its loss curve in a terminal, lines where nobody watches."""

from __future__ import annotations

import itertools
import math
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

_LEVELS = "▁▂▃▄▅▆▇█"
_PLAIN_LEVELS = "_.-~=*#@"
_REDRAW_S = 0.25
_LINE_S = 30.0  # between lines where there is no terminal
_BAR, _CURVE = 24, 24  # characters
_KEPT = 4096  # losses; twice as many are halved


class Progress:
    """Of one phase, `what`. Call it with a step and figures for a line of them; `tick` it at every step.

    `say` gets the lines. The bar is drawn on `stream` (stderr) where that is a terminal.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        what: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._what, self._clock = say, what, clock
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._plain = "utf" not in (getattr(self._stream, "encoding", "") or "").lower()
        self._began = self._told = clock()
        self._first: float | None = None
        self._losses: list[float] = []
        self._every = self._waiting = 1

    def __call__(self, step: int, row: dict[str, float]) -> None:
        """A line of figures."""
        self._clear()
        self._say(f"{self._what}: step {step} " + " ".join(f"{name} {value:.4g}" for name, value in row.items()))
        self._told = self._clock()

    def tick(self, step: int, share: float, loss: float | None = None) -> None:
        """`share` 0..1 of the phase is over after `step`. Ends its bar at 1."""
        now = self._clock()
        if self._first is None:
            self._began, self._first = now, share  # a resumed run begins in the middle
        if loss is not None:
            self._keep(loss)
        if share >= 1.0:
            self._clear()
        elif now - self._told >= (_REDRAW_S if self._live else _LINE_S):
            self._told = now
            text = self._text(step, share, now)
            if self._live:
                width = shutil.get_terminal_size().columns - 1
                self._stream.write(f"\r{text[:width]:<{width}}")
                self._stream.flush()
            else:
                self._say(text)

    def _text(self, step: int, share: float, now: float) -> str:
        done = round(_BAR * share)
        full, empty = ("#", ".") if self._plain else ("━", "┄")
        gained = share - (self._first or 0.0)
        left = f"  {_clock_text((now - self._began) / gained * (1 - share))} left" if gained > 0 else ""
        loss = f"  loss {self._losses[-1]:.4g} {self._curve()}" if self._losses else ""
        return f"{self._what} {full * done}{empty * (_BAR - done)} {share:4.0%}  step {step}{left}{loss}"

    def _keep(self, loss: float) -> None:
        """Every loss of a short run, every n-th of a long one."""
        self._waiting -= 1
        if self._waiting <= 0:
            self._losses.append(loss)
            self._waiting = self._every
        if len(self._losses) >= 2 * _KEPT:
            self._losses, self._every = self._losses[::2], 2 * self._every

    def _curve(self) -> str:
        """The losses so far in a few characters, each the mean of its part."""
        count = min(_CURVE, len(self._losses))
        starts = [number * len(self._losses) // count for number in range(count + 1)]
        means = [sum(self._losses[a:b]) / (b - a) for a, b in itertools.pairwise(starts)]
        finite = [mean for mean in means if math.isfinite(mean)] or [0.0]
        low, high = min(finite), max(finite)
        levels = _PLAIN_LEVELS if self._plain else _LEVELS
        spread = (high - low) or 1.0
        return "".join(levels[min(7, int(8 * (mean - low) / spread))] if math.isfinite(mean) else "?" for mean in means)

    def _clear(self) -> None:
        if self._live:
            self._stream.write(f"\r{' ' * (shutil.get_terminal_size().columns - 1)}\r")
            self._stream.flush()


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
