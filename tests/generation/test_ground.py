"""The land around the clearing: deterministic, without seams, without torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vrapp.core.errors import WeightsError
from vrapp.generation import ground
from vrapp.generation.network_file import save_network


def write_network(path: Path, pixels: str = "gaussian", width: int = 784) -> Path:
    rng = np.random.default_rng(0)
    tensors = {
        "decoder.0.weight": rng.normal(size=(16, 4)), "decoder.0.bias": np.zeros(16),
        "decoder.2.weight": rng.normal(size=(width, 16)), "decoder.2.bias": np.zeros(width),
    }  # fmt: skip
    save_network(path, "gan", {"pixels": pixels, "latent": 4, "hidden": [16]}, {}, tensors)
    return path


def test_a_seed_has_its_land() -> None:
    land, again, other = ground.make_ground(3), ground.make_ground(3), ground.make_ground(4)
    assert np.array_equal(land.heights, again.heights)
    assert np.abs(land.heights - other.heights).max() > 1
    assert land.heights.shape == (ground.SIDE, ground.SIDE)
    assert land.heights.dtype == np.float32
    assert float(land.heights.std()) == pytest.approx(ground.RELIEF_M, rel=1e-3)
    assert abs(float(land.heights.mean())) < 0.01


def test_there_are_no_seams_between_tiles_nor_where_it_repeats() -> None:
    """Steps across the lines where tiles begin or end are no higher than elsewhere."""
    for seed in range(4):
        heights = ground.make_ground(seed).heights
        step = np.abs(np.roll(heights, -1, 0) - heights).mean(1)  # (160,) mean step across each line
        hop = ground.TILE - ground.OVERLAP
        lines = [(n * hop + edge) % ground.SIDE for n in range(ground.TILES) for edge in (-1, ground.OVERLAP - 1)]
        assert step[lines].mean() < 1.5 * step.mean()
        assert step[-1] < 2 * step.mean()


def test_woven_noise_is_as_rough_where_tiles_meet() -> None:
    tiles = np.random.default_rng(0).normal(size=(64, 28, 28)).astype(np.float32)
    field = ground.weave(tiles)
    assert float(field.std()) == pytest.approx(1.0, abs=0.02)
    overlapped = field.reshape(ground.TILES, 20, ground.TILES, 20)[:, : ground.OVERLAP]
    assert float(overlapped.std()) == pytest.approx(1.0, abs=0.04)


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    land = ground.make_ground(0, write_network(tmp_path / "a.safetensors"))
    assert np.isfinite(land.heights).all()
    with pytest.raises(WeightsError, match="draw no heights"):
        ground.make_ground(0, write_network(tmp_path / "b.safetensors", "bernoulli"))
    with pytest.raises(WeightsError, match="28×28"):
        ground.make_ground(0, write_network(tmp_path / "c.safetensors", width=100))
    with pytest.raises(WeightsError, match="do not exist"):
        ground.make_ground(0, tmp_path / "none.safetensors")


def test_it_needs_no_torch() -> None:
    code = "import sys; from vrapp.generation.ground import make_ground; make_ground(0); print('torch' in sys.modules)"
    project = Path(__file__).resolve().parents[2]
    ran = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"]
