"""Who is trained on and who is tested with, also when models come later."""

import json
from pathlib import Path

import numpy as np
import pytest

from vrapp.core.errors import InputFileError
from vrapp.training.bake import Baked
from vrapp.training.sources import ObjectSource
from vrapp.training.split import load_or_make_split, split_of


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
