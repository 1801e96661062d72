"""Processes that turn one model file at a time into a grid and points, each within a time and a memory limit.

A model file may come from anywhere: what its reader needs too much of, or dies of, costs that reader and that model.
"""

from __future__ import annotations

import math
import multiprocessing
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vrapp.core.errors import WorkerDied
from vrapp.core.platform import children_ignore_interrupts, die_with_parent, ignore_interrupts, limit_memory

SURFACE_POINTS = 2048
MEMORY_LIMIT_BYTES = 4 << 30
TIME_LIMIT_S = 180.0


@dataclass(frozen=True)
class Job:
    """One model: `file` relative to the folder `root`, its `row`, and the seed of its surface points."""

    root: str
    file: str
    row: int
    seed: int


@dataclass(frozen=True)
class BakedModel:
    """`grid` (7, 64, 64, 64) uint8 and `points` (2048, 3) float32 of one model."""

    grid: NDArray[np.uint8]
    points: NDArray[np.float32]


@dataclass(frozen=True)
class LeftOut:
    """Why a model is left out, a few words; `costly` where finding out cost so much that it is not tried again."""

    reason: str
    costly: bool = False


@dataclass
class _Reader:
    """One process. Its time for a job counts from when it has its libraries, which says a message of None."""

    process: SpawnProcess
    pipe: Connection
    time_limit_s: float
    ready: bool = False
    job: Job | None = None
    deadline: float = math.inf

    def take(self, job: Job) -> None:
        """Begin with a job."""
        self.job = job
        self._begin()
        with suppress(OSError):  # it has died: its pipe has ended, which `answer` tells
            self.pipe.send(job)

    def _begin(self) -> None:
        self.deadline = time.monotonic() + self.time_limit_s if self.ready else math.inf

    def answer(self) -> tuple[Job, BakedModel | LeftOut] | None:
        """What it has to say by now of its job; one that is late is ended, like one that has died."""
        job = self.job
        assert job is not None
        if self.pipe.poll():
            try:
                message: BakedModel | LeftOut | None = self.pipe.recv()
            except (EOFError, OSError):
                self.end()
                code = self.process.exitcode
                if not self.ready:
                    raise WorkerDied(f"The process that reads models could not start (it ended with {code}).") from None
                return job, LeftOut(f"the process that read it ended ({code}), for want of memory or by a fault", True)
            if message is None:
                self.ready = True
                self._begin()
                return None
            self.job = None
            return job, message
        if time.monotonic() >= self.deadline:
            self.end()
            return job, LeftOut(f"took longer than {self.time_limit_s:.0f} s", costly=True)
        return None

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def read_here(job: Job) -> BakedModel | LeftOut:
    """The model, or why it is left out."""
    from vrapp.training.grids import grid_from_mesh
    from vrapp.training.meshes import MeshRejected, load_mesh
    from vrapp.training.surface_points import sample_surface

    root = Path(job.root)
    try:
        mesh = load_mesh(root / job.file, root)
        grid = grid_from_mesh(mesh)
        if not (grid[0] < 127).any():
            return LeftOut("nothing of it is thick enough for the grid")
        return BakedModel(grid, sample_surface(mesh.vertices, mesh.faces, SURFACE_POINTS, job.seed))
    except MeshRejected as error:
        return LeftOut(str(error))
    except MemoryError:
        return LeftOut(f"needs more than {MEMORY_LIMIT_BYTES >> 30} GiB of memory", costly=True)
    except Exception as error:  # of whatever library the bytes have led astray
        return LeftOut(f"{type(error).__name__}: {str(error)[:80]}")


def read_models(
    jobs: Sequence[Job],
    processes: int,
    time_limit_s: float = TIME_LIMIT_S,
    read: Callable[[Job], BakedModel | LeftOut] = read_here,
) -> Iterator[tuple[Job, BakedModel | LeftOut]]:
    """Jobs and what came of them, in the order in which they are ready. Raises WorkerDied where no reader can start."""
    waiting = deque(jobs)
    readers: list[_Reader] = []
    try:
        while waiting or any(reader.job for reader in readers):
            while waiting and len(readers) < processes:
                readers.append(_start(time_limit_s, read))
            for reader in readers:
                if reader.job is None and waiting:
                    reader.take(waiting.popleft())
            busy = [reader for reader in readers if reader.job]
            soonest = min(reader.deadline for reader in busy) - time.monotonic()
            wait([reader.pipe for reader in busy], max(0.0, soonest) if soonest < math.inf else None)
            for reader in busy:
                answer = reader.answer()
                if reader.job and answer:  # it was ended
                    readers.remove(reader)
                if answer:
                    yield answer
    finally:
        for reader in readers:
            reader.end()


def _start(time_limit_s: float, read: Callable[[Job], BakedModel | LeftOut]) -> _Reader:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, read, MEMORY_LIMIT_BYTES), daemon=True)
    with children_ignore_interrupts():
        process.start()
    theirs.close()
    return _Reader(process, ours, time_limit_s)


def _serve(pipe: Connection, read: Callable[[Job], BakedModel | LeftOut], memory_bytes: int) -> None:
    """The reader's own side."""
    die_with_parent()
    ignore_interrupts()
    limit_memory(memory_bytes)
    warnings.simplefilter("ignore")  # what numbers of a damaged file lead to is told as a reason
    import vrapp.training.grids  # noqa: F401  the libraries come with it

    pipe.send(None)
    while True:
        try:
            job = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(read(job))
