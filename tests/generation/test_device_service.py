"""The generator of machines with a GPU, over a real shaper on CPU tensors and made-up draws."""

from __future__ import annotations

import numpy as np
import pytest
from test_shaping import NoCopier, TwoBalls, latent_of

from vrapp.core.errors import WorkerDied
from vrapp.core.generation import GeneratedObject, GenerationRequest, Generator, GeneratorFigures, Steering
from vrapp.core.mesh import LATENT_DIM, Mesh
from vrapp.generation import tidying
from vrapp.generation.device_service import DeviceGenerator
from vrapp.generation.gate import GateLimits
from vrapp.generation.lane import HostLane, HostMark
from vrapp.generation.shaping import Shaper
from vrapp.generation.topology import Capacity
from vrapp.generation.wishes import WishList

PERIOD_MS = 11.0
GOOD, BAD = 0.2, -1.0


class Draws:
    """Latents by attempt: ``plan`` gives the radius of each attempt at every request."""

    categories = ("ball",)
    weights_hash = "toy"
    latent_basis = np.eye(6, LATENT_DIM, dtype=np.float32)

    def __init__(self, plan=(GOOD,)):
        self.plan, self.asked, self.pace, self.room = plan, [], "", 100
        self.figures, self.fatal = GeneratorFigures(), set()
        self._waiting = []

    def submit(self, request, attempt=0):
        if self.figures.stopped or len(self._waiting) >= self.room:
            return False
        self.asked.append((request.request_id, attempt))
        self._waiting.append((request, attempt))
        return True

    def collect(self, frame_index):
        waiting, self._waiting = self._waiting, []
        none = Mesh((), np.zeros((2, 3)), np.zeros((0, 3)))
        self._unmade = [r.request_id for r, _ in waiting if r.request_id in self.fatal or self.figures.stopped]
        return [
            GeneratedObject(r.request_id, 0, latent_of(self.plan[a % len(self.plan)]), np.zeros(6), none, "", a + 1)
            for r, a in waiting
            if r.request_id not in self._unmade
        ]

    def unmade(self):
        return self._unmade

    def set_pace(self, pace):
        self.pace = pace

    def close(self):
        self.pace = "closed"


class SteadyMark(HostMark):
    """Slices take a fifth of a millisecond, whatever the machine is at."""

    def ms_since(self, earlier):
        return 0.2


class SteadyLane(HostLane):
    def mark(self):
        return SteadyMark()


class Small(TwoBalls):
    """On a coarser grid: what is tested here is not the surface."""

    resolution = 32


def opened(plan=(GOOD,)):
    capacities = (Capacity(1300, 1300, 1300), Capacity(400, 400, 400), Capacity(150, 150, 150))
    shaper = Shaper(Small(), SteadyLane(), capacities)
    shaper.connect(NoCopier())
    draws = Draws(plan)
    return DeviceGenerator(draws, shaper, [GateLimits(longest_side_least=0.1)], np.zeros(LATENT_DIM), "test"), draws


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch):
    monkeypatch.setattr(tidying, "ROUNDS", 6)


def frames(generator, count, gpu_ms=1.0):
    made = []
    for index in range(count):
        made += generator.collect(index)
        generator.work(gpu_ms, PERIOD_MS)
    return made


def ask(request_id, latent=None, levels=3):
    return GenerationRequest(request_id, 1, Steering(0), latent, levels)


def test_it_keeps_the_contract_and_gives_what_was_asked_for():
    generator, _ = opened()
    assert isinstance(generator, Generator)
    for request_id in range(5):
        assert generator.submit(ask(request_id))
    assert generator.figures.in_flight == 5
    made = frames(generator, 40)
    assert [one.request_id for one in made] == list(range(5))
    assert all(len(one.mesh.levels) == 3 and one.mesh.tops is not None for one in made)
    assert generator.figures.in_flight == 0
    assert len({one.mesh_hash for one in made}) == 1  # of equal latents


def test_what_the_gate_refuses_is_drawn_again_and_counted():
    generator, draws = opened((BAD, BAD, GOOD))
    draws.room = 1
    generator.submit(ask(7))
    (made,) = frames(generator, 40)
    assert draws.asked == [(7, 0), (7, 1), (7, 2)]
    assert (made.attempts, generator.figures.rejected_why) == (3, {"empty": 2})


def test_what_never_passes_is_given_up():
    generator, draws = opened((BAD,))
    generator.submit(ask(7))
    assert frames(generator, 60) == []
    assert [attempt for _, attempt in draws.asked] == list(range(8))
    assert generator.figures.in_flight == 0


