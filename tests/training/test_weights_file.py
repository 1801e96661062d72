"""The weights file: round trip, reading without torch, and every kind of damage in one sentence."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vrapp.core.errors import WeightsError
from vrapp.generation.weights import describe_weights, load_weights, save_weights
from vrapp.models.denoiser import DenoiserConfig, LatentDenoiser
from vrapp.models.plausibility import PlausibilityConfig, PlausibilityCritic
from vrapp.models.prior import LatentPrior, PriorConfig
from vrapp.models.vae import ShapeVAE, VaeConfig

CATEGORIES = ("chair", "tree")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    vae = ShapeVAE(VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16))
    prior = LatentPrior(PriorConfig(categories=2, bins=4, width=16, layers=1, heads=2))
    prior.set_bins(torch.randn(20, 11, 4, 4, 4))
    path = tmp_path_factory.mktemp("weights") / "toy.safetensors"
    sampling = {"top_p": 0.9, "guidance": 0.25, "heat": 0.8, "projections": 1}
    save_weights(path, vae, prior, CATEGORIES, np.zeros(704), np.eye(6, 704), {"note": "toy"},
                 {"default": {}, "categories": {}}, sampling)  # fmt: skip
    return path


def test_round_trip(weights: Path) -> None:
    model, known = load_weights(weights), describe_weights(weights)
    assert model.categories == known.categories == CATEGORIES
    assert model.weights_hash == known.weights_hash
    assert len(known.weights_hash) == 64
    assert model.card == {"note": "toy"}
    assert model.latent_basis.shape == (6, 704)
    assert (model.prior.top_p, model.prior.guidance, model.prior.heat) == (0.9, 0.25, 0.8)
    uniforms = torch.rand(1, 64, 11)
    latent = model.prior.sample(torch.tensor([1]), uniforms)
    drawn = model.draw(torch.tensor([1]), uniforms, torch.randn(latent.shape))  # of no use without a denoiser
    torch.testing.assert_close(drawn, model.vae.projected(latent))
    assert model.vae.decode(latent).shape == (1, 7, 64, 64, 64)
    assert model.critic is None


def test_a_critic_comes_back(weights: Path, tmp_path: Path) -> None:
    model = load_weights(weights)
    torch.manual_seed(1)
    critic = PlausibilityCritic(PlausibilityConfig(2, hidden=8)).eval()
    critic.set_scale(torch.rand(9, 11))
    path = tmp_path / "with_critic.safetensors"
    basis = model.latent_mean, model.latent_basis
    save_weights(path, model.vae, model.prior, CATEGORIES, *basis, {}, {}, {}, critic)
    shape, category = torch.rand(1, 1, 64, 64, 64) * 2 - 1, torch.tensor([1])
    found = load_weights(path).critic
    assert found is not None
    torch.testing.assert_close(found(shape, category), critic(shape, category), rtol=0.01, atol=0.01)


def test_a_critic_of_other_categories_is_refused(weights: Path, tmp_path: Path) -> None:
    model, path = load_weights(weights), tmp_path / "other_critic.safetensors"
    critic = PlausibilityCritic(PlausibilityConfig(3, hidden=8))
    basis = model.latent_mean, model.latent_basis
    save_weights(path, model.vae, model.prior, CATEGORIES, *basis, {}, {}, {}, critic)
    with pytest.raises(WeightsError, match="the critic's number of categories differs"):
        load_weights(path)


def test_a_denoiser_comes_back_and_takes_part_in_draws(weights: Path, tmp_path: Path) -> None:
    model = load_weights(weights)
    torch.manual_seed(2)
    denoiser = LatentDenoiser(DenoiserConfig(2, width=16, layers=1, heads=2, strength=0.3)).eval()
    for value in denoiser.parameters():
        value.data += 0.1 * torch.randn_like(value)
    path = tmp_path / "with_denoiser.safetensors"
    basis = model.latent_mean, model.latent_basis
    save_weights(path, model.vae, model.prior, CATEGORIES, *basis, {}, {}, {}, denoiser=denoiser)
    found, category, uniforms = load_weights(path), torch.tensor([1]), torch.rand(1, 64, 11)
    assert found.denoiser is not None
    assert found.denoiser.config == denoiser.config
    draft = found.prior.sample(category, uniforms, 0.8)
    noise = torch.randn(draft.shape)
    expected = denoiser.refined(draft, category, noise, 0.8 * 0.3)
    torch.testing.assert_close(found.draw(category, uniforms, noise, 0.8), expected, rtol=0.01, atol=0.01)
    assert not torch.allclose(expected, draft)


def test_describing_does_not_load_torch(weights: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vrapp.generation.weights import describe_weights;"
        f"print(describe_weights(Path({str(weights)!r})).categories, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('chair', 'tree') False"


def damaged(raw: bytes, what: str) -> bytes:
    length = struct.unpack("<Q", raw[:8])[0]
    header, tensors = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    if what == "flipped bit":
        return raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:]
    if what == "cut off":
        return raw[: len(raw) // 2]
    if what == "empty":
        return b""
    if what == "foreign":
        return b"PK\x03\x04" + raw[:500]
    if what == "absurd header":
        return struct.pack("<Q", 2**60) + raw[8:]
    if what == "other schema":
        header["__metadata__"]["schema"] = "something-else"
    if what == "no metadata":
        del header["__metadata__"]
    if what == "bad description":
        header["__metadata__"]["description"] = "{"
    if what == "offsets out of the file":
        header["latent_mean"]["data_offsets"] = [0, 2**40]
    if what == "negative shape":
        header["latent_mean"]["shape"] = [-704]
    if what == "a tensor lacks":
        del header["latent_basis"]
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


KINDS = ["flipped bit", "cut off", "empty", "foreign", "absurd header", "other schema", "no metadata",
         "bad description", "offsets out of the file", "negative shape", "a tensor lacks"]  # fmt: skip


@pytest.mark.parametrize("what", KINDS)
def test_damage_is_one_sentence_with_a_remedy(weights: Path, tmp_path: Path, what: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(damaged(weights.read_bytes(), what))
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.endswith(".")
    assert "\n" not in message
    assert "train objects" in message


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="do not exist"):
        describe_weights(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match=r"cannot be read|not a safetensors"):
        describe_weights(tmp_path)
