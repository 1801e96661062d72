"""The pure GAN in two processes whose clocks differ: both go over to the finer resolution at the same step."""

from pathlib import Path

import pytest
from test_two_processes import free_port, start

from vrapp.training.checkpoint import load_checkpoint

SCRIPT = """
import hashlib, itertools, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[2])
from training_shapes import balls_and_blocks
from vrapp.models.gan import GanConfig
from vrapp.training import train_gan
from vrapp.training.peers import Peers

class Clock:
    # What is a second to one process is six to the other.
    looks = itertools.count()
    speed = 0.2 + Peers().rank

    @classmethod
    def monotonic(cls):
        return cls.speed * next(cls.looks)

train_gan.time = Clock
plan = train_gan.GanTraining(
    steps=100, seconds=20.0, coarse_share=0.3, batch=4, critic_width=4, check_every=50, device="cpu", augment=None
)
config = GanConfig(2, latent=8, style=16, widths=(16, 8, 8))
model = train_gan.train_gan(balls_and_blocks((12.0, 16.0)), Path(sys.argv[1]), plan, config)
print(hashlib.sha256(b"".join(value.numpy().tobytes() for value in model.state_dict().values())).hexdigest())
"""


@pytest.mark.slow
def test_two_processes_with_other_clocks_train_one_gan(tmp_path: Path) -> None:
    port = free_port()
    both = [start(tmp_path, rank, port, SCRIPT, str(Path(__file__).parent)) for rank in (0, 1)]
    said = []
    for process in both:
        try:
            out, err = process.communicate(timeout=240)
        finally:
            process.kill()
        assert process.returncode == 0, err[-2000:]
        said.append(out.split()[-1])
    assert said[0] == said[1]
    state = load_checkpoint(tmp_path / "gan.pt")
    assert state is not None
    assert 4 < state["step"] < 20  # the faster clock ends it for both
    assert state["maker"]["fine.weight"].any()
