"""The small painter of contact sheets."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from training_shapes import balls_and_blocks

from vrapp.generation.weights import ObjectModel, load_weights, save_weights
from vrapp.models.mixture import LatentMixture, MixtureConfig
from vrapp.models.vae import ShapeVAE, VaeConfig
from vrapp.training.model_sheets import write_sheets
from vrapp.training.sheets import contact_sheet, draw_grid


def test_a_red_block_is_drawn_red_in_the_middle() -> None:
    grid = np.zeros((7, 64, 64, 64), np.float32)
    grid[0] = 1.0
    grid[0, 16:48, 16:48, 16:48] = -1.0
    grid[1] = 1.0
    red, green, blue = np.asarray(draw_grid(grid, 64))[32, 32]
    assert red > 100
    assert green < 20
    assert blue < 20


def test_an_empty_grid_gives_an_empty_tile(tmp_path: Path) -> None:
    contact_sheet(np.ones((1, 7, 64, 64, 64), np.float32), ["nothing"], tmp_path / "sheet.png", 2, 32)
    assert Image.open(tmp_path / "sheet.png").size == (64, 46)


def toy_model(path: Path) -> ObjectModel:
    """A generator that has learned nothing, of two categories."""
    torch.manual_seed(0)
    vae = ShapeVAE(VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16))
    vae.decoder.out.bias.data[:64] += 0.8 * float(vae.decode(torch.zeros(1, 11, 4, 4, 4))[:, 0].abs().max().detach())
    mixture = LatentMixture(MixtureConfig(2, 4, 1))
    mixture.fit(torch.randn(4, 1, 11, 4, 4, 4), torch.tensor([0, 0, 1, 1]))
    gate = {"default": {}, "categories": {}}
    save_weights(path, vae, mixture, ("ball", "block"), np.zeros(704), np.eye(6, 704), {}, gate, {})
    return load_weights(path)


def test_all_six_sheets_of_a_model_are_written(tmp_path: Path) -> None:
    """Between needs a category with two test models."""
    model, train = toy_model(tmp_path / "toy.safetensors"), balls_and_blocks((12.0, 16.0))
    write_sheets(tmp_path / "sheets", model, train, balls_and_blocks((13.0, 17.0)), tiles=4)
    sheets = {path.stem: Image.open(path).size for path in (tmp_path / "sheets").glob("*.png")}
    assert set(sheets) == {"data", "reconstructions", "samples", "nearest", "between", "along"}
    assert len(set(sheets.values())) == 1  # one row of four each
    write_sheets(tmp_path / "few", model, train, balls_and_blocks((13.0,)), tiles=2)
    assert {path.stem for path in (tmp_path / "few").glob("*.png")} == set(sheets) - {"between"}
