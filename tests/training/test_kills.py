"""Baking and training that are really killed, in processes of their own, and then go on as if they had not been."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training_shapes import write_folder

from vrapp.training.bake import BAKED, TO_DO, bake
from vrapp.training.sources import list_objects

PROJECT = Path(__file__).resolve().parents[2]
BAKE = """
import os, signal, sys
from pathlib import Path
from vrapp.training import bake
from vrapp.training.sources import list_objects

models, work, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
put = bake._Store._put

def put_or_die(store, name, row, raw):
    global left
    left -= 1
    if left == 0:
        put(store, name, row, raw[: len(raw) // 2])  # in the middle of a grid, of points or of a status
        os.kill(os.getpid(), signal.SIGKILL)
    put(store, name, row, raw)

bake._Store._put = put_or_die
bake.bake(models, list_objects(models), work, 0)
"""
TRAIN = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from vrapp.models.vae import VaeConfig
from vrapp.training.objects import ObjectTraining, train_objects
from vrapp.training.train_denoiser import DenoiserTraining
from vrapp.training.train_vae import VaeTraining

models, out, mortal, left = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
replace = os.replace

def replace_or_die(fresh, path):
    global left
    left -= Path(path).name == mortal
    if left == 0 and Path(path).name == mortal:
        os.kill(os.getpid(), signal.SIGKILL)  # written, and not yet in its place
    replace(fresh, path)

os.replace = replace_or_die
tiny = VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)
settings = ObjectTraining(
    processes=0, variants=2, denoiser_width=32, denoiser_layers=1,
    vae=VaeTraining(steps=4, batch=2, check_every=1, model=tiny),
    denoiser=DenoiserTraining(steps=4, batch=4, check_every=1, enough=9.0),
)
print(train_objects(models, out, settings).weights_hash)
"""


def ran(script: str, *arguments: object) -> tuple[int, str]:
    """How it ended, and the last word that it said."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-P", "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode, (done.stdout.split() or [""])[-1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_bake_killed_in_the_middle_of_a_row_goes_on_at_that_row(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_folder(models, 1)
    sources = list_objects(models)
    whole = bake(models, sources, tmp_path / "whole", 0)
    for left in (4, 2):  # in the grid of the second model, then in its points
        assert ran(BAKE, models, tmp_path / "work", left)[0] == -signal.SIGKILL
        assert np.fromfile(tmp_path / "work" / "status.u8", np.uint8).tolist() == [BAKED, TO_DO, TO_DO]
    again = bake(models, sources, tmp_path / "work", 0)
    assert np.array_equal(again.grids, whole.grids)
    assert np.array_equal(again.points, whole.points)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_training_killed_in_each_of_its_parts_ends_with_the_same_weights(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_folder(models, 4)
    straight, halting = tmp_path / "straight.safetensors", tmp_path / "halting.safetensors"
    code, expected = ran(TRAIN, models, straight, "nothing", 1)
    assert (code, len(expected)) == (0, 64)
    for mortal in ("vae.pt", "denoiser.pt"):
        assert ran(TRAIN, models, halting, mortal, 2)[0] == -signal.SIGKILL
        assert not halting.exists()
    assert ran(TRAIN, models, halting, "nothing", 1) == (0, expected)
