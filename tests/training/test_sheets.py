"""The small painter of contact sheets."""

from pathlib import Path

import numpy as np
from PIL import Image

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
