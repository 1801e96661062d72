"""Variational autoencoder of 7-channel 64³ object grids with a spatial latent, 4³ × (8 + 3) numbers.

The first 8 channels of the latent are learned, the last 3 are the mean sRGB colour of each cell's surface
(cells without any take their neighbours'): shape alone would take the whole code, since luminance is most of
what a colour loss sees, and all objects would come out one brown.

With ``global_numbers`` the learned part is one code for the whole shape instead, each number acting everywhere; it
stands at the front of the same 512 places, the others of which are 0. It is there to be compared with: at as many
minutes of training it reconstructs worse (assets/objects.md).

ELBO after Kingma & Welling 2014 with free bits (Kingma et al. 2016).  No convolution runs above 16³: the
encoder starts with space-to-depth and the decoder ends with depth-to-space (×4 for the distance, ×2 for
the colours, which are learned at 32³ and interpolated), so that one decode costs about 2 GFLOP.

Grid axes are (batch, channel, x, y, z).  Channel 0 is the truncated signed distance in [−1, 1], positive
outside; 1–3 sRGB-encoded colour, 4 roughness, 5 metalness, 6 emission, all in [0, 1] and only meaningful
near the surface.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

GRID_CHANNELS = 7
LOOK_CHANNELS = 6
COLOURS = 3
CELLS = 4**3
COLOUR_SCALE = 4.0  # latent units for a colour of 1: its spread is then about that of the learned channels
COLOUR_NOISE = 0.1  # standard deviation of the colour channels' posterior, latent units
BAND = 0.99  # |distance| below which a voxel has a colour


@dataclass(frozen=True)
class VaeConfig:
    """Widths of the network at 16³, 8³, 4³ and residual blocks of the decoder at each. ``global_numbers``: of one
    code for the whole shape, 64 · ``shape_channels`` at most; 0: each cell of 4³ has numbers of its own."""

    resolution: int = 64
    shape_channels: int = 8
    encoder: tuple[int, int, int] = (48, 64, 160)
    decoder: tuple[int, int, int] = (48, 80, 192)
    blocks: tuple[int, int, int] = (1, 2, 1)
    head: int = 128
    global_numbers: int = 0

    @property
    def shape_numbers(self) -> int:
        """Places of the learned part."""
        return self.shape_channels * CELLS

    @property
    def latent_channels(self) -> int:
        """Learned channels and colours."""
        return self.shape_channels + COLOURS

    def as_dict(self) -> dict[str, object]:
        """As JSON keeps it."""
        return asdict(self)


def space_to_depth(grid: Tensor, factor: int) -> Tensor:
    """(B, C, R, R, R) → (B, C·f³, R/f, R/f, R/f)."""
    b, c, x, y, z = grid.shape
    f = factor
    grid = grid.reshape(b, c, x // f, f, y // f, f, z // f, f)
    grid = grid.permute(0, 1, 3, 5, 7, 2, 4, 6)  # (B, C, f, f, f, x, y, z)
    return grid.reshape(b, c * f**3, x // f, y // f, z // f)


def depth_to_space(grid: Tensor, factor: int) -> Tensor:
    """(B, C·f³, R, R, R) → (B, C, R·f, R·f, R·f); inverse of `space_to_depth`. Channels stay last where they are."""
    b, channels, x, y, z = grid.shape
    f = factor
    c = channels // f**3
    parts = grid.reshape(b, c, f, f, f, x, y, z)
    if grid.stride(1) == 1:
        return parts.permute(0, 5, 2, 6, 3, 7, 4, 1).reshape(b, x * f, y * f, z * f, c).permute(0, 4, 1, 2, 3)
    return parts.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c, x * f, y * f, z * f)


def halved(grid: Tensor) -> Tensor:
    """(B, C, R, R, R) → (B, C, R/2, R/2, R/2), means of 2³: on the CPU much faster than a pooling layer."""
    grid = grid[:, :, 0::2] + grid[:, :, 1::2]
    grid = grid[:, :, :, 0::2] + grid[:, :, :, 1::2]
    return (grid[..., 0::2] + grid[..., 1::2]) / 8


def upsampled(grid: Tensor, factor: int) -> Tensor:
    """(B, C, R, R, R) → (B, C, R·f, R·f, R·f), trilinear, axis by axis: interpolating all at once takes longer."""
    size = grid.shape[-1]
    line = torch.eye(size, dtype=grid.dtype, device=grid.device)[None]
    weights = functional.interpolate(line, scale_factor=factor, mode="linear")[0]  # (R, R·f)
    for _ in range(3):
        grid = torch.einsum("bcxyz,xw->bcyzw", grid, weights)  # the next axis comes first
    return grid


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // 16), channels)


class ResidualBlock(nn.Module):
    """Two 3³ convolutions, pre-activated; the second starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(channels), _norm(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, R, R, R) → the same shape."""
        h = self.conv1(functional.silu(self.norm1(x)))
        out: Tensor = x + self.conv2(functional.silu(self.norm2(h)))
        return out


def cell_colours(look: Tensor) -> Tensor:
    """Premultiplied look (B, 7, 32³), mask last → mean colours (B, 3, 4³); empty cells take their neighbours'."""
    level = functional.avg_pool3d(torch.cat([look[:, :COLOURS], look[:, LOOK_CHANNELS:]], 1), 8)  # (B, 4, 4³)
    near = functional.avg_pool3d(level, 3, stride=1, padding=1)
    filled = torch.where(level[:, COLOURS:] > 1e-3, level, near)
    filled = torch.where(filled[:, COLOURS:] > 1e-3, filled, level.mean((2, 3, 4), keepdim=True))
    return filled[:, :COLOURS] / filled[:, COLOURS:].clamp(min=1e-6)


