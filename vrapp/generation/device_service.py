"""The running program's generator where there is an NVIDIA GPU, with the worker's contract: nobody needs to know.

Latents are drawn from the prior by the worker process, on the CPU; everything after the latent happens on the GPU, on
the main thread's own stream, a few slices a frame (``work``), and never waits. Runs that have to repeat exactly
(fixed clock) use the worker for all of it.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vrapp.core.generation import GeneratedObject, GenerationRequest, GeneratorFigures
from vrapp.core.mesh import LATENT_DIM, Mesh
from vrapp.generation.gate import GateLimits, Reason
from vrapp.generation.maker import MAX_ATTEMPTS
from vrapp.generation.shaping import Shaper
from vrapp.generation.work_budget import IN_HANDS_MS, LOADING_MS, MOST_MS, Allowance, SliceTimes, WorkBudget

_KEPT_LATENCIES = 1_000

log = logging.getLogger(__name__)


class Drawing(Protocol):
    """Where latents come from: ``service.WorkerGenerator`` with ``draws_only``. Its objects have no mesh yet."""

    categories: tuple[str, ...]
    weights_hash: str
    latent_basis: np.ndarray
    figures: GeneratorFigures

    def submit(self, request: GenerationRequest, attempt: int = 0) -> bool:
        """Ask for the latent of an attempt; False where the queue is full."""

    def collect(self, frame_index: int) -> list[GeneratedObject]:
        """What was drawn."""

    def unmade(self) -> list[int]:
        """Requests of which nothing comes: their process died of them, or too often."""

    def set_pace(self, pace: str) -> None:
        """See ``core.generation.Generator``."""

    def close(self) -> None:
        """End the process."""


@dataclass
class _Wanted:
    """A request on its way to a shape."""

    request: GenerationRequest
    submitted_s: float
    latent: np.ndarray | None = None
    components: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    rejected: list[Reason] = field(default_factory=list)

    @property
    def in_hands(self) -> bool:
        return self.request.latent is not None


class DeviceGenerator:
    """``core.generation.Generator`` over a ``Shaper``. ``limits``: the gate's, by category; ``latent_mean`` (704,)."""

    def __init__(
        self, drawing: Drawing, shaper: Shaper, limits: list[GateLimits], latent_mean: np.ndarray, device_name: str
    ) -> None:
        self.categories, self.weights_hash = drawing.categories, drawing.weights_hash
        self.latent_basis = np.asarray(drawing.latent_basis, np.float32)
        self.figures = GeneratorFigures(device=device_name)
        self._drawing, self._shaper, self._limits = drawing, shaper, limits
        self._mean = np.asarray(latent_mean, np.float32).reshape(LATENT_DIM)
        self._drawn_for: dict[int, _Wanted] = {}  # by request, at the worker
        self._again: deque[_Wanted] = deque()  # refused by the gate, to be drawn again
        self._queue: deque[_Wanted] = deque()  # latents without a shape
        self._in_hands: deque[_Wanted] = deque()
        self._at_work: _Wanted | None = None
        self._staged: dict[int, _Wanted] = {}  # by staging slot
        self._ready: list[GeneratedObject] = []
        self._decoded: dict[int, GeneratedObject | None] = {}
        self._budget, self._allowance = WorkBudget(), Allowance()
        self._times = SliceTimes(shaper.slices)
        self._pace = "load"
        self._failed = False  # the device: nothing is made any more

    def submit(self, request: GenerationRequest) -> bool:
        """Ask the worker for a latent, or queue the one that is given (one of them at a time)."""
        if not 0 <= request.steering.category < len(self.categories):
            raise ValueError(f"Category {request.steering.category} is not among {len(self.categories)}.")
        if self._failed:
            return False
        wanted = _Wanted(request, time.perf_counter())
        if wanted.in_hands:
            if self._has_hands:
                return False
            wanted.latent = np.asarray(request.latent, np.float32).reshape(LATENT_DIM)
            wanted.components = ((wanted.latent - self._mean) @ self.latent_basis.T).astype(np.float32)
            self._in_hands.append(wanted)
            self.figures.reshape_asked += 1
            return True
        if not self._drawing.submit(request):
            return False
        self._drawn_for[request.request_id] = wanted
        self.figures.requested += 1
        self._count_in_flight()
        return True

    def collect(self, frame_index: int) -> list[GeneratedObject]:
        """What is ready, oldest request first. Never waits. Raises what the worker raises."""
        if not self._failed:
            self._take_over(frame_index)
        ready, self._ready = sorted(self._ready, key=lambda made: made.request_id), []
        return ready

    def _take_over(self, frame_index: int) -> None:
        """What the worker has drawn and the device has shaped."""
        for drawn in self._drawing.collect(frame_index):
            wanted = self._drawn_for.pop(drawn.request_id)
            wanted.latent, wanted.components = drawn.latent, drawn.components
            self._queue.append(wanted)
        for request_id in self._drawing.unmade():
            del self._drawn_for[request_id]
        if why := self._drawing.figures.stopped:
            self.figures.stopped = why
            self._again.clear()
        try:
            self._poll()
        except RuntimeError as e:
            self._give_up(e)
            return
        while self._again:
            wanted = self._again[0]
            if not self._drawing.submit(wanted.request, attempt=len(wanted.rejected)):
                break
            self._drawn_for[wanted.request.request_id] = self._again.popleft()
        self._count_in_flight()

    def decoded(self) -> dict[int, GeneratedObject | None]:
        """What came of requests that name their latent."""
        found, self._decoded = self._decoded, {}
        return found

    def set_pace(self, pace: str) -> None:
        """``"load"``: frames may wait a little; ``"idle"``; ``"off"``: only what is in somebody's hands."""
        self._drawing.set_pace(pace)
        self._pace = pace

    def work(self, gpu_ms: float | None, period_ms: float) -> None:
        """Enqueue as many slices as the frame that has just been handed over leaves room for.

        ``gpu_ms``: what a recent picture took on the GPU, None where it is not known.
        """
        if self._failed:
            return
        try:
            self._run_slices(gpu_ms, period_ms)
        except RuntimeError as e:
            self._give_up(e)

    def _run_slices(self, gpu_ms: float | None, period_ms: float) -> None:
        self._budget.measured(gpu_ms)
        for index, ms in self._shaper.times():
            self._times.took(index, ms)
        room_ms = math.inf if self._pace == "load" else self._budget.for_frame(period_ms, math.inf)
        self._allowance.begin(self._frame_budget_ms(period_ms), room_ms)
        while self._begin_next() and self._shaper.next_slice is not None:
            if not self._allowance.takes(self._times[self._shaper.next_slice]):
                if room_ms > 0:
                    self._times.waits(self._shaper.next_slice)
                break
            slot = self._shaper.step()
            if slot is not None and self._at_work is not None:
                self._staged[slot], self._at_work = self._at_work, None
        self._shaper.flush()

    def close(self) -> None:
        """End the worker. Safe to call twice."""
        self._drawing.close()
        self._shaper.close()

    def _give_up(self, error: RuntimeError) -> None:
        """The device has failed (its memory is full, its driver was reset): the visit goes on with what there is."""
        self._failed = True
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        self.figures.device, self.figures.in_flight = "stopped", 0
        self.figures.stopped = f"The graphics card cannot make objects any more ({reason})."
        self._decoded |= {one.request.request_id: None for one in self._shaping() if one.in_hands}
        for waiting in (self._drawn_for, self._again, self._queue, self._in_hands, self._staged):
            waiting.clear()
        self._at_work = None
        self._drawing.close()

    @property
    def _has_hands(self) -> bool:
        """Whether something that somebody reshapes is on its way."""
        return any(one.in_hands for one in self._shaping())

    def _shaping(self) -> list[_Wanted]:
        return [*self._in_hands, *([self._at_work] if self._at_work else []), *self._staged.values()]

    def _frame_budget_ms(self, period_ms: float) -> float:
        if self._pace == "load":
            return LOADING_MS
        if self._has_hands:
            return self._budget.for_frame(period_ms, IN_HANDS_MS)
        return 0.0 if self._pace == "off" else self._budget.for_frame(period_ms, MOST_MS)

    def _begin_next(self) -> bool:
        """Have a shape begun, if there is one to begin; hands before all others."""
        if self._shaper.next_slice is not None:
            return True
        waiting = self._in_hands or self._queue
        # Beside hands nothing else begins: it would spend their budget, and their next shape would wait for it.
        if waiting is self._queue and (self._pace == "off" or self._has_hands):
            return False
        if not waiting or not self._shaper.can_begin:
            return False
        wanted = self._at_work = waiting.popleft()
        assert wanted.latent is not None
        self._shaper.begin(wanted.latent, self._limits_of(wanted).debris_share, wanted.request.steering.category)
        return True

    def _limits_of(self, wanted: _Wanted) -> GateLimits:
        limits = self._limits[wanted.request.steering.category]
        return limits.mild() if wanted.in_hands else limits

    def _poll(self) -> None:
        for slot in [slot for slot in self._staged if self._shaper.poll(slot)]:
            wanted = self._staged[slot]
            mesh = self._shaper.take(slot, self._limits_of(wanted), wanted.request.levels)
            if mesh is not None:
                del self._staged[slot]
                self._tell(wanted, mesh)

    def _tell(self, wanted: _Wanted, mesh: Mesh | Reason) -> None:
        request_id = wanted.request.request_id
        if isinstance(mesh, Mesh):
            made = self._made(wanted, mesh)
            if wanted.in_hands:
                self._decoded[request_id] = made
            else:
                self._ready.append(made)
            return
        if wanted.in_hands:
            self._decoded[request_id] = None
            return
        wanted.rejected.append(mesh)
        self.figures.rejected += 1
        self.figures.rejected_why[str(mesh)] = self.figures.rejected_why.get(str(mesh), 0) + 1
        if len(wanted.rejected) < MAX_ATTEMPTS:
            self._again.append(wanted)

    def _made(self, wanted: _Wanted, mesh: Mesh) -> GeneratedObject:
        latency_s = time.perf_counter() - wanted.submitted_s
        latencies_s = self.figures.reshape_latency_s if wanted.in_hands else self.figures.latency_s
        self.figures.reshape_made += wanted.in_hands
        latencies_s.append(latency_s)
        del latencies_s[:-_KEPT_LATENCIES]
        assert wanted.latent is not None
        return GeneratedObject(
            wanted.request.request_id, wanted.request.steering.category, wanted.latent, wanted.components, mesh,
            self._hash_of(wanted.latent), len(wanted.rejected) + 1, latency_s,
        )  # fmt: skip

    def _hash_of(self, latent: np.ndarray) -> str:
        """The geometry stays on the device, so that what it was made of names it."""
        return hashlib.sha256(self.weights_hash.encode() + latent.tobytes()).hexdigest()

    def _count_in_flight(self) -> None:
        others = [one for one in self._shaping() if not one.in_hands]
        self.figures.in_flight = len(self._drawn_for) + len(self._again) + len(self._queue) + len(others)
