"""The worker process: takes jobs from a pipe, makes objects, writes their meshes into shared memory.

Importing this module costs nothing: torch and the networks load inside ``run_worker``. The process
ends when the pipe's other end is gone, so it never outlives the program.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vrapp.core import platform
from vrapp.core.errors import VrappError
from vrapp.core.generation import GenerationRequest
from vrapp.core.platform import SharedBlock
from vrapp.generation.packing import PackedShape, shape_of, write_mesh

if TYPE_CHECKING:
    from vrapp.generation.maker import Made, Model

PACES = ("load", "idle", "off")


@dataclass(frozen=True)
class Job:
    """Make this and put its mesh into slot ``slot`` of the shared block."""

    slot: int
    request: GenerationRequest


@dataclass(frozen=True)
class Pace:
    """One of ``PACES``."""

    name: str


@dataclass(frozen=True)
class Started:
    """The networks are loaded."""

    device: str
    weights_hash: str


@dataclass(frozen=True)
class Refused:
    """The weights cannot be used; ``error`` is written for the user."""

    error: VrappError


@dataclass(frozen=True)
class Crashed:
    """An error of the program; ``trace`` is for the log."""

    trace: str


@dataclass(frozen=True)
class Answer:
    """What became of one request. ``shape`` is None where no draw passed the gate."""

    request_id: int
    rejected: tuple[str, ...]
    shape: PackedShape | None = None
    latent: np.ndarray | None = None
    components: np.ndarray | None = None
    mesh_hash: str = ""


class _Worker:
    """State of the process: what waits, and at which pace."""

    def __init__(self, pipe: Connection, block: SharedBlock, slot_bytes: int) -> None:
        self._pipe, self._block, self._slot_bytes = pipe, block, slot_bytes
        self._jobs: deque[Job] = deque()
        self._pace = "load"

    def run(self, make: Callable[[GenerationRequest], Made]) -> None:
        """Work until the pipe closes (EOFError)."""
        while True:
            may_work = bool(self._jobs) and self._pace != "off"
            if self._pipe.poll(0.0 if may_work else None):
                self._take(self._pipe.recv())
            else:
                job = self._jobs.popleft()
                self._pipe.send(self._answer(job, make(job.request)))

    def _take(self, message: Job | Pace) -> None:
        if isinstance(message, Job):
            self._jobs.append(message)
        else:
            self._pace = message.name
            platform.set_priority(idle=message.name != "load")

    def _answer(self, job: Job, made: Made) -> Answer:
        rejected = tuple(str(reason) for reason in made.rejected)
        if (shown := made.shown) is None:
            return Answer(job.request.request_id, rejected)
        shape = shape_of(shown.mesh)
        if shape.nbytes > self._slot_bytes:
            return Answer(job.request.request_id, (*rejected, "too large to hand over"))
        start = job.slot * self._slot_bytes
        write_mesh(shown.mesh, memoryview(self._block.memory)[start : start + shape.nbytes])
        return Answer(shown.request_id, rejected, shape, shown.latent, shown.components, shown.mesh_hash)


def run_worker(
    pipe: Connection, block: SharedBlock, slot_bytes: int, weights: Path, load: Callable[[Path], Model], threads: int
) -> None:
    """Body of the process. ``threads`` stays the same for its whole life, as results may depend on it."""
    platform.ignore_interrupts()
    try:
        import torch

        from vrapp.generation.maker import ObjectMaker

        torch.set_num_threads(threads)
        model = load(weights)
        maker = ObjectMaker(model, torch.device("cpu"))
        pipe.send(Started("cpu", model.weights_hash))
        _Worker(pipe, block, slot_bytes).run(maker.make)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the program is gone
    except VrappError as e:
        pipe.send(Refused(e))
    except Exception:
        pipe.send(Crashed(traceback.format_exc()))