class Encoder(nn.Module):
    """Distance (B, 1, 64³) and premultiplied colours with their mask (B, 7, 32³) → mean, log variance."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        c16, c8, c4 = config.encoder
        self.stem = nn.Conv3d(64 + 7 * 8, c16, 1)
        self.mix16 = nn.Conv3d(c16, c16, 1)
        self.down8 = nn.Conv3d(c16 * 8, c8, 1)
        self.block8 = ResidualBlock(c8)
        self.down4 = nn.Conv3d(c8 * 8, c4, 1)
        self.block4 = ResidualBlock(c4)
        self.norm = _norm(c4)
        self.out = nn.Conv3d(c4, 2 * config.shape_channels, 3, padding=1)
        whole = config.global_numbers
        self.whole = nn.Linear(2 * config.shape_numbers, 2 * whole) if whole else None

    def forward(self, distance: Tensor, look: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, (B, 11, 4, 4, 4) each."""
        x = torch.cat([space_to_depth(distance, 4), space_to_depth(look, 2)], 1)  # (B, 120, 16³)
        x = self.stem(x.contiguous(memory_format=torch.channels_last_3d))
        x = x + self.mix16(functional.silu(x))  # (B, c16, 16³)
        x = self.block8(self.down8(space_to_depth(x, 2)))  # (B, c8, 8³)
        x = self.block4(self.down4(space_to_depth(x, 2)))  # (B, c4, 4³)
        x = self.out(functional.silu(self.norm(x)))
        mean, logvar = x.chunk(2, 1)  # (B, 8, 4³) each
        if self.whole is not None:
            code = self.whole(x.flatten(1)).chunk(2, 1)  # (B, G) each
            mean, logvar = (functional.pad(part, (0, mean[0].numel() - part.shape[1])).view_as(mean) for part in code)
        colour = (cell_colours(look) - 0.5) * COLOUR_SCALE
        known = torch.full_like(colour, 2 * math.log(COLOUR_NOISE))
        return torch.cat([mean, colour], 1), torch.cat([logvar.clamp(-12.0, 4.0), known], 1)


