"""One side of the comparison in a process of its own, told over its standard streams what to do.

A line in: ``frames N`` or ``picture PATH``. A line out for each, JSON; the first line out says what was set up.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from vrapp.app import hardware
from vrapp.app.peer.objects import files_in
from vrapp.core.mesh import LEVELS

#: Ours with the objects' levels of detail; the other sides draw the finest one whatever the distance.
WITH_LEVELS = "vrapp with levels"


class Side(Protocol):
    """One engine with the scene loaded."""

    renderer: str
    triangles: int  # in the scene, culled or not

    def frame(self) -> None:
        """Draw it once; returns when the rasteriser has finished."""

    def picture(self) -> np.ndarray:
        """The last frame: (H, W, 3) uint8, linear values, top row first."""


def main(side: str, arguments: Sequence[str]) -> None:
    """``FOLDER COUNT SEED WIDTH HEIGHT``: load, then serve until the input ends."""
    folder, count, seed, width, height = arguments
    levels = LEVELS if side == WITH_LEVELS else 1
    paths = [files_in(Path(folder), level)[: int(count)] for level in range(levels)]
    answers = sys.stdout
    sys.stdout = sys.stderr  # what the engines print is no answer
    engine = _load(side, paths, int(seed), (int(width), int(height)))
    print(json.dumps({"renderer": engine.renderer, "triangles": engine.triangles}), file=answers, flush=True)
    for line in sys.stdin:
        what, _, rest = line.strip().partition(" ")
        if what == "frames":
            print(json.dumps(_frame_ms(engine, int(rest))), file=answers, flush=True)
        else:
            hardware.write_png(Path(rest), _srgb(engine.picture()))
            print(json.dumps(rest), file=answers, flush=True)


def _load(side: str, paths: list[list[Path]], seed: int, size: tuple[int, int]) -> Side:
    if side == "panda3d":
        from vrapp.app.peer.panda import PandaSide

        return PandaSide(paths[0], seed, size)
    from vrapp.app.peer.ours import OurSide

    return OurSide(paths, seed, size)


def _frame_ms(engine: Side, count: int) -> list[float]:
    found = []
    for _ in range(count):
        began = time.perf_counter()
        engine.frame()
        found.append(round(1e3 * (time.perf_counter() - began), 4))
    return found


def _srgb(linear: np.ndarray) -> np.ndarray:
    from vrapp.generation.export import linear_from_srgb

    steps = np.arange(256) / 255
    table: np.ndarray = np.round(255 * np.interp(steps, linear_from_srgb(steps), steps)).astype(np.uint8)
    encoded: np.ndarray = table[linear]
    return encoded


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
