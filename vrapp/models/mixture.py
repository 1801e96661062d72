"""A mixture of low-rank Gaussians over the latents of a trained VAE: the ex-post density estimate of
Ghosh et al. 2020 ("From variational to deterministic autoencoders"), with one component an encoded model.

A component's mean is an encoding of a training model (as it is, or mildly augmented). Its covariance spans
the directions to the model's other encodings (proportions, colours) and to the nearest models of its
category (form), and a little of everything else:

    p(z | c) = Σ_i 1/n_c · N(μ_i, T² (Σ_k s_k² d_ik d_ikᵀ + σ² I))

On little data it is a hard baseline: what it draws is near to what was seen, and looks like it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

SHAPE, COLOURS = 8, 3  # channels of a latent (models.vae)
TAIL = 1e-5  # uniforms are kept this far from 0 and 1


@dataclass(frozen=True)
class MixtureConfig:
    """Sizes, and the spreads: ``own`` along a model's other encodings, ``others`` towards its neighbours
    (``colours`` for the last 3 of 11 channels), ``noise`` in standard deviations of the latents, in every
    direction."""

    categories: int
    models: int
    variants: int = 4
    neighbours: int = 3
    own: float = 0.5
    others: float = 0.25
    colours: float = 0.4
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

    @torch.no_grad()
    def fit(self, means: Tensor, category: Tensor) -> None:
        """Take the encodings (models, variants, 11, 4, 4, 4) of models with ``category`` (models,) int64."""
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
        category, first = self.category.long(), self.means[:, 0]
        self._members = [torch.nonzero(category == c)[:, 0] for c in range(self.config.categories)]
        nearest = torch.arange(len(category))[:, None].repeat(1, self.config.neighbours)
        for members in self._members:
            count = min(self.config.neighbours, len(members) - 1)
            if count > 0:
                distance = torch.cdist(first[members], first[members])
                found = distance.topk(count + 1, largest=False).indices[:, 1:]  # but for itself
                nearest[members, :count] = members[found]
        self._nearest = nearest
        self._deviation = float(first.std())

    def set_sampling(self) -> None:
        """A mixture has no settings of sampling but the temperature."""

    def _directions(self, model: Tensor, variant: Tensor) -> Tensor:
        """(B, variants + neighbours, 704): where each component may stray, scaled."""
        centre = self.means[model, variant][:, None]
        own = (self.means[model] - centre) * self.config.own
        others = self.means[self._nearest[model], 0] - self.means[model, 0][:, None]
        colours = others.shape[2] * COLOURS // (COLOURS + SHAPE)  # numbers
        others[:, :, :-colours] *= self.config.others
        others[:, :, -colours:] *= self.config.colours
        return torch.cat([own, others], 1)

    def _component(self, category: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Model and variant (B,) that ``uniform`` (B,) picks among those of ``category``."""
        variants = self.config.variants
        counts = torch.tensor([len(self._members[int(c)]) * variants for c in category])
        picked = (uniform.double() * counts).long().clamp(max=counts - 1)
        models = [int(self._members[int(c)][int(p) // variants]) for c, p in zip(category, picked, strict=True)]
        return torch.tensor(models), picked % variants

    def sample(self, category: Tensor, uniforms: Tensor, temperature: float = 1.0) -> Tensor:
        """Category (B,) int64 and uniforms (B, 64, 11) in [0, 1) → latents (B, 11, 4, 4, 4), row by row."""
        flat = uniforms.flatten(1)
        model, variant = self._component(category, flat[:, 0])
        directions = self._directions(model, variant)  # (B, K, 704)
        count = directions.shape[1]
        normal = torch.special.ndtri(flat.clamp(TAIL, 1 - TAIL))  # (B, 704)
        along = (normal[:, 1 : count + 1, None] * directions).sum(1)
        rest = normal * self.config.noise * self._deviation
        rest[:, : count + 1] = 0
        latent: Tensor = self.means[model, variant] + temperature * (along + rest)
        return latent.reshape(-1, SHAPE + COLOURS, 4, 4, 4)

    def uniforms_of(self, latent: Tensor, category: Tensor, temperature: float = 1.0) -> Tensor:
        """Uniforms (B, 64, 11) that draw something as near as may be to latents (B, 11, 4, 4, 4)."""
        rows = []
        for wanted, number in zip(latent.flatten(1), category, strict=True):
            members = self._members[int(number)]
            candidates = self.means[members].flatten(0, 1)  # (n · variants, 704)
            at = int((candidates - wanted).norm(dim=1).argmin())
            model, variant = members[at // self.config.variants][None], torch.tensor([at % self.config.variants])
            directions = self._directions(model, variant)[0]  # (K, 704)
            count = len(directions)
            offset = (wanted - self.means[model, variant][0]) / max(temperature, 1e-3)
            # Ridge: a unit normal has unit cost, a residual counts by the noise.
            scale = self.config.noise * self._deviation
            gram = directions @ directions.T + scale**2 * torch.eye(count)
            along = torch.linalg.solve(gram, directions @ offset)
            normal = (offset - along @ directions) / scale
            normal[1 : count + 1] = along
            row = torch.special.ndtr(normal.clamp(-4, 4))
            row[0] = (at + 0.5) / len(candidates)
            rows.append(row)
        return torch.stack(rows).reshape(-1, 64, 11).clamp(0, 1 - TAIL)