class Decoder(nn.Module):
    """Latent (B, 11, 4³) → raw distance (B, 1, 64³) and colour logits (B, 6, 32³)."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        c16, c8, c4 = config.decoder
        n16, n8, n4 = config.blocks
        whole = config.global_numbers
        self.whole = nn.Linear(whole, config.shape_numbers) if whole else None
        self.stem = nn.Conv3d(config.latent_channels, c4, 3, padding=1)
        self.blocks4 = nn.Sequential(*[ResidualBlock(c4) for _ in range(n4)])
        self.up8 = nn.Conv3d(c4, c8 * 8, 1)
        self.blocks8 = nn.Sequential(*[ResidualBlock(c8) for _ in range(n8)])
        self.up16 = nn.Conv3d(c8, c16 * 8, 1)
        self.blocks16 = nn.Sequential(*[ResidualBlock(c16) for _ in range(n16)])
        self.norm = _norm(c16)
        self.hidden = nn.Conv3d(c16, config.head, 1)
        self.out = nn.Conv3d(config.head, 64 + LOOK_CHANNELS * 8, 1)

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Distance (B, 1, 64³), not clamped, and colour logits (B, 6, 32³)."""
        spread = latent
        if self.whole is not None:
            cells = self.whole(latent[:, :-COLOURS].flatten(1)[:, : self.whole.in_features])
            spread = torch.cat([cells.view_as(latent[:, :-COLOURS]), latent[:, -COLOURS:]], 1)
        x = self.blocks4(self.stem(spread.contiguous(memory_format=torch.channels_last_3d)))
        x = self.blocks8(depth_to_space(self.up8(x), 2))  # (B, c8, 8³)
        x = self.blocks16(depth_to_space(self.up16(x), 2))  # (B, c16, 16³)
        x = self.out(functional.silu(self.hidden(functional.silu(self.norm(x)))))  # (B, 112, 16³)
        look = depth_to_space(x[:, 64:], 2)  # (B, 6, 32³)
        colour = (latent[:, -COLOURS:] / COLOUR_SCALE + 0.5).clamp(0.02, 0.98)
        base = upsampled(torch.logit(colour), 8)  # (B, 3, 32³)
        look[:, :COLOURS] += base
        return depth_to_space(x[:, :64], 4), look


def split_grid(grid: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 7, 64³) grid → distance (B, 1, 64³) and look (B, 7, 32³): premultiplied colours, then the mask."""
    distance = grid[:, :1]
    mask = (distance.abs() < BAND).to(grid.dtype)
    return distance, functional.avg_pool3d(torch.cat([grid[:, 1:] * mask, mask], 1), 2)


class ShapeVAE(nn.Module):
    """Encoder and decoder; see the module's text for axes and units."""

    def __init__(self, config: VaeConfig | None = None) -> None:
        super().__init__()
        self.config = config or VaeConfig()
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)

    def encode(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 7, 64, 64, 64) float → mean and log variance, (B, 11, 4, 4, 4) each."""
        if grid.dim() != 5 or tuple(grid.shape[1:]) != (GRID_CHANNELS, 64, 64, 64):
            raise ValueError(f"expected a grid (B, 7, 64, 64, 64), got {tuple(grid.shape)}")
        mean, logvar = self.encoder(*split_grid(grid))
        return mean, logvar

    def fields(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 11, 4, 4, 4) float → distance (B, 1, 64, 64, 64) in [−1, 1] and look (B, 6, 32, 32, 32) in [0, 1]."""
        shape = (self.config.latent_channels, 4, 4, 4)
        if latent.dim() != 5 or tuple(latent.shape[1:]) != shape:
            raise ValueError(f"expected a latent (B, {shape[0]}, 4, 4, 4), got {tuple(latent.shape)}")
        raw, look = self.decoder(latent)
        return raw.clamp(-1.0, 1.0), torch.sigmoid(look)

    def decode(self, latent: Tensor) -> Tensor:
        """(B, 11, 4, 4, 4) float → one grid (B, 7, 64, 64, 64): the distance, and the look interpolated."""
        distance, look = self.fields(latent)
        return torch.cat([distance, functional.interpolate(look, scale_factor=2, mode="trilinear")], 1)

    def projected(self, latent: Tensor, times: int = 1) -> Tensor:
        """(B, 11, 4, 4, 4) decoded and encoded again, `times` times.

        A chain of such steps walks to where the network's own shapes lie (Bengio et al. 2013, "Generalized denoising
        auto-encoders as generative models"): what two halves of a latent leave torn grows together.
        """
        for _ in range(times):
            distance, look = self.fields(latent)
            mask = halved(torch.sign(BAND - distance.abs()).clamp(min=0.0))  # 1 where |distance| < BAND
            latent = self.encoder(distance, torch.cat([look * mask, mask], 1))[0]  # colours stay at 32³
        return latent


