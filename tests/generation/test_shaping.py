"""The code of the GPU on CPU tensors: fixed buffers, tidying, gate and record give what the worker gives."""

from __future__ import annotations

import generation_toy as toy
import numpy as np
import pytest
import torch
from operations import WAITING, OpNames
from torch.nn import functional

from vrapp.core.mesh import LATENT_DIM, VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.generation import tidying
from vrapp.generation.components import without_debris
from vrapp.generation.gate import GateLimits, Reason
from vrapp.generation.grid import Grid
from vrapp.generation.lane import HostLane, HostMark
from vrapp.generation.maker import ObjectMaker
from vrapp.generation.shaping import RECORD_DTYPE, STAGING_SLOTS, Shaper
from vrapp.generation.surface import Surface, extract
from vrapp.generation.topology import Capacity
from vrapp.models.plausibility import PlausibilityConfig, PlausibilityCritic
from vrapp.models.vae import ShapeVAE, VaeConfig
from vrapp.scene.surfaces import top_map

CPU = torch.device("cpu")


class NoCopier:
    """Nothing is drawn here."""

    shares = True

    def write(self, placed, vertices, indices):
        raise AssertionError("nothing is drawn here")

    def close(self):
        pass


def random_field(resolution, seed, smooth):
    torch.manual_seed(seed)
    grid = torch.randn(7, resolution, resolution, resolution)
    for _ in range(smooth):
        grid = functional.avg_pool3d(grid[None], 3, 1, 1)[0]
    return Grid(grid[0], grid[1:])


def surface_of(grid: Grid, capacity: Capacity | None = None) -> Surface:
    return extract([grid.distance], grid.look, capacity and [capacity])[0]


def same(level: MeshLevel, packed: torch.Tensor, triangles: torch.Tensor) -> bool:
    vertices = packed.numpy().reshape(-1).view(VERTEX_DTYPE)
    return np.array_equal(vertices, level.vertices) and np.array_equal(triangles.numpy().reshape(-1), level.indices)


@pytest.mark.parametrize("smooth", [0, 1, 2])
def test_tidying_in_fixed_buffers_gives_the_ordinary_surface(smooth):
    capacity, share = Capacity(1500, 2000, 2100), 0.02
    for seed in range(4):
        grid = random_field(10, seed, smooth)
        level, pieces = without_debris(surface_of(grid).level(), share)
        found = tidying.tidy(surface_of(grid, capacity), capacity, torch.tensor(share))
        vertices, triangles, left, unsettled, over = found.counts.tolist()
        assert (left, unsettled, over) == (pieces.count, 0, 0)
        assert same(level, found.vertices[:vertices], found.triangles[:triangles])
        np.testing.assert_allclose(found.sums.numpy(), [pieces.area.sum(), pieces.volume.sum()], rtol=1e-5)


def test_labels_reach_the_end_of_a_long_thread():
    x, y, z = toy.axes(48)
    helix = torch.sqrt((x - 0.3 * torch.cos(30 * y)) ** 2 + (z - 0.3 * torch.sin(30 * y)) ** 2) - 0.04
    grid = toy.grid_of(helix)
    capacity = Capacity(*surface_of(grid).counts.tolist())
    found = tidying.tidy(surface_of(grid, capacity), capacity, torch.tensor(0.015))
    level, pieces = without_debris(surface_of(grid, capacity).level(), 0.015)
    assert found.counts.tolist()[1:4] == [level.triangles, pieces.count, 0]


def test_a_buffer_that_ran_over_is_told():
    grid = random_field(10, 3, 1)
    capacity = Capacity(20, 20, 20)
    assert tidying.tidy(surface_of(grid, capacity), capacity, torch.tensor(0.0)).counts[4] == 1


class TwoBalls:
    """A ball of the size that the latent says, and a crumb beside it that no one should see."""

    resolution = 64

    def fields(self, latent):
        x, y, z = toy.axes(self.resolution)
        radius = latent.flatten()[0]
        ball = (x**2 + y**2 + z**2).sqrt() - radius
        crumb = ((x - 0.3) ** 2 + y**2 + z**2).sqrt() - 0.02
        return toy.fields_of(torch.minimum(ball, crumb))


