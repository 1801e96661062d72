"""A prior over the latents of a trained VAE that recombines what it has seen: an ex-post density estimate
(Ghosh et al. 2020, "From variational to deterministic autoencoders") with a component for each encoded model.

A draw takes a model A of its category in one of a few proportions (`variants`), one of A's nearest models B
in the same proportions, and a soft plane through the 4³ cells of the latent: A on one side, B on the other.

    z = A + T · w(x) · (B − A) + T · σ ε,      w(x) = sigmoid(steepness · (n · x − offset))

Since a latent is spatial, either side is what the decoder knows; only the seam is new. Colours come whole,
nearly all from A or nearly all from B. What the seam tears, `ShapeVAE.projected` mends.
On little data this is a hard baseline: what it draws is near to what was seen, and looks like it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

SHAPE, COLOURS = 8, 3  # channels of a latent (models.vae)
CELLS = 64  # 4³
TAIL = 1e-5  # uniforms are kept this far from 0 and 1
#: What the first of a draw's uniforms decide; the others are ε.
_COMPONENT, _PARTNER, _COLOUR, _OFFSET = 0, 1, 2, 3
_PLANE = slice(4, 7)
_KNOWN = 7
_COLOUR_STEEPNESS = 12.0
_TRIED_OFFSETS = (-3.0, -1.5, -0.9, -0.45, 0.0, 0.45, 0.9, 1.5, 3.0)  # standard deviations, by `uniforms_of`


@dataclass(frozen=True)
class MixtureConfig:
    """Sizes, and what a draw mixes: one of `neighbours` models no farther than `reach` (root mean square, in standard
    deviations of the latents: halves of very different models make a ruin), by a plane of normal distance `offset`
    (cells) from the middle and `steepness` (a cell); `noise` in standard deviations, in every direction."""

    categories: int
    models: int
    variants: int = 4
    neighbours: int = 5
    reach: float = 1.0
    offset: float = 0.7
    steepness: float = 2.0
    noise: float = 0.04
    numbers: int = 704

    def as_dict(self) -> dict[str, object]:
        """For the weights' metadata."""
        return asdict(self)


