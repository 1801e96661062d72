"""Shapes, ranges and invariants of the shape VAE."""

from dataclasses import replace

import pytest
import torch

from vrapp.models.vae import (
    ShapeVAE,
    VaeConfig,
    VaeLossWeights,
    depth_to_space,
    soft_overlap,
    space_to_depth,
    split_grid,
    vae_loss,
)

SMALL = VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16)


def a_ball() -> torch.Tensor:
    """(1, 7, 64, 64, 64) red ball of 20 voxels' radius."""
    line = torch.arange(64) + 0.5 - 32
    radius = (line[:, None, None] ** 2 + line[None, :, None] ** 2 + line[None, None] ** 2).sqrt()
    grid = torch.zeros(1, 7, 64, 64, 64)
    grid[0, 0] = ((radius - 20) / 4).clamp(-1, 1)
    grid[0, 1] = 1.0
    return grid


def test_depth_to_space_undoes_space_to_depth() -> None:
    grid = torch.rand(2, 3, 8, 8, 8)
    assert torch.equal(depth_to_space(space_to_depth(grid, 4), 4), grid)


def test_encode_and_decode_shapes_and_ranges() -> None:
    model = ShapeVAE(SMALL).eval()
    mean, logvar = model.encode(a_ball())
    assert mean.shape == logvar.shape == (1, 11, 4, 4, 4)
    distance, look = model.fields(mean)
    assert distance.shape == (1, 1, 64, 64, 64)
    assert look.shape == (1, 6, 32, 32, 32)
    grid = model.decode(mean)
    assert grid.shape == (1, 7, 64, 64, 64)
    assert torch.equal(grid[:, :1], distance)
    assert distance.abs().max() <= 1
    assert grid[:, 1:].min() >= 0
    assert grid[:, 1:].max() <= 1


@pytest.mark.parametrize(("code", "cells"), [(0, 1), (20, 64)])
def test_a_number_of_a_global_latent_acts_on_all_cells(code: int, cells: int) -> None:
    torch.manual_seed(0)
    model = ShapeVAE(replace(SMALL, global_numbers=code)).eval()
    mean, logvar = model.encode(a_ball())
    assert mean.shape == logvar.shape == (1, 11, 4, 4, 4)
    used = code or 512
    learned, spread = mean[0, :8].flatten(), logvar[0, :8].flatten()
    assert (learned != 0).sum() == used
    assert not learned[used:].any()
    assert not spread[used:].any()  # the prior's own deviation: they cost nothing
    seen: list[torch.Tensor] = []
    model.decoder.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().clone()))
    for place in (None, 3, 500):
        moved = mean.detach().clone()
        if place is not None:
            moved[0, place // 64].view(-1)[place % 64] += 0.5
        model.decode(moved)
    changed = [int((other - seen[0]).abs().amax(1).gt(0).sum()) for other in seen[1:]]
    assert changed == [cells, 0 if code else 1]


def test_wrong_shapes_are_named() -> None:
    model = ShapeVAE(SMALL)
    with pytest.raises(ValueError, match="grid"):
        model.encode(torch.zeros(1, 7, 32, 32, 32))
    with pytest.raises(ValueError, match="latent"):
        model.decode(torch.zeros(1, 704))


def test_colours_are_kept_near_the_surface_alone() -> None:
    _, look = split_grid(a_ball())
    assert look.shape == (1, 7, 32, 32, 32)
    assert look[0, 0, 16, 16, 16] == 0  # deep inside: no colour
    assert torch.equal(look[0, 0], look[0, 6])  # premultiplied red is the mask


def test_saturated_targets_ask_only_for_at_least_that_far() -> None:
    distance, target = torch.ones(1, 1, 64, 64, 64), torch.zeros(1, 7, 32, 32, 32)
    zeros = torch.zeros(1, 11, 4, 4, 4)
    weights = VaeLossWeights(overlap=0.0, beta=0.0)
    look = torch.zeros(1, 6, 32, 32, 32)
    far, _ = vae_loss(3 * distance, look, distance, target, zeros, zeros, weights)
    near, _ = vae_loss(0.5 * distance, look, distance, target, zeros, zeros, weights)
    assert far == 0
    assert near > 0.4


def test_the_soft_overlap_of_steep_borders_is_the_iou() -> None:
    line = (torch.arange(64.0) - 31.5).expand(1, 1, 64, 64, 64)
    half, quarter = line, (line + 16).expand_as(line)  # inside: 32 and 16 of 64 planes
    found = soft_overlap(torch.cat([half, quarter, quarter]), torch.cat([half, half, -half]), 100.0)
    torch.testing.assert_close(found, torch.tensor([1.0, 0.5, 0.0]))


def test_a_thin_shape_counts_as_much_as_a_bulky_one() -> None:
    """Of two shapes that lose a third of their inside, the overlap's loss takes the same."""
    line = (torch.arange(64.0) - 32).abs().expand(1, 1, 64, 64, 64)
    thin, bulky = line - 1.2, line - 14.2  # 3 and 29 planes
    lost = 1 - soft_overlap(torch.cat([thin + 1, bulky + 5]), torch.cat([thin, bulky]), 100.0)
    assert lost[0] > 0.6
    assert 0.3 < lost[1] < 0.4


def test_a_few_steps_of_training_lower_the_loss() -> None:
    torch.manual_seed(0)
    model = ShapeVAE(SMALL)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    distance, look = split_grid(a_ball())
    losses = []
    for _ in range(12):
        mean, logvar = model.encoder(distance, look)
        raw, colours = model.decoder(mean)
        loss, _ = vae_loss(raw, colours, distance, look, mean, logvar, VaeLossWeights())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_a_projection_is_decoding_and_encoding_again() -> None:
    torch.manual_seed(0)
    model = ShapeVAE(SMALL).eval()
    latent = torch.randn(2, 11, 4, 4, 4)
    with torch.no_grad():
        assert torch.equal(model.projected(latent, 0), latent)
        once = model.projected(latent)
        expected = model.encode(model.decode(latent))[0]
        # Colours keep to 32³ on the way: they differ a little, what is far from them does not.
        assert (once - expected).norm() < 0.1 * expected.norm()
        torch.testing.assert_close(model.projected(latent, 2), model.projected(once))
