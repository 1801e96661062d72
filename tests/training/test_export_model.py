"""What an export measures of its training models."""

import pytest
import torch

from vrapp.training.export_model import handle_count


@pytest.mark.parametrize(("bodies", "holes"), [("ring", 1), ("ball", 0), ("ring and speck", 1)])
def test_holes_of_a_field_are_counted(bodies: str, holes: int) -> None:
    axis = (torch.arange(64) + 0.5) / 64 - 0.5
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    ring = ((x**2 + z**2).sqrt() - 0.3).square().add(y**2).sqrt() - 0.08
    ball = (x**2 + y**2 + z**2).sqrt() - 0.35
    speck = ((x - 0.4) ** 2 + (y - 0.4) ** 2 + (z - 0.4) ** 2).sqrt() - 0.03
    field = {"ring": ring, "ball": ball, "ring and speck": torch.minimum(ring, speck)}[bodies]
    assert handle_count((field * 16).clamp(-1, 1)[None]) == holes
