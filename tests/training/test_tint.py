"""The colour head: it brings decoded colours nearer to the models' own, and leaves shapes alone."""

import numpy as np
import torch

from vrapp.models.vae import ShapeVAE, VaeConfig
from vrapp.training.shape_data import ShapeData
from vrapp.training.tint import fit_tint
from vrapp.training.train_prior import LatentSet


def test_fitted_colours_are_nearer_to_the_models_own() -> None:
    torch.manual_seed(0)
    vae = ShapeVAE(VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)).eval()
    count = 6
    look = torch.zeros(count, 7, 32, 32, 32, dtype=torch.uint8)
    hues = torch.tensor([[255, 40, 40], [40, 255, 40], [40, 40, 255]] * 2, dtype=torch.uint8)
    look[:, :3, 8:24, 8:24, 8:24] = hues[:, :, None, None, None]
    look[:, 6, 8:24, 8:24, 8:24] = 255
    distance = torch.full((count, 1, 64, 64, 64), 255, dtype=torch.uint8)
    category = torch.zeros(count, dtype=torch.int64)
    shapes = ShapeData(
        distance, look, torch.full((count, 3), 56.0), category, ("thing",), ("",) * count, np.arange(count)
    )
    latents = torch.randn(count, 2, 8, 4, 4, 4)

    def error() -> float:
        colours = vae.decode(latents[:, 0], 32)[:, 1:4, 8:24, 8:24, 8:24]
        return float((colours - hues[:, :, None, None, None] / 255).abs().mean())

    with torch.no_grad():
        before, shape = error(), vae.decode(latents[:, 0])[:, 0]
        fit_tint(vae, shapes, LatentSet(latents, torch.zeros_like(latents), category))
        assert error() < 0.5 * before
        assert torch.equal(vae.decode(latents[:, 0])[:, 0], shape)
