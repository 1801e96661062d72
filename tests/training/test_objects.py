"""The whole pipeline on a folder of small shapes made by code."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from training_shapes import write_folder

from vrapp.app.cli import main
from vrapp.core.errors import InputFileError, OutputError, UsageError
from vrapp.generation.weights import load_weights
from vrapp.models.prior import PriorConfig
from vrapp.models.vae import VaeConfig
from vrapp.training import objects
from vrapp.training.bake import bake, open_baked
from vrapp.training.checkpoint import load_checkpoint, save_checkpoint
from vrapp.training.objects import ObjectTraining, bake_folder, train_objects
from vrapp.training.shape_data import cached_shapes, load_shapes
from vrapp.training.sources import ObjectSource, list_objects
from vrapp.training.split import make_split
from vrapp.training.train_denoiser import DenoiserTraining
from vrapp.training.train_gan import GanTraining
from vrapp.training.train_prior import LatentSet, PriorTraining, train_prior
from vrapp.training.train_vae import VaeTraining, learning_rate, train_vae

TINY = VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)
SETTINGS = ObjectTraining(
    processes=0, variants=2, prior_width=32, prior_layers=1, denoiser_width=32, denoiser_layers=1,
    vae=VaeTraining(steps=3, batch=2, check_every=2, model=TINY), prior=PriorTraining(steps=3, batch=4),
    denoiser=DenoiserTraining(steps=3, batch=4, enough=9.0),
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


def test_a_denoiser_that_has_hardly_learned_is_left_out(trained: tuple[Path, list[str]]) -> None:
    folder, _ = trained
    assert load_weights(folder / "own.safetensors").denoiser is not None
    out, work = folder / "young.safetensors", folder / "own.training"
    said: list[str] = []
    settings = replace(SETTINGS, denoiser=replace(SETTINGS.denoiser, enough=0.85))
    train_objects(folder / "models", out, settings, work, say=said.append)
    assert load_weights(out).denoiser is None
    assert any("left out; train longer" in line for line in said)


def test_the_autoregressive_prior_can_be_asked_for(trained: tuple[Path, list[str]]) -> None:
    folder, _ = trained
    out, work = folder / "autoregressive.safetensors", folder / "own.training"
    train_objects(folder / "models", out, replace(SETTINGS, autoregressive=True), work, say=lambda _: None)
    assert load_weights(out).prior.sample(torch.tensor([1]), torch.rand(1, 64, 11)).shape == (1, 11, 4, 4, 4)


def test_a_split_with_gaps_leaves_out_what_it_cannot_train_on(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    """A category with test models alone, and validation models that are not there."""
    folder, _ = trained
    shutil.copytree(folder / "own.training", tmp_path / "work")
    names = {kind: [f"{kind}/{kind}{number}.glb" for number in range(6)] for kind in ("ball", "box", "cone")}
    split = {"train": names["ball"] + names["box"][:4], "validation": ["box/gone.glb"]}
    (tmp_path / "split.json").write_text(json.dumps(split | {"test": names["box"][4:] + names["cone"]}))
    said: list[str] = []
    out, work = tmp_path / "out.safetensors", tmp_path / "work"
    report = train_objects(folder / "models", out, SETTINGS, work, tmp_path / "split.json", said.append)
    model = load_weights(out)
    assert report.categories == model.categories == ("ball", "box")
    assert math.isfinite(report.figures["denoiser_loss"])
    assert math.isfinite(report.figures["test_iou"])
    assert model.draw(torch.tensor([0, 1]), torch.rand(2, 64, 11), 1.0).isfinite().all()
    assert any("trains on none of their models: cone" in line for line in said)
    assert any("checked on models that it trains on" in line for line in said)
    assert any("10 models to train on, 4 to check" in line for line in said)


@pytest.mark.slow
def test_a_vae_gan_killed_at_any_time_goes_on_as_the_same(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off in the middle of the sharpening, and once more when all was done."""
    folder, _ = trained
    gan = GanTraining(steps=3, batch=2, critic_width=4, check_every=1, device="cpu", augment=None)
    settings = replace(SETTINGS, adversarial=True, gan=gan)
    hashes = []
    for name in ("straight", "halting"):
        work, out = tmp_path / name, tmp_path / f"{name}.safetensors"
        shutil.copytree(folder / "own.training", work)
        if name == "halting":

            def killed(state: object, *rest: object) -> None:
                save_checkpoint(state, *rest)  # type: ignore[arg-type]
                raise KeyboardInterrupt

            with monkeypatch.context() as patched:
                patched.setattr("vrapp.training.train_gan.save_checkpoint", killed)
                with pytest.raises(KeyboardInterrupt):
                    train_objects(folder / "models", out, settings, work, say=lambda _: None)
            longer = replace(settings, vae=replace(settings.vae, steps=9))  # the VAE is done all the same
            train_objects(folder / "models", out, longer, work, say=lambda _: None)
        hashes.append(train_objects(folder / "models", out, settings, work, say=lambda _: None).weights_hash)
    assert hashes[0] == hashes[1]
    assert hashes[0] != load_weights(folder / "own.safetensors").weights_hash


