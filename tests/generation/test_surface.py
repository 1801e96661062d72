import generation_toy as toy
import numpy as np
import pytest
import torch
from operations import WAITING, OpNames

from vrapp.generation import cases
from vrapp.generation.components import is_closed, pieces_of
from vrapp.generation.device import SurfacePipeline
from vrapp.generation.grid import Grid, levels_of_detail
from vrapp.generation.surface import extract
from vrapp.generation.topology import Capacity

CPU = torch.device("cpu")


def mesh_of(grid):
    level = surface_of(grid).level()
    return level.vertices, level.indices


def surface_of(grid, capacity=None):
    return extract([grid.distance], grid.look, capacity and [capacity])[0]


def grid_of(channels):
    return Grid(channels[0], channels[1:])


def random_grid(resolution, seed, smooth=0, quantised=False):
    torch.manual_seed(seed)
    grid = torch.randn(7, resolution, resolution, resolution)
    for _ in range(smooth):
        grid = torch.nn.functional.avg_pool3d(grid[None], 3, 1, 1)[0]
    if quantised:
        grid[0] = torch.sign(grid[0])
    return grid_of(grid)


def checkerboard():
    i = torch.arange(12)
    return grid_of(((i[:, None, None] + i[:, None] + i) % 2 * 2.0 - 1.0).expand(7, 12, 12, 12))


def thin_sheet():
    grid = torch.ones(7, 16, 16, 16)
    grid[0, 3:13, 8, 3:13] = -0.05
    return grid_of(grid)


def touching_shells():
    x, y, z = toy.axes(32)
    balls = [((x - c) ** 2 + (y - c) ** 2 + z**2).sqrt() - 0.2 for c in (-0.1414, 0.1414)]
    shells = [(d.abs() - 0.01) for d in balls]
    return toy.grid_of(torch.minimum(*shells))


def all_inside():
    return grid_of(-torch.ones(7, 8, 8, 8))


@pytest.mark.parametrize("make", [checkerboard, thin_sheet, touching_shells, all_inside])
def test_hard_fields_give_closed_oriented_surfaces(make):
    vertices, indices = mesh_of(make())
    assert len(indices) > 0
    assert is_closed(indices)
    assert np.array_equal(np.unique(indices), np.arange(len(vertices)))


