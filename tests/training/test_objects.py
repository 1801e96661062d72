"""The whole pipeline on a folder of small shapes made by code."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from training_shapes import write_folder

from vrapp.core.errors import InputFileError
from vrapp.generation.weights import load_weights
from vrapp.models.vae import VaeConfig
from vrapp.training.bake import bake, open_baked
from vrapp.training.objects import ObjectTraining, train_objects
from vrapp.training.sources import ObjectSource, list_objects
from vrapp.training.split import make_split
from vrapp.training.train_prior import PriorTraining
from vrapp.training.train_vae import VaeTraining, train_vae

TINY = VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)
SETTINGS = ObjectTraining(
    processes=1, variants=2, prior_width=32, prior_layers=1,
    vae=VaeTraining(steps=3, batch=2, check_every=2, model=TINY), prior=PriorTraining(steps=3, batch=4),
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("objects")
    write_folder(folder / "models")
    (folder / "models" / "box" / "broken.glb").write_bytes(b"glTF, but not really")
    said: list[str] = []
    train_objects(folder / "models", folder / "own.safetensors", SETTINGS, say=said.append)
    return folder, said


def test_a_folder_becomes_a_generator(trained: tuple[Path, list[str]]) -> None:
    folder, said = trained
    model = load_weights(folder / "own.safetensors")
    assert model.categories == ("ball", "box", "cone")
    grid = model.vae.decode(model.prior.sample(torch.tensor([0, 2]), torch.rand(2, 64, 11)))
    assert grid.shape == (2, 7, 64, 64, 64)
    assert torch.isfinite(grid).all()
    assert any("broken.glb" in line and "not a glTF 2" in line for line in said)


def test_the_autoregressive_prior_can_be_asked_for(trained: tuple[Path, list[str]]) -> None:
    from dataclasses import replace

    folder, _ = trained
    out, work = folder / "autoregressive.safetensors", folder / "own.training"
    train_objects(folder / "models", out, replace(SETTINGS, autoregressive=True), work, say=lambda _: None)
    assert load_weights(out).prior.sample(torch.tensor([1]), torch.rand(1, 64, 11)).shape == (1, 11, 4, 4, 4)


def test_started_again_it_bakes_and_trains_nothing_twice(trained: tuple[Path, list[str]]) -> None:
    folder, _ = trained
    before = (folder / "own.training" / "grids.u8").stat().st_mtime_ns
    first = load_weights(folder / "own.safetensors").weights_hash
    report = train_objects(folder / "models", folder / "own.safetensors", SETTINGS, say=lambda _: None)
    assert (folder / "own.training" / "grids.u8").stat().st_mtime_ns == before
    assert report.weights_hash == first
    assert "broken.glb" in next(iter(report.left_out))


def test_a_killed_bake_goes_on_where_it_was(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = trained
    sources = list_objects(folder / "models")[:4]
    whole = bake(folder / "models", sources, tmp_path / "whole", 1)
    part = tmp_path / "part"
    bake(folder / "models", sources, part, 1)
    status = np.memmap(part / "status.u8", np.uint8, "r+")
    grids = np.memmap(part / "grids.u8", np.uint8, "r+", shape=whole.grids.shape)
    status[2:], grids[2:] = 0, 0
    status.flush()
    again = bake(folder / "models", sources, part, 1)
    assert np.array_equal(again.grids, whole.grids)


def test_a_resumed_training_is_the_same_training(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    from dataclasses import replace

    from vrapp.training.shape_data import load_shapes

    folder, _ = trained
    baked = open_baked(folder / "own.training")
    shapes = load_shapes(baked, [baked.sources[int(row)].file for row in baked.rows[:4]], ("ball", "box", "cone"))
    plan = replace(SETTINGS.vae, steps=4)
    straight = train_vae(shapes, shapes, tmp_path / "straight", plan)
    train_vae(shapes, shapes, tmp_path / "halting", replace(plan, seconds=0.0))  # stops after one step
    resumed = train_vae(shapes, shapes, tmp_path / "halting", plan)
    pairs = zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_near_duplicates_stay_on_one_side(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = trained
    models = tmp_path / "models"
    for number in range(5):
        for twin in ("a", "b"):
            target = models / "box" / f"{number}{twin}.glb"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((folder / "models" / "box" / f"box{number}.glb").read_bytes())
    split = make_split(bake(models, list_objects(models), tmp_path / "baked", 1))
    for part in ("train", "validation", "test"):
        names = [Path(file).stem for file in split[part]]
        assert {n[:-1] for n in names if n.endswith("a")} == {n[:-1] for n in names if n.endswith("b")}
    assert split["clusters"] <= 5
    json.dumps(split)


def test_an_empty_or_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no GLB"):
        train_objects(tmp_path, tmp_path / "out.safetensors", SETTINGS)
    with pytest.raises(InputFileError, match="does not exist"):
        train_objects(tmp_path / "none", tmp_path / "out.safetensors", SETTINGS)


def test_weapons_and_graves_are_left_out_by_default() -> None:
    def default(category: str, name: str) -> bool:
        return ObjectSource("x", category, name, "").default

    assert default("tree", "Oak")
    assert default("fish_sea", "Swordfish")
    assert not default("bow_arrow", "Bow")
    assert not default("grave_statue_bones", "coffin")
    assert not default("truck_bus_train", "Tank2")
    assert not default("person", "Character_Gun")
