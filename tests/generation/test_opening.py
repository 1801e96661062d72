"""The device's generator loads beside the frames; where CUDA cannot run the networks the worker makes the objects."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from generation_toy import ToyModel, ToyPrior
from test_device_service import Draws, Small, SteadyLane, ask, frames
from test_shaping import NoCopier
from torch import nn

from vrapp.core.errors import WeightsError
from vrapp.core.generation import Generator
from vrapp.core.mesh import LATENT_DIM
from vrapp.generation import interop, lane, opening, shaping, tidying
from vrapp.generation.gate import GateLimits
from vrapp.generation.opening import NoDevice, OnDevice, OpeningGenerator
from vrapp.generation.shaping import Shaper
from vrapp.generation.topology import Capacity


class Worker(Draws):
    """Remembers how it was opened, and whether it was closed."""

    opened: ClassVar = []

    def __init__(self, weights, draws_only=False):
        super().__init__()
        self.draws_only = draws_only
        self.figures.device = "cpu"
        self.opened.append(self)

    @property
    def closed(self):
        return self.pace == "closed"

    def decoded(self):
        return {}

    def work(self, gpu_ms, period_ms):
        pass


@pytest.fixture
def workers(monkeypatch):
    monkeypatch.setattr(Worker, "opened", [])
    monkeypatch.setattr(opening, "WorkerGenerator", Worker)
    monkeypatch.setattr(tidying, "ROUNDS", 6)
    return Worker.opened


class Loading:
    """A device whose loading ends when the test says so."""

    def __init__(self, error=None):
        self.goes_on, self._error, self.thread = threading.Event(), error, None

    def __call__(self, weights, check_wanted):
        self.thread = threading.current_thread()
        assert self.goes_on.wait(30)
        check_wanted()
        if self._error is not None:
            raise self._error
        capacities = (Capacity(1300, 1300, 1300), Capacity(400, 400, 400), Capacity(150, 150, 150))
        shaper = Shaper(Small(), SteadyLane(), capacities)
        limits = [GateLimits(longest_side_least=0.1)]
        return OnDevice(shaper, SteadyLane(), limits, np.zeros(LATENT_DIM, np.float32), "a card")

    def end(self):
        self.goes_on.set()
        self.thread.join(30)


@pytest.fixture
def connected(monkeypatch):
    """Which thread led into OpenGL's buffers, and into whose."""
    found = []

    def connect(shaper, lane, ctx):
        shaper.connect(NoCopier())
        found.append((threading.current_thread(), ctx))

    monkeypatch.setattr(opening, "connect", connect)
    return found


def test_it_loads_beside_the_frames_and_then_makes_what_is_asked(workers, connected):
    loading = Loading()
    generator = OpeningGenerator(Path("w"), "the context", loading)
    assert isinstance(generator, Generator)
    assert (generator.categories, generator.weights_hash) == (Worker.categories, Worker.weights_hash)
    figures = generator.figures
    assert (figures.loading, figures.device) == (True, "loading")
    assert not generator.submit(ask(1))
    assert frames(generator, 3) == []
    assert generator.decoded() == {}
    generator.set_pace("idle")
    assert (connected, loading.thread is threading.main_thread()) == ([], False)
    loading.end()
    generator.collect(3)
    assert connected == [(threading.main_thread(), "the context")]  # OpenGL is this thread's
    assert generator.figures is figures
    assert (figures.loading, figures.device) == (False, "a card")
    assert workers[0].pace == "idle"
    assert generator.submit(ask(1))
    assert [made.request_id for made in frames(generator, 60)] == [1]
    assert figures.requested == 1
    generator.close()
    assert [(one.draws_only, one.closed) for one in workers] == [(True, True)]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RuntimeError("CUDA error: no kernel image is available\nCompile with ..."), "no kernel image is available"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), "out of memory"),
        (NoDevice("torch finds no CUDA device"), "finds no CUDA device"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_card_that_cannot_falls_back_to_the_worker_with_one_line(workers, caplog, error, why):
    loading = Loading(error)
    generator = OpeningGenerator(Path("w"), None, loading)
    generator.set_pace("off")
    loading.end()
    generator.collect(0)
    assert [(one.draws_only, one.pace) for one in workers] == [(True, "closed"), (False, "off")]
    assert generator.figures is workers[1].figures
    assert (generator.figures.device, generator.figures.loading) == ("cpu", False)
    (record,) = caplog.records
    assert why in record.message
    assert "\n" not in record.message
    assert generator.submit(ask(7))
    assert workers[1].asked == [(7, 0)]
    generator.close()
    assert workers[1].closed


def test_a_card_that_is_full_when_it_is_connected_falls_back_too(workers, monkeypatch, caplog):
    def full(shaper, lane, ctx):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(opening, "connect", full)
    loading = Loading()
    generator = OpeningGenerator(Path("w"), None, loading)
    loading.end()
    generator.collect(0)
    assert generator.figures.device == "cpu"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    generator.close()


def test_a_card_that_never_answers_is_not_waited_for(workers, monkeypatch, caplog):
    monkeypatch.setattr(opening, "_LOAD_LIMIT_S", -1.0)
    loading = Loading()
    generator = OpeningGenerator(Path("w"), None, loading)
    generator.collect(0)
    assert (generator.figures.device, generator.figures.loading) == ("cpu", False)
    assert "was not ready" in caplog.text
    generator.close()  # which does not wait for it
    assert loading.thread.is_alive()
    loading.end()  # too late
    assert generator.figures.device == "cpu"


def test_damaged_weights_are_told_and_leave_no_worker_behind(workers):
    loading = Loading(WeightsError("The weights are damaged."))
    generator = OpeningGenerator(Path("w"), None, loading)
    loading.end()
    with pytest.raises(WeightsError, match="damaged"):
        generator.collect(0)
    generator.close()
    assert [one.closed for one in workers] == [True]


def test_who_leaves_while_it_loads_waits_for_no_more_than_the_step_that_is_under_way(workers, connected):
    loading = Loading()
    generator = OpeningGenerator(Path("w"), None, loading)
    ending = threading.Timer(0.05, loading.goes_on.set)
    ending.start()
    generator.close()
    assert not loading.thread.is_alive()
    generator.collect(0)
    assert connected == []
    assert [one.closed for one in workers] == [True]


def test_a_torch_that_finds_no_card_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NoDevice, match="finds no CUDA device"):
        opening.on_device(Path("w"), lambda: None)


