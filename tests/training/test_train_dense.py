"""Training and judging the dense networks, on relief made by code and on pictures of a known density."""

import gzip
import math
import struct
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal

from vrapp.core.errors import InputFileError, UsageError, WeightsError
from vrapp.generation.network_file import decode_dense, load_network
from vrapp.models import dense
from vrapp.models.dense import DenseConfig, DenseGAN, DenseVAE
from vrapp.training import evaluate_dense as evaluate_dense_module
from vrapp.training.dense import DenseTraining, _Run, export_dense, import_dense, train_dense, train_to_file
from vrapp.training.evaluate_dense import (
    DenseEvaluation,
    SampleJudge,
    bootstrap_se,
    evaluate_dense,
    importance_nll,
    likelihood_row,
)
from vrapp.training.images import ImageSet, load_image_sets, relief_sets
from vrapp.training.relief import KINDS, relief

TINY = DenseTraining(steps=6, batch=20, check_every=3, model=DenseConfig((16,), 4, "gaussian"))


@pytest.fixture(scope="module")
def sets() -> tuple[ImageSet, ImageSet]:
    return relief_sets(0, 240, 80)


def digits(folder: Path, count: int = 30, packed: bool = True) -> Path:
    """MNIST's four files, with squares for digits."""
    rng, opener = np.random.default_rng(0), gzip.open if packed else open
    for part in ("train", "t10k"):
        images = np.zeros((count, 28, 28), np.uint8)
        for number, side in enumerate(rng.integers(4, 20, count)):
            images[number, 4 : 4 + side, 4 : 4 + side] = 200
        ending = ".gz" if packed else ""
        with opener(folder / f"{part}-images-idx3-ubyte{ending}", "wb") as file:
            file.write(struct.pack(">IIII", 0x803, count, 28, 28) + images.tobytes())
        with opener(folder / f"{part}-labels-idx1-ubyte{ending}", "wb") as file:
            file.write(struct.pack(">II", 0x801, count) + rng.integers(0, 3, count, np.uint8).tobytes())
    return folder


def test_relief_is_a_function_of_its_seed() -> None:
    heights, kind = relief(40, 3)
    assert heights.shape == (40, 28, 28)
    assert np.bincount(kind).tolist() == [10] * len(KINDS)
    assert np.array_equal(relief(8, 3)[0], heights[:8])
    assert not np.array_equal(relief(8, 4)[0], heights[:8])
    many, kind = relief(512, 0)
    for number in range(len(KINDS)):
        assert 0.7 < many[kind == number].std() < 1.3
        assert abs(many[kind == number].mean()) < 0.3


def test_terraces_are_flat_for_the_most_part_and_dunes_steeper_on_one_side() -> None:
    heights, kind = relief(256, 0)
    slope = np.abs(np.diff(heights, axis=1))
    terraces, hills = slope[kind == 2], slope[kind == 1]
    assert (terraces < 0.02).mean() > 0.3 > (hills < 0.005).mean()
    dunes, beds = heights[kind == 0], heights[kind == 3]
    assert np.abs(np.diff(dunes, axis=1)).max() > 0.4
    assert (beds < beds.mean() - 0.8).mean() > 0.08  # the cut is deep, and narrow


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_where_it_is(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "mnist").mkdir()
    train, test = load_image_sets(digits(tmp_path / "mnist", packed=packed).parent)
    assert (len(train), len(test), train.kind, train.name) == (30, 30, "bernoulli", "mnist")
    assert train.label.max() <= 2
    assert float(train.mean.max()) == pytest.approx(200 / 255)


def test_binarisation_is_dynamic_and_unbiased(tmp_path: Path) -> None:
    train, _ = load_image_sets(digits(tmp_path))
    rows = torch.zeros(4000, dtype=torch.int64)
    drawn = train.batch(rows, torch.Generator().manual_seed(0))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert float(drawn[:, train.pixels[0] == 200].mean()) == pytest.approx(200 / 255, abs=0.01)


def test_own_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "tiles.npy", np.random.default_rng(0).normal(5, 3, (200, 28, 28)))
    train, test = load_image_sets(tmp_path)
    assert (len(train), len(test), train.kind) == (180, 20, "gaussian")
    assert float(train.pixels.std()) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (None, b"", "no MNIST files"),
        ("train-images-idx3-ubyte.gz", b"not gzip", "cannot be read"),
        ("train-images-idx3-ubyte.gz", gzip.compress(struct.pack(">IIII", 0x803, 4 << 28, 28, 28)), "not an idx file"),
        ("train-images-idx3-ubyte", struct.pack(">IIII", 0x803, 50, 28, 28) + bytes(99), "cut off"),
        ("train-images-idx3-ubyte", b"\x00\x00", "cut off"),
        ("a.npy", b"\x93NUMPY\x01\x00", "not a .npy array"),
    ],
)
def test_bad_pictures_are_one_sentence(tmp_path: Path, name: str | None, content: bytes, expected: str) -> None:
    if name:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputFileError, match=expected):
        load_image_sets(tmp_path)


