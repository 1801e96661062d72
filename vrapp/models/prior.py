"""Category-conditional autoregressive prior over quantised spatial latents: p(x) = ∏ p(xᵢ | x₍<ᵢ₎).

A causal transformer (Vaswani et al. 2017; prior over a VAE's codes as in van den Oord et al. 2017) walks
the 4³ positions of a latent; a small head draws the 11 channels of a position one after another.  Each
channel is cut into `bins` intervals of equal width; the means of the bins are kept as buffers.  What the
network adds to is a fixed table, the smoothed log share of each bin at each position in each category:
with a few dozen models a category this is most of what there is to know.
Positions are ordered x-major: index = (x·4 + y)·4 + z.  The empty category (index `categories`) is
trained by dropping the label and used for guidance (Ho & Salimans 2022).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

POSITIONS = 64
SIDE = 4


@dataclass(frozen=True)
class PriorConfig:
    """Sizes of the transformer.  `categories` is the number of labels, the empty one not counted."""

    categories: int
    channels: int = 11
    bins: int = 14
    width: int = 192
    layers: int = 6
    heads: int = 6
    dropout: float = 0.2

    def as_dict(self) -> dict[str, object]:
        """As JSON keeps it."""
        return asdict(self)


class _Block(nn.Module):
    """Pre-norm causal self-attention and MLP; keeps keys and values for step-wise sampling."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        b, t, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, T, width/heads) each
        return q, k, v

    def _finish(self, x: Tensor, attended: Tensor) -> Tensor:
        b, _, t, _ = attended.shape
        mixed = self.project(attended.transpose(1, 2).reshape(b, t, -1))
        x = x + functional.dropout(mixed, self.dropout, self.training)
        h = self.down(functional.gelu(self.up(self.norm2(x))))
        out: Tensor = x + functional.dropout(h, self.dropout, self.training)
        return out

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._split(x)
        drop = self.dropout if self.training else 0.0
        return self._finish(x, functional.scaled_dot_product_attention(q, k, v, dropout_p=drop, is_causal=True))

    def step(self, x: Tensor, cache: tuple[Tensor, Tensor], at: int) -> Tensor:
        """One position x (B, 1, width); writes its key and value into `cache` (B, heads, 64, d) at `at`."""
        q, k, v = self._split(x)
        keys, values = cache
        keys[:, :, at], values[:, :, at] = k[:, :, 0], v[:, :, 0]
        seen = functional.scaled_dot_product_attention(q, keys[:, :, : at + 1], values[:, :, : at + 1])
        return self._finish(x, seen)


