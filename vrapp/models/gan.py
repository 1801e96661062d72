"""A pure category-conditional GAN of object grids at 32³: one row of the table.

Noise and category become a style that scales and shifts every layer (Karras et al. 2019).  It learns coarse
first: features of 8³ leave as a shape of 16³, and what those of 16³ add makes it one of 32³ (output skips,
Karras et al. 2020), with six looks, as the VAE's decoder has them.  Its critic is `models.critic.ShapeCritic`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LOOKS = 6  # sRGB colour, roughness, metalness, emission
COARSE, FINE = 16, 32  # resolutions that it can be asked for


@dataclass(frozen=True)
class GanConfig:
    """Sizes; `widths` at 4³, 8³ and 16³."""

    categories: int
    latent: int = 128
    style: int = 128
    widths: tuple[int, int, int] = (128, 64, 32)

    def as_dict(self) -> dict[str, object]:
        """As JSON keeps it."""
        return asdict(self)


def _grow(grid: Tensor) -> Tensor:
    """(B, 8C, R³) → (B, C, (2R)³): depth-to-space."""
    b, channels, x, y, z = grid.shape
    grid = grid.reshape(b, channels // 8, 2, 2, 2, x, y, z).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return grid.reshape(b, channels // 8, 2 * x, 2 * y, 2 * z)


class _StyledBlock(nn.Module):
    """Normalise, scale and shift by the style, convolve; twice, with a way around."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(max(1, channels // 16), channels, affine=False)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        self.style = nn.Linear(style, 4 * channels)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(B, C, R³) and style (B, S) → the same shape."""
        scale1, shift1, scale2, shift2 = self.style(style)[:, :, None, None, None].chunk(4, 1)  # (B, C, 1, 1, 1)
        h = self.conv1(functional.silu(self.norm(x) * (1 + scale1) + shift1))
        h = self.conv2(functional.silu(self.norm(h) * (1 + scale2) + shift2))
        out: Tensor = x + h
        return out


class ShapeGenerator(nn.Module):
    """Noise (B, latent) and category (B,) → distance (B, 1, 32³) and look logits (B, 6, 32³)."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.config = config
        a, b, c = config.widths
        self.category = nn.Embedding(config.categories, config.style)
        self.mapping = nn.Sequential(
            nn.Linear(config.latent + config.style, config.style), nn.SiLU(),
            nn.Linear(config.style, config.style), nn.SiLU(),
        )  # fmt: skip
        self.start = nn.Linear(config.style, a * 4**3)
        self.block4, self.up8 = _StyledBlock(a, config.style), nn.Conv3d(a, b * 8, 1)
        self.block8, self.up16 = _StyledBlock(b, config.style), nn.Conv3d(b, c * 8, 1)
        self.coarse = nn.Conv3d(b, (1 + LOOKS) * 8, 3, padding=1)
        self.block16 = _StyledBlock(c, config.style)
        self.fine = nn.Conv3d(c, (1 + LOOKS) * 8, 3, padding=1)
        for name, layer in self.named_modules():
            # Without this the category and the biases outweigh the noise, and all draws begin alike.
            if isinstance(layer, nn.Linear | nn.Conv3d) and not name.endswith("conv2"):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.fine.weight)

    def forward(self, noise: Tensor, category: Tensor, resolution: int = FINE) -> tuple[Tensor, Tensor]:
        """Distance (B, 1, R³) within ±1 and look logits (B, 6, R³), R = `resolution`, 16 or 32."""
        if noise.dim() != 2 or noise.shape[1] != self.config.latent:
            raise ValueError(f"expected noise (B, {self.config.latent}), got {tuple(noise.shape)}")
        noise = noise * torch.rsqrt(noise.square().mean(1, keepdim=True) + 1e-8)
        style = self.mapping(torch.cat([noise, self.category(category)], 1))
        x = self.start(style).reshape(len(noise), -1, 4, 4, 4)
        x = _grow(self.up8(self.block4(x, style)))  # (B, b, 8³)
        x = self.block8(x, style)
        made = _grow(self.coarse(functional.silu(x)))  # (B, 7, 16³)
        if resolution == FINE:
            x = self.block16(_grow(self.up16(x)), style)  # (B, c, 16³)
            made = functional.interpolate(made, scale_factor=2, mode="trilinear", align_corners=False)
            made = made + _grow(self.fine(functional.silu(x)))
        return torch.tanh(made[:, :1]), made[:, 1:]

    def decode(self, noise: Tensor, category: Tensor) -> Tensor:
        """(B, 7, 64, 64, 64) grids as `ShapeVAE.decode` gives them, interpolated from 32³."""
        distance, look = self(noise, category)
        grid = torch.cat([distance, torch.sigmoid(look)], 1)
        fine = functional.interpolate(grid, scale_factor=2, mode="trilinear", align_corners=False)
        # At 32³ the distance is the mean of 8 voxels of 64³ and keeps their unit: nothing to rescale.
        return torch.cat([fine[:, :1].clamp(-1, 1), fine[:, 1:]], 1)