def test_what_kills_its_worker_is_no_longer_waited_for():
    generator, draws = opened()
    draws.fatal = {1}
    for request_id in range(3):
        generator.submit(ask(request_id))
    assert [one.request_id for one in frames(generator, 40)] == [0, 2]
    assert generator.figures.in_flight == 0


def test_with_a_worker_that_gave_up_nothing_is_waited_for_and_hands_are_still_served():
    generator, draws = opened((BAD,))
    generator.submit(ask(1))
    frames(generator, 1)
    draws.room = 0  # so that it waits to be drawn again
    frames(generator, 20)
    draws.room = 100
    generator.submit(ask(2))
    draws.figures.stopped = "The worker is gone."
    assert frames(generator, 20) == []
    assert generator.figures.in_flight == 0
    assert generator.figures.stopped == "The worker is gone."
    assert generator.submit(ask(100, latent_of(GOOD), levels=1))
    frames(generator, 20)
    assert list(generator.decoded()) == [100]


def test_what_was_drawn_before_the_worker_gave_up_is_still_made():
    generator, draws = opened()
    wanted = WishList(generator, 1, [Steering(0)] * 4)
    draws.room = 3
    wanted.update(0)  # asks for three
    generator.collect(0)
    draws.figures.stopped = "The worker is gone."
    made = []
    for index in range(1, 60):
        if len(made) == 3:
            break
        made += wanted.update(index)
        generator.work(1.0, PERIOD_MS)
    assert [one.request_id for one in made] == [0, 1, 2]
    with pytest.raises(WorkerDied, match="is gone"):
        wanted.update(60)


def test_hands_go_first_and_are_told_apart():
    generator, _ = opened()
    for request_id in range(3):
        generator.submit(ask(request_id))
    generator.collect(0)
    assert generator.submit(ask(100, latent_of(0.21), levels=1))
    assert not generator.submit(ask(101, latent_of(0.21)))  # one at a time
    generator.set_pace("load")
    order, index = [], 1
    while len(order) < 4:
        generator.work(1.0, PERIOD_MS)
        ready = generator.collect(index)
        order += [request_id for request_id, one in generator.decoded().items() if len(one.mesh.levels) == 1]
        order += [one.request_id for one in ready]
        index += 1
    assert order.index(100) == 0
    assert generator.submit(ask(101, latent_of(BAD)))
    frames(generator, 20)
    assert generator.decoded() == {101: None}


@pytest.mark.parametrize("pace", ["off", "idle"])
def test_while_a_shape_for_the_hands_is_on_its_way_no_other_begins(pace):
    """It would spend the hands' budget, and the hands' next shape would have to wait until it is finished."""
    generator, _ = opened()
    generator.submit(ask(1))
    generator.collect(0)
    begun = []
    begin = generator._shaper.begin
    generator._shaper.begin = lambda latent, *rest: begun.append(float(latent[0])) or begin(latent, *rest)
    generator.set_pace(pace)
    generator.submit(ask(100, latent_of(0.21), levels=1))
    for _ in range(30):  # its shape is staged, and not yet polled
        generator.work(1.0, PERIOD_MS)
    assert len(generator._staged) == 1
    assert len(begun) == 1
    frames(generator, 30)
    assert len(begun) == (1 if pace == "off" else 2)
    assert list(generator.decoded()) == [100]


def test_a_gpu_without_room_gets_no_work():
    generator, draws = opened()
    generator.submit(ask(1))
    generator.set_pace("idle")
    assert draws.pace == "idle"
    assert frames(generator, 40, gpu_ms=0.8 * PERIOD_MS) == []
    assert frames(generator, 40, gpu_ms=None) == []
    assert generator.figures.in_flight == 1
    generator.set_pace("off")
    assert frames(generator, 40) == []
    generator.set_pace("load")
    assert len(frames(generator, 40)) == 1
    generator.close()
    assert draws.pace == "closed"


@pytest.mark.parametrize("at", ["step", "take"])
def test_a_device_that_fails_on_the_way_ends_generation_and_not_the_visit(monkeypatch, at):
    generator, draws = opened()
    for request_id in range(3):
        generator.submit(ask(request_id))
    assert generator.submit(ask(100, latent_of(GOOD), levels=1))

    def fail(*_):
        raise RuntimeError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(generator._shaper, at, fail)
    assert frames(generator, 40) == []
    assert generator.figures.stopped == "The graphics card cannot make objects any more (CUDA out of memory.)."
    assert (generator.figures.in_flight, draws.pace) == (0, "closed")
    assert generator.decoded() == {100: None}  # nobody waits for it
    assert not generator.submit(ask(4))
    assert not generator.submit(ask(101, latent_of(GOOD)))
    generator.close()
