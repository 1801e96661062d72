"""Requests that name their latent: before all others, at their own pace, and never part of the bank's count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import generation_toy as toy
import numpy as np
import pytest
import torch

from vrapp.core.generation import GeneratedObject, GenerationRequest, Steering
from vrapp.generation.gate import GateLimits
from vrapp.generation.maker import ObjectMaker
from vrapp.generation.service import RESHAPE_LATENCY_FRAMES, ModelSource, WorkerGenerator

BOX, BALL, BROKEN, _ = range(4)
LIMIT_S = 600.0  # only against hanging


def latent(first: float, category: int = BOX) -> np.ndarray:
    made = np.full(704, 0.5, np.float32)
    made[0], made[3] = first, category
    return made


def request(request_id: int, first: float = 0.5, category: int = BOX, levels: int = 3) -> GenerationRequest:
    return GenerationRequest(request_id, 7, Steering(category), latent(first, category), levels)


@pytest.fixture
def generator() -> Iterator[WorkerGenerator]:
    opened = WorkerGenerator(Path("toy.safetensors"), source=ModelSource(toy.describe, toy.load))
    yield opened
    opened.close()


def answers(generator: WorkerGenerator, frame_index: int = 0) -> dict[int, GeneratedObject | None]:
    """The next ones."""
    give_up = time.monotonic() + LIMIT_S
    while time.monotonic() < give_up:
        generator.collect(frame_index)
        if found := generator.decoded():
            return found
        time.sleep(0.005)
    raise AssertionError(generator.state)


def test_the_very_latent_is_decoded_at_the_levels_asked_for() -> None:
    maker = ObjectMaker(toy.load(Path()), torch.device("cpu"))
    for levels in (1, 3):
        made = maker.make(request(1, 0.3, BALL, levels)).shown
        assert made is not None
        np.testing.assert_array_equal(made.latent, latent(0.3, BALL))
        np.testing.assert_array_equal(made.components, latent(0.3, BALL)[:6])
        assert len(made.mesh.levels) == levels
        extent = np.ptp(made.mesh.box, axis=0)
        assert extent[0] == pytest.approx(2 * (0.2 + 0.22 * 0.3), abs=0.02)
    assert maker.make(request(1, category=BROKEN)).shown is None


def test_what_hands_shape_may_be_odder_than_what_is_drawn() -> None:
    strict = GateLimits()
    mild = strict.mild()
    assert mild.thickness_least < strict.thickness_least
    assert (mild.pieces, mild.triangles_most) == (strict.pieces, strict.triangles_most)


def test_it_goes_before_all_others_and_one_at_a_time(generator: WorkerGenerator) -> None:
    generator.submit(request(100))
    assert not generator.submit(request(101)), "there is nothing that could get stale"
    answers(generator)  # the networks are loaded now
    for i in range(12):
        assert generator.submit(GenerationRequest(i, 7, Steering(BOX)))
    assert generator.submit(request(101, 0.1))
    assert generator.figures.in_flight == 12
    others: list[GeneratedObject] = []
    give_up = time.monotonic() + LIMIT_S
    while not (found := generator.decoded()) and time.monotonic() < give_up:
        others += generator.collect(0)
        time.sleep(0.001)
    assert set(found) == {101}
    assert len(others) < 6, "not after those that waited"
    assert generator.submit(request(102))
    assert set(answers(generator)) == {102}
    assert generator.figures.requested == 12


def test_what_the_gate_refuses_is_told_and_not_counted(generator: WorkerGenerator) -> None:
    assert generator.submit(request(5, category=BROKEN))
    assert answers(generator) == {5: None}
    assert generator.figures.rejected == 0


def test_it_is_made_though_the_generator_rests(generator: WorkerGenerator) -> None:
    generator.set_pace("off")
    assert generator.submit(request(5))
    assert answers(generator)[5] is not None


def test_under_a_fixed_clock_it_comes_exactly_so_many_frames_later() -> None:
    generator = WorkerGenerator(
        Path("toy.safetensors"), source=ModelSource(toy.describe, toy.load), fixed_latency_frames=30
    )
    generator.collect(10)
    generator.submit(GenerationRequest(0, 7, Steering(BALL)))
    generator.submit(request(5))
    arrived = []
    for frame in range(11, 41):
        drawn = [made.request_id for made in generator.collect(frame)]
        arrived += [(frame, i) for i in (*drawn, *generator.decoded())]
    assert arrived == [(10 + RESHAPE_LATENCY_FRAMES, 5), (40, 0)]
    generator.close()
