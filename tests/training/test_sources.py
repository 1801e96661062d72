"""Which models a folder's manifest.csv names, and what is said of one that cannot be meant."""

from pathlib import Path

import pytest
import trimesh

from vrapp.core.errors import InputFileError
from vrapp.training.sources import ObjectSource, list_objects


def folder(tmp_path: Path, manifest: str | bytes) -> Path:
    """Two models and a manifest."""
    for name in ("chair/a.glb", "tree/b.glb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        trimesh.creation.box().export(tmp_path / name)
    raw = manifest if isinstance(manifest, bytes) else manifest.encode()
    (tmp_path / "manifest.csv").write_bytes(raw)
    return tmp_path


def test_the_rows_of_a_manifest_are_the_models(tmp_path: Path) -> None:
    text = "file,category,name,kind,geom_hash,geom_dup_of\n"
    text += "objects/chair/a.glb,chair,Chair,object,77,\ntree/b.glb,tree,Oak,object,,chair/a.glb\n"
    text += "c.glb,chair,Clip,animation,,\nd.glb,bow_arrow,Bow,object,,\n"
    models = folder(tmp_path, text)
    assert list_objects(models) == [ObjectSource("chair/a.glb", "chair", "Chair", "77")]
    assert [source.name for source in list_objects(models, everything=True)] == ["Chair", "Bow"]


def test_file_and_category_are_enough_also_as_a_spreadsheet_saves_them(tmp_path: Path) -> None:
    models = folder(tmp_path, b"\xef\xbb\xbffile,category\r\nchair/a.glb,seat\r\n")
    assert list_objects(models) == [ObjectSource("chair/a.glb", "seat", "a", "")]


def test_a_manifest_of_something_else_is_told_and_the_folder_taken(tmp_path: Path) -> None:
    said: list[str] = []
    found = list_objects(folder(tmp_path, "path,sha256\nx,1\n"), say=said.append)
    assert [source.category for source in found] == ["chair", "tree"]
    assert "is no list of models" in said[0]
    assert list_objects(folder(tmp_path, "")) == found


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ("file,name\na.glb,A\n", "has no column 'category'; add it"),
        ("category,kind\nchair,object\n", "has no column 'file'; add it"),
        ("file,category\nchair/a.glb\n", "Line 2 of .* names no file or no category"),
        (b"file,category\nst\xfchle.glb,chair\n", "is not a table in UTF-8 .*save it so"),
        ("file,category,kind\na.glb,chair,sound\n", "None of the 1 rows of .* is a model to train on"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_one_sentence(tmp_path: Path, manifest: str | bytes, expected: str) -> None:
    with pytest.raises(InputFileError, match=expected):
        list_objects(folder(tmp_path, manifest))
