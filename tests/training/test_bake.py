"""What a baked folder keeps when the models, or the disk, change."""

import json
import os
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import trimesh

from vrapp.core.errors import InputFileError, OutputError
from vrapp.training import bake as baking
from vrapp.training.bake import all_baked, bake, open_baked
from vrapp.training.readers import BakedModel, Job, LeftOut
from vrapp.training.sources import list_objects


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read; reading a file takes its first byte for the whole grid, `x` leaves it out."""
    seen: list[str] = []

    def by_first_byte(job: Job) -> BakedModel | LeftOut:
        seen.append(job.file)
        first = (Path(job.root) / job.file).read_bytes()[0]
        if first in b"xX":
            return LeftOut("not wanted", costly=first == ord("X"))
        return BakedModel(np.full(baking.GRID_SHAPE, first, np.uint8), np.zeros((2048, 3), np.float32))

    monkeypatch.setattr(baking, "read_here", by_first_byte)
    return seen


def folder(tmp_path: Path, **files: str) -> Path:
    """Model files with these contents."""
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    for name, text in files.items():
        (models / f"{name}.glb").write_text(text)
    return models


def contents(baked: baking.Baked) -> dict[str, str]:
    """What the good rows hold, by file."""
    return {baked.sources[int(row)].file: chr(baked.grids[row, 0, 0, 0, 0]) for row in baked.rows}


def test_only_what_is_new_or_changed_is_read_again(tmp_path: Path, read: list[str]) -> None:
    models = folder(tmp_path, a="1", b="2", c="3")
    bake(models, list_objects(models), tmp_path / "work", 0)
    folder(tmp_path, b="7 and longer", d="4")
    (models / "a.glb").unlink()
    del read[:]
    assert not all_baked(models, list_objects(models), tmp_path / "work")
    again = bake(models, list_objects(models), tmp_path / "work", 0)
    assert read == ["b.glb", "d.glb"]
    assert contents(again) == {"b.glb": "7", "c.glb": "3", "d.glb": "4"}
    assert all_baked(models, list_objects(models), tmp_path / "work")


def test_a_folder_unpacked_anew_is_not_read_again_but_for_what_differs(tmp_path: Path, read: list[str]) -> None:
    models = folder(tmp_path, a="1", b="2")
    bake(models, list_objects(models), tmp_path / "work", 0)
    folder(tmp_path, b="3")  # of the same size
    for file in models.iterdir():
        os.utime(file, ns=(10**18, 10**18))
    del read[:]
    assert contents(bake(models, list_objects(models), tmp_path / "work", 0)) == {"a.glb": "1", "b.glb": "3"}
    assert read == ["b.glb"]
    assert all_baked(models, list_objects(models), tmp_path / "work")


def test_a_file_that_is_not_all_of_its_model_is_read_again_when_it_is_written_again(
    tmp_path: Path, read: list[str]
) -> None:
    """Its materials may have changed: the file that names them is as it was."""
    models = folder(tmp_path, a="1")
    (models / "b.obj").write_text("2")
    bake(models, list_objects(models), tmp_path / "work", 0)
    for file in models.iterdir():
        os.utime(file, ns=(10**18, 10**18))
    del read[:]
    bake(models, list_objects(models), tmp_path / "work", 0)
    assert read == ["b.obj"]


def test_a_folder_baked_before_files_had_hashes_gets_them(tmp_path: Path, read: list[str]) -> None:
    models, listing = folder(tmp_path, a="1"), tmp_path / "work" / "sources.json"
    bake(models, list_objects(models), tmp_path / "work", 0)
    stored = json.loads(listing.read_text())
    listing.write_text(json.dumps(stored | {"stamps": [stamp[:2] for stamp in stored["stamps"]]}))
    del read[:]
    bake(models, list_objects(models), tmp_path / "work", 0)
    os.utime(models / "a.glb", ns=(10**18, 10**18))
    bake(models, list_objects(models), tmp_path / "work", 0)
    assert not read


def test_what_was_left_out_is_tried_again_unless_it_was_costly(tmp_path: Path, read: list[str]) -> None:
    models = folder(tmp_path, a="1", b="x", c="X")
    first = bake(models, list_objects(models), tmp_path / "work", 0)
    assert first.left_out == {"b.glb": "not wanted", "c.glb": "not wanted"}
    del read[:]
    bake(models, list_objects(models), tmp_path / "work", 0)
    assert read == ["b.glb"]
    folder(tmp_path, b="2", c="3")
    assert contents(bake(models, list_objects(models), tmp_path / "work", 0)) == {
        "a.glb": "1", "b.glb": "2", "c.glb": "3",
    }  # fmt: skip


def test_a_folder_of_an_earlier_version_is_taken_over(tmp_path: Path, read: list[str]) -> None:
    models = folder(tmp_path, a="1", b="2")
    bake(models, list_objects(models), tmp_path / "work", 0)
    listing = tmp_path / "work" / "sources.json"
    stored = json.loads(listing.read_text())
    listing.write_text(json.dumps({"hash": "0", "sources": stored["sources"]}))
    del read[:]
    assert contents(bake(models, list_objects(models), tmp_path / "work", 0)) == {"a.glb": "1", "b.glb": "2"}
    assert not read


def test_what_a_kill_cut_off_costs_nothing_else(tmp_path: Path, read: list[str]) -> None:
    models = folder(tmp_path, a="1", b="x")
    bake(models, list_objects(models), tmp_path / "work", 0)
    with (tmp_path / "work" / "left_out.jsonl").open("a") as report:
        report.write('{"file": "b.g')
    folder(tmp_path, c="x")
    assert bake(models, list_objects(models), tmp_path / "work", 0).left_out == {
        "b.glb": "not wanted", "c.glb": "not wanted",
    }  # fmt: skip


@pytest.mark.parametrize("damage", ["no JSON", "[]", '{"sources": [{"file": 1}]}', "short"])
def test_a_damaged_folder_is_one_sentence(tmp_path: Path, read: list[str], damage: str) -> None:
    models = folder(tmp_path, a="1")
    bake(models, list_objects(models), tmp_path / "work", 0)
    if damage == "short":
        os.truncate(tmp_path / "work" / "grids.u8", 1000)
    else:
        (tmp_path / "work" / "sources.json").write_text(damage)
    with pytest.raises(InputFileError, match="are damaged; move that folder away"):
        open_baked(tmp_path / "work")


def test_a_full_disk_is_told_before_and_while_it_fills(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = folder(tmp_path, a="1", b="2")
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patched:
        patched.setattr(baking.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
        with pytest.raises(OutputError, match=r"Baking 2 models takes 4 MiB in .*, where 1 are free; make room"):
            bake(models, list_objects(models), tmp_path / "work", 0)
    assert not read

    def full(file: object, raw: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(baking, "_write", full)
        with pytest.raises(OutputError, match="No space left on device"):
            bake(models, list_objects(models), tmp_path / "work", 0)
    assert contents(bake(models, list_objects(models), tmp_path / "work", 0)) == {"a.glb": "1", "b.glb": "2"}


def test_hidden_files_and_folders_are_not_models(tmp_path: Path) -> None:
    for name in ("chair/a.glb", "chair/.b.glb", ".git/c.glb", "__MACOSX/d.glb", "e.GLB", "f.glb/g.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        trimesh.creation.box().export(tmp_path / name, file_type="ply")
    assert [source.file for source in list_objects(tmp_path)] == ["chair/a.glb", "e.GLB"]
