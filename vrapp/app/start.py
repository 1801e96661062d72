"""How the world comes to be populated: from the cached start set at once, or made now, shown as it comes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from vrapp.core import resources
from vrapp.core.errors import WorkerDied
from vrapp.core.generation import GeneratedObject, Generator
from vrapp.generation import startset
from vrapp.scene.manager import SceneManager

log = logging.getLogger(__name__)

#: Request ids below this belong to the start set and its second tries; the bank counts from here, so
#: that what is asked for later does not depend on whether the start set came from the cache.
FIRST_LIVE_REQUEST = 1_000_000


class Start:
    """Fills the world once. ``truncation`` is the share of the requests' temperature that is kept."""

    def __init__(self, generator: Generator, manager: SceneManager, seed: int, truncation: float = 1.0) -> None:
        self._generator, self._manager = generator, manager
        wishes = tuple(steering.truncated(truncation) for steering in manager.start_requests())
        self._key = startset.StartSetKey(generator.weights_hash, seed, wishes)
        self._folder: Path = resources.cache_folder()
        self._builder: startset.StartSetBuilder | None = None
        self.total = len(self._key.wishes)
        self.made = 0
        self.done = False

    def from_cache(self) -> bool:
        """Put the cached set into the world, full grown; False where there is none."""
        cached = self.cached()
        if cached:
            self._finish(cached)
        return bool(cached)

    def cached(self) -> list[GeneratedObject]:
        """The set as it is on disk, waiting for it where it is just being written; empty where it can't be kept."""
        if self._builder is not None:
            self._builder.wait_saved()
        return startset.load(self._key, self._folder) or []

    def update(self, frame_index: int, now_ns: int) -> None:
        """Once a frame until ``done``: show what the generator has finished, and ask for the rest.

        A generator that stops on the way leaves the world as it is. Raises WorkerDied where nothing stands there.
        """
        try:
            fresh = self._step(frame_index)
        except WorkerDied:
            if not self.made:
                raise
            self.done = True
            return
        self._manager.populate_from(fresh, now_ns, grown=False)
        self.done = self._builder is not None and self._builder.is_done
        if self.done and not self.made:
            _tell_empty()

    def complete(self, progress: Callable[[int, int], None]) -> None:
        """Make the whole set now, without frames (fixed clock): it stands there in the order of the plan.

        ``progress`` is called with what is made and the total whenever something was.
        """
        made: list[GeneratedObject] = []
        frame_index = 0
        while self._builder is None or not self._builder.is_done:
            if fresh := self._step(frame_index):
                made += fresh
                progress(self.made, self.total)
            frame_index += 1
        self._finish(sorted(made, key=lambda o: o.request_id % self.total))

    def _step(self, frame_index: int) -> list[GeneratedObject]:
        if self._builder is None:
            self._builder = startset.StartSetBuilder(self._generator, self._key, self._folder)
        fresh = self._builder.update(frame_index)
        self.made += len(fresh)
        return fresh

    def _finish(self, objects: list[GeneratedObject]) -> None:
        if not objects:
            _tell_empty()
        self._manager.populate_from(objects)
        self.made, self.done = self.total, True


def _tell_empty() -> None:
    log.warning(
        "The quality gate lets nothing through of what these weights draw, so the world is empty: train longer."
    )
