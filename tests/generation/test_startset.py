import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from generation_shapes import QueueGenerator, small_object

from vrapp.core.generation import Steering
from vrapp.generation import startset
from vrapp.generation.packing import mesh_hash
from vrapp.generation.startset import StartSetBuilder, StartSetKey

KEY = StartSetKey("hash", 7, (Steering(0), Steering(1), Steering(0, utility=np.ones(6, np.float32))))


def same(one, other):
    assert (one.request_id, one.category, one.mesh_hash) == (other.request_id, other.category, other.mesh_hash)
    np.testing.assert_array_equal(one.latent, other.latent)
    np.testing.assert_array_equal(one.components, other.components)
    np.testing.assert_array_equal(one.mesh.box, other.mesh.box)
    np.testing.assert_array_equal(one.mesh.hull, other.mesh.hull)
    for a, b in zip(one.mesh.levels, other.mesh.levels, strict=True):
        np.testing.assert_array_equal(a.vertices, b.vertices)
        np.testing.assert_array_equal(a.indices, b.indices)


def test_what_was_kept_comes_back_exactly(tmp_path):
    objects = [small_object(i, i % 2, 0.3 + 0.1 * i) for i in range(4)]
    startset.save(KEY, objects, tmp_path)
    found = startset.load(KEY, tmp_path)
    for one, other in zip(objects, found, strict=True):
        same(one, other)
        assert other.from_cache
        assert mesh_hash(other.mesh) == other.mesh_hash
    assert [p.suffix for p in (tmp_path / "startsets").iterdir()] == [".vset"]


@pytest.mark.parametrize(
    "other",
    [
        StartSetKey("other", 7, KEY.wishes),
        StartSetKey("hash", 8, KEY.wishes),
        StartSetKey("hash", 7, KEY.wishes[:2]),
        StartSetKey("hash", 7, (*KEY.wishes[:2], Steering(0, utility=np.zeros(6, np.float32)))),
        StartSetKey("hash", 7, (Steering(0, temperature=0.5), *KEY.wishes[1:])),
    ],
)
def test_another_key_finds_nothing(tmp_path, other):
    startset.save(KEY, [small_object()], tmp_path)
    assert startset.load(other, tmp_path) is None


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "header", "other", "folder"])
def test_a_damaged_file_counts_as_none(tmp_path, damage):
    startset.save(KEY, [small_object(i) for i in range(3)], tmp_path)
    path = KEY.file(tmp_path)
    raw = bytearray(path.read_bytes())
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "flipped":
        raw[-100] ^= 1
    elif damage == "header":
        raw[40] ^= 1
    contents = {"empty": b"", "cut": bytes(raw[: len(raw) // 2]), "other": os.urandom(5000)}
    if damage != "folder":
        path.write_bytes(contents.get(damage, bytes(raw)))
    assert startset.load(KEY, tmp_path) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "startsets").write_text("a file where the folder should be")
    startset.save(KEY, [small_object()], tmp_path)
    assert startset.load(KEY, tmp_path) is None


def test_the_sets_unused_for_longest_go_first(tmp_path):
    for seed in range(12):
        key = StartSetKey("hash", seed, KEY.wishes)
        startset.save(key, [small_object()], tmp_path)
        os.utime(key.file(tmp_path), (1000 + seed, 1000 + seed))
    startset.load(StartSetKey("hash", 4, KEY.wishes), tmp_path)  # used just now
    startset.save(KEY, [small_object()], tmp_path)
    left = {p.name for p in (tmp_path / "startsets").iterdir()}
    assert len(left) <= 8
    assert KEY.file(tmp_path).name in left
    assert StartSetKey("hash", 4, KEY.wishes).file(tmp_path).name in left


def test_the_builder_makes_each_wish_and_keeps_the_set(tmp_path):
    generator = QueueGenerator(frames=2, slots=2, failing={1, 4})
    builder = StartSetBuilder(generator, KEY, tmp_path)
    shown = []
    for frame in range(100):
        if builder.is_done:
            break
        shown += builder.update(frame)
    builder.wait_saved()
    assert [r.request_id for r in generator.requests] == [0, 1, 2, 4, 7]  # wish 1 was asked three times
    assert sorted(o.request_id for o in shown) == [0, 2, 7]
    assert [o.request_id for o in startset.load(KEY, tmp_path)] == [0, 7, 2]  # in the order of the wishes


def test_a_wish_that_nothing_fulfils_is_given_up(tmp_path):
    builder = StartSetBuilder(QueueGenerator(failing=set(range(1, 100, 3))), KEY, tmp_path)
    for frame in range(100):
        builder.update(frame)
    builder.wait_saved()
    assert builder.is_done
    assert len(startset.load(KEY, tmp_path)) == 2


def test_loading_needs_no_torch():
    modules = ", ".join(f"vrapp.generation.{name}" for name in ("startset", "bank", "export", "service", "worker"))
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": root}
    )
    assert done.stdout.strip() == "False"
