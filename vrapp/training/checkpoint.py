"""Checkpoints of a training run: written whole or not at all, resumed exactly."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vrapp.core.errors import InputFileError, OutputError


class Ema:
    """Exponential moving average of a module's floating-point state (Polyak), with a warm start."""

    def __init__(self, module: nn.Module, decay: float = 0.997) -> None:
        self.decay = decay
        self.steps = 0
        self.shadow = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the module as it is now."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.shadow[name].lerp_(value.detach(), 1 - decay)
            else:
                self.shadow[name].copy_(value)


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` beside `path` and move it there, so that a kill or a full disk leaves the old one whole.

    Raises OutputError where it cannot be written.
    """
    fresh = path.with_suffix(f".{os.getpid()}.new")  # processes of one training may write the same cache
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, fresh)
        os.replace(fresh, path)
    except (OSError, RuntimeError) as error:  # torch's writer raises the latter on a full disk
        with suppress(OSError):
            fresh.unlink()
        reason = error.strerror if isinstance(error, OSError) else "the disk may be full"
        raise OutputError(
            f"{path} cannot be written ({reason}); make room there and start again: what was kept before is whole."
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The checkpoint, or None where there is none.  Tensors and plain values only (no pickled code).

    Raises InputFileError where it cannot be read.
    """
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises whatever the bytes lead it to
        raise InputFileError(f"The checkpoint {path} is damaged; move it away to begin anew.") from error
    return state


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Around taking up what ``path`` held. Raises InputFileError where it does not fit what is being trained."""
    try:
        yield
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputFileError(
            f"The checkpoint {path} is of another version of this program or of other networks; "
            "move it away to begin anew."
        ) from error


def write_log(path: Path, columns: list[str], rows: list[list[float]]) -> None:
    """The run so far as CSV and, beside it, as a picture of its curves; the first column is the step.

    Each is written whole or not at all.  Raises OutputError.
    """
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows([int(row[0]), *[f"{value:.6g}" for value in row[1:]]] for row in rows)
        os.replace(fresh, path)
        _draw_curves(path.with_suffix(".png"), columns[1:], rows)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); make room there and start again.") from error


def _draw_curves(path: Path, names: list[str], rows: list[list[float]]) -> None:
    """A small plot for each column over the steps, where matplotlib is installed (it comes with vrapp[train])."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(4, len(names))
    down = -(-len(names) // across)
    figure = Figure((3 * across, 2 * down), dpi=80, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for number, name in enumerate(names):
        plot = figure.add_subplot(down, across, number + 1)
        plot.plot([row[0] for row in rows], [row[number + 1] for row in rows], linewidth=1, marker=".", markersize=3)
        plot.set_title(name, fontsize=8)
        plot.tick_params(labelsize=6)
    fresh = path.with_suffix(".new")
    canvas.print_png(str(fresh))  # type: ignore[no-untyped-call]
    os.replace(fresh, path)
