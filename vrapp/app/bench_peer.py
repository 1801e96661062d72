"""``bench frame --peer panda3d``: Panda3D and this project draw the same exported objects, in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from vrapp.app.bench import Rows, Summary, require
from vrapp.app.bench_frame import SIZE, frame
from vrapp.app.options import Options
from vrapp.app.peer.child import WITH_LEVELS
from vrapp.app.peer.objects import exported
from vrapp.app.timers import percentiles
from vrapp.app.world import default_weights
from vrapp.core import resources
from vrapp.core.errors import VrappError

OBJECTS = 300
ROUNDS, FRAMES = 22, 3  # of each side in turn, briefly: the machine changes; the first round warms up
PEER = "panda3d"
SIDES = ("vrapp", PEER, WITH_LEVELS)


def frame_beside(options: Options) -> tuple[Rows, Summary, str | None]:
    """``bench frame``, and then the comparison."""
    require(PEER, PEER)
    beside_rows, beside = compare(options)
    rows, summary, renderer = frame(options)
    return [*rows, *beside_rows], {**summary, **beside}, renderer


def compare(options: Options) -> tuple[Rows, Summary]:
    """Frame times, one row a side, and ``peer_ratio``: ours over Panda3D's (below 1 ours is faster), median of the
    rounds, drawing the same triangles; ``peer_ratio_levels``: with our levels of detail, which it has not.

    Raises VrappError where a side fails, or where the two do not draw with the same GL renderer.
    """
    size = options.size or SIZE
    folder = exported(OBJECTS, options.seed, options.weights or default_weights())
    with ExitStack() as owned:
        sides = {side: owned.enter_context(Side(side, folder, options.seed, size)) for side in SIDES}
        renderers = {name: side.told["renderer"] for name, side in sides.items()}
        if len(set(renderers.values())) > 1:
            raise VrappError(f"The two sides draw with different renderers ({renderers}): nothing can be compared.")
        turns = [list(sides.items())[:: 1 - 2 * (number % 2)] for number in range(ROUNDS)]  # to and fro
        # The first frame after another side's is colder, and at the turns our sides follow themselves: it is left out.
        rounds = [{name: side.frames(1 + FRAMES)[1:] for name, side in turn} for turn in turns][1:]
        pictures = resources.cache_folder() / "peer"
        for name, side in sides.items():
            print(f"picture: {side.picture(pictures / f'{name}.png')}")
    rows: Rows = []
    for name, side in sides.items():
        times = percentiles(np.concatenate([found[name] for found in rounds]))
        row = {"side": name, "renderer": renderers[name], "objects": OBJECTS, "triangles": side.told["triangles"]}
        rows.append({**row, "size": f"{size[0]}x{size[1]}", "ms_p50": times["p50"], "ms_p99": times["p99"],
                     "ms_p999": times["p999"]})  # fmt: skip
    ratios, with_levels = (
        [float(np.median(found[ours]) / np.median(found[PEER])) for found in rounds] for ours in ("vrapp", WITH_LEVELS)
    )
    summary: Summary = {
        "peer_ratio": round(float(np.median(ratios)), 4),
        "peer_ratio_least": round(min(ratios), 4),
        "peer_ratio_most": round(max(ratios), 4),
        "peer_ratio_levels": round(float(np.median(with_levels)), 4),
    }
    return rows, summary


def _environment() -> dict[str, str]:
    """Panda3D asks EGL for its default display, which is none where there is no screen."""
    screenless = {} if os.environ.get("DISPLAY") else {"EGL_PLATFORM": "surfaceless"}
    return {**os.environ, **screenless}


class Side:
    """A process of ``peer.child``."""

    def __init__(self, name: str, folder: Path, seed: int, size: tuple[int, int]) -> None:
        words = ["-m", "vrapp.app.peer.child", name, str(folder), str(OBJECTS), str(seed), *map(str, size)]
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment()
        )

    def __enter__(self) -> Side:
        self.told: dict[str, Any] = self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def frames(self, count: int) -> np.ndarray:
        """Times of so many frames in ms."""
        return np.array(self._ask(f"frames {count}"))

    def picture(self, path: Path) -> str:
        """Write the last frame there."""
        return str(self._ask(f"picture {path}"))

    def _ask(self, line: str) -> Any:
        assert self._process.stdin
        print(line, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise VrappError(f"The side '{self._name}' of the comparison ended early; its last lines tell why.")
        return json.loads(line)
