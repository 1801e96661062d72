"""Fitting the denoiser: it learns, and a run that was cut off ends as if it had not been."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vrapp.models.denoiser import DenoiserConfig
from vrapp.training.objects import time_left
from vrapp.training.peers import Peers
from vrapp.training.train_denoiser import DenoiserTraining, held_out_loss, strength_for, train_denoiser
from vrapp.training.train_prior import LatentSet

SIZES = DenoiserConfig(2, width=32, layers=1, heads=2)
PLAN = DenoiserTraining(steps=6, batch=4, check_every=2)


@pytest.fixture
def known() -> LatentSet:
    torch.manual_seed(0)
    category = torch.tensor([0, 1] * 6)
    mean = torch.randn(2, 11, 4, 4, 4)[category][:, None] + 0.1 * torch.randn(12, 2, 11, 4, 4, 4)
    return LatentSet(mean, 0.05 * torch.ones_like(mean), category)


def test_a_resumed_training_is_the_same_training(known: LatentSet, tmp_path: Path) -> None:
    straight, _ = train_denoiser(known, known, SIZES, PLAN, tmp_path / "straight")

    class Killed(Exception):
        pass

    def kill(step: int, _: dict[str, float]) -> None:
        if step == 4:
            raise Killed

    with pytest.raises(Killed):
        train_denoiser(known, known, SIZES, PLAN, tmp_path / "halting", kill)
    resumed, _ = train_denoiser(known, known, SIZES, PLAN, tmp_path / "halting")
    pairs = zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_it_learns_and_says_so(known: LatentSet, tmp_path: Path) -> None:
    rows: list[dict[str, float]] = []
    plan = DenoiserTraining(steps=120, batch=12, check_every=40, rate=1e-2, warm_up=5, average=0.9)
    model, loss = train_denoiser(known, known, SIZES, plan, tmp_path, lambda _, row: rows.append(row))
    assert rows[-1]["validation_loss"] < 0.7 * rows[0]["validation_loss"]
    assert loss == rows[-1]["validation_loss"] == held_out_loss(model, known)
    assert (tmp_path / "denoiser.csv").read_text().startswith("step,train_loss,validation_loss,seconds")


class SlowPeer:
    """Of two processes, the one that has used 60 seconds less than the other."""

    def mean(self, value: float) -> float:
        return value + 30.0


def test_all_processes_have_the_same_time_left() -> None:
    assert time_left(100.0, time.monotonic() - 20.0, SlowPeer()) == pytest.approx(50.0, abs=5.0)
    assert time_left(10.0, time.monotonic() - 20.0, SlowPeer()) == 1.0
    assert time_left(100.0, time.monotonic() - 20.0, Peers()) == pytest.approx(80.0, abs=5.0)


def test_a_run_whose_time_is_over_is_not_begun_again(known: LatentSet, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=10**6, seconds=0.3)
    train_denoiser(known, known, SIZES, plan, tmp_path)
    steps = []
    train_denoiser(known, known, SIZES, plan, tmp_path, tick=lambda step, *_: steps.append(step))
    assert steps == []


def test_a_network_that_has_learned_less_may_change_less() -> None:
    assert strength_for(0.688) == pytest.approx(0.7)
    assert [strength_for(loss) for loss in (0.2, 0.9)] == [0.9, 0.2]
    assert strength_for(0.775) < 0.5
