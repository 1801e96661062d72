"""A given list of objects to make, whole and in a repeatable way: the start set, the ``generate`` command."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from vrapp.core.errors import WorkerDied
from vrapp.core.generation import GeneratedObject, GenerationRequest, Generator, Steering

ROUNDS = 4  # how often a wish is asked that no draw fulfils


class WishList:
    """Wish ``i`` of n is request ``i``; where no draw passes the gate it is asked again as request
    ``i + n``, ``i + 2n`` …, so that equal seeds give equal objects. It wants the generator for itself."""

    def __init__(self, generator: Generator, seed: int, wishes: Sequence[Steering]) -> None:
        self._generator = generator
        self._seed = seed
        self._wishes = wishes
        self._asked: list[int] = []  # request ids on their way
        self._next = list(range(len(wishes)))
        self.made: dict[int, GeneratedObject] = {}  # by wish
        self.unfulfilled: list[int] = []  # wishes given up

    @property
    def is_done(self) -> bool:
        """Whether every wish is fulfilled or given up."""
        return len(self.made) + len(self.unfulfilled) == len(self._wishes)

    def update(self, frame_index: int) -> list[GeneratedObject]:
        """What has become ready since the last call; once a frame until ``is_done``. Raises what
        ``Generator.collect`` raises, and WorkerDied where nothing more will come."""
        fresh = self._generator.collect(frame_index)
        for made in fresh:
            self.made[made.request_id % len(self._wishes)] = made
            self._asked.remove(made.request_id)
        figures = self._generator.figures
        if figures.stopped and not (fresh or figures.in_flight or self.is_done):
            raise WorkerDied(figures.stopped)
        if self._asked and figures.in_flight == 0:
            for request_id in self._asked:
                self._ask_again(request_id)
            self._asked.clear()
        while self._next and self._submit(self._next[0]):
            self._asked.append(self._next.pop(0))
        return fresh

    def _ask_again(self, request_id: int) -> None:
        again = request_id + len(self._wishes)
        if again < ROUNDS * len(self._wishes):
            self._next.append(again)
        else:
            self.unfulfilled.append(request_id % len(self._wishes))

    def _submit(self, request_id: int) -> bool:
        wish = self._wishes[request_id % len(self._wishes)]
        return self._generator.submit(GenerationRequest(request_id, self._seed, wish))


def generate_objects(
    generator: Generator, seed: int, wishes: Sequence[Steering], silence_limit_s: float = 300.0
) -> Iterator[tuple[int, GeneratedObject]]:
    """Each wish's number and object as they become ready; wishes that nothing fulfils are left out.

    For commands without a frame loop: it sleeps while nothing is ready. Raises WorkerDied where the
    generator gives nothing for ``silence_limit_s``, or has stopped.
    """
    wanted = WishList(generator, seed, wishes)
    last_s, frame_index = time.monotonic(), 0
    while not wanted.is_done:
        for made in wanted.update(frame_index):
            last_s = time.monotonic()
            yield made.request_id % len(wishes), made
        if time.monotonic() - last_s > silence_limit_s:
            raise WorkerDied(f"The generator gave no object for {silence_limit_s:.0f} s; see the log.")
        frame_index += 1
        time.sleep(0.002)
