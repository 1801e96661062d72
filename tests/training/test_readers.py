"""A model that its reader hangs on or dies of costs that reader and that model, and nothing else."""

import os
import time
from pathlib import Path

import pytest
import trimesh

from vrapp.training.readers import MEMORY_LIMIT_BYTES, BakedModel, Job, LeftOut, read_here, read_models


def badly(job: Job) -> BakedModel | LeftOut:
    """Stands in for a library that a file leads astray, by the file's name."""
    if job.file == "hangs.glb":
        time.sleep(600)
    if job.file == "dies.glb":
        os._exit(139)
    if job.file == "eats.glb":
        try:
            bytearray(MEMORY_LIMIT_BYTES)
        except MemoryError:
            return LeftOut("not more than its limit")
    return LeftOut("as usual") if job.file != "box.glb" else read_here(job)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows does not limit memory")
def test_what_hangs_dies_or_eats_memory_is_left_out(tmp_path: Path) -> None:
    trimesh.creation.box().export(tmp_path / "box.glb")
    names = ["a.glb", "hangs.glb", "dies.glb", "eats.glb", "b.glb", "box.glb"]
    jobs = [Job(str(tmp_path), name, row, 0) for row, name in enumerate(names)]
    found = {job.file: answer for job, answer in read_models(jobs, 2, 20.0, badly)}
    assert found["hangs.glb"] == LeftOut("took longer than 20 s", costly=True)
    died = "the process that read it ended (139), for want of memory or by a fault"
    assert found["dies.glb"] == LeftOut(died, costly=True)
    assert found["eats.glb"] == LeftOut("not more than its limit")
    assert found["a.glb"] == found["b.glb"] == LeftOut("as usual")
    box = found["box.glb"]
    assert isinstance(box, BakedModel)
    assert (box.grid[0] < 127).any()