class LatentPrior(nn.Module):
    """See the module's text.  `set_bins` must be called (or weights loaded) before anything else."""

    edges: Tensor
    centres: Tensor
    base: Tensor

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        self.top_p, self.guidance, self.heat = 1.0, 0.0, 1.0
        channels, bins, width = config.channels, config.bins, config.width
        self.register_buffer("edges", torch.zeros(channels, bins - 1))
        self.register_buffer("centres", torch.zeros(channels, bins))
        self.register_buffer("base", torch.zeros(config.categories + 1, POSITIONS, channels, bins))
        self.value_in = nn.Linear(channels, width)
        self.value_head = nn.Linear(channels, width, bias=False)
        self.code_in = nn.Embedding(channels * bins, width)
        self.code_head = nn.Embedding(channels * bins, width)
        self.category = nn.Embedding(config.categories + 1, width)
        self.place = nn.ParameterList([nn.Parameter(torch.randn(SIDE, width) * 0.1) for _ in range(3)])
        self.cell = nn.Parameter(torch.randn(POSITIONS, width) * 0.02)
        self.blocks = nn.ModuleList([_Block(config) for _ in range(config.layers)])
        self.norm = nn.LayerNorm(width)
        self.channel = nn.Parameter(torch.randn(channels, width) * 0.1)
        self.head_norm = nn.LayerNorm(width)
        self.head_up = nn.Linear(width, 2 * width)
        self.head_out = nn.Parameter(torch.zeros(channels, 2 * width, bins))
        self.head_bias = nn.Parameter(torch.zeros(channels, bins))
        for table in (self.code_in, self.code_head, self.category):
            nn.init.normal_(table.weight, std=0.1)

    def set_sampling(self, top_p: float = 1.0, guidance: float = 0.0, heat: float = 1.0) -> None:
        """Defaults of `sample`, chosen on validation data; `heat` multiplies every temperature."""
        self.top_p, self.guidance, self.heat = top_p, guidance, heat

    # -- latents ↔ codes --------------------------------------------------------------------------

    @torch.no_grad()
    def set_bins(self, latents: Tensor) -> None:
        """Choose bins of equal width, but for the outermost 0.2 %, from latents (N, 11, 4, 4, 4)."""
        bins = self.config.bins
        for channel in range(self.config.channels):
            values = latents[:, channel].flatten().sort().values
            low, high = values[int(0.002 * len(values))], values[int(0.998 * (len(values) - 1))]
            edges = torch.linspace(float(low), float(high), bins + 1)
            self.edges[channel] = edges[1:-1]
            codes = torch.bucketize(values, self.edges[channel])
            count = torch.bincount(codes, minlength=bins)
            mean = torch.bincount(codes, values.double(), minlength=bins) / count.clamp(min=1)
            middle = (edges[:-1] + edges[1:]) / 2
            self.centres[channel] = torch.where(count > 0, mean.float(), middle)

    @torch.no_grad()
    def set_base(self, codes: Tensor, category: Tensor, trust: float = 12.0) -> None:
        """Fill the table of log shares from codes (N, 64, 11) of models with category (N,).

        A category's shares are mixed with those of all, which count as `trust` models; shares spread a
        little to neighbouring bins.
        """
        one_hot = functional.one_hot(codes, self.config.bins).float()  # (N, 64, 11, bins)
        padded = functional.pad(one_hot.flatten(0, 2)[:, None], (1, 1), mode="replicate")
        kernel = one_hot.new_tensor([[[0.25, 0.5, 0.25]]])
        one_hot = functional.conv1d(padded, kernel)[:, 0].reshape(one_hot.shape)
        everything = one_hot.mean(0) * 0.98 + 0.02 / self.config.bins
        self.base[-1] = everything.log()
        for number in range(self.config.categories):
            own = one_hot[category == number]
            self.base[number] = ((own.sum(0) + trust * everything) / (len(own) + trust)).log()

    def quantise(self, latent: Tensor) -> Tensor:
        """(B, 11, 4, 4, 4) float → codes (B, 64, 11) int64."""
        flat = latent.flatten(2).transpose(1, 2)  # (B, 64, 11)
        codes = [torch.bucketize(flat[..., c].contiguous(), self.edges[c]) for c in range(self.config.channels)]
        return torch.stack(codes, -1)

    def dequantise(self, codes: Tensor) -> Tensor:
        """Codes (B, 64, 11) → (B, 11, 4, 4, 4) float, the mean of each bin."""
        channels = torch.arange(self.config.channels, device=codes.device)
        flat = self.centres[channels, codes]  # (B, 64, 11)
        return flat.transpose(1, 2).reshape(len(codes), self.config.channels, SIDE, SIDE, SIDE)

    # -- likelihood -------------------------------------------------------------------------------

    def _places(self) -> Tensor:
        x, y, z = self.place
        grid = x[:, None, None] + y[None, :, None] + z[None, None, :]
        total: Tensor = grid.reshape(POSITIONS, -1) + self.cell  # (64, width)
        return total

    def _offsets(self, codes: Tensor) -> Tensor:
        """Row of each code in the embedding tables."""
        return codes + torch.arange(self.config.channels, device=codes.device) * self.config.bins

    def _head(self, hidden: Tensor, channel: int | slice) -> Tensor:
        """Logits (…, channels, bins) of hidden (…, channels, width)."""
        h = functional.gelu(self.head_up(self.head_norm(hidden)))
        logits = torch.einsum("...cw,cwk->...ck", h, self.head_out[channel]) + self.head_bias[channel]
        return logits

    def forward(self, codes: Tensor, category: Tensor) -> Tensor:
        """Logits (B, 64, 11, bins) of codes (B, 64, 11) given all before them and category (B,) int64."""
        rows = self._offsets(codes)
        values = self.centres[torch.arange(self.config.channels, device=codes.device), codes]  # (B, 64, 11)
        token = self.code_in(rows).sum(2) + self.value_in(values)  # (B, 64, width)
        label = self.category(category)[:, None]  # (B, 1, width)
        before = torch.cat([label, token[:, :-1]], 1)
        x = before + self._places() + label
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        told = self.code_head(rows) + values[..., None] * self.value_head.weight.T  # (B, 64, 11, width)
        earlier = told.cumsum(2) - told
        return self._head(x[:, :, None] + earlier + self.channel, slice(None)) + self.base[category]

    def log_prob(self, latent: Tensor, category: Tensor) -> Tensor:
        """log p in nats of the quantised latents (B, 11, 4, 4, 4), (B,)."""
        codes = self.quantise(latent)
        logits = self(codes, category)
        chosen = functional.log_softmax(logits, -1).gather(-1, codes[..., None])
        total: Tensor = chosen.sum((1, 2, 3))
        return total

    # -- sampling ---------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self,
        category: Tensor,
        uniforms: Tensor,
        temperature: float = 1.0,
        top_p: float | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """Latents (B, 11, 4, 4, 4) for category (B,) int64, by inverse CDF of uniforms (B, 64, 11).

        The same uniforms give the same latents.  `top_p` keeps the most likely bins of that joint
        share; `guidance` > 0 pushes away from the label-free distribution and costs twice the time.
        Where they are None, `set_sampling`'s values hold.
        """
        top_p = self.top_p if top_p is None else top_p
        guidance = self.guidance if guidance is None else guidance
        temperature = temperature * self.heat
        batch, shape = len(category), (POSITIONS, self.config.channels)
        if category.dim() != 1 or tuple(uniforms.shape) != (batch, *shape):
            raise ValueError(f"expected uniforms ({batch}, 64, 11), got {tuple(uniforms.shape)}")
        if int(category.min()) < 0 or int(category.max()) >= self.config.categories:
            raise ValueError(f"a category is outside 0..{self.config.categories - 1}")
        labels = category
        if guidance > 0:
            labels = torch.cat([category, torch.full_like(category, self.config.categories)])
        label, places = self.category(labels)[:, None], self._places()
        width = self.config.width // self.config.heads
        empty = (len(labels), self.config.heads, POSITIONS, width)
        caches = [(label.new_zeros(empty), label.new_zeros(empty)) for _ in self.blocks]
        before, codes, base = label, [], self.base[labels]  # (B, 64, 11, bins)
        channels = torch.arange(self.config.channels, device=category.device)
        for at in range(POSITIONS):
            x = before + places[at] + label
            for block, cache in zip(self.blocks, caches, strict=True):
                assert isinstance(block, _Block)
                x = block.step(x, cache, at)
            drawn = self._draw(self.norm(x)[:, 0], base[:, at], uniforms[:, at], temperature, top_p, guidance)
            codes.append(drawn)
            token = self.code_in(self._offsets(drawn)).sum(1) + self.value_in(self.centres[channels, drawn])
            token = token[:, None]  # (B, 1, width)
            before = token if guidance <= 0 else torch.cat([token, token])
        return self.dequantise(torch.stack(codes, 1))

    @torch.no_grad()
    def uniforms_of(
        self,
        latent: Tensor,
        category: Tensor,
        temperature: float = 1.0,
        top_p: float | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """Uniforms (B, 64, 11) from which `sample`, asked the same, draws latent (B, 11, 4, 4, 4) again.

        They lie in the middle of each code's share; a code that `top_p` cuts off gives the edge of a
        kept one.  What is drawn near these uniforms is as likely as any sample, and alike.
        """
        top_p = self.top_p if top_p is None else top_p
        guidance = self.guidance if guidance is None else guidance
        codes = self.quantise(latent)
        logits = self(codes, category)  # (B, 64, 11, bins)
        if guidance > 0:
            told = logits.log_softmax(-1)
            free = self(codes, torch.full_like(category, self.config.categories)).log_softmax(-1)
            logits = told + guidance * (told - free)
        cumulative = kept_chance(logits / max(temperature * self.heat, 1e-3), top_p).cumsum(-1)
        upper = cumulative.gather(-1, codes[..., None])[..., 0]
        lower = cumulative.gather(-1, (codes - 1).clamp(min=0)[..., None])[..., 0] * (codes > 0)
        middle: Tensor = (lower + upper) / 2 / cumulative[..., -1]
        return middle

    def _draw(
        self, hidden: Tensor, base: Tensor, uniforms: Tensor, temperature: float, top_p: float, guidance: float
    ) -> Tensor:
        """Codes (B, 8) of one position from hidden (B or 2B, width), the table's rows and uniforms (B, 8)."""
        drawn: list[Tensor] = []
        for channel in range(self.config.channels):
            here = slice(channel, channel + 1)
            logits = self._head((hidden + self.channel[channel])[:, None], here)[:, 0] + base[:, channel]  # (B, bins)
            if guidance > 0:
                told, free = logits.log_softmax(-1).chunk(2)
                logits = told + guidance * (told - free)
            code = pick(logits / max(temperature, 1e-3), uniforms[:, channel], top_p)
            drawn.append(code)
            told_now = self.code_head(code + channel * self.config.bins)
            told_now = told_now + self.centres[channel, code][:, None] * self.value_head.weight[:, channel]
            hidden = hidden + (told_now if guidance <= 0 else torch.cat([told_now, told_now]))
        return torch.stack(drawn, 1)


def kept_chance(logits: Tensor, top_p: float) -> Tensor:
    """softmax(logits (…, K)) with the unlikeliest bins, beyond the joint share `top_p`, at zero."""
    chance = logits.softmax(-1)
    if top_p < 1.0:
        order = chance.sort(-1, descending=True)
        kept = order.values.cumsum(-1) - order.values < top_p
        chance = chance * torch.zeros_like(kept).scatter(-1, order.indices, kept)
    return chance


def pick(logits: Tensor, uniform: Tensor, top_p: float) -> Tensor:
    """Index (B,) by inverse CDF of softmax(logits (B, K)), cut to the likeliest bins of share `top_p`."""
    cumulative = kept_chance(logits, top_p).cumsum(-1)
    target = uniform[:, None] * cumulative[:, -1:]
    return (cumulative <= target).sum(-1).clamp(max=logits.shape[-1] - 1)
