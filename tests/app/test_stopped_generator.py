"""A generator that gives up, or is long in loading, in the real world's loop: frames go on, and one sentence tells."""

import logging
from contextlib import ExitStack

import pytest
from generation_shapes import QueueGenerator
from scene_shapes import block, generated

from vrapp.app.loop import Loop
from vrapp.app.options import Options
from vrapp.app.start import Start
from vrapp.app.world import World
from vrapp.core.errors import WorkerDied

pytestmark = pytest.mark.gl
WHY = "The generator's worker process ended 3 times in a row (a bug); see the log."
WORLD = """
label = "two boxes"
[[cluster]]
name = "boxes"
at = [0.0, 0.0]
items = [
  { of = "crate_box", at = [0.3, -1.2], size = 0.1, turn = 0 },
  { of = "barrel", at = [-1.0, -2.0], size = 0.1, turn = 0 },
]
"""


class Mortal(QueueGenerator):
    """Gives ``lives`` objects, then never any again."""

    def __init__(self, lives):
        super().__init__()
        self.categories = ("crate_box", "barrel")
        self.latent_basis = [[0.0] * 704] * 6
        self._lives = lives

    def submit(self, request):
        return not self.figures.stopped and super().submit(request)

    def collect(self, frame_index):
        made = [generated(o.category, o.request_id, block(spacing=0.2)) for o in super().collect(frame_index)]
        made, self._lives = made[: self._lives], self._lives - len(made)
        if self._lives <= 0:
            self.figures.stopped, self.figures.in_flight = WHY, 0
            self._queue = []
        return made

    def decoded(self):
        return {}

    def work(self, gpu_ms, period_ms):
        pass


@pytest.fixture
def visit(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(Start, "cached", lambda self: [])
    (tmp_path / "boxes.toml").write_text(WORLD)

    def visited(lives=0, opened=None):
        monkeypatch.setattr("vrapp.app.world.open_generator", lambda *_: opened() if opened else Mortal(lives))
        options = Options(
            display="offscreen", clock="real", frames=4, size=(64, 64), world=str(tmp_path / "boxes.toml"), seed=3
        )
        with ExitStack() as owned:
            world = World(options, owned)
            world.run(0.0)
            return world.loop.timers.frame_ms.total, len(world.parts.store)

    return visited


def test_a_world_that_cannot_be_populated_ends_in_one_sentence(visit):
    with pytest.raises(WorkerDied, match="3 times in a row"):
        visit(lives=0)


@pytest.mark.parametrize(("lives", "objects"), [(1, 1), (2, 2)])
def test_a_visit_goes_on_with_what_there_is_and_says_so_once(visit, lives, objects, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("vrapp"), "handlers", [])  # those of runs in other tests
    with caplog.at_level(logging.WARNING):
        assert visit(lives) == (4, objects)
    told = [record.message for record in caplog.records if "goes on" in record.message]
    assert told == [f"{WHY} Nothing new is made; the visit goes on."]


class Loading(Mortal):
    """Loads for some frames before it takes anything."""

    def __init__(self, frames):
        super().__init__(lives=2)
        self.figures.loading = True
        self._left = frames

    def submit(self, request):
        return not self.figures.loading and super().submit(request)

    def collect(self, frame_index):
        self._left -= 1
        self.figures.loading = self._left > 0
        return super().collect(frame_index)


@pytest.mark.parametrize("is_cached", [False, True])
def test_who_waits_for_the_networks_stands_in_frames_that_say_so(visit, monkeypatch, is_cached):
    if is_cached:
        monkeypatch.setattr(Start, "from_cache", lambda self: self._finish([]) or True)
    told = []
    loading_of = Loop._loading
    monkeypatch.setattr(Loop, "_loading", lambda self: told.append(loading_of(self)) or told[-1])
    frames, _ = visit(opened=lambda: Loading(frames=6))
    assert told[:5] == [("The networks are loading",)] * 5
    assert told[-frames:] == [()] * frames  # what is counted begins afterwards
    assert frames == 4
