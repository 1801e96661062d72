"""Ready objects, so that whoever places one never waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vrapp.core.generation import GeneratedObject, GenerationRequest, GeneratorFigures, Steering

STALE_REVISIONS = 8  # what is this many changes of preference behind is not shown any more
_BUSY = 4  # requests on their way, so that the generator has the next one before it has finished one


class Source(Protocol):
    """What is used here of ``core.generation.Generator``."""

    figures: GeneratorFigures

    def submit(self, request: GenerationRequest) -> bool:
        """Queue a request; False when the queue is full."""

    def collect(self, frame_index: int) -> list[GeneratedObject]:
        """What has become ready since the last call."""


@dataclass(frozen=True)
class _Entry:
    made: GeneratedObject
    revision: int


class Bank:
    """Keeps up to ``capacity`` objects ready or on their way, asked for by ``propose``.

    With ``refreshes`` the oldest give way when nearly all are ready, so that the generator never rests.
    Request ids count up from ``first_request_id``, so that the same seed asks for the same objects.
    ``on_request`` is told of every request that the generator takes. ``truncation`` is the share of the
    proposals' temperature that is kept.
    """

    def __init__(
        self,
        generator: Source,
        seed: int,
        capacity: int = 16,
        first_request_id: int = 0,
        on_request: Callable[[GenerationRequest], None] | None = None,
        truncation: float = 1.0,
    ) -> None:
        self._on_request = on_request
        self._truncation = truncation
        self.generator = generator
        self._seed = seed
        self.capacity = capacity
        self.refreshes = False
        self._next_id = first_request_id
        self._refused: GenerationRequest | None = None
        self._revision = 0
        self._revision_asked: dict[int, int] = {}  # of the requests on their way
        self._ready: list[_Entry] = []

    def __len__(self) -> int:
        """Objects that can be taken now."""
        return len(self._ready)

    @property
    def stopped(self) -> bool:
        """The generator has given up: nothing will come any more."""
        return bool(self.generator.figures.stopped)

    def update(self, frame_index: int, propose: Callable[[int], Steering]) -> None:
        """Collect what is ready and ask for more; once a frame. ``propose`` gives the steering of a new
        request's id. Raises what ``Generator.collect`` raises."""
        for made in self.generator.collect(frame_index):
            asked = self._revision_asked.pop(made.request_id, self._revision)
            self._ready.append(_Entry(made, asked))
        figures = self.generator.figures
        if self.refreshes and figures.in_flight < _BUSY:
            del self._ready[: max(0, len(self._ready) + _BUSY - self.capacity)]
        while len(self._ready) + figures.in_flight < self.capacity and self._ask(propose):
            pass
        figures.ready = len(self._ready)
        if figures.in_flight == 0:
            self._revision_asked.clear()  # of requests that gave nothing

    def take(self, match: Callable[[GeneratedObject], bool] | None = None) -> GeneratedObject | None:
        """The best object that ``match`` accepts, or None: newest preference first, then oldest request."""
        fitting = [e for e in self._ready if match is None or match(e.made)]
        if not fitting:
            return None
        best = max(fitting, key=lambda e: (e.revision, -e.made.request_id))
        self._ready.remove(best)
        self.generator.figures.shown += 1
        self.generator.figures.ready = len(self._ready)
        return best.made

    def requeue(self, made: GeneratedObject) -> None:
        """Give back what was taken and not shown."""
        self._ready.append(_Entry(made, self._revision))
        self.generator.figures.shown -= 1
        self.generator.figures.ready = len(self._ready)

    def outdate(self) -> None:
        """The preference has changed: what was asked for before is used last, and dropped when stale."""
        self._revision += 1
        self._ready = [e for e in self._ready if self._revision - e.revision < STALE_REVISIONS]

    def _ask(self, propose: Callable[[int], Steering]) -> bool:
        """Submit one more request; what the generator refuses is asked again next time."""
        request = self._refused
        if request is None:
            request = GenerationRequest(self._next_id, self._seed, propose(self._next_id).truncated(self._truncation))
            self._next_id += 1
        taken = self.generator.submit(request)
        self._refused = None if taken else request
        if taken:
            self._revision_asked[request.request_id] = self._revision
            if self._on_request is not None:
                self._on_request(request)
        return taken
