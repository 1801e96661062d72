"""Evaluation end to end on small shapes: every promised number is there."""

import json
import math
from pathlib import Path

import pytest
from training_shapes import write_folder

from vrapp.core.errors import InputFileError, WeightsError
from vrapp.models.vae import VaeConfig
from vrapp.training.evaluate import evaluate_objects
from vrapp.training.objects import ObjectTraining, train_objects
from vrapp.training.recognition import ClassifierTraining
from vrapp.training.train_prior import PriorTraining
from vrapp.training.train_vae import VaeTraining

TINY = VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)
SETTINGS = ObjectTraining(
    processes=1, variants=1, prior_width=32, prior_layers=1,
    vae=VaeTraining(steps=2, batch=2, check_every=2, model=TINY), prior=PriorTraining(steps=2, batch=4),
)  # fmt: skip
NAMES = ("iou", "one_nna", "one_nna_oracle", "cov", "cov_oracle", "novelty", "closed_share", "classifier_ratio")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    write_folder(folder / "models", each=7)
    train_objects(folder / "models", folder / "own.safetensors", SETTINGS, say=lambda _: None)
    return folder


def test_every_promised_number_is_there(trained: Path) -> None:
    found = evaluate_objects(
        trained / "own.safetensors", trained / "models", trained / "own.training",
        trained / "own.training" / "split.json", count=4, judge_plan=ClassifierTraining(epochs=1, variants=1, batch=4),
    )  # fmt: skip
    assert {"hardware", "command", "commit", "rows", "summary"} <= set(found)
    assert [row["model"] for row in found["rows"]] == [
        "ours", "the same VAE, N(0, I)", "oracle (training models)", "PCA + mixture",
    ]  # fmt: skip
    assert all(math.isfinite(found["summary"][name]) for name in NAMES)
    assert 0 <= found["summary"]["one_nna"] <= 1
    split = json.loads((trained / "own.training" / "split.json").read_text())
    assert sum(row["models"] for row in found["categories"].values()) == len(split["test"])
    assert all(0 <= row["iou"] <= 1 for row in found["categories"].values())


def test_another_split_than_the_weights_own_is_refused(trained: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "others", each=5)
    with pytest.raises(WeightsError, match="another split"):
        evaluate_objects(trained / "own.safetensors", tmp_path / "others", tmp_path / "work", count=2)


def test_without_models_to_compare_with_it_says_what_it_needs(trained: Path) -> None:
    with pytest.raises(InputFileError, match="--data"):
        evaluate_objects(trained / "own.safetensors")
