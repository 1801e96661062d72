"""Fits the colour head of a trained VAE in closed form: ridge regression from latents to affine maps of colour."""

from __future__ import annotations

import torch
from torch import Tensor

from vrapp.models.vae import ShapeVAE
from vrapp.training.shape_data import ShapeData
from vrapp.training.train_prior import LatentSet

IDENTITY_WEIGHT = 0.02  # how much a model's own map is held to "no change", as a share of its voxels
RIDGE = 0.3  # in variances of a latent number, summed over the models


@torch.no_grad()
def best_maps(vae: ShapeVAE, shapes: ShapeData, latents: Tensor) -> Tensor:
    """(N, 3, 4) the change of colour, c' = c + A c + b, that brings each decoded model nearest to its own.

    `latents` (N, 8, 4, 4, 4) are the models' encodings.
    """
    found = []
    for index in torch.split(torch.arange(len(shapes)), 16):
        _, target = shapes.batch(index, torch.Generator(), None)
        _, look = vae.decoder(latents[index])
        colours = torch.sigmoid(look[:, :3])
        for own, wanted in zip(colours, target, strict=True):
            mask = wanted[6] > 0.05
            c = torch.cat([own[:, mask], torch.ones(1, int(mask.sum()))])  # (4, V)
            error = wanted[:3, mask] / wanted[6:, mask] - own[:, mask]  # (3, V)
            gram = c @ c.T + IDENTITY_WEIGHT * c.shape[1] * torch.eye(4)
            found.append(torch.linalg.solve(gram, c @ error.T).T)
    return torch.stack(found)


@torch.no_grad()
def fit_tint(vae: ShapeVAE, shapes: ShapeData, latents: LatentSet) -> None:
    """Set `vae.tint` from the models' encodings: (N, V, 8, 4, 4, 4), the first as it is, none recoloured."""
    maps = best_maps(vae, shapes, latents.mean[:, 0]).flatten(1)  # (N, 12)
    variants = latents.mean.shape[1]
    z = latents.mean.flatten(0, 1).flatten(1)  # (N · V, 512)
    wanted = maps.repeat_interleave(variants, 0)
    centre, level = z.mean(0), wanted.mean(0)
    z, wanted = z - centre, wanted - level
    gram = z.T @ z + RIDGE * len(maps) * float(z.var()) * torch.eye(z.shape[1])
    weight = torch.linalg.solve(gram, z.T @ wanted).T  # (12, 512)
    vae.tint.weight.copy_(weight)
    vae.tint.bias.copy_(level - weight @ centre)
