"""Critics of object grids: what a generator of shapes is trained against.

After SDF-StyleGAN (Zheng et al. 2022): a global critic sees the whole shape at a coarse grid, a local one
judges patches near the surface, and both see the distance *and its gradient*, in which a rough surface
shows far more.  All layers are spectrally normalised (Miyato et al. 2018); the category enters as a
projection (Miyato & Koyama 2018).  The losses are the hinge and the lazy R1 penalty (Karras et al. 2020).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

VIEW_CHANNELS = 4  # distance and its gradient along x, y, z
_BAND = 0.95  # |distance| below which a voxel belongs to the surface


@dataclass(frozen=True)
class CriticConfig:
    """`coarse`: what the global critic sees, 16³ or 32³; `width` of the first layers."""

    categories: int
    coarse: int = 32
    width: int = 32

    def as_dict(self) -> dict[str, object]:
        """As JSON keeps it."""
        return asdict(self)


def surface_view(distance: Tensor) -> Tensor:
    """(B, 1, R³) in [−1, 1] → (B, 4, R³): the distance and its gradient, of about unit size near a surface.

    Central differences; at the border the grid goes on as it ends.  Distances are clamped at ±4 voxels of
    64³ and keep that unit: over two voxels they change by ½ at 64³ and by 1 at 32³ (by less than 2 at 16³).
    """
    if distance.dim() != 5 or distance.shape[1] != 1:
        raise ValueError(f"expected distances (B, 1, R, R, R), got {tuple(distance.shape)}")
    padded = functional.pad(distance, (1, 1, 1, 1, 1, 1), mode="replicate")
    x = padded[:, :, 2:, 1:-1, 1:-1] - padded[:, :, :-2, 1:-1, 1:-1]
    y = padded[:, :, 1:-1, 2:, 1:-1] - padded[:, :, 1:-1, :-2, 1:-1]
    z = padded[:, :, 1:-1, 1:-1, 2:] - padded[:, :, 1:-1, 1:-1, :-2]
    unit = distance.shape[-1] / 32
    return torch.cat([distance, unit * x, unit * y, unit * z], 1)


def _conv(before: int, after: int, kernel: int, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv3d(before, after, kernel, stride, padding=(kernel - 1) // 2))


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(_conv(before, after, 4, 2), nn.LeakyReLU(0.2))


class GlobalCritic(nn.Module):
    """The shape as a whole, at 16³ or 32³: (B, 4, R³) and category (B,) → (B,)."""

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        w = config.width
        first = [_down(VIEW_CHANNELS, w)] if config.coarse == 32 else [_conv(VIEW_CHANNELS, w, 3), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(
            *first,  # 16³
            _down(w, 2 * w),  # 8³
            _down(2 * w, 4 * w),  # 4³
            _conv(4 * w, 4 * w, 3),
            nn.LeakyReLU(0.2),
        )
        self.hidden = spectral_norm(nn.Linear(4 * w * 8 + 1, 4 * w))
        self.out = spectral_norm(nn.Linear(4 * w, 1))
        self.category = spectral_norm(nn.Embedding(config.categories, 4 * w))

    def forward(self, view: Tensor, category: Tensor) -> Tensor:
        """High for what looks real."""
        h = functional.avg_pool3d(self.body(view), 2).flatten(1)  # (B, 4w · 2³)
        # The batch's own spread (Karras et al. 2018): a generator that draws one shape only is noticed.
        spread = (h.float().var(0, unbiased=False) + 1e-8).sqrt().mean().to(h.dtype).expand(len(h), 1)
        h = functional.leaky_relu(self.hidden(torch.cat([h, spread], 1)), 0.2)
        out: Tensor = self.out(h)[:, 0] + (self.category(category) * h).sum(1)
        return out


class LocalCritic(nn.Module):
    """Patches of 22 voxels, eight apart: (B, 4, R³) → (B,), the mean over patches that hold some surface."""

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        w = config.width
        self.body = nn.Sequential(_down(VIEW_CHANNELS, w), _down(w, 2 * w), _down(2 * w, 2 * w))
        self.out = _conv(2 * w, 1, 1)

    def forward(self, view: Tensor) -> Tensor:
        """High for patches that look real; a shape without any surface gets 0."""
        opinion = self.out(self.body(view))[:, 0]  # (B, (R/8)³)
        surface = (view[:, :1].abs() < _BAND).to(view.dtype)
        weight = (functional.avg_pool3d(surface, 8)[:, 0] > 0.01).to(view.dtype)  # a patch's own cell of 8³ voxels
        mean: Tensor = (opinion * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1)
        return mean


class ShapeCritic(nn.Module):
    """Both critics: distances (B, 1, R³) and categories (B,) → (B, 2), global and local opinion.

    R is 16, 32 or 64, and not less than what the global critic sees.
    """

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        if config.coarse not in (16, 32):
            raise ValueError(f"coarse resolution {config.coarse} is none of 16, 32")
        self.config = config
        self.whole = GlobalCritic(config)
        self.parts = LocalCritic(config)

    def forward(self, distance: Tensor, category: Tensor) -> Tensor:
        """High for what looks real."""
        r = distance.shape[-1]
        if tuple(distance.shape[1:]) != (1, r, r, r) or r not in (16, 32, 64) or r < self.config.coarse:
            raise ValueError(f"expected distances (B, 1, R³) of 16, 32 or 64, got {tuple(distance.shape)}")
        factor = r // self.config.coarse
        coarse = distance if factor == 1 else functional.avg_pool3d(distance, factor)
        whole = self.whole(surface_view(coarse), category)
        return torch.stack([whole, self.parts(surface_view(distance))], 1)


def critic_hinge(real: Tensor, made: Tensor) -> Tensor:
    """What the critic minimises, given its opinions (B, 2) of real and of made shapes."""
    return functional.relu(1 - real).mean() + functional.relu(1 + made).mean()


def generator_hinge(made: Tensor) -> Tensor:
    """What the generator minimises."""
    return -made.mean()


def r1_penalty(critic: ShapeCritic, real: Tensor, category: Tensor) -> Tensor:
    """½ E ‖∇ opinion‖² at real shapes (Mescheder et al. 2018), a scalar that can be differentiated.

    Spectral norm bounds the critic everywhere, this flattens it where the data are.
    """
    real = real.detach().requires_grad_(True)
    opinion = critic(real, category).sum()
    (slope,) = torch.autograd.grad(opinion, real, create_graph=True)
    return 0.5 * slope.square().sum((1, 2, 3, 4)).mean()


def augment(distance: Tensor, rng: torch.Generator, most_voxels: int = 2) -> Tensor:
    """Each of (B, 1, R³) mirrored, turned about +Y by quarters and shifted at random; differentiable.

    Applied alike to what is real and what is made (Zhao et al. 2020), so that a critic of little data
    cannot learn it by heart, and what is made need not look augmented.
    """
    moved = []
    draws = torch.randint(0, 8, (len(distance),), generator=rng).tolist()
    shifts = torch.randint(-most_voxels, most_voxels + 1, (len(distance), 3), generator=rng).tolist()
    for shape, draw, shift in zip(distance, draws, shifts, strict=True):
        one = torch.rot90(shape, draw % 4, (1, 3))  # (1, R, R, R): axes x and z
        one = one.flip(1) if draw >= 4 else one
        moved.append(_shifted(one, shift))
    return torch.stack(moved)


def _shifted(shape: Tensor, shift: list[int]) -> Tensor:
    """(1, R, R, R) moved by whole voxels; what comes in is outside (+1)."""
    border = [amount for by in reversed(shift) for amount in (max(by, 0), max(-by, 0))]
    padded = functional.pad(shape, border, value=1.0)
    r = shape.shape[1]
    x, y, z = (max(-by, 0) for by in shift)
    return padded[:, x : x + r, y : y + r, z : z + r]
