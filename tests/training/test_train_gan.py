"""Adversarial training on small shapes made by code: resumed exactly, for the pure GAN and the VAE's decoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_shapes import write_folder

from vrapp.core.errors import UsageError, WeightsError
from vrapp.models.critic import CriticConfig, ShapeCritic
from vrapp.models.gan import GanConfig
from vrapp.models.vae import ShapeVAE, VaeConfig
from vrapp.training.object_gan import load_object_gan, sample_gan_grids, save_object_gan, train_object_gan
from vrapp.training.objects import ObjectTraining
from vrapp.training.peers import Peers
from vrapp.training.shape_data import ShapeData
from vrapp.training.train_gan import (
    AdversarialRun,
    GanTraining,
    VaeDecoder,
    _draw,
    sharpen_decoder,
    train_gan,
)

PLAN = GanTraining(
    steps=3, batch=2, critic_width=4, r1_every=4, check_every=2, generator_rate=1e-3, device="cpu", augment=None
)
TINY = GanConfig(categories=2, latent=8, style=16, widths=(16, 8, 8))
SMALL_VAE = VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)


@pytest.fixture(scope="module")
def shapes() -> ShapeData:
    """Four balls and blocks of two sizes, as they are stored."""
    line = torch.arange(64) + 0.5 - 32
    x, y, z = line[:, None, None].abs(), line[None, :, None].abs(), line[None, None].abs()
    fields = [((x**2 + y**2 + z**2).sqrt() - r) / 4 for r in (14.0, 20.0)]
    fields += [(torch.maximum(torch.maximum(x, y), z) - r) / 4 for r in (12.0, 18.0)]
    distance = torch.stack([((field.clamp(-1, 1) + 1) * 127.5).round() for field in fields])[:, None].to(torch.uint8)
    look = torch.full((4, 7, 32, 32, 32), 128, dtype=torch.uint8)
    return ShapeData(
        distance, look, torch.full((4, 3), 30.0), torch.tensor([0, 0, 1, 1]), ("ball", "block"),
        ("a", "b", "c", "d"), np.arange(4),
    )  # fmt: skip


def test_a_resumed_gan_is_the_same_gan(shapes: ShapeData, tmp_path: Path) -> None:
    straight = train_gan(shapes, tmp_path / "straight", PLAN, TINY)
    train_gan(shapes, tmp_path / "halting", replace(PLAN, steps=1), TINY)
    resumed = train_gan(shapes, tmp_path / "halting", PLAN, TINY)
    pairs = zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    steps = [line.split(",")[0] for line in (tmp_path / "halting" / "gan.csv").read_text().splitlines()]
    assert steps == ["step", "1", "2", "3"]
    with pytest.raises(UsageError, match="other settings"):
        train_gan(shapes, tmp_path / "halting", replace(PLAN, r1=2.0), TINY)


def test_time_before_a_kill_counts(shapes: ShapeData, tmp_path: Path) -> None:
    ticks: list[tuple[int, float]] = []
    train_gan(shapes, tmp_path, replace(PLAN, steps=1), TINY, tick=lambda step, share, _: ticks.append((step, share)))
    assert ticks == [(1, 1.0)]
    state = torch.load(tmp_path / "gan.pt", weights_only=True)
    assert state["seconds"] > 0
    torch.save({**state, "seconds": 100.0}, tmp_path / "gan.pt")
    train_gan(shapes, tmp_path, replace(PLAN, seconds=50.0), TINY)
    assert torch.load(tmp_path / "gan.pt", weights_only=True)["step"] == 1  # its time was over


def test_the_decoder_is_sharpened_and_the_encoder_left_alone(shapes: ShapeData, tmp_path: Path) -> None:
    torch.manual_seed(0)
    plan = replace(PLAN, steps=2, r1_every=4)
    vae = ShapeVAE(SMALL_VAE)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    again = ShapeVAE(SMALL_VAE)
    again.load_state_dict(before)
    sharp, critic = sharpen_decoder(vae, shapes, tmp_path / "straight", plan)
    assert isinstance(critic, ShapeCritic)
    changed = {name for name, value in sharp.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)
    halting = ShapeVAE(SMALL_VAE)
    halting.load_state_dict(before)
    sharpen_decoder(halting, shapes, tmp_path / "halting", replace(plan, seconds=0.0))
    resumed, _ = sharpen_decoder(again, shapes, tmp_path / "halting", plan)
    pairs = zip(sharp.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_critics_say_is_a_set_share_of_the_reconstructions(shapes: ShapeData) -> None:
    torch.manual_seed(0)
    plan = replace(PLAN, adversarial=0.25)
    maker = VaeDecoder(ShapeVAE(SMALL_VAE), plan)
    run = AdversarialRun(maker, ShapeCritic(CriticConfig(2, width=4)), plan)
    batch = _draw(shapes, torch.ones(4), run, Peers())
    made, own = maker.make(batch)
    adversarial = -run.critic(made, batch.category).mean()
    weight = maker.weight(made, own, adversarial)
    parameters = list(maker.network.decoder.parameters())

    def pull(loss: torch.Tensor) -> float:
        grads = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        return sum(float(g.square().sum()) for g in grads if g is not None) ** 0.5

    assert pull(weight * adversarial) == pytest.approx(0.25 * pull(own), rel=1e-3)


def test_the_pure_gan_learns_coarse_first(shapes: ShapeData, tmp_path: Path) -> None:
    plan = replace(PLAN, steps=4, coarse_share=0.5)
    train_gan(shapes, tmp_path, replace(plan, steps=2, coarse_share=1.0), TINY)
    state = torch.load(tmp_path / "gan.pt", weights_only=True)
    assert not any(value.any() for name, value in state["maker"].items() if name.startswith("fine."))
    assert state["maker"]["coarse.weight"].any()
    train_gan(shapes, tmp_path / "whole", plan, TINY)
    state = torch.load(tmp_path / "whole" / "gan.pt", weights_only=True)
    assert state["maker"]["fine.weight"].any()


class SlowPeer:
    """The first of two processes, whose other one has a clock far ahead."""

    rank, count, device = 0, 2, torch.device("cpu")

    def mean(self, value: float) -> float:
        return (value + 1.0) / 2

    def average_gradients(self, module: torch.nn.Module, flag: bool) -> bool:
        return flag


def test_all_processes_change_resolution_at_the_same_step(
    shapes: ShapeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vrapp.training.train_gan.Peers", SlowPeer)
    plan = replace(PLAN, steps=1000, seconds=1000.0, coarse_share=0.6)
    shares: list[float] = []

    def tick(step: int, share: float, loss: float) -> None:
        shares.append(share)
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_gan(shapes, tmp_path, replace(plan, check_every=1), TINY, tick=tick)
    assert shares[0] == pytest.approx(0.5, abs=0.05)  # its own clock has hardly begun
    assert shares[1] == pytest.approx(0.75, abs=0.05)
    state = torch.load(tmp_path / "gan.pt", weights_only=True)
    assert state["step"] == 2
    assert state["maker"]["fine.weight"].any()  # the second step was at 32³


def test_a_gan_file_comes_back(shapes: ShapeData, tmp_path: Path) -> None:
    model = train_gan(shapes, tmp_path, replace(PLAN, steps=1), TINY)
    path = tmp_path / "gan.safetensors"
    save_object_gan(path, model, {"categories": ["ball", "block"]})
    again, categories = load_object_gan(path)
    labels = torch.tensor([0, 1, 1])
    grids = sample_gan_grids(again, labels, seed=3)
    assert categories == ("ball", "block")
    assert grids.shape == (3, 7, 64, 64, 64)
    assert torch.allclose(grids, sample_gan_grids(model, labels, seed=3), atol=2e-2)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(WeightsError):
        load_object_gan(path)


@pytest.mark.slow
def test_a_folder_becomes_a_gan(tmp_path: Path) -> None:
    write_folder(tmp_path / "models")
    said: list[str] = []
    plan = replace(PLAN, steps=2)
    train_object_gan(
        tmp_path / "models", tmp_path / "gan.safetensors", ObjectTraining(processes=0), plan, say=said.append
    )
    _, categories = load_object_gan(tmp_path / "gan.safetensors")
    assert categories == ("ball", "box", "cone")
    assert any("gan: step 2" in line for line in said)
