"""The worker process: takes jobs from a pipe, makes objects, writes their meshes into shared memory.

Importing this module costs nothing: torch and the networks load inside ``run_worker``. The process
ends when the pipe's other end is gone, so it never outlives the program.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vrapp.core import platform
from vrapp.core.errors import VrappError, WeightsError
from vrapp.core.generation import GenerationRequest
from vrapp.core.platform import SharedBlock
from vrapp.generation.packing import PackedShape, shape_of, write_mesh

if TYPE_CHECKING:
    from vrapp.generation.maker import Made, Model

PACES = ("load", "idle", "off")
MOST_TOGETHER = 16  # jobs drawn in one pass of the prior
_TIDY_ANSWERS = 32  # what is freed between objects goes back to the system as often, and whenever there is no work
_NEXT_RESHAPE_S = 0.08  # whoever reshapes an object asks again in the next frame


@dataclass(frozen=True)
class Settings:
    """What a worker is started with. ``threads`` stays the same for its whole life, as results may depend
    on it; ``may_merge``: batches that wait may be drawn together (not where runs have to repeat);
    ``draws_only``: answers hold latents without meshes, which are made elsewhere."""

    weights: Path
    weights_hash: str
    load: Callable[[Path], Model]
    threads: int
    slot_bytes: int
    may_merge: bool
    draws_only: bool = False


@dataclass(frozen=True)
class Job:
    """Make this and put its mesh into slot ``slot`` of the shared block. ``attempt``: where it is only drawn."""

    slot: int
    request: GenerationRequest
    attempt: int = 0


@dataclass(frozen=True)
class Batch:
    """Jobs to draw together."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Pace:
    """One of ``PACES``."""

    name: str


@dataclass(frozen=True)
class Started:
    """The networks are loaded."""

    device: str


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

    def __init__(self, pipe: Connection, block: SharedBlock, settings: Settings) -> None:
        self._pipe, self._block, self._settings = pipe, block, settings
        self._waiting: deque[Batch] = deque()
        self._in_hands: deque[Job] = deque()
        self._pace = "load"
        self._untidied = 0  # answers

    def run(self, make_all: Callable[[Sequence[Job]], Iterator[Made]]) -> None:
        """Work until the pipe closes (EOFError). Messages are read between two objects."""
        at_work: Iterator[tuple[Job, Made]] = iter(())
        while True:
            self._listen()
            if self._in_hands:
                job = self._in_hands.popleft()
                self._send(self._answer(job, *make_all((job,))))
                self._pipe.poll(_NEXT_RESHAPE_S)  # rather than begin something that keeps the hands waiting
            elif (done := next(at_work, None)) is not None:
                self._send(self._answer(*done))
            elif self._waiting:
                jobs = self._next_jobs()
                at_work = zip(jobs, make_all(jobs), strict=True)
            else:
                self._tidy()
                self._pipe.poll(None)

    def _send(self, answer: Answer) -> None:
        self._pipe.send(answer)
        self._untidied += 1
        if self._untidied >= _TIDY_ANSWERS and not self._in_hands:
            self._tidy()

    def _tidy(self) -> None:
        """Grids and meshes of all sizes come and go here, and glibc would keep the most that they ever took."""
        if self._untidied:
            platform.return_free_memory()
            self._untidied = 0

    def _listen(self) -> None:
        """Take what has arrived; while the pace is "off", wait for more, unless hands do."""
        while self._pipe.poll(None if self._pace == "off" and not self._in_hands else 0.0):
            message: Batch | Pace = self._pipe.recv()
            if isinstance(message, Batch) and message.jobs[0].request.latent is not None:
                self._in_hands.extend(message.jobs)
            elif isinstance(message, Batch):
                self._waiting.append(message)
            else:
                self._pace = message.name
                platform.set_priority(idle=message.name != "load")

    def _next_jobs(self) -> tuple[Job, ...]:
        jobs = self._waiting.popleft().jobs
        while self._settings.may_merge and self._waiting and len(jobs) < MOST_TOGETHER:
            jobs += self._waiting.popleft().jobs
        return jobs

    def _answer(self, job: Job, made: Made) -> Answer:
        rejected = tuple(str(reason) for reason in made.rejected)
        if (shown := made.shown) is None:
            return Answer(job.request.request_id, rejected)
        shape = shape_of(shown.mesh)
        if shape.nbytes > self._settings.slot_bytes:
            return Answer(job.request.request_id, (*rejected, "too large to hand over"))
        start = job.slot * self._settings.slot_bytes
        write_mesh(shown.mesh, memoryview(self._block.memory)[start : start + shape.nbytes])
        self._block.forget(start + shape.nbytes, start + self._settings.slot_bytes)  # of a larger one before
        return Answer(shown.request_id, rejected, shape, shown.latent, shown.components, shown.mesh_hash)


def run_worker(pipe: Connection, block: SharedBlock, settings: Settings) -> None:
    """Body of the process."""
    platform.ignore_interrupts()
    platform.die_with_parent()
    try:
        import torch

        from vrapp.generation.maker import ObjectMaker

        torch.set_num_threads(settings.threads)
        model = settings.load(settings.weights)
        if model.weights_hash != settings.weights_hash:
            raise WeightsError(f"The weights {settings.weights} changed while they were being loaded; start again.")
        maker = ObjectMaker(model, torch.device("cpu"))
        pipe.send(Started("cpu"))

        def make_all(jobs: Sequence[Job]) -> Iterator[Made]:
            if settings.draws_only:
                return maker.draw_all([(job.request, job.attempt) for job in jobs])
            return maker.make_all([job.request for job in jobs])

        _Worker(pipe, block, settings).run(make_all)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the program is gone
    except VrappError as e:
        pipe.send(Refused(e))
    except Exception:
        pipe.send(Crashed(traceback.format_exc()))