def test_a_resumed_prior_is_the_same_prior(tmp_path: Path) -> None:
    torch.manual_seed(0)
    known = LatentSet(torch.randn(6, 2, 11, 4, 4, 4), torch.full((6, 2, 11, 4, 4, 4), 0.1), torch.arange(6) % 2)
    config = PriorConfig(categories=2, bins=4, width=16, layers=1, heads=2)
    plan = PriorTraining(steps=4, batch=4, check_every=2)
    straight, figures = train_prior(known, known, config, plan, tmp_path / "straight")
    train_prior(known, known, config, replace(plan, seconds=0.0), tmp_path / "halting")  # stops after one step
    resumed, again = train_prior(known, known, config, plan, tmp_path / "halting")
    assert figures == again
    pairs = zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert (tmp_path / "halting" / "prior.csv").read_text().splitlines()[0].startswith("step,train_loss")


def test_a_prior_of_other_latents_begins_anew(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config, plan = PriorConfig(2, bins=4, width=16, layers=1, heads=2), PriorTraining(steps=2, batch=4, check_every=1)
    for _ in range(2):
        known = LatentSet(torch.randn(6, 1, 11, 4, 4, 4), torch.full((6, 1, 11, 4, 4, 4), 0.1), torch.arange(6) % 2)
        told: list[int] = []
        train_prior(known, known, config, plan, tmp_path, lambda step, _, told=told: told.append(step))
        assert told == [1, 2]


def test_curves_of_a_training_are_drawn_beside_its_log(trained: tuple[Path, list[str]]) -> None:
    folder, _ = trained
    work = folder / "own.training"
    columns = (work / "vae.csv").read_text().splitlines()[0].split(",")
    picture = Image.open(work / "vae.png")
    assert picture.width > 100 * min(4, len(columns) - 1)


def test_started_again_it_bakes_and_trains_nothing_twice(trained: tuple[Path, list[str]]) -> None:
    folder, _ = trained
    before = (folder / "own.training" / "grids.u8").stat().st_mtime_ns
    first = load_weights(folder / "own.safetensors").weights_hash
    report = train_objects(folder / "models", folder / "own.safetensors", SETTINGS, say=lambda _: None)
    assert (folder / "own.training" / "grids.u8").stat().st_mtime_ns == before
    assert report.weights_hash == first
    assert "broken.glb" in next(iter(report.left_out))


def test_the_command_says_what_is_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told: list[ObjectTraining] = []
    monkeypatch.setattr(objects, "train_objects", lambda data, out, settings, split_file: told.append(settings))
    command = ["train", "objects", "--data", str(tmp_path), "--out", str(tmp_path / "own.safetensors")]
    assert main([*command, "--minutes", "2"]) == 0
    assert main([*command, "--latent", "global", "--prior", "autoregressive", "--model", "vae-gan"]) == 0
    plain, other = told
    assert (plain.seconds, plain.vae.model.global_numbers, plain.autoregressive, plain.adversarial) == (
        120,
        0,
        False,
        False,
    )
    assert (other.vae.model.global_numbers, other.autoregressive, other.adversarial) == (128, True, True)


def test_of_several_processes_none_bakes(trained: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = trained
    work = folder / "own.training"
    before = {path.name: path.stat().st_mtime_ns for path in work.iterdir() if path.suffix != ".pt"}
    monkeypatch.setattr(objects, "Peers", lambda: SimpleNamespace(count=2, rank=1))
    assert len(bake_folder(folder / "models", work, SETTINGS, lambda _: None).rows)
    assert {path.name: path.stat().st_mtime_ns for path in work.iterdir() if path.suffix != ".pt"} == before
    with pytest.raises(UsageError, match="Bake with one process first"):
        bake_folder(folder / "models", folder / "not-there", SETTINGS, lambda _: None)


def test_a_damaged_cache_of_shapes_is_made_again(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    baked = open_baked(trained[0] / "own.training")
    files = [baked.sources[int(row)].file for row in baked.rows[:3]]
    first = cached_shapes(tmp_path, baked, files, ("ball", "box", "cone"))
    (cache,) = tmp_path.iterdir()
    cache.write_bytes(cache.read_bytes()[:3000])
    again = cached_shapes(tmp_path, baked, files, ("ball", "box", "cone"))
    assert torch.equal(first.distance, again.distance)
    assert list(tmp_path.iterdir()) == [cache]


def test_caches_of_shapes_do_not_pile_up(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    baked = open_baked(trained[0] / "own.training")
    files = [baked.sources[int(row)].file for row in baked.rows[:4]]
    kinds = ("ball", "box", "cone")
    for part in (files[:3], files[3:], files[:2]):  # the parts of two splits
        cached_shapes(tmp_path, baked, part, kinds)
    before = {*tmp_path.iterdir()}
    assert len(before) == 3
    old = cached_shapes(tmp_path, baked, files[:3], kinds)
    (tmp_path / "shapes-000000000000.pt").write_bytes(b"what a kill has left")
    changed = replace(baked, stamps=[[1, 2]] * len(baked.sources))  # the same names, other files
    cached_shapes(tmp_path, changed, files[:3], kinds)
    (after,) = tmp_path.iterdir()
    assert after not in before
    assert old.distance.float().mean() > 0  # whoever has it mapped keeps it
    fewer = replace(changed, rows=baked.rows[:4])  # models went
    cached_shapes(tmp_path, fewer, files[:3], kinds)
    cached_shapes(tmp_path, fewer, files[3:], kinds)
    assert len({*tmp_path.iterdir()} - {after}) == len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64 vs 0")])
def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save_checkpoint(tmp_path / "vae.pt", {"step": 1})

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"a part")
        raise error

    monkeypatch.setattr("vrapp.training.checkpoint.torch.save", full)
    with pytest.raises(OutputError, match=r"vae\.pt cannot be written \(.*\); make room there"):
        save_checkpoint(tmp_path / "vae.pt", {"step": 2})
    assert load_checkpoint(tmp_path / "vae.pt") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["vae.pt"]


def test_a_killed_bake_goes_on_where_it_was(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = trained
    sources = list_objects(folder / "models")[:4]
    whole = bake(folder / "models", sources, tmp_path / "whole", 0)
    part = tmp_path / "part"
    bake(folder / "models", sources, part, 0)
    status = np.memmap(part / "status.u8", np.uint8, "r+")
    grids = np.memmap(part / "grids.u8", np.uint8, "r+", shape=whole.grids.shape)
    status[2:], grids[2:] = 0, 0
    status.flush()
    again = bake(folder / "models", sources, part, 0)
    assert np.array_equal(again.grids, whole.grids)


def test_a_resumed_training_is_the_same_training(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = trained
    baked = open_baked(folder / "own.training")
    shapes = load_shapes(baked, [baked.sources[int(row)].file for row in baked.rows[:4]], ("ball", "box", "cone"))
    plan = replace(SETTINGS.vae, steps=4)
    straight = train_vae(shapes, shapes, tmp_path / "straight", plan)
    train_vae(shapes, shapes, tmp_path / "halting", replace(plan, seconds=0.0))  # stops after one step
    resumed = train_vae(shapes, shapes, tmp_path / "halting", plan)
    pairs = zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_time_before_a_kill_counts_and_a_run_that_is_over_is_not_begun_again(
    trained: tuple[Path, list[str]], tmp_path: Path
) -> None:
    baked = open_baked(trained[0] / "own.training")
    shapes = load_shapes(baked, [baked.sources[int(row)].file for row in baked.rows[:4]], ("ball", "box", "cone"))
    plan = replace(SETTINGS.vae, steps=2, seconds=1000.0)
    first = train_vae(shapes, shapes, tmp_path, plan)
    state = torch.load(tmp_path / "vae.pt", weights_only=True)
    torch.save(state | {"seconds": 1001.0}, tmp_path / "vae.pt")
    shares: list[float] = []
    longer = replace(plan, steps=4)
    again = train_vae(shapes, shapes, tmp_path, longer, tick=lambda step, share, loss: shares.append(share))
    assert not shares
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    train_vae(shapes, shapes, tmp_path, replace(longer, seconds=2002.0), tick=lambda _, share, __: shares.append(share))
    assert shares[0] == pytest.approx(0.75, abs=0.3)  # step 3 of 4, and half the time
    assert load_checkpoint(tmp_path / "vae.pt")["seconds"] >= 1001.0  # type: ignore[index]


@pytest.mark.parametrize("wrong", ["cut off", "no file of torch's", "another optimiser's", "a wider network's"])
def test_a_checkpoint_that_cannot_be_taken_up_is_told_in_one_sentence(
    trained: tuple[Path, list[str]], tmp_path: Path, wrong: str
) -> None:
    folder, _ = trained
    baked = open_baked(folder / "own.training")
    shapes = load_shapes(baked, [baked.sources[int(row)].file for row in baked.rows[:4]], ("ball", "box", "cone"))
    plan = replace(SETTINGS.vae, steps=1, check_every=1)
    network = train_vae(shapes, shapes, tmp_path, plan)
    file = tmp_path / "vae.pt"
    if wrong == "cut off":
        file.write_bytes(file.read_bytes()[:-5000])
    elif wrong == "no file of torch's":
        file.write_text("something else")
    elif wrong == "another optimiser's":
        state = torch.load(file, weights_only=True)
        torch.save(state | {"optimiser": torch.optim.AdamW(network.parameters()).state_dict()}, file)
    else:
        plan = replace(plan, model=replace(plan.model, head=2 * plan.model.head))
    with pytest.raises(InputFileError, match=r"The checkpoint .*vae\.pt .* move it away to begin anew\.$"):
        train_vae(shapes, shapes, tmp_path, replace(plan, steps=2))


def test_between_checks_too_a_kill_costs_little(
    trained: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baked = open_baked(trained[0] / "own.training")
    shapes = load_shapes(baked, [baked.sources[int(row)].file for row in baked.rows[:4]], ("ball", "box", "cone"))

    def killed(step: int, plan: VaeTraining, spent: float) -> float:
        if step == 2:
            raise KeyboardInterrupt
        return plan.rate

    monkeypatch.setattr("vrapp.training.train_vae.learning_rate", killed)
    with pytest.raises(KeyboardInterrupt):
        train_vae(shapes, shapes, tmp_path, replace(SETTINGS.vae, steps=9, check_every=9, save_every=0.0))
    kept = load_checkpoint(tmp_path / "vae.pt")
    assert kept is not None
    assert kept["step"] == 2


def test_a_run_that_ends_by_the_clock_ends_at_a_low_rate() -> None:
    plan = VaeTraining(steps=1_000, warm_up=10, rate=1.0, rate_end=0.1)
    assert learning_rate(9, plan, 0.9) == 1.0  # still warming up
    assert learning_rate(20, plan, 0.0) > 0.99
    assert learning_rate(20, plan, 1.0) == pytest.approx(0.1)
    assert learning_rate(1_000, plan, 0.0) == pytest.approx(0.1)


def test_near_duplicates_stay_on_one_side(trained: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = trained
    models = tmp_path / "models"
    for number in range(5):
        for twin in ("a", "b"):
            target = models / "box" / f"{number}{twin}.glb"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((folder / "models" / "box" / f"box{number}.glb").read_bytes())
    split = make_split(bake(models, list_objects(models), tmp_path / "baked", 0))
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