def test_triangles_in_a_row_are_a_patch():
    x, y, z = toy.axes(64)
    _, indices = mesh_of(toy.grid_of((x**2 + y**2 + z**2).sqrt() - 0.42))
    runs = indices[: len(indices) // 1023 * 1023].reshape(-1, 1023)  # what a software rasteriser shades at a time
    shaded = sum(len(np.unique(run)) for run in runs)
    assert shaded < 0.63 * runs.size / 3, "a patch of 341 triangles as high as wide has about 200 vertices"


@pytest.mark.parametrize("resolution", [3, 6, 13])
@pytest.mark.parametrize(("smooth", "quantised"), [(0, False), (0, True), (1, False), (2, True)])
def test_random_fields_give_closed_oriented_surfaces(resolution, smooth, quantised):
    for seed in range(6):
        _, indices = mesh_of(random_grid(resolution, seed, smooth, quantised))
        assert is_closed(indices), seed


def test_every_pattern_of_two_cells_is_closed():
    """All 4,096 sign patterns of two cells with a common face, side by side in one grid."""
    patterns = torch.arange(4096)[:, None] >> torch.arange(12) & 1
    blocks = torch.ones(4096, 5, 5, 5)
    blocks[:, :3, :2, :2] = 1.0 - 2.0 * patterns.view(4096, 3, 2, 2)
    field = blocks.view(16, 16, 16, 5, 5, 5).permute(0, 3, 1, 4, 2, 5).reshape(80, 80, 80)
    for turned in (field, field.permute(1, 2, 0), field.permute(2, 0, 1)):
        _, indices = mesh_of(Grid(turned.contiguous(), torch.zeros(6, 2, 2, 2)))
        assert is_closed(indices)


def test_a_case_without_its_flip_would_fail():
    """The rows of flipped faces are needed and disturb nothing else."""
    pinched = np.flatnonzero(cases.TWICE_PASSED < cases.NO_FACE)
    assert len(pinched) > 0
    for case in pinched:
        assert cases.LOOP_COUNT[case + cases.FLIPPED] == cases.LOOP_COUNT[case] + 1


def test_a_box_keeps_its_flat_sides_and_sharp_edges():
    x, y, z = toy.axes()
    half = (0.403, 0.297, 0.351)
    box = torch.stack([axis.abs() - h for axis, h in zip((x, y, z), half, strict=True)]).amax(0)
    vertices, indices = mesh_of(toy.grid_of(box, (0.2, 0.5, 0.8)))
    position = vertices["position"]
    np.testing.assert_allclose(position.max(0), half, atol=0.002)
    np.testing.assert_allclose(position.min(0), [-h for h in half], atol=0.002)
    corner_distance = np.linalg.norm(np.abs(position) - half, axis=1).min()
    assert corner_distance < 0.6 / 64  # the mean of the crossings would be 0.9 voxels away
    flat = np.abs(position[:, 1] - half[1]) < 1e-4
    normal = vertices["normal"][flat & (np.abs(position[:, [0, 2]]) < 0.27).all(1)][:, :3] / 127
    np.testing.assert_allclose(normal, np.tile([0, 1, 0], (len(normal), 1)), atol=0.01)
    assert (np.abs(vertices["colour"].astype(int) - [51, 128, 204, 153]) <= 1).all()
    volume = pieces_of(type("M", (), {"indices": indices, "vertices": vertices})).volume
    np.testing.assert_allclose(volume, 8 * np.prod(half), rtol=0.005)


def test_axes_and_orientation_follow_the_contract():
    x, y, z = toy.axes(32)
    vertices, indices = mesh_of(toy.grid_of(torch.stack([x.abs() - 0.3, (y - 0.1).abs() - 0.2, z.abs() - 0.1]).amax(0)))
    np.testing.assert_allclose(np.ptp(vertices["position"], axis=0), [0.6, 0.4, 0.2], atol=0.01)
    np.testing.assert_allclose(vertices["position"].mean(0), [0, 0.1, 0], atol=0.01)
    a, b, c = vertices["position"][indices.reshape(-1, 3)].transpose(1, 0, 2)
    outward = np.cross(b - a, c - a)
    agreement = (outward * (vertices["normal"][indices.reshape(-1, 3)[:, 0]][:, :3] / 127)).sum(1)
    assert (agreement > 0).mean() > 0.99


def test_a_groove_is_darker_than_the_top():
    x, y, z = toy.axes()
    block = torch.stack([x.abs() - 0.4, (y + 0.2).abs() - 0.2, z.abs() - 0.4]).amax(0)
    groove = torch.maximum(block, -torch.maximum(x.abs() - 0.04, (y - 0.0).abs() - 0.15))
    vertices, _ = mesh_of(toy.grid_of(groove))
    position, open_sky = vertices["position"], vertices["material"][:, 2]
    bottom = (np.abs(position[:, 0]) < 0.02) & (np.abs(position[:, 1] + 0.15) < 0.01) & (np.abs(position[:, 2]) < 0.3)
    top = (np.abs(position[:, 1]) < 0.005) & (np.abs(position[:, 0]) > 0.2) & (np.abs(position[:, 0]) < 0.3)
    assert open_sky[bottom].mean() < 0.7 * open_sky[top].mean()
    assert open_sky[top].mean() > 235


def test_fixed_buffers_hold_the_same_surface():
    """Room to spare must change nothing, and too little room must show in the counts alone."""
    grid = random_grid(10, 3, smooth=1)
    tight, roomy = surface_of(grid), surface_of(grid, Capacity(4000, 5000, 6000))
    _, vertices, quads = tight.counts.tolist()
    assert torch.equal(tight.counts, roomy.counts)
    assert torch.equal(tight.vertices[:vertices], roomy.vertices[:vertices])
    assert torch.equal(tight.triangles[: 2 * quads], roomy.triangles[: 2 * quads])
    small = surface_of(grid, Capacity(20, 20, 20))
    assert small.counts[0] == tight.counts[0] > 20
    assert small.vertices.shape == (20, 24)


def test_extraction_never_waits_for_the_device():
    """Nothing whose shape depends on values, nothing read back, no constant copied over: it can be captured."""
    grid, capacities = random_grid(8, 2, smooth=1), [Capacity(500, 500, 500), Capacity(100, 100, 100)]
    extract(levels_of_detail(grid.distance, 2), grid.look, capacities)  # constants are made once
    with OpNames() as names:
        extract(levels_of_detail(grid.distance, 2), grid.look, capacities)
    assert "nonzero_static" in names.seen
    assert not names.seen & WAITING


def test_coarser_levels_are_smaller_and_keep_thin_parts():
    x, y, z = toy.axes()
    sheet = torch.stack([x.abs() - 0.4, y.abs() - 0.55 / 64, z.abs() - 0.4]).amax(0)
    found = SurfacePipeline(toy.ToyVae(), CPU).surfaces(toy.grid_of(sheet))
    levels = [surface.level() for surface in found]
    assert levels[0].triangles > 3 * levels[1].triangles > 9 * levels[2].triangles > 0
    assert all(is_closed(level.indices) for level in levels)
    assert [len(distance) for distance in levels_of_detail(toy.grid_of(sheet).distance)] == [64, 32, 16]


def test_levels_that_go_through_together_do_not_disturb_each_other():
    """Each is what it is alone, also in fixed buffers; only where it stands in the row rounds otherwise."""
    for seed in range(3):
        levels = [random_grid(size, seed, smooth).distance for size, smooth in ((12, 1), (12, 0), (7, 0), (3, 0))]
        look, capacities = torch.rand(6, 5, 5, 5), [Capacity(3000, 4000, 4000)] * len(levels)
        for distance, surface, fixed in zip(
            levels, extract(levels, look), extract(levels, look, capacities), strict=True
        ):
            together, alone = surface.level(), extract([distance], look)[0].level()
            assert np.array_equal(surface.counts, fixed.counts)
            assert np.array_equal(together.vertices, fixed.level().vertices)
            assert np.array_equal(together.indices, fixed.level().indices)
            assert is_closed(together.indices)
            np.testing.assert_allclose(together.vertices["position"], alone.vertices["position"], atol=1e-3)
            assert (together.indices == alone.indices).mean() > 0.97  # some diagonals of flat quads turn


def test_values_that_are_not_finite_do_not_crash():
    grid = random_grid(8, 1)
    grid.distance[2:4] = float("nan")
    grid.distance[5] = float("inf")
    assert is_closed(mesh_of(grid)[1])


def test_a_grid_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="R, R, R"):
        extract([torch.zeros(8, 8, 4)], torch.zeros(6, 4, 4, 4))
    with pytest.raises(ValueError, match="6, L, L, L"):
        extract([torch.zeros(8, 8, 8)], torch.zeros(7, 4, 4, 4))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_gives_the_same_topology():
    grid = random_grid(16, 5, smooth=1)
    there = surface_of(Grid(grid.distance.cuda(), grid.look.cuda()), Capacity(5000, 5000, 5000))
    here = surface_of(grid, Capacity(5000, 5000, 5000))
    _, _, quads = here.counts.tolist()
    assert torch.equal(there.counts.cpu(), here.counts)
    assert is_closed(there.triangles[: 2 * quads].cpu().numpy().reshape(-1))
