"""Training in two processes, as torchrun starts them: gloo, gradients averaged, one checkpoint."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vrapp.training.checkpoint import load_checkpoint

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


def start(folder: Path, kind: str, rank: int, port: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", SCRIPT, str(folder), kind]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_two_processes_train_one_network(kind: str, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [start(tmp_path, kind, rank, port) for rank in (0, 1)]
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