class LatentMixture(nn.Module):
    """``means`` (models, variants, 704), ``category`` (models,): what is learned. The models of a category
    lie in the order of their first principal component, so that near uniforms draw near models."""

    means: Tensor
    category: Tensor

    def __init__(self, config: MixtureConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("means", torch.zeros(config.models, config.variants, config.numbers))
        self.register_buffer("category", torch.zeros(config.models))
        self._members: list[Tensor] = []  # by category: its models
        self._nearest = torch.zeros(0)  # (models, neighbours) int64
        line = torch.arange(4) - 1.5
        self._places = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(CELLS, 3)

    @torch.no_grad()
    def fit(self, means: Tensor, category: Tensor) -> None:
        """Take the encodings (models, variants, 11, 4, 4, 4) of models with ``category`` (models,) int64;
        the same variant of all models has the same proportions."""
        flat = means.flatten(2)
        order = []
        for number in range(self.config.categories):
            rows = torch.nonzero(category == number)[:, 0]
            own = flat[rows, 0] - flat[rows, 0].mean(0)
            first = torch.linalg.svd(own, full_matrices=False)[2][0] if len(rows) > 1 else own.new_ones(own.shape[1])
            order.append(rows[torch.argsort(own @ first)])
        rows = torch.cat(order)
        self.means.copy_(flat[rows])
        self.category.copy_(category[rows].float())
        self.prepare()

    def prepare(self) -> None:
        """Work out members and neighbours. Call it once the means are loaded; ``fit`` does."""
        category = self.category.long()
        shape = self.means[:, 0, : SHAPE * CELLS]
        self._members = [torch.nonzero(category == c)[:, 0] for c in range(self.config.categories)]
        self._deviation = float(self.means[:, 0].std())
        reach = self.config.reach * self._deviation * shape.shape[1] ** 0.5
        nearest = torch.arange(len(category))[:, None].repeat(1, self.config.neighbours)
        for members in self._members:
            count = min(self.config.neighbours, len(members) - 1)
            if count > 0:
                distance, found = torch.cdist(shape[members], shape[members]).topk(count + 1, largest=False)
                found = members[torch.where(distance > reach, torch.arange(len(members))[:, None], found)[:, 1:]]
                turns = torch.arange(self.config.neighbours) % count  # a small category's few come again
                nearest[members] = found[:, turns]
        self._nearest = nearest

    def set_sampling(self) -> None:
        """A mixture has no settings of sampling but the temperature."""

    def _component(self, category: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Model and variant (B,) that ``uniform`` (B,) picks among those of ``category``."""
        variants = self.config.variants
        counts = torch.tensor([len(self._members[int(c)]) * variants for c in category])
        picked = (uniform.double() * counts).long().clamp(max=counts - 1)
        models = [int(self._members[int(c)][int(p) // variants]) for c, p in zip(category, picked, strict=True)]
        return torch.tensor(models), picked % variants

    def _shares(self, normals: Tensor, offsets: Tensor) -> Tensor:
        """(B, 64) share of the partner in each cell, of planes with normals (B, 3) and offsets (B,)."""
        direction = normals / normals.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return torch.sigmoid(
            self.config.steepness * (direction @ self._places.T - self.config.offset * offsets[:, None])
        )

    def _mixed(self, centre: Tensor, partner: Tensor, shares: Tensor, colour: Tensor, temperature: float) -> Tensor:
        """(B, 704) from centre and partner (B, 704), shares (B, 64) and the colours' share (B,)."""
        shape = shares[:, None].expand(-1, SHAPE, -1).flatten(1)
        whole = colour[:, None].expand(-1, COLOURS * CELLS)
        return centre + temperature * torch.cat([shape, whole], 1) * (partner - centre)

    def sample(self, category: Tensor, uniforms: Tensor, temperature: float = 1.0) -> Tensor:
        """Category (B,) int64 and uniforms (B, 64, 11) in [0, 1) → latents (B, 11, 4, 4, 4), row by row."""
        flat = uniforms.flatten(1)
        model, variant = self._component(category, flat[:, _COMPONENT])
        near = (flat[:, _PARTNER] * self.config.neighbours).long().clamp(max=self.config.neighbours - 1)
        partner = self.means[self._nearest[model, near], variant]
        normal: Tensor = torch.special.ndtri(flat.clamp(TAIL, 1 - TAIL))  # (B, 704)
        shares = self._shares(normal[:, _PLANE], normal[:, _OFFSET])
        colour = torch.sigmoid(_COLOUR_STEEPNESS * (flat[:, _COLOUR] - 0.5))
        latent = self._mixed(self.means[model, variant], partner, shares, colour, min(temperature, 1.0))
        normal[:, :_KNOWN] = 0
        latent = latent + temperature * self.config.noise * self._deviation * normal
        return latent.reshape(-1, SHAPE + COLOURS, 4, 4, 4)

    def uniforms_of(self, latent: Tensor, category: Tensor, temperature: float = 1.0) -> Tensor:
        """Uniforms (B, 64, 11) that draw something as near as may be to latents (B, 11, 4, 4, 4)."""
        rows = [self._nearest_draw(z, int(c), temperature) for z, c in zip(latent.flatten(1), category, strict=True)]
        return torch.stack(rows).reshape(-1, CELLS, SHAPE + COLOURS).clamp(0, 1 - TAIL)

    def _nearest_draw(self, wanted: Tensor, number: int, temperature: float) -> Tensor:
        """Uniforms (704,): the best of some planes between all models of the category and their partners."""
        members, strength = self._members[number], min(temperature, 1.0)
        centres = self.means[members].flatten(0, 1)  # (n · variants, 704)
        partners = self.means[self._nearest[members]].transpose(1, 2).flatten(0, 1)  # (n · variants, neighbours, 704)
        off = wanted - centres  # what the way to the partner has to make up for
        way = strength * (partners - centres[:, None])
        cells = (len(centres), self.config.neighbours, SHAPE, CELLS)
        shape, colours = slice(0, SHAPE * CELLS), slice(SHAPE * CELLS, None)
        along = (off[:, None, shape] * way[..., shape]).reshape(cells).sum(2)  # (n · variants, neighbours, 64)
        length = way[..., shape].square().reshape(cells).sum(2)
        normals, offsets = _tried_planes()
        shares = self._shares(normals, offsets)  # (planes, 64)
        colour_along = (off[:, None, colours] * way[..., colours]).sum(2)
        colour_length = way[..., colours].square().sum(2).clamp(min=1e-9)
        colour = (colour_along / colour_length).clamp(0.0, 1.0)  # (n · variants, neighbours)
        error = off.square().sum(1)[:, None] - 2 * colour * colour_along + colour.square() * colour_length
        error = error[..., None] - 2 * along @ shares.T + length @ shares.square().T
        at, near, plane = (int(i) for i in torch.unravel_index(error.argmin(), error.shape))
        drawn = self._mixed(
            centres[at][None], partners[at, near][None], shares[plane][None], colour[at, near][None], strength
        )[0]  # fmt: skip
        scale = max(temperature, 1e-3) * self.config.noise * self._deviation
        row: Tensor = torch.special.ndtr(((wanted - drawn) / scale).clamp(-4, 4))
        row[_COMPONENT] = (at + 0.5) / len(centres)
        row[_PARTNER] = (near + 0.5) / self.config.neighbours
        row[_COLOUR] = 0.5 + torch.logit(colour[at, near].clamp(0.003, 0.997)) / _COLOUR_STEEPNESS
        row[_OFFSET] = torch.special.ndtr(offsets[plane])
        row[_PLANE] = torch.special.ndtr(normals[plane])
        return row


def _tried_planes() -> tuple[Tensor, Tensor]:
    """Normals (P, 3) to the 26 neighbours of a cell, each with all offsets (P,), in standard deviations."""
    steps = torch.tensor([-1.0, 0.0, 1.0])
    directions = torch.cartesian_prod(steps, steps, steps)
    directions = directions[directions.norm(dim=1) > 0]
    offsets = torch.tensor(_TRIED_OFFSETS)
    return directions.repeat_interleave(len(offsets), 0), offsets.repeat(len(directions))
