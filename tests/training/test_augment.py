"""Variants of baked grids: the shape, its box and its colours go together."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vrapp.training.augment import NONE, PROPORTIONS, augment, recolour, stretched

COUNT = 4
EXTENT = torch.tensor([[40.0, 24.0, 16.0]]).repeat(COUNT, 1)  # of the shape below, in voxels


@pytest.fixture
def shape() -> tuple[Tensor, Tensor]:
    """A block with a corner cut out, so that it looks like none of its mirror images, its colours rising along x: four
    times distance (4, 1, 64³), whose surface lies between voxels, and look (4, 7, 32³)."""
    place = torch.arange(64) + 0.5 - 32
    grid = torch.stack(torch.meshgrid(place, place, place, indexing="ij"))
    half = EXTENT[0, :, None, None, None] / 2
    block = (grid.abs() - half).amax(0)
    corner = torch.minimum(torch.minimum(grid[0], grid[1]), grid[2] + 4)  # positive where it is cut
    distance = (torch.maximum(block, corner) / 4).clamp(-1, 1).expand(COUNT, 1, -1, -1, -1).clone()
    mask = torch.nn.functional.avg_pool3d((distance < 0).float(), 2)
    rising = torch.linspace(0.1, 0.9, 32)[:, None, None].expand(32, 32, 32)
    colours = torch.stack([rising, 0.5 * rising, 1 - rising, torch.full_like(rising, 0.3), 0 * rising, 0 * rising])
    return distance, torch.cat([colours * mask, mask], 1)


def sides(distance: Tensor) -> Tensor:
    """(B, 3) voxels that the inside of distance (B, 1, 64³) spans."""
    inside = distance[:, 0] < 0
    return torch.stack([inside.any(a).any(b - 1).sum(1) for a, b in ((2, 3), (1, 3), (1, 2))], 1).float()


def overlap(distance: Tensor, look: Tensor) -> float:
    """Of the inside at 32³ and the look's mask: 1 where they are the same."""
    inside = torch.nn.functional.avg_pool3d((distance < 0).float(), 2)
    both, either = torch.minimum(inside, look[:, 6:]), torch.maximum(inside, look[:, 6:])
    return float(both.sum() / either.sum())


def varied(shape: tuple[Tensor, Tensor], seed: int = 0, **chances: float) -> tuple[Tensor, Tensor]:
    distance, look = (part.clone() for part in shape)
    return augment(distance, look, EXTENT, torch.Generator().manual_seed(seed), replace(NONE, **chances))


def test_without_any_chance_nothing_changes(shape: tuple[Tensor, Tensor]) -> None:
    for found, known in zip(varied(shape), shape, strict=True):
        assert torch.equal(found, known)


def test_a_mirror_image_is_mirrored_in_shape_and_colours(shape: tuple[Tensor, Tensor]) -> None:
    distance, look = varied(shape, mirror=1.0)
    assert not torch.equal(distance, shape[0])
    assert torch.equal(distance, shape[0].flip(2))
    assert torch.equal(look, shape[1].flip(2))


def test_a_quarter_turn_is_about_the_vertical(shape: tuple[Tensor, Tensor]) -> None:
    distance, look = varied(shape, quarter_turn=1.0)
    for found in distance:
        turns = [torch.equal(found, torch.rot90(shape[0][0], times, (1, 3))) for times in range(4)]
        assert turns.count(True) == 1
        assert not turns[0]
    assert overlap(distance, look) == 1.0
    assert torch.equal((distance < 0).sum((0, 1, 2, 4)), (shape[0] < 0).sum((0, 1, 2, 4)))  # along y as it was


@pytest.mark.parametrize("seed", range(3))
def test_scaled_sides_still_fill_the_box_and_take_their_colours_along(shape: tuple[Tensor, Tensor], seed: int) -> None:
    distance, look = varied(shape, seed, resize=1.0, scale=0.25)
    found = sides(distance)
    assert (sides(shape[0]) == EXTENT).all()
    assert ((found - EXTENT).abs() > 1).any()
    # The longest side may be another one than before, but it is as long.
    assert ((found.amax(1) - 40).abs() <= 2).all()
    assert (found / found.amax(1, keepdim=True) >= EXTENT / 40 * (0.75 / 1.25) - 0.05).all()
    assert overlap(distance, look) > 0.85
    assert float(distance.min()) >= -1.0
    assert float(distance.max()) <= 1.0
    assert (look[:, :6] <= look[:, 6:] + 1e-5).all()  # premultiplied


def test_a_shape_that_no_longer_fills_the_box_stays_inside_it(shape: tuple[Tensor, Tensor]) -> None:
    distance, look = varied(shape, resize=1.0, jitter=1.0)
    assert (sides(distance).amax(1) < 40).all()
    edge = torch.cat([distance.movedim(axis, 0)[[0, -1]].flatten() for axis in (2, 3, 4)])
    assert (edge > 0).all()
    assert overlap(distance, look) > 0.85


def test_proportions_are_those_that_were_asked_for(shape: tuple[Tensor, Tensor]) -> None:
    plain, look = stretched(*shape, EXTENT, PROPORTIONS[0])
    torch.testing.assert_close(plain, shape[0])
    torch.testing.assert_close(look, shape[1])
    for wanted in PROPORTIONS[1:]:
        distance, look = stretched(*shape, EXTENT, wanted)
        grown = EXTENT * torch.tensor(wanted)
        torch.testing.assert_close(sides(distance), grown * (40 / grown.amax(1, keepdim=True)), atol=2.0, rtol=0)
        assert overlap(distance, look) > 0.85


def test_a_recoloured_shape_has_other_colours_in_the_same_places(shape: tuple[Tensor, Tensor]) -> None:
    look = shape[1]
    chosen = torch.tensor([True, False, True, True])
    found = recolour(look, chosen, torch.Generator().manual_seed(0))
    assert torch.equal(found[:, 3:], look[:, 3:])  # roughness, metalness, emission, mask
    assert torch.equal(found[~chosen], look[~chosen])
    assert ((found - look)[chosen].abs().amax((1, 2, 3, 4)) > 0.02).all()
    assert (found[:, :3] >= 0).all()
    assert (found[:, :3] <= found[:, 6:]).all()
    # One colour stays one colour: what is premultiplied is changed as the colour itself would be.
    half = recolour(0.5 * look[:1], chosen[:1], torch.Generator().manual_seed(0))
    torch.testing.assert_close(half[:, :3], 0.5 * found[:1, :3])
