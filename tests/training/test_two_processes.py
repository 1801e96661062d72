"""Training in two processes, as torchrun starts them: gloo, gradients averaged, one checkpoint."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_shapes import write_folder

from vrapp.generation.weights import load_weights
from vrapp.training.bake import bake
from vrapp.training.checkpoint import load_checkpoint
from vrapp.training.sources import list_objects

PROJECT = Path(__file__).resolve().parents[2]
SCRIPT = """
import hashlib, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from vrapp.models.dense import DenseConfig
from vrapp.training.dense import DenseTraining, train_dense
from vrapp.training.images import relief_sets
plan = DenseTraining(sys.argv[2], steps=5, batch=20, check_every=2, model=DenseConfig((16,), 4, "gaussian"))
model = train_dense(*relief_sets(0, 60, 20), Path(sys.argv[1]), plan)
print(hashlib.sha256(b"".join(value.numpy().tobytes() for value in model.state_dict().values())).hexdigest())
"""


OBJECTS = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from vrapp.models.vae import VaeConfig
from vrapp.training.objects import ObjectTraining, train_objects
from vrapp.training.train_denoiser import DenoiserTraining
from vrapp.training.train_prior import PriorTraining
from vrapp.training.train_vae import VaeTraining
tiny = VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)
settings = ObjectTraining(
    processes=0, variants=1, prior_width=32, prior_layers=1, autoregressive=sys.argv[3] == "autoregressive",
    vae=VaeTraining(steps=3, batch=4, check_every=2, model=tiny), prior=PriorTraining(steps=3, batch=4),
    denoiser=DenoiserTraining(steps=3, batch=4, check_every=2, enough=9.0), denoiser_width=32, denoiser_layers=1,
)
found = train_objects(Path(sys.argv[2]), Path(sys.argv[1]) / "own.safetensors", settings)
print(found.weights_hash if found else "nothing to tell")
"""


def start(folder: Path, rank: int, port: int, script: str, *told: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", script, str(folder), *told]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["mixture", "autoregressive"])  # the mixture's draws are denoised
def test_two_processes_write_one_file_of_weights(prior: str, tmp_path: Path) -> None:
    models, work = tmp_path / "models", tmp_path / "own.training"
    write_folder(models, 4)
    bake(models, list_objects(models), work, 0)
    port = free_port()
    both = [start(tmp_path, rank, port, OBJECTS, str(models), prior) for rank in (0, 1)]
    said = []
    for process in both:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err[-2000:]
        said.append(out.splitlines())
    assert said[1] == ["nothing to tell"]
    weights = load_weights(tmp_path / "own.safetensors")
    assert weights.weights_hash == said[0][-1]
    assert (weights.denoiser is not None) == (prior == "mixture")
    assert not list(tmp_path.rglob("*.new"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_two_processes_train_one_network(kind: str, tmp_path: Path) -> None:
    port = free_port()
    both = [start(tmp_path, rank, port, SCRIPT, kind) for rank in (0, 1)]
    said = []
    for process in both:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err[-2000:]
        said.append(out.split()[-1])
    state = load_checkpoint(tmp_path / "dense.pt")
    assert state is not None
    assert state["step"] == 5
    if kind == "vae":  # what the GAN's power iteration has seen is each process's own half of the batch
        assert said[0] == said[1]
    assert all(torch.isfinite(value).all() for value in state["ema"].values())
