"""The gate's critic: tells shapes that the decoder makes of real models from those that a prior drew.

A density-ratio classifier over finished draws (Azadi et al. 2019, "Discriminator rejection sampling"): its logit is
log p(model) − log p(draw) for an even mixture of both, so that what it finds implausible can be drawn again. The
critics of `models.critic` are trained against a generator that moves; this one against a prior that is fixed.

It looks at eleven figures of the whole shape and at its category: with 3,300 shapes of either side, a convolutional
network of 0.3 M numbers learned nothing that held for other models, and principal components of the field told less.
The card of the weights says how well it judges.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from vrapp.models.vae import halved

RESOLUTION = 32
FIGURES = 11
_BAND, _THIN_BAND = 0.95, 0.5  # |distance| below which a voxel is near the surface


@dataclass(frozen=True)
class PlausibilityConfig:
    """`hidden` units in each of two layers."""

    categories: int
    hidden: int = 256
    dropout: float = 0.5

    def as_dict(self) -> dict[str, object]:
        """As JSON keeps it."""
        return asdict(self)


def figures(distance: Tensor) -> Tensor:
    """Distances (B, 1, 32³) in [−1, 1] → (B, 11).

    The shares of voxels near the surface and inside; crossings of the surface for each voxel near it and for each
    inside; how much the field changes along x, y, z, and how much of it lies very near the surface, for each voxel
    near it; the shares of the silhouettes along x, y, z.
    """
    field = distance[:, 0]
    near, inside = (field.abs() < _BAND).float(), (field < 0).float()
    thin = (field.abs() < _THIN_BAND).float()
    axes = (1, 2, 3)
    surface = near.sum(axes).clamp(min=1)
    volume = inside.sum(axes)
    changes = torch.stack([field.diff(dim=axis).abs().sum(axes) for axis in axes])
    crossings = torch.stack([inside.diff(dim=axis).abs().sum(axes) for axis in axes]).sum(0)
    voxels = float(RESOLUTION**3)
    return torch.stack(
        (
            surface / voxels, volume / voxels, crossings / surface, crossings / volume.clamp(min=1),
            *(changes / surface), thin.sum(axes) / surface,
            *(inside.amax(axis).mean((1, 2)) for axis in axes),
        ), 1,
    )  # fmt: skip


class PlausibilityCritic(nn.Module):
    """Distances (B, 1, R³), R = 32 or 64, and categories (B,) → logits (B,), high for what a real model may be."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: PlausibilityConfig) -> None:
        super().__init__()
        self.config = config
        h = config.hidden
        self.register_buffer("mean", torch.zeros(FIGURES))
        self.register_buffer("deviation", torch.ones(FIGURES))
        self.first = nn.Linear(FIGURES, h)
        self.category = nn.Embedding(config.categories, h)
        self.rest = nn.Sequential(
            nn.SiLU(), nn.Dropout(config.dropout), nn.Linear(h, h),
            nn.SiLU(), nn.Dropout(config.dropout), nn.Linear(h, 1),
        )  # fmt: skip
        nn.init.normal_(self.category.weight, std=0.3)

    def set_scale(self, known: Tensor) -> None:
        """Take mean and deviation of figures (N, 11) to divide by."""
        self.mean.copy_(known.mean(0))
        self.deviation.copy_(known.std(0).clamp(min=1e-4))

    def judge(self, known: Tensor, category: Tensor) -> Tensor:
        """Figures (B, 11) and categories (B,) → logits (B,)."""
        hidden = self.first((known - self.mean) / self.deviation) + self.category(category)
        logit: Tensor = self.rest(hidden)[:, 0]
        return logit

    def forward(self, distance: Tensor, category: Tensor) -> Tensor:
        """See the class."""
        return self.judge(figures(distance if distance.shape[-1] == RESOLUTION else halved(distance)), category)
