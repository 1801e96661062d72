import generation_toy as toy
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vrapp.core.mesh import VERTEX_DTYPE
from vrapp.generation import cases
from vrapp.generation.components import is_closed, pieces_of
from vrapp.generation.device import SurfacePipeline, levels_of_detail
from vrapp.generation.surface import Capacity, extract

CPU = torch.device("cpu")


def mesh_of(grid):
    surface = extract(grid)
    _, vertices, quads = surface.counts.tolist()
    packed = surface.vertices[:vertices].numpy().reshape(-1).view(VERTEX_DTYPE)
    return packed, surface.triangles[: 2 * quads].numpy().reshape(-1)


def random_grid(resolution, seed, smooth=0, quantised=False):
    torch.manual_seed(seed)
    grid = torch.randn(7, resolution, resolution, resolution)
    for _ in range(smooth):
        grid = torch.nn.functional.avg_pool3d(grid[None], 3, 1, 1)[0]
    if quantised:
        grid[0] = torch.sign(grid[0])
    return grid


def checkerboard():
    i = torch.arange(12)
    return ((i[:, None, None] + i[:, None] + i) % 2 * 2.0 - 1.0).expand(7, 12, 12, 12).clone()


def thin_sheet():
    grid = torch.ones(7, 16, 16, 16)
    grid[0, 3:13, 8, 3:13] = -0.05
    return grid


def touching_shells():
    x, y, z = toy.axes(32)
    balls = [((x - c) ** 2 + (y - c) ** 2 + z**2).sqrt() - 0.2 for c in (-0.1414, 0.1414)]
    shells = [(d.abs() - 0.01) for d in balls]
    return toy.grid_of(torch.minimum(*shells))


def all_inside():
    return -torch.ones(7, 8, 8, 8)


@pytest.mark.parametrize("make", [checkerboard, thin_sheet, touching_shells, all_inside])
def test_hard_fields_give_closed_oriented_surfaces(make):
    vertices, indices = mesh_of(make())
    assert len(indices) > 0
    assert is_closed(indices)
    assert np.array_equal(np.unique(indices), np.arange(len(vertices)))


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
        _, indices = mesh_of(turned.expand(7, 80, 80, 80).contiguous())
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
    tight, roomy = extract(grid), extract(grid, Capacity(4000, 5000, 6000))
    _, vertices, quads = tight.counts.tolist()
    assert torch.equal(tight.counts, roomy.counts)
    assert torch.equal(tight.vertices[:vertices], roomy.vertices[:vertices])
    assert torch.equal(tight.triangles[: 2 * quads], roomy.triangles[: 2 * quads])
    small = extract(grid, Capacity(20, 20, 20))
    assert small.counts[0] == tight.counts[0] > 20
    assert small.vertices.shape == (20, 24)


class OpNames(TorchDispatchMode):
    """Writes down every operation."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_extraction_never_waits_for_the_device():
    """Nothing whose shape depends on values, nothing read back, no constant copied over: it can be captured."""
    grid = random_grid(8, 2, smooth=1)
    extract(grid, Capacity(500, 500, 500))  # constants are made once
    with OpNames() as names:
        extract(grid, Capacity(500, 500, 500))
    waiting = {"_local_scalar_dense", "nonzero", "masked_select", "unique2", "_unique2", "bincount", "lift_fresh"}
    assert "nonzero_static" in names.seen
    assert not names.seen & waiting


def test_coarser_levels_are_smaller_and_keep_thin_parts():
    x, y, z = toy.axes()
    sheet = torch.stack([x.abs() - 0.4, y.abs() - 0.55 / 64, z.abs() - 0.4]).amax(0)
    surfaces = SurfacePipeline(toy.ToyVae(), CPU).surfaces(toy.grid_of(sheet))
    counts = [surfaces.level(i).triangles for i in range(3)]
    assert surfaces.fits()
    assert counts[0] > 3 * counts[1] > 9 * counts[2] > 0
    assert all(is_closed(surfaces.level(i).indices) for i in range(3))
    assert [g.shape[-1] for g in levels_of_detail(toy.grid_of(sheet))] == [64, 32, 16]


def test_values_that_are_not_finite_do_not_crash():
    grid = random_grid(8, 1)
    grid[0, 2:4] = float("nan")
    grid[0, 5] = float("inf")
    assert is_closed(mesh_of(grid)[1])


def test_a_grid_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="7, R, R, R"):
        extract(torch.zeros(6, 8, 8, 8), Capacity(1, 1, 1))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_gives_the_same_topology():
    grid = random_grid(16, 5, smooth=1)
    there = extract(grid.cuda(), Capacity(5000, 5000, 5000))
    here = extract(grid, Capacity(5000, 5000, 5000))
    _, _, quads = here.counts.tolist()
    assert torch.equal(there.counts.cpu(), here.counts)
    assert is_closed(there.triangles[: 2 * quads].cpu().numpy().reshape(-1))
