"""Small 3-D convolutional network that names the category of an object grid.

It judges samples (how often a sample is recognised as what was asked for) and its penultimate features
are what the Fréchet distance is measured on.  Input: distance and colour at 32³; see `classifier_input`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 256


@dataclass(frozen=True)
class ClassifierConfig:
    """`categories` is the number of labels; widths at 16³, 8³, 4³."""

    categories: int
    widths: tuple[int, int, int] = (32, 64, 128)
    dropout: float = 0.3

    def as_dict(self) -> dict[str, object]:
        """As JSON keeps it."""
        return asdict(self)


def classifier_input(distance: Tensor, look: Tensor) -> Tensor:
    """Distance (B, 1, 64³) and look (B, 7, 32³; premultiplied, mask last) → (B, 5, 32³)."""
    return torch.cat([functional.avg_pool3d(distance, 2), look[:, :3], look[:, 6:7]], 1)


class ShapeClassifier(nn.Module):
    """(B, 5, 32³) → logits (B, categories)."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c = config.widths
        self.stem = nn.Sequential(nn.Conv3d(5, a, 4, stride=2, padding=1), nn.GroupNorm(4, a), nn.SiLU())
        self.down1 = nn.Sequential(nn.Conv3d(a, b, 4, stride=2, padding=1), nn.GroupNorm(4, b), nn.SiLU())
        self.same1 = nn.Sequential(nn.Conv3d(b, b, 3, padding=1), nn.GroupNorm(4, b), nn.SiLU())
        self.down2 = nn.Sequential(nn.Conv3d(b, c, 4, stride=2, padding=1), nn.GroupNorm(4, c), nn.SiLU())
        self.same2 = nn.Sequential(nn.Conv3d(c, c, 3, padding=1), nn.GroupNorm(4, c), nn.SiLU())
        self.hidden = nn.Linear(c * 8 + c, FEATURES)
        self.out = nn.Linear(FEATURES, config.categories)

    def features(self, grid: Tensor) -> Tensor:
        """(B, 256) penultimate features."""
        if grid.dim() != 5 or tuple(grid.shape[1:]) != (5, 32, 32, 32):
            raise ValueError(f"expected (B, 5, 32, 32, 32), got {tuple(grid.shape)}")
        x = self.down1(self.stem(grid))  # (B, b, 8³)
        x = x + self.same1(x)
        x = self.down2(x)  # (B, c, 4³)
        x = x + self.same2(x)
        coarse = functional.avg_pool3d(x, 2).flatten(1)  # (B, 8c)
        pooled = torch.cat([coarse, x.amax((2, 3, 4))], 1)
        out: Tensor = functional.silu(self.hidden(functional.dropout(pooled, self.config.dropout, self.training)))
        return out

    def forward(self, grid: Tensor) -> Tensor:
        """(B, 5, 32, 32, 32) → logits (B, categories)."""
        h = functional.dropout(self.features(grid), self.config.dropout, self.training)
        out: Tensor = self.out(h)
        return out
