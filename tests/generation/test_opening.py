"""Where CUDA cannot run the networks the worker makes the objects; the networks that draw stay on the CPU."""

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from generation_toy import ToyModel, ToyPrior
from torch import nn

from vrapp.core.errors import WeightsError
from vrapp.generation import interop, lane, opening, shaping, weights


class Worker:
    """Remembers how it was opened, and whether it was closed."""

    opened: ClassVar = []

    def __init__(self, weights, draws_only=False):
        self.draws_only, self.closed = draws_only, False
        self.opened.append(self)

    def close(self):
        self.closed = True


@pytest.fixture
def workers(monkeypatch):
    monkeypatch.setattr(Worker, "opened", [])
    monkeypatch.setattr(opening, "WorkerGenerator", Worker)
    monkeypatch.setattr(weights, "load_weights", lambda path: None)
    return Worker.opened


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (RuntimeError("CUDA error: no kernel image is available\nCompile with ..."), "no kernel image is available"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), "out of memory"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_card_that_cannot_falls_back_to_the_worker_with_one_line(workers, monkeypatch, caplog, error, why):
    def broken(model, ctx):
        raise error

    monkeypatch.setattr(opening, "cuda_shaper", broken)
    generator = opening.on_device(Path("w"), None)
    assert [(one.draws_only, one.closed) for one in workers] == [(True, True), (False, False)]
    assert generator is workers[1]
    (record,) = caplog.records
    assert why in record.message
    assert "\n" not in record.message


def test_damaged_weights_leave_no_worker_behind(workers, monkeypatch):
    def damaged(path):
        raise WeightsError("The weights are damaged.")

    monkeypatch.setattr(weights, "load_weights", damaged)
    with pytest.raises(WeightsError):
        opening.on_device(Path("w"), None)
    assert [one.closed for one in workers] == [True]


def test_copies_go_to_the_device_and_what_draws_stays(monkeypatch):
    """On torch's device without memory: it tells where each network is."""

    class Lane:
        def __init__(self, device):
            self.device = torch.device("meta")
            self.stream = type("Stream", (), {"cuda_stream": 0})

    monkeypatch.setattr(lane, "CudaLane", Lane)
    monkeypatch.setattr(interop, "open_copier", lambda ctx, stream: None)
    monkeypatch.setattr(shaping, "Shaper", lambda decoder, lane, copier, critic: (decoder, critic))
    model = ToyModel(nn.Linear(2, 2), ToyPrior(), critic=nn.Linear(2, 2))
    on_device = opening.cuda_shaper(model, None)
    assert [network.weight.device.type for network in on_device] == ["meta", "meta"]
    assert [network.weight.device.type for network in (model.vae, model.critic)] == ["cpu", "cpu"]
