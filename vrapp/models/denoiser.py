"""A learned denoiser of spatial latents, which makes what a simpler prior has pieced together into one shape.

Rectified flow (Liu et al. 2023, "Flow straight and fast"; Lipman et al. 2023): a transformer over the 4³ cells is
trained to tell the velocity n − x from x_t = (1 − t) x + t n, n ~ N(0, I), and its category. Starting from a draw m of
another prior, ``refined`` mixes in noise up to t and follows the velocity back (Meng et al. 2022, "SDEdit"): how much
of m is left, and how much is the network's own, is t's to say. The way back is an ordinary differential equation, so
that a draw is a function of m and the noise, and ``noise_of`` walks it the other way.

Categories modulate each layer (Peebles & Xie 2023, adaLN-Zero). Latents are measured in standard deviations of the
training latents' channels. Cells are ordered x-major: index = (x·4 + y)·4 + z.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

CELLS = 64  # 4³
_FREQUENCIES = 32


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of the transformer. ``strength`` is the t up to which noise is mixed in, in ``steps`` of which the way back
    is walked (Heun's method: two evaluations a step)."""

    categories: int
    channels: int = 11
    width: int = 128
    layers: int = 6
    heads: int = 4
    dropout: float = 0.1
    strength: float = 0.7
    steps: int = 3

    def as_dict(self) -> dict[str, object]:
        """For the weights' metadata."""
        return asdict(self)


class _Block(nn.Module):
    """Self-attention over the cells and an MLP, each scaled, shifted and gated by the condition."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.qkv, self.project = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.condition = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, 64, width) and condition (B, width) → (B, 64, width)."""
        b, t, width = x.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = self.condition(condition)[:, None].chunk(6, -1)
        h = self.norm(x) * (1 + scale1) + shift1
        qkv = self.qkv(h).reshape(b, t, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, 64, width/heads) each
        h = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, width)
        x = x + gate1 * functional.dropout(self.project(h), self.dropout, self.training)
        h = self.norm(x) * (1 + scale2) + shift2
        h = self.down(functional.gelu(self.up(h), approximate="tanh"))
        out: Tensor = x + gate2 * functional.dropout(h, self.dropout, self.training)
        return out


class LatentDenoiser(nn.Module):
    """See the module's text. ``set_scale`` must be called, or weights loaded, before anything else."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        channels, width = config.channels, config.width
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.cells_in = nn.Linear(channels, width)
        self.place = nn.Parameter(torch.randn(CELLS, width) * 0.1)
        self.category = nn.Embedding(config.categories, width)
        nn.init.normal_(self.category.weight, std=0.5)
        self.time_up, self.time_down = nn.Linear(2 * _FREQUENCIES, width), nn.Linear(width, width)
        self.blocks = nn.ModuleList([_Block(config) for _ in range(config.layers)])
        self.last = nn.Linear(width, 2 * width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.out = nn.Linear(width, channels)
        for zeroed in (self.last, self.out):
            nn.init.zeros_(zeroed.weight)
            nn.init.zeros_(zeroed.bias)

    @torch.no_grad()
    def set_scale(self, latents: Tensor) -> None:
        """Take means and deviations of the channels of latents (N, 11, 4, 4, 4)."""
        flat = latents.transpose(0, 1).flatten(1)
        self.mean.copy_(flat.mean(1))
        self.deviation.copy_(flat.std(1).clamp(min=1e-3))  # models without colours have one colour

    def scaled(self, latents: Tensor) -> Tensor:
        """Latents (B, 11, 4, 4, 4) in standard deviations."""
        shape = (1, -1, 1, 1, 1)
        return (latents - self.mean.view(shape)) / self.deviation.view(shape)

    def unscaled(self, x: Tensor) -> Tensor:
        """The inverse of ``scaled``."""
        shape = (1, -1, 1, 1, 1)
        return x * self.deviation.view(shape) + self.mean.view(shape)

    def forward(self, x: Tensor, time: Tensor, category: Tensor) -> Tensor:
        """Velocity (B, 11, 4, 4, 4) at x of the same shape (scaled), time (B,) in [0, 1], category (B,) int64."""
        steps = torch.exp(torch.linspace(0.0, math.log(100.0), _FREQUENCIES, device=x.device))
        angle = time[:, None] * steps * math.pi
        told = self.time_up(torch.cat([angle.cos(), angle.sin()], 1))
        condition = functional.silu(self.time_down(functional.silu(told)) + self.category(category))
        h = self.cells_in(x.flatten(2).transpose(1, 2)) + self.place  # (B, 64, width)
        for block in self.blocks:
            h = block(h, condition)
        shift, scale = self.last(condition)[:, None].chunk(2, -1)
        velocity: Tensor = self.out(self.norm(h) * (1 + scale) + shift)  # (B, 64, 11)
        return velocity.transpose(1, 2).reshape(x.shape)

    def _walk(self, x: Tensor, category: Tensor, start: float, end: float, steps: int) -> Tensor:
        """x at time ``start`` carried along the velocity to ``end``."""
        times = torch.linspace(start, end, steps + 1).tolist()
        for here, there in pairwise(times):
            first = self(x, x.new_full((len(x),), here), category)
            ahead = x + (there - here) * first
            second = self(ahead, x.new_full((len(x),), there), category)
            x = x + (there - here) * 0.5 * (first + second)
        return x

    @torch.no_grad()
    def refined(self, latent: Tensor, category: Tensor, noise: Tensor, strength: float | None = None) -> Tensor:
        """Latents (B, 11, 4, 4, 4), categories (B,) int64 and standard normal noise like the latents → latents that
        look like those of models, near to the given ones; the same rows for the same rows."""
        t = self.config.strength if strength is None else strength
        if t <= 0.0:
            return latent
        mixed = (1.0 - t) * self.scaled(latent) + t * noise
        return self.unscaled(self._walk(mixed, category, t, 0.0, self.config.steps))

    def strength_at(self, temperature: float) -> float:
        """The t up to which noise is mixed in: less below temperature 1, and none at 0."""
        return self.config.strength * min(max(temperature, 0.0), 1.0)

    @torch.no_grad()
    def noise_of(self, refined: Tensor, latent: Tensor, category: Tensor, strength: float | None = None) -> Tensor:
        """The noise with which ``refined`` makes ``refined`` of ``latent``, but for the steps' error."""
        t = self.config.strength if strength is None else strength
        if t <= 0.0:
            return torch.zeros_like(latent)
        mixed = self._walk(self.scaled(refined), category, 0.0, t, self.config.steps)
        return (mixed - (1.0 - t) * self.scaled(latent)) / t


def flow_loss(model: LatentDenoiser, latent: Tensor, category: Tensor, time: Tensor, noise: Tensor) -> Tensor:
    """(B,) mean squared error of the velocity, of latents (B, 11, 4, 4, 4) at time (B,) with standard normal noise."""
    x = model.scaled(latent)
    t = time.view(-1, 1, 1, 1, 1)
    velocity = model((1 - t) * x + t * noise, time, category)
    error: Tensor = (velocity - (noise - x)).square().mean((1, 2, 3, 4))
    return error