MODEL = toy.ToyModel(TwoBalls(), toy.ToyPrior())


@pytest.fixture(scope="module")
def shaper():
    capacities = (Capacity(4500, 4500, 4500), Capacity(1300, 1300, 1300), Capacity(400, 400, 400))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tidying, "ROUNDS", 8)  # enough for these, and scattering is slow on the CPU
        shaper = Shaper(TwoBalls(), HostLane(), capacities)
        shaper.connect(NoCopier())
        yield shaper


def test_the_critics_word_comes_back_with_the_shape():
    capacities = (Capacity(4500, 4500, 4500), Capacity(1300, 1300, 1300), Capacity(400, 400, 400))

    def by_category(distance, category):
        return category.float() - 2.0 + 0.0 * distance.sum()

    shaper = Shaper(TwoBalls(), HostLane(), capacities, critic=by_category)
    limits = GateLimits(plausibility_least=0.0)
    assert shaped(shaper, latent_of(0.2), limits, category=1) is Reason.IMPLAUSIBLE
    assert isinstance(shaped(shaper, latent_of(0.2), limits, category=3), Mesh)


class WatchedLane(HostLane):
    """Captures as CUDA does, after a first time, which makes constants; names what then happens."""

    def __init__(self):
        self.slices = []

    def captured(self, work):
        with torch.no_grad():  # under inference_mode operations that are made of others would hide them
            work()
            with OpNames() as names:
                work()
        self.slices.append(names.seen)
        return work


def test_no_slice_waits_for_the_device(monkeypatch):
    monkeypatch.setattr(tidying, "ROUNDS", 2)
    torch.manual_seed(0)
    vae = ShapeVAE(VaeConfig(encoder=(16, 16, 16), decoder=(16, 16, 16), blocks=(1, 1, 1), head=16))
    networks = [network.eval().requires_grad_(False) for network in (vae, PlausibilityCritic(PlausibilityConfig(3)))]
    lane, capacities = WatchedLane(), [Capacity(300, 300, 300)] * 3
    shaper = Shaper(networks[0], lane, capacities, critic=networks[1])
    assert len(lane.slices) == shaper.slices
    assert "convolution" in lane.slices[0]
    assert {"nonzero_static", "scatter_reduce"} <= set().union(*lane.slices)
    assert [seen & WAITING for seen in lane.slices] == [set()] * shaper.slices


def latent_of(radius: float) -> np.ndarray:
    return np.full(LATENT_DIM, radius, np.float32)


def shaped(shaper: Shaper, latent: np.ndarray, limits: GateLimits, levels: int = 3, category: int = 0) -> Mesh | Reason:
    shaper.begin(latent, limits.debris_share, category)
    slot = None
    while slot is None:
        slot = shaper.step()
    assert shaper.poll(slot)
    return shaper.taken(slot, limits, levels)


def test_a_shape_is_the_workers_shape(shaper):
    limits = GateLimits()
    here = ObjectMaker(MODEL, CPU).mesh(latent_of(0.2), limits)
    there = shaped(shaper, latent_of(0.2), limits)
    assert here.levels[0].triangles > 1000
    assert here.box[1, 0] < 0.25  # the crumb is gone
    for mine, other in zip(here.levels, there.levels, strict=True):
        assert np.array_equal(mine.vertices, other.vertices)
        assert np.array_equal(mine.indices, other.indices)
        assert (mine.nbytes, mine.triangles, mine.vertex_count) == (other.nbytes, other.triangles, other.vertex_count)
    np.testing.assert_array_equal(here.box, there.box)
    assert {tuple(p) for p in here.hull.tolist()} == {tuple(p) for p in there.hull.tolist()}
    np.testing.assert_array_equal(top_map(here), there.tops)
    assert top_map(there) is there.tops
    assert len(shaped(shaper, latent_of(0.2), limits, levels=1).levels) == 1


class LateMark(HostMark):
    """Of a device that takes its time."""

    def __init__(self, lane):
        super().__init__()
        self._lane, self._work = lane, lane.ran

    def done(self):
        return self._lane.finished >= self._work