def test_arrays_of_the_wrong_kind(tmp_path: Path) -> None:
    for array, expected in (
        (np.zeros((5, 20, 20)), "expected"),
        (np.zeros((200, 28, 28), np.int64), "int64"),
        (np.full((200, 28, 28), np.nan), "not finite"),
        (np.zeros((9, 28, 28)), "at least 100"),
        (np.array([{}], object), "not a .npy"),
    ):
        np.save(tmp_path / "a.npy", array, allow_pickle=True)
        with pytest.raises(InputFileError, match=expected):
            load_image_sets(tmp_path)


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_a_resumed_training_is_the_same_training(kind: str, sets: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    plan = replace(TINY, kind=kind)  # type: ignore[arg-type]
    straight = train_dense(*sets, tmp_path / "straight", plan)
    for _ in range(3):  # stops after one step each time
        train_dense(*sets, tmp_path / "halting", replace(plan, seconds=0.0))
    resumed = train_dense(*sets, tmp_path / "halting", plan)
    pairs = zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    rows = (tmp_path / "halting" / "dense.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2", "3", "6"]


def test_another_plan_does_not_go_on_from_a_checkpoint(sets: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    train_dense(*sets, tmp_path, replace(TINY, steps=1))
    with pytest.raises(UsageError, match="other settings"):
        train_dense(*sets, tmp_path, replace(TINY, steps=1, batch=7))


def test_training_raises_the_bound(sets: tuple[ImageSet, ImageSet], tmp_path: Path) -> None:
    rows: list[float] = []
    plan = replace(TINY, steps=200, check_every=100, rate=3e-3, warm_up=10, beta_warm_up=20)
    train_dense(*sets, tmp_path, plan, lambda _, row: rows.append(row["elbo_test"]))
    assert rows[-1] > rows[0] > -784 * 1.6


@pytest.mark.parametrize("network", [DenseVAE, DenseGAN])
def test_a_weights_file_comes_back(network: type, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = network(DenseConfig((16, 8), 4, "gaussian")).eval()
    export_dense(tmp_path / "a.safetensors", model, {"data": "relief"})
    again, card = import_dense(tmp_path / "a.safetensors")
    noise = torch.randn(3, 4)
    assert card == {"data": "relief"}
    assert torch.allclose(again.sample(noise), model.sample(noise), atol=1e-3)
    found = load_network(tmp_path / "a.safetensors", ("decoder.",))
    assert np.allclose(decode_dense(found.tensors, noise.numpy()), again.sample(noise).numpy(), atol=1e-5)


def test_damaged_weights_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    export_dense(path, DenseVAE(TINY.model), {})
    whole = path.read_bytes()
    for content, expected in (
        (whole[:-1] + bytes([whole[-1] ^ 1]), "sha256"),
        (whole[:100], "damaged"),
        (struct.pack("<Q", 1 << 40) + b"{}", "damaged"),
        (b"", "damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=expected):
            load_network(path)
    with pytest.raises(WeightsError, match="do not exist"):
        load_network(tmp_path / "none.safetensors")


def linear_gaussian() -> tuple[DenseVAE, torch.Tensor, MultivariateNormal]:
    """p(z) = N(0, I), p(x|z) = N(Wz + b, s²I): log p(x) has a closed form. The posterior is q's, exactly."""
    torch.manual_seed(0)
    s = 0.7
    model = DenseVAE(DenseConfig((), 3, "gaussian"))
    w, b = 0.08 * torch.randn(784, 3), torch.randn(784)
    covariance = torch.linalg.inv(torch.eye(3) + w.T @ w / s**2)
    with torch.no_grad():
        model.log_deviation.fill_(math.log(s))
        model.decoder[0].weight.copy_(w)
        model.decoder[0].bias.copy_(b)
        # A diagonal posterior needs orthogonal columns: turn z to where they are.
        values, turn = torch.linalg.eigh(w.T @ w)
        w = w @ turn
        model.decoder[0].weight.copy_(w)
        covariance = torch.diag(1 / (1 + values / s**2))
        to_mean = covariance @ w.T / s**2
        model.encoder[0].weight.copy_(torch.cat([to_mean, torch.zeros(3, 784)]))
        model.encoder[0].bias.copy_(torch.cat([-to_mean @ b, covariance.diagonal().log()]))
    x = b + torch.randn(6, 3) @ w.T + s * torch.randn(6, 784)
    marginal = MultivariateNormal(b.double(), (w @ w.T + s**2 * torch.eye(784)).double())
    return model, x, marginal


def test_importance_sampling_against_the_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "MEAN_BOUND", 1e3)  # so far out that the encoder is linear
    model, x, marginal = linear_gaussian()
    exact = marginal.log_prob(x.double()).numpy()
    bound, likelihood = importance_nll(model, x, 50, torch.Generator().manual_seed(0))
    assert np.allclose(bound, exact, atol=2e-2)  # q is the posterior: every weight is p(x)
    assert np.allclose(likelihood, exact, atol=2e-2)
    with torch.no_grad():  # a wrong posterior: the bound is loose, the estimate is not
        model.encoder[0].bias += torch.tensor([0.15, -0.1, 0.1, 0.6, 0.5, 0.4])
    bound, likelihood = importance_nll(model, x, 9000, torch.Generator().manual_seed(0))
    assert (exact - bound > 0.1).all()
    assert np.allclose(likelihood, exact, atol=0.05)
    few = importance_nll(model, x, 5, torch.Generator().manual_seed(0))[1]
    assert few.mean() < likelihood.mean()  # a lower bound for any number of samples


def test_the_nll_of_all_is_told_from_some() -> None:
    model, x, _ = linear_gaussian()
    many = ImageSet(x[torch.arange(120) % 6], torch.full((120,), -1), "own")
    some = likelihood_row(model, many, DenseEvaluation(30, 100))
    every = likelihood_row(model, many, DenseEvaluation(120, 100))
    assert some["nll"] == pytest.approx(every["nll"], abs=0.02)
    assert every["nll_se_subset"] == 0.0
    assert some["nll_pictures"] == 30


def test_the_bootstrap_knows_the_error_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=400)
    assert bootstrap_se(values) == pytest.approx(values.std() / 20, rel=0.1)


def test_dense_evaluation_has_a_row_for_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_dense_module, "relief_sets", lambda: relief_sets(0, 40, 20))
    monkeypatch.setattr(evaluate_dense_module, "SampleJudge", partial(SampleJudge, steps=20))
    data = digits(tmp_path, 60)
    plan = replace(TINY, steps=3, model=DenseConfig((200, 200), 50))
    train_to_file(tmp_path / "vae.safetensors", plan, data, lambda _: None)
    train_to_file(tmp_path / "gan.safetensors", replace(plan, kind="gan"), data, lambda _: None)
    little = DenseEvaluation(images=10, samples=20)
    found = evaluate_dense(tmp_path / "vae.safetensors", data, little, lambda _: None)
    oracle, row, fitted = found["rows"]
    assert oracle["model"] == "oracle (training pictures)"
    assert 0 <= oracle["classifier_accuracy"] <= 1
    assert row["model"] == "VAE 784-200-200-50"
    assert row["nll"] <= row["elbo"] + 3 * row["nll_se"]
    assert (row["test_pictures"], row["nll_pictures"], row["nll_samples"]) == (60, 10, 20)
    assert fitted["model"].endswith("fitted density")
    for judged in found["rows"]:
        assert judged["frechet_features"] >= -1e-3
        assert 0 <= judged["one_nna_features"] <= 1
    assert found["summary"]["elbo"] == row["elbo"]
    assert found["summary"]["nll_se"] == row["nll_se"]
    assert found["summary"]["elbo_128"] is None  # cannot be measured here
    alone = evaluate_dense(tmp_path / "gan.safetensors", data, little, lambda _: None)
    assert [each["model"] for each in alone["rows"]] == ["oracle (training pictures)", "GAN 784-200-200-50"]
    assert "elbo" not in alone["rows"][1]
    with pytest.raises(InputFileError, match="name their folder with --data"):
        evaluate_dense(tmp_path / "vae.safetensors", None, little)
    said: list[str] = []
    monkeypatch.setattr(evaluate_dense_module, "shipped_weights", lambda: [tmp_path / "vae.safetensors"])
    assert evaluate_dense(None, None, little, said.append)["rows"] == []
    assert said == ["vae.safetensors: needs the pictures it was trained on (mnist); name their folder with --data"]


def test_network_and_average_are_where_the_processes_are(sets: tuple[ImageSet, ImageSet]) -> None:
    """On the device that has no memory, as this machine may have no other."""
    for kind in ("vae", "gan"):
        run = _Run(replace(TINY, kind=kind), sets[0].mean, torch.device("meta"))
        found = [*run.model.state_dict().values(), *run.ema.shadow.values()]
        assert {value.device.type for value in found} == {"meta"}
        learned = [parameter for one in run.optimisers for group in one.param_groups for parameter in group["params"]]
        assert {id(parameter) for parameter in learned} == {id(parameter) for parameter in run.model.parameters()}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_it_trains_on_a_card_and_gives_back_a_network_on_the_cpu(
    kind: str, sets: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    plan = replace(TINY, kind=kind)
    train_dense(*sets, tmp_path, replace(plan, seconds=0.0))  # stops after one step
    model = train_dense(*sets, tmp_path, plan)
    assert {value.device.type for value in model.state_dict().values()} == {"cpu"}
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_the_judge_prefers_data_to_noise(sets: tuple[ImageSet, ImageSet]) -> None:
    judge = SampleJudge(*sets, seed=0, steps=60)
    data, made = judge.row(None), judge.row(DenseVAE(TINY.model))
    assert data["frechet_features"] < 0.3 * made["frechet_features"]
    assert data["one_nna_features"] < made["one_nna_features"]
    assert data["label_entropy"] > 0.9