def test_a_driver_means_the_device_and_a_fixed_clock_the_worker(workers, monkeypatch):
    monkeypatch.setattr(opening, "OpeningGenerator", lambda weights, ctx: "opening")
    monkeypatch.setattr(opening, "WorkerGenerator", lambda weights, fixed_latency_frames=None: fixed_latency_frames)
    monkeypatch.setattr(opening, "driver_there", lambda: True)
    monkeypatch.setattr(opening, "torch_has_cuda", lambda: False)
    assert opening.open_generator(Path("w"), None) is None
    monkeypatch.setattr(opening, "torch_has_cuda", lambda: True)
    assert opening.open_generator(Path("w"), None) == "opening"
    assert opening.open_generator(Path("w"), None, 30) == 30
    monkeypatch.setattr(opening, "driver_there", lambda: False)
    assert opening.open_generator(Path("w"), None) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.2'\n", False),
        ("__version__ = '2.13.0'\ncuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", True),
        ("cuda = None\n", False),
        ("something = 'else'\n", True),
    ],
)
def test_whether_torch_has_cuda_is_read_off_its_version_file(monkeypatch, tmp_path, text, expected):
    (tmp_path / "version.py").write_text(text)
    monkeypatch.setattr(opening, "_torch_folder", lambda: tmp_path)
    assert opening.torch_has_cuda() == expected
    monkeypatch.undo()
    assert opening.torch_has_cuda() == (torch.version.cuda is not None)


def test_copies_go_to_the_device_and_what_draws_stays(monkeypatch):
    """On torch's device without memory: it tells where each network is."""

    class Lane:
        def __init__(self, device):
            self.device = torch.device("meta")
            self.aside = "the lane's"

    monkeypatch.setattr(lane, "CudaLane", Lane)
    connected = []

    def made(decoder, lane, critic, check_wanted):
        return SimpleNamespace(networks=(decoder, critic), connect=connected.append)

    monkeypatch.setattr(shaping, "Shaper", made)
    model = ToyModel(nn.Linear(2, 2), ToyPrior(), critic=nn.Linear(2, 2))
    shaper, its_lane = opening.cuda_shaper(model)
    assert [network.weight.device.type for network in shaper.networks] == ["meta", "meta"]
    assert [network.weight.device.type for network in (model.vae, model.critic)] == ["cpu", "cpu"]
    monkeypatch.setattr(interop, "CopyStream", lambda stream: ("copies", stream))
    monkeypatch.setattr(interop, "open_copier", lambda ctx, stream: (ctx, stream))
    opening.connect(shaper, its_lane, "the context")
    assert connected == [("the context", ("copies", "the lane's"))]
