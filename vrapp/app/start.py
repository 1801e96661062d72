"""How the world comes to be populated: from the cached start set at once, or made now, shown as it comes."""

from __future__ import annotations

from pathlib import Path

from vrapp.core import resources
from vrapp.core.generation import Generator
from vrapp.generation import startset
from vrapp.scene.manager import SceneManager

#: Request ids below this belong to the start set and its second tries; the bank counts from here, so
#: that what is asked for later does not depend on whether the start set came from the cache.
FIRST_LIVE_REQUEST = 1_000_000


class Start:
    """Fills the world once. ``waits`` (fixed clock): nothing is shown before all is there, in order."""

    def __init__(self, generator: Generator, manager: SceneManager, seed: int, waits: bool) -> None:
        self._generator, self._manager, self._waits = generator, manager, waits
        self._key = startset.StartSetKey(generator.weights_hash, seed, tuple(manager.start_requests()))
        self._folder: Path = resources.cache_folder()
        self._builder: startset.StartSetBuilder | None = None
        self.total = len(self._key.wishes)
        self.made = 0

    @property
    def done(self) -> bool:
        """The start set stands in the world."""
        return self.made >= self.total

    def from_cache(self) -> bool:
        """Put the cached set into the world, full grown; False where there is none."""
        cached = startset.load(self._key, self._folder)
        if cached is None:
            return False
        self._manager.populate_from(cached)
        self.made = self.total
        return True

    def update(self, frame_index: int, now_ns: int) -> None:
        """Once a frame until ``done``: take what the generator has finished, and ask for the rest."""
        if self._builder is None:
            self._builder = startset.StartSetBuilder(self._generator, self._key, self._folder)
        fresh = self._builder.update(frame_index)
        self.made += len(fresh)
        if not self._waits:
            self._manager.populate_from(fresh, now_ns, grown=False)
        elif self._builder.is_done:
            self._manager.populate_from(self._builder.objects())