class LateLane(HostLane):
    """A device that finishes what it is told to when ``finished`` says so: copies to host memory come late."""

    def __init__(self):
        self.ran = self.finished = 0

    def run(self, work):
        super().run(work)
        self.ran += 1

    def mark(self):
        return LateMark(self)


@pytest.mark.parametrize("levels", [1, 3])
def test_where_no_memory_is_shared_the_shape_comes_to_main_memory_without_waiting(shaper, monkeypatch, levels):
    wanted = shaped(shaper, latent_of(0.2), GateLimits(), levels)
    lane = LateLane()
    monkeypatch.setattr(shaper, "_lane", lane)
    monkeypatch.setattr(shaper, "_copier", None)
    shaper.begin(latent_of(0.2), 0.015)
    slot = None
    while slot is None:
        slot = shaper.step()
    assert not shaper.poll(slot)
    lane.finished = lane.ran
    assert shaper.poll(slot)
    assert shaper.take(slot, GateLimits(), levels) is None
    assert not shaper.poll(slot)  # it is on its way, and nobody waits
    lane.finished = lane.ran
    assert shaper.poll(slot)
    found = shaper.take(slot, GateLimits(), levels)
    for mine, other in zip(found.levels, wanted.levels, strict=True):
        assert type(mine) is MeshLevel
        assert np.array_equal(mine.vertices, other.vertices)
        assert np.array_equal(mine.indices, other.indices)
    np.testing.assert_array_equal(found.hull, wanted.hull)
    assert not shaper.poll(slot)  # free


def test_a_level_that_the_object_is_too_thin_for_shows_the_finer_one(shaper, monkeypatch):
    whole = shaped(shaper, latent_of(0.2), GateLimits())
    for copier in (shaper._copier, None):
        monkeypatch.setattr(shaper, "_copier", copier)
        shaper.begin(latent_of(0.2), 0.015)
        slot = None
        while slot is None:
            slot = shaper.step()
        shaper._slots[slot].record.numpy().view(RECORD_DTYPE)["counts"][0, 1, :2] = 0
        found = shaper.taken(slot, GateLimits())
        assert [level.triangles for level in found.levels] == [whole.levels[i].triangles for i in (0, 0, 2)]
        assert np.array_equal(found.levels[2].vertices, whole.levels[2].vertices)


@pytest.mark.parametrize(
    ("radius", "limits"),
    [
        (0.2, GateLimits(triangles_least=50_000)),
        (0.1, GateLimits(pieces=1)),
        (0.17, GateLimits()),
        (0.2, GateLimits(thickness_least=1.0)),
        (-1.0, GateLimits(triangles_least=0)),
        (np.nan, GateLimits()),
        (0.6, GateLimits()),
    ],
)
def test_the_gate_refuses_what_the_workers_gate_refuses(shaper, radius, limits):
    found = shaped(shaper, latent_of(radius), limits)
    assert isinstance(found, Reason)
    assert found == ObjectMaker(MODEL, CPU).mesh(latent_of(radius), limits)


def test_more_surface_than_the_buffers_hold_is_too_complex(shaper):
    assert shaped(shaper, latent_of(0.35), GateLimits()) == Reason.TOO_COMPLEX


def test_no_more_shapes_are_begun_than_can_wait(shaper):
    shaper.times()
    taken = []
    for radius in np.linspace(0.18, 0.2, STAGING_SLOTS):
        shaper.begin(latent_of(radius), 0.015)
        slot = None
        while slot is None:
            slot = shaper.step()
        taken.append(slot)
    assert not shaper.can_begin
    assert sorted(taken) == list(range(STAGING_SLOTS))
    assert [index for index, _ in shaper.times()] == list(range(shaper.slices)) * STAGING_SLOTS
    widths = [float(np.ptp(shaper.take(slot, GateLimits()).box[:, 0])) for slot in taken]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]  # each slot kept its own
    assert shaper.can_begin


def test_the_record_is_small():
    assert RECORD_DTYPE.itemsize <= 4096
