"""Reconstruction figures against cases that can be worked out by hand."""

import numpy as np
import pytest
import torch

from vrapp.training.metrics import mean_and_error
from vrapp.training.reconstruction import chamfer_and_normals, reconstruct
from vrapp.training.shape_data import ShapeData


def balls(radius_voxels: list[float]) -> ShapeData:
    """Balls in the middle of their grids, all of one grey."""
    axis = torch.arange(64) - 31.5
    far = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    fields = torch.stack([((far - r) / 4).clamp(-1, 1) for r in radius_voxels])[:, None]
    look = torch.zeros(len(radius_voxels), 7, 32, 32, 32, dtype=torch.uint8)
    look[:, :3], look[:, 6] = 102, 255
    n = len(radius_voxels)
    return ShapeData(
        ((fields + 1) * 127.5).round().to(torch.uint8), look, torch.ones(n, 3), torch.zeros(n, dtype=torch.int64),
        ("ball",), tuple(f"{r}.glb" for r in radius_voxels), np.arange(n),
    )  # fmt: skip


def test_what_comes_back_unchanged_is_perfect() -> None:
    found = reconstruct(lambda distance, look: (distance, look[:, :6]), balls([20.0]))
    assert found.iou.tolist() == [1.0]
    assert found.normals[0] > 0.97
    assert found.chamfer[0] < 1e-3
    assert found.colour[0] == 0


def test_a_smaller_ball_is_as_far_and_as_wrong_as_its_radius_says() -> None:
    small = balls([16.0])
    inner, _ = small.batch(torch.tensor([0]), torch.Generator(), None)
    found = reconstruct(lambda distance, look: (inner, look[:, :6] + 0.1), balls([20.0]))
    assert found.iou[0] == pytest.approx((16 / 20) ** 3, abs=0.02)
    assert found.chamfer[0] == pytest.approx(2 * (4 / 64) ** 2, rel=0.15)  # each way: 4 voxels, squared
    assert found.colour[0] == pytest.approx(0.1, abs=1e-3)
    assert found.normals[0] > 0.97


def test_nothing_is_no_distance_but_no_overlap() -> None:
    found = reconstruct(lambda distance, look: (torch.ones_like(distance), None), balls([20.0, 10.0]))
    assert found.iou.tolist() == [0.0, 0.0]
    assert np.isnan(found.chamfer).all()
    assert set(found.figures()) == {"iou", "iou_error", "iou_median"}


def test_normals_across_each_other_do_not_agree() -> None:
    points = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    x, y = np.tile(np.eye(3, dtype=np.float32)[0], (50, 1)), np.tile(np.eye(3, dtype=np.float32)[1], (50, 1))
    assert chamfer_and_normals(points, x, points, -x) == (0.0, 1.0)  # turned inside out counts as the same
    assert chamfer_and_normals(points, x, points, y) == (0.0, 0.0)


def test_the_bootstrap_error_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    mean, error = mean_and_error(values)
    assert mean == values.mean()
    assert error == pytest.approx(values.std() / 20, rel=0.1)
