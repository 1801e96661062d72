"""Who is trained on and who is tested with, also when models come later."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from training_shapes import coloured_box

from vrapp.core.errors import InputFileError
from vrapp.training.bake import Baked, bake
from vrapp.training.sources import ObjectSource, list_objects
from vrapp.training.split import load_or_make_split, near_duplicate_clusters, split_of


def baked(names: str) -> Baked:
    """A model for each letter, all unlike each other; small and capital letters are near-duplicates."""
    clouds = []
    for name in names:
        rng = np.random.default_rng(ord(name.lower()))
        blocks = rng.random((5, 3)) - 0.5
        samples = np.random.default_rng(ord(name)).random((2048, 3)) * 0.3
        clouds.append((blocks[np.arange(2048) % 5] + samples).astype(np.float32))
    sources = [ObjectSource(f"{name}.glb", "object", name, "") for name in names]
    rows = np.arange(len(names))
    return Baked(sources, np.zeros((len(names), 0), np.uint8), np.stack(clouds), rows, {}, [None] * len(names))


def tower() -> trimesh.Trimesh:
    """Blocks without any symmetry."""
    parts = []
    places = ((0, 0, 0), (0.3, 0.5, 0.2), (-0.4, 0.25, -0.2))
    for at, sides in zip(places, ((1.0, 0.3, 0.7), (0.3, 0.7, 0.2), (0.2, 0.2, 0.3)), strict=True):
        part = coloured_box(sides, (0.8, 0.2, 0.1))
        part.apply_translation(at)
        parts.append(part)
    return trimesh.util.concatenate(parts)


def test_mirrored_turned_scaled_and_recoloured_copies_are_one_cluster(tmp_path: Path) -> None:
    def turned(degrees: float) -> np.ndarray:
        return trimesh.transformations.rotation_matrix(np.radians(degrees), (0, 1, 0))

    mirror = np.diag([-1.0, 1, 1, 1])
    changes = {
        "plain": np.eye(4), "mirrored": mirror, "turned_90": turned(90), "turned_180": turned(180),
        "turned_270": turned(270), "mirrored_and_turned": turned(90) @ mirror, "scaled": np.diag([3.0, 3, 3, 1]),
    }  # fmt: skip
    models = tmp_path / "models"
    models.mkdir()
    for name, matrix in changes.items():
        tower().apply_transform(matrix).export(models / f"{name}.glb")
    blue = tower()
    blue.visual = coloured_box((1, 1, 1), (0.1, 0.2, 0.9)).visual
    blue.export(models / "recoloured.glb")
    coloured_box((1.0, 0.9, 0.5), (0.8, 0.2, 0.1)).export(models / "another.glb")
    found = bake(models, list_objects(models), tmp_path / "work", 0)
    names = [Path(source.file).stem for source in found.sources]
    # Each copy beside the plain one alone: together they might be neighbours by way of one another.
    for number, name in enumerate(names):
        pair = found.points[[names.index("plain"), number]]
        first, second = near_duplicate_clusters(pair, ["", ""])
        assert (first == second) == (name != "another"), name


def side(split: dict[str, list[str]], name: str) -> str:
    return next(part for part in ("train", "validation", "test", "set_aside") if f"{name}.glb" in split.get(part, []))


def test_what_came_later_moves_nobody_and_goes_with_its_near_duplicates(tmp_path: Path) -> None:
    first = load_or_make_split(tmp_path / "split.json", baked("abcdefghijkl"))
    tested = [name for name in "abcdefghijkl" if side(first, name) == "test"]
    assert tested
    later = load_or_make_split(tmp_path / "split.json", baked("abcdefghijklmnop" + tested[0].upper()))
    assert all(side(first, name) == side(later, name) for name in "abcdefghijkl")
    assert side(later, tested[0].upper()) == "test"
    assert {side(later, name) for name in "mnop"} == {"train"}
    assert later["hash"] != first["hash"]
    assert load_or_make_split(tmp_path / "split.json", baked("abc")) == later


def test_a_given_split_is_never_written_and_its_strangers_are_left_aside(tmp_path: Path) -> None:
    given = tmp_path / "given.json"
    given.write_text(json.dumps({"train": ["a.glb"], "validation": [], "test": ["b.glb"]}))
    before = given.read_bytes()
    split = split_of(baked("abc"), tmp_path / "work", given)
    assert (split["train"], split["test"]) == (["a.glb"], ["b.glb"])
    with pytest.raises(InputFileError, match=r"None of the models are in the train part of .*given"):
        split_of(baked("xyz"), tmp_path / "work", given)
    assert given.read_bytes() == before
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"train": []}', '{"train": 3, "validation": [], "test": []}',
                                  '{"train": [7], "validation": [], "test": []}'])  # fmt: skip
def test_a_damaged_split_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(InputFileError, match=r"split\.json is not a split of models, or is damaged"):
        load_or_make_split(tmp_path / "split.json", baked("ab"))