@dataclass(frozen=True)
class VaeLossWeights:
    """`slope` weighs differences of the error between neighbouring voxels, `overlap` 1 − the soft IoU of the
    inside, whose border is `overlap_steepness` steep; β multiplies KL in nats a latent number; below `free_nats` a
    number costs nothing."""

    band: float = 4.0
    slope: float = 4.0
    overlap: float = 0.5
    look: float = 1.0
    beta: float = 2e-5
    free_nats: float = 0.5
    overlap_steepness: float = 12.0


def soft_overlap(raw: Tensor, distance: Tensor, steepness: float) -> Tensor:
    """(B,) IoU of the insides of raw and true distance (B, 1, 64³), differentiable: inside is σ(−steepness · raw)."""
    found, wanted = torch.sigmoid(-steepness * raw).flatten(1), (distance < 0).to(raw.dtype).flatten(1)
    both = (found * wanted).sum(1)
    overlap: Tensor = both / (found.sum(1) + wanted.sum(1) - both).clamp(min=1.0)
    return overlap


def vae_loss(
    raw: Tensor, look: Tensor, distance: Tensor, target: Tensor, mean: Tensor, logvar: Tensor,
    weights: VaeLossWeights, beta_scale: float = 1.0,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Loss of decoded `raw` (B, 1, 64³) and `look` logits (B, 6, 32³) against distance and split look.

    A saturated target (±1) asks only for "at least that far", so nothing is spent on far space.
    """
    reached = torch.where(distance >= BAND, raw.clamp(max=1.0), raw)
    reached = torch.where(distance <= -BAND, raw.clamp(min=-1.0), reached)
    signed = reached - distance
    error = signed.abs()
    near = (distance.abs() < 0.95).to(raw.dtype)
    shape = (error * (1.0 + weights.band * near)).mean()
    # Wrong by the same amount everywhere looks better than wrong by turns: faces stay flat, edges sharp.
    slope = torch.stack(
        [(signed.diff(dim=a).abs() * near.narrow(a, 1, near.shape[a] - 1)).mean() for a in (2, 3, 4)]
    ).sum()
    # Errors counted by voxel leave thin shapes out, which have few; this counts every shape alike.
    overlap = 1.0 - soft_overlap(raw, distance, weights.overlap_steepness).mean()
    mask = target[:, 6:7]  # (B, 1, 32³) share of the cell that has a colour
    wanted = target[:, :LOOK_CHANNELS] / mask.clamp(min=1e-3)
    seen = (mask > 0.05).to(look.dtype)
    # Cross-entropy pulls saturated channels (metal, emission) back, the absolute error keeps edges.
    error = (torch.sigmoid(look) - wanted).abs()
    entropy = functional.binary_cross_entropy_with_logits(look, wanted.clamp(0, 1), reduction="none")
    count = (seen.sum() * LOOK_CHANNELS).clamp(min=1)
    colour, entropy = (error * seen).sum() / count, (entropy * seen).sum() / count
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar)  # (B, 11, 4³) nats
    kl_kept = kl.mean(0).clamp(min=weights.free_nats).sum()
    total = shape + weights.slope * slope + weights.overlap * overlap + weights.look * (colour + entropy)
    total = total + weights.beta * beta_scale * kl_kept
    parts = {"shape": shape, "slope": slope, "overlap": overlap, "look": colour, "kl": kl.sum((1, 2, 3, 4)).mean()}
    return total, parts
