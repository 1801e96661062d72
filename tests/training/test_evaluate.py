"""Evaluation end to end on small shapes: every promised number is there."""

import json
import math
from pathlib import Path

import pytest
import torch
from training_shapes import write_folder

from vrapp.core.errors import InputFileError, WeightsError
from vrapp.generation.weights import load_weights, save_weights
from vrapp.models.gan import GanConfig, ShapeGenerator
from vrapp.models.vae import VaeConfig
from vrapp.training.evaluate import EvaluationPlan, evaluate_objects
from vrapp.training.object_gan import save_object_gan
from vrapp.training.objects import ObjectTraining, train_objects
from vrapp.training.recognition import ClassifierTraining
from vrapp.training.train_denoiser import DenoiserTraining
from vrapp.training.train_prior import PriorTraining
from vrapp.training.train_vae import VaeTraining

TINY = VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)
SETTINGS = ObjectTraining(
    processes=0, variants=1, prior_width=32, prior_layers=1, denoiser_width=32, denoiser_layers=1,
    vae=VaeTraining(steps=2, batch=2, check_every=2, model=TINY), prior=PriorTraining(steps=2, batch=4),
    denoiser=DenoiserTraining(steps=2, batch=4, enough=9.0),
)  # fmt: skip
NAMES = (
    "iou", "one_nna", "one_nna_oracle", "one_nna_shown", "cov", "cov_oracle", "novelty", "novelty_shown",
    "closed_share", "named_ratio", "gate_share",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    write_folder(folder / "models", each=7)
    train_objects(folder / "models", folder / "own.safetensors", SETTINGS, say=lambda _: None)
    # What two steps have taught is noise, whose surface is huge and slow: nearly all of it is put outside.
    model = load_weights(folder / "own.safetensors")
    model.vae.decoder.out.bias[:64] += 2.5 * float(model.vae.decode(torch.zeros(1, 11, 4, 4, 4))[:, 0].abs().max())
    save_weights(
        folder / "own.safetensors", model.vae, model.prior, model.categories, model.latent_mean, model.latent_basis,
        model.card, model.gate, {"projections": model.projections}, denoiser=model.denoiser,
    )  # fmt: skip
    return folder


def test_every_promised_number_is_there(trained: Path, tmp_path: Path) -> None:
    gan = tmp_path / "pure-gan.safetensors"
    categories = ["ball", "box", "cone"]
    network = ShapeGenerator(GanConfig(3, latent=4, style=8, widths=(8, 8, 8)))
    network.coarse.bias.data[:8] += 1.0
    save_object_gan(gan, network, {"categories": categories})
    twin = tmp_path / "twin.safetensors"  # the same VAE: what comes back through it is reckoned once
    twin.write_bytes((trained / "own.safetensors").read_bytes())
    judge = ClassifierTraining(epochs=1, variants=1, batch=4)
    plan = EvaluationPlan(4, also=(gan, twin), sheets=tmp_path / "sheets", tiles=3, judge=judge)
    found = evaluate_objects(
        trained / "own.safetensors", trained / "models", trained / "own.training",
        trained / "own.training" / "split.json", plan,
    )  # fmt: skip
    assert {"hardware", "command", "commit", "rows", "summary"} <= set(found)
    assert [row["model"] for row in found["rows"]] == [
        "ours", "ours, as shown", "its mixture, not denoised", "its denoiser, from noise", "the same VAE, N(0, I)",
        "pure-gan", "twin", "oracle (training models)",
        "PCA + mixture",
    ]  # fmt: skip
    assert all(math.isfinite(found["summary"][name]) for name in NAMES)
    for row in found["rows"]:
        assert 0 <= row["one_nna_low"] <= row["one_nna"] <= row["one_nna_high"] <= 1
        assert row["novelty_low"] <= row["novelty"] <= row["novelty_high"]
    rows = {row["model"]: row for row in found["rows"]}
    for row in found["rows"]:
        assert 0 < row["closed_share_error"] < 0.5
        assert 0 < row["one_piece_share_error"] < 0.5
        assert ("named_error" in row) == ("named" in row)
        assert (row["megabytes"] is None) == (row["decode_ms"] is None) == (row["model"] == "oracle (training models)")
    sizes = {model: row["megabytes"] for model, row in rows.items()}
    assert sizes["ours, as shown"] == sizes["ours"] > sizes["its denoiser, from noise"]
    assert sizes["its denoiser, from noise"] > sizes["the same VAE, N(0, I)"] > 0
    assert "iou" not in rows["pure-gan"]
    assert rows["twin"]["iou"] == rows["ours"]["iou"]
    assert rows["oracle (training models)"]["novelty"] < 0.9  # the training models are near themselves
    split = json.loads((trained / "own.training" / "split.json").read_text())
    categories = found["categories"]["ours"]
    assert sum(row["models"] for row in categories.values()) == len(split["test"])
    assert all(0 <= row["iou"] <= 1 for row in categories.values())
    for model, told in found["categories"].items():
        assert sum(row.get("samples", 0) for row in told.values()) == 3  # test models there are
        weighed = sum(row["cov"] * row["samples"] for row in told.values() if "samples" in row) / 3
        assert weighed == pytest.approx(rows[model]["cov"])
        some = [row for row in told.values() if "samples" in row]
        for row in some:
            assert row["one_nna_samples"] + row["one_nna_references"] == pytest.approx(2 * row["one_nna"])
    sheets = {path.stem for path in (tmp_path / "sheets").glob("*.png")}
    assert sheets >= {"data", "reconstructions", "samples", "nearest", "along"}


def test_a_row_of_other_categories_is_refused(trained: Path, tmp_path: Path) -> None:
    gan = tmp_path / "other.safetensors"
    save_object_gan(gan, ShapeGenerator(GanConfig(1, latent=4, style=8, widths=(8, 8, 8))), {"categories": ["sofa"]})
    with pytest.raises(WeightsError, match="other categories"):
        evaluate_objects(
            trained / "own.safetensors", trained / "models", trained / "own.training",
            trained / "own.training" / "split.json", EvaluationPlan(4, also=(gan,)),
        )  # fmt: skip


def test_another_split_than_the_weights_own_is_refused(trained: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "others", each=5)
    with pytest.raises(WeightsError, match="another split"):
        evaluate_objects(trained / "own.safetensors", tmp_path / "others", tmp_path / "work", plan=EvaluationPlan(2))


def test_without_models_to_compare_with_it_says_what_it_needs(trained: Path) -> None:
    with pytest.raises(InputFileError, match="--data"):
        evaluate_objects(trained / "own.safetensors")
