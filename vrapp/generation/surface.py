"""Grid → closed triangle mesh, in torch, one code for CPU and CUDA.

Manifold dual contouring: one vertex for each loop of the surface through a cell (``cases``), one quad
for each grid edge that changes sign. Each mesh edge therefore has exactly two faces, whatever the
field, and what lies beyond the grid counts as outside, so the mesh is closed.

Nothing here waits for the device: shapes depend on the ``Capacity`` alone, the counts stay in a tensor,
and rows past the counts are meaningless. So the whole can be captured in a CUDA graph; on CPU
``capacity_for`` gives an exact fit.

Sources: Nielson 2004 (dual marching cubes), Ju et al. 2002 (placing by gradients), Wenger 2013
(manifold splitting).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vrapp.core.mesh import TRUNCATION_VOXELS
from vrapp.generation import cases

VERTEX_BYTES = 24
_SHARPNESS = 0.02  # weight of staying at the mean crossing: lower is sharper, and noisier
_SMOOTHINGS = 2  # of the shading normals
_OUTSIDE = 1.0
_ROW_BITS = 9  # of a row of the case tables
_ROW_MASK = (1 << _ROW_BITS) - 1


@dataclass(frozen=True)
class Capacity:
    """Most cells, vertices and quads that the buffers hold."""

    cells: int
    vertices: int
    quads: int


@dataclass(frozen=True)
class Surface:
    """``vertices`` (V, 24) uint8 in ``core.mesh.VERTEX_DTYPE``'s layout, ``triangles`` (2·Q, 3) int32, CCW
    outside. ``counts`` (3,) int64: cells, vertices and quads of the field; the first ``counts[1]``
    vertices and ``2·counts[2]`` triangles hold. Where one is over its capacity nothing holds (with too
    few cells the other two are too small as well)."""

    vertices: Tensor
    triangles: Tensor
    counts: Tensor


@dataclass(frozen=True)
class _Tables:
    edge_loop: Tensor  # (512·12,) int64, -1 not crossed
    loop_count: Tensor  # (512,) int64
    twice_passed: Tensor  # (256,) int64
    lower_crossed: Tensor  # (512,) int64: bit a is set where the lowest corner's edge along axis a is crossed
    quad_edge: Tensor  # (3, 4) int64: the shared edge's number in the four cells around it
    quad_offset: Tensor  # (3, 4, 3) int64 xyz steps back to those cells


@cache
def _tables(device: torch.device) -> _Tables:
    steps = torch.zeros(3, 4, 3, dtype=torch.int64)
    edges = torch.zeros(3, 4, dtype=torch.int64)
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        for k, (back_b, back_c) in enumerate(((1, 1), (0, 1), (0, 0), (1, 0))):  # CCW seen from +axis
            steps[axis, k, b], steps[axis, k, c] = back_b, back_c
            low, high = (back_b, back_c) if b < c else (back_c, back_b)
            edges[axis, k] = 4 * axis + low + 2 * high
    return _Tables(
        torch.from_numpy(cases.EDGE_LOOP).flatten().to(device),
        torch.from_numpy(cases.LOOP_COUNT).to(device),
        torch.from_numpy(cases.TWICE_PASSED).to(device),
        torch.from_numpy((cases.EDGE_LOOP[:, [0, 4, 8]] >= 0) @ np.array([1, 2, 4])).to(device),
        edges.to(device),
        steps.to(device),
    )


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Made once per device: copying numbers there would wait, and break a graph's capture."""
    return torch.tensor(values, device=device)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]`` for flat ``values``; on CPU several times as fast."""
    return values.index_select(0, index.reshape(-1)).view(index.shape)


@dataclass(frozen=True)
class _Field:
    """The TSDF with one layer of outside around it, and the case of each cell."""

    values: Tensor  # (S, S, S) float32, S = R + 2
    cases: Tensor  # (N + 1,) uint8 of the N = (S - 1)³ cells; the last is a dummy, 0

    @property
    def nodes(self) -> int:
        """S: samples along each axis."""
        return self.values.shape[0]


def _pad(tsdf: Tensor) -> _Field:
    values = functional.pad(tsdf, (1, 1, 1, 1, 1, 1), value=_OUTSIDE)
    inside = (values < 0).to(torch.uint8)
    x = inside[:-1] | inside[1:] << 1
    y = x[:, :-1] | x[:, 1:] << 2
    case = y[:, :, :-1] | y[:, :, 1:] << 4
    return _Field(values, functional.pad(case.flatten(), (0, 1)))


def capacity_for(tsdf: Tensor) -> Capacity:
    """A capacity that ``tsdf`` (R, R, R) just fits, for devices where asking costs nothing (CPU)."""
    field = _pad(tsdf)
    tables = _tables(tsdf.device)
    used = field.cases[field.cases - 1 < 254]
    found = torch.bincount(used, minlength=256)
    most = torch.maximum(tables.loop_count[:256], tables.loop_count[256:])
    quads = sum(((tables.lower_crossed[:256] >> axis & 1) * found).sum() for axis in range(3))
    return Capacity(int(found.sum()), int((most * found).sum()), int(quads))


@dataclass(frozen=True)
class _Topology:
    vertex_cell: Tensor  # (V,) int64
    quad_vertices: Tensor  # (Q, 4) int64, CCW seen from above the axis; V for unused rows
    quad_slots: Tensor  # (Q, 4) int64: where the quad stands in ``vertex_quads``, flattened
    quad_cell: Tensor  # (Q,) int64: the cell that the crossed edge leaves from its lowest corner
    quad_axis: Tensor  # (Q,) int64
    quad_up: Tensor  # (Q,) bool: outside lies up the axis
    vertex_quads: Tensor  # (V, 12) int64: the quads around each vertex, Q where there is none
    counts: Tensor  # (3,) int64


def _rows(field: _Field, cells: Tensor) -> Tensor:
    """(C,) row of the case tables for each cell, with the pinched faces flipped."""
    tables, side = _tables(cells.device), field.nodes - 1
    case = _take(field.cases, cells).long()
    face = _take(tables.twice_passed, case)
    step = _constant((-side * side, side * side, -side, side, -1, 1, 0), cells.device)
    beyond = (cells + _take(step, face)).clamp_(0, len(field.cases) - 1)
    facing = _take(tables.twice_passed, _take(field.cases, beyond).long())
    return case + cases.FLIPPED * ((face < cases.NO_FACE) & (facing == face ^ 1))


def _connect(field: _Field, capacity: Capacity) -> _Topology:
    """Number the vertices and find the four of each quad."""
    tables, side, dummy = _tables(field.values.device), field.nodes - 1, len(field.cases) - 1
    device = field.values.device
    active = field.cases - 1 < 254  # neither 0 nor 255, as uint8 wraps
    cells = torch.nonzero_static(active, size=capacity.cells + 1, fill_value=dummy).flatten()
    row = _rows(field, cells)
    loops = _take(tables.loop_count, row)
    last = loops.cumsum(0)
    numbers = torch.arange(capacity.vertices, device=device)
    vertex_cell = _take(cells, torch.searchsorted(last, numbers, right=True).clamp_(max=capacity.cells))
    first_and_row = torch.empty(dummy + 1, dtype=torch.int64, device=device)  # read at active cells alone
    first_and_row.scatter_(0, cells, last - loops << _ROW_BITS | row)

    crossed = _take(tables.lower_crossed, row)[:, None] >> _constant((0, 1, 2), device) & 1  # (C + 1, 3)
    unused = 3 * capacity.cells
    crossing = torch.nonzero_static(crossed.flatten(), size=capacity.quads, fill_value=unused).flatten()
    cell, axis = _take(cells, crossing // 3), crossing % 3
    strides = _constant((side * side, side, 1), device)
    steps = (tables.quad_offset * strides).sum(-1)  # (3, 4)
    around = (cell[:, None] - steps.index_select(0, axis)).clamp_(min=0)  # (Q, 4)
    edge = tables.quad_edge.index_select(0, axis)  # (Q, 4)
    found = _take(first_and_row, around)
    vertex = (found >> _ROW_BITS) + _take(tables.edge_loop, (found & _ROW_MASK) * 12 + edge)
    vertex = torch.where((cell < dummy)[:, None], vertex, capacity.vertices).clamp_(0, capacity.vertices)

    vertex_quads = torch.full(((capacity.vertices + 1) * 12,), capacity.quads, device=device)
    quads = torch.arange(capacity.quads, device=device)[:, None].expand(-1, 4)
    slots = vertex * 12 + edge
    vertex_quads.scatter_(0, slots.view(-1), quads.reshape(-1))
    outward = (_take(field.cases, cell) & 1).bool()
    counts = torch.stack((torch.count_nonzero(active), last[-1], crossed.sum()))
    return _Topology(vertex_cell, vertex, slots, cell, axis, outward, vertex_quads.view(-1, 12)[:-1], counts)


def _position(index: Tensor, side: int) -> Tensor:
    """(…, 3) int64 xyz of flat indices into a cube."""
    return torch.stack((index // (side * side), index // side % side, index % side), -1)


def _crossings(field: _Field, topology: _Topology) -> tuple[Tensor, Tensor]:
    """(Q, 3) where the field is zero on each crossed edge, in node units, and its unit gradient there."""
    nodes = field.nodes
    strides = _constant((nodes * nodes, nodes, 1), field.values.device)
    values = field.values.flatten()
    corner = _position(topology.quad_cell, nodes - 1)
    node = (corner * strides).sum(1)
    ends = torch.stack((node, node + _take(strides, topology.quad_axis)), 1).clamp_(max=len(values) - 1)
    low, high = _take(values, ends).unbind(1)
    along = (low / (low - high)).nan_to_num_(0.5).clamp_(0.0, 1.0)[:, None]
    ahead = _take(values, (ends[..., None] + strides).clamp_(max=len(values) - 1))  # (Q, 2, 3)
    behind = _take(values, (ends[..., None] - strides).clamp_(min=0))
    rise = ahead - behind
    axis = topology.quad_axis[:, None] == _constant((0, 1, 2), low.device)
    slope = torch.where(axis, 2 * (high - low)[:, None], torch.lerp(rise[:, 0], rise[:, 1], along))
    return corner + along * axis, functional.normalize(slope, dim=1, eps=1e-12)


def _sum_around(vertex_quads: Tensor, per_quad: Tensor, weight: Tensor | None = None) -> Tensor:
    """(V, F) sums over the quads around each vertex, weighted (V, 12), in a fixed order on every device."""
    rows = torch.cat((per_quad, per_quad.new_zeros(1, per_quad.shape[1])))
    return functional.embedding_bag(vertex_quads, rows, mode="sum", per_sample_weights=weight)


def _place(field: _Field, topology: _Topology, position: Tensor, normal: Tensor) -> Tensor:
    """(V, 3) the point of each cell, in node units, that fits the tangent planes at its crossings best.

    Minimises Σ (n·(x - p))² + λ|x - mean p|² in closed form, then stays in the cell.
    """
    n, plane = normal, (normal * position).sum(1, keepdim=True)
    products = torch.cat((n * n, n * n.roll(-1, 1)), 1)  # xx yy zz xy yz zx
    sums = _sum_around(topology.vertex_quads, torch.cat((torch.ones_like(plane), position, products, n * plane), 1))
    count = sums[:, :1].clamp(min=1.0)
    mean = sums[:, 1:4] / count
    xx, yy, zz, xy, yz, zx = (sums[:, 4:10] / count).unbind(1)
    bx, by, bz = (sums[:, 10:13] / count).unbind(1)
    x, y, z = mean.unbind(1)
    rx, ry, rz = bx - xx * x - xy * y - zx * z, by - xy * x - yy * y - yz * z, bz - zx * x - yz * y - zz * z
    xx, yy, zz = xx + _SHARPNESS, yy + _SHARPNESS, zz + _SHARPNESS
    a, b, c = yy * zz - yz * yz, yz * zx - xy * zz, xy * yz - yy * zx  # cofactors
    d, e, f = xx * zz - zx * zx, xy * zx - xx * yz, xx * yy - xy * xy
    inverse = 1.0 / (xx * a + xy * b + zx * c)
    move = torch.stack((a * rx + b * ry + c * rz, b * rx + d * ry + e * rz, c * rx + e * ry + f * rz), 1)
    corner = _position(topology.vertex_cell, field.nodes - 1).float()
    return torch.clamp(mean + move * inverse[:, None], min=corner, max=corner + 1.0)


def _triangulate(vertices: Tensor, corners: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """(2·Q, 3) int64 triangles, and (Q, 3) the area vector of each quad.

    ``corners`` (Q, 4) run counter-clockwise seen from outside. Of the two diagonals the one is taken
    whose flatter triangle faces the field's gradient more: creases then run along diagonals.
    """
    padded = torch.cat((vertices, vertices.new_zeros(1, 3)))
    a, b, c, d = padded.index_select(0, corners.reshape(-1)).view(-1, 4, 3).unbind(1)
    ab, ac, ad = b - a, c - a, d - a
    first, second, third = torch.linalg.cross(ab, ac), torch.linalg.cross(ac, ad), torch.linalg.cross(ab, ad)
    area = first + second

    def facing(one: Tensor, two: Tensor) -> Tensor:
        dots = [(functional.normalize(t, dim=1, eps=1e-6) * normal).sum(1) for t in (one, two)]
        return torch.minimum(*dots)

    along_ac = (facing(first, second) >= facing(third, area - third))[:, None]
    i, j, k, m = corners.unbind(1)
    triangles = torch.where(along_ac, torch.stack((i, j, k, i, k, m), 1), torch.stack((i, j, m, j, k, m), 1))
    return triangles.view(-1, 3), area


def _normals(topology: _Topology, area: Tensor, gradient: Tensor) -> Tensor:
    """(V, 3) unit shading normals from the quads' area vectors and gradients (Q, 3).

    A decoder's ripples are evened out by a mean over the quads around, in which those that face
    elsewhere hardly count, so that creases stay (a bilateral filter; the weight is the cosine's twelfth
    power: 30° elsewhere counts for a sixth).
    """
    around = topology.vertex_quads
    both = functional.normalize(_sum_around(around, area), dim=1, eps=1e-9)
    both = both + functional.normalize(_sum_around(around, gradient), dim=1, eps=1e-9)
    normal = functional.normalize(both, dim=1, eps=1e-6)
    for _ in range(_SMOOTHINGS):
        padded = torch.cat((normal, normal.new_zeros(1, 3)))
        corners = padded.index_select(0, topology.quad_vertices.view(-1)).view(-1, 4, 3)
        a, b, c, d = corners.unbind(1)
        quad = functional.normalize(a + b + c + d, dim=1, eps=1e-6)
        agreement = torch.einsum("qkc,qc->qk", corners, quad).clamp_(min=0.0).square_().square_()
        weight = normal.new_zeros((len(around) + 1) * 12)
        weight.scatter_(0, topology.quad_slots.view(-1), (agreement * agreement.square()).view(-1))
        normal = functional.normalize(_sum_around(around, quad, weight.view(-1, 12)[:-1]), dim=1, eps=1e-6)
    return normal


def _sample(channels: Tensor, points: Tensor) -> Tensor:
    """(K, C) trilinear samples of ``channels`` (C, R, R, R) at object-space ``points`` (K, 3)."""
    found = functional.grid_sample(
        channels[None], 2.0 * points.flip(1).view(1, 1, 1, -1, 3), padding_mode="border", align_corners=False
    )
    return found.view(channels.shape[0], -1).T


def _occlusion(tsdf: Tensor, points: Tensor, normal: Tensor) -> Tensor:
    """(V,) share of the sky seen, 0…1, from how soon the field along the normal stops growing."""
    voxel = 1.0 / tsdf.shape[-1]
    reaches = (1.5, 3.5, 8.0)
    probes = torch.stack([points + normal * (reach * voxel) for reach in reaches])  # (3, V, 3)
    distance = _sample(tsdf[None], probes.view(-1, 3)).view(len(reaches), -1) * TRUNCATION_VOXELS
    open_sky = torch.stack([(distance[i] / min(r, TRUNCATION_VOXELS)).clamp(0, 1) for i, r in enumerate(reaches)])
    weights = _constant((0.35, 0.35, 0.3), tsdf.device)
    return (weights[:, None] * open_sky).sum(0)


def _pack(position: Tensor, normal: Tensor, look: Tensor, open_sky: Tensor) -> Tensor:
    """(V, 24) uint8: see ``core.mesh.VERTEX_DTYPE``. ``look`` (V, 6): RGB, roughness, metalness, emission."""
    snorm = torch.round(functional.pad(normal, (0, 1)) * 127.0).to(torch.int8)
    material = torch.cat((look, open_sky[:, None], torch.zeros_like(open_sky[:, None])), 1)
    unorm = torch.round(material.clamp(0.0, 1.0) * 255.0).to(torch.uint8)
    return torch.cat((position.contiguous().view(torch.uint8), snorm.view(torch.uint8), unorm), 1)


def extract(grid: Tensor, capacity: Capacity) -> Surface:
    """The surface of ``grid`` (7, R, R, R) float32 (``core.mesh``), on its device, without waiting for it.

    Compare ``Surface.counts`` with ``capacity`` before using the result. Values that are not finite
    give a useless but closed mesh; the gate asks for them.
    """
    if grid.ndim != 4 or grid.shape[0] != 7 or len(set(grid.shape[1:])) != 1:
        raise ValueError(f"A grid is (7, R, R, R), not {tuple(grid.shape)}.")
    field = _pad(grid[0])
    topology = _connect(field, capacity)
    crossing, gradient = _crossings(field, topology)
    place = _place(field, topology, crossing, gradient)
    corners = torch.where(topology.quad_up[:, None], topology.quad_vertices, topology.quad_vertices.flip(1))
    triangles, area = _triangulate(place, corners, gradient)
    normal = _normals(topology, area, gradient)
    position = (place - 0.5) / grid.shape[-1] - 0.5
    inner = position - normal * (0.7 / grid.shape[-1])
    look = _sample(grid[1:], inner)
    packed = _pack(position, normal, look, _occlusion(grid[0], position, normal))
    return Surface(packed, triangles.to(torch.int32), topology.counts)
