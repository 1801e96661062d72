"""Grid → closed triangle mesh, in torch, one code for CPU and CUDA.

Manifold dual contouring: one vertex for each loop of the surface through a cell (``cases``), one quad
for each grid edge that changes sign. Each mesh edge therefore has exactly two faces, whatever the
field, and what lies beyond the grid counts as outside, so the mesh is closed.

Nothing here waits for the device: shapes depend on the ``Capacity`` alone, the counts stay in a tensor,
and rows past the counts are meaningless. So the whole can be captured in a CUDA graph. Without a capacity
everything fits exactly, which costs nothing on the CPU, as nobody waits there.

Vectors lie by components, (3, N): three runs of numbers take a few operations each, where the CPU would take
every three for themselves.

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
    turned: Tensor  # (3, 3) int64: of the values along (the axis, the next, the one after) which are x, y, z


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
        torch.tensor([[(k - axis) % 3 for k in range(3)] for axis in range(3)], device=device),
    )


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Made once per device: copying numbers there would wait, and break a graph's capture."""
    return torch.tensor(values, device=device)


def _take(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]`` for flat ``values``; on CPU several times as fast."""
    return values.index_select(0, index.reshape(-1)).view(index.shape)


def _take_each(vectors: Tensor, index: Tensor) -> Tensor:
    """(3, *index.shape) of ``vectors`` (3, N), with one more of zeros behind the last."""
    return torch.stack([_take(functional.pad(row, (0, 1)), index) for row in vectors])


def _nonzero(mask: Tensor, size: int | None, unused: int) -> Tensor:
    """Flat indices of what is set: all of it, or ``size``, filled up with ``unused``."""
    if size is None:
        return torch.nonzero(mask.view(-1)).view(-1)
    return torch.nonzero_static(mask.view(-1), size=size, fill_value=unused).view(-1)


def _dot(u: Tensor, v: Tensor) -> Tensor:
    """(…) of two (3, …); a reduction would take longer, and fused operations round otherwise at a run's end."""
    x, y, z = (u * v).unbind()
    return x + y + z


def _cross(u: Tensor, v: Tensor) -> Tensor:
    (a, b, c), (x, y, z) = u.unbind(), v.unbind()
    return torch.stack((b * z - c * y, c * x - a * z, a * y - b * x))


def _unit(v: Tensor, least: float) -> Tensor:
    """Of length 1, but for what is shorter than ``least``."""
    return v / _dot(v, v).sqrt_().clamp_(min=least)


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
    inside = (values < 0).view(torch.uint8)
    x = inside[:-1] | inside[1:] << 1
    y = x[:, :-1] | x[:, 1:] << 2
    case = y[:, :, :-1] | y[:, :, 1:] << 4
    return _Field(values, functional.pad(case.flatten(), (0, 1)))


@dataclass(frozen=True)
class _Topology:
    """Counts of cells, vertices and quads are C, V and Q: the capacity's, or the field's own."""

    vertex_cell: Tensor  # (V,) int64
    quad_vertices: Tensor  # (4, Q) int64, CCW seen from above the axis; V for unused ones
    quad_slots: Tensor  # (4, Q) int64: where the quad stands in ``vertex_quads``, flattened
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


def _connect(field: _Field, capacity: Capacity | None) -> _Topology:
    """Number the vertices and find the four of each quad."""
    tables, side, dummy = _tables(field.values.device), field.nodes - 1, len(field.cases) - 1
    device = field.values.device
    active = field.cases - 1 < 254  # neither 0 nor 255, as uint8 wraps
    cells = _nonzero(active, None if capacity is None else capacity.cells + 1, dummy)
    row = _rows(field, cells)
    loops = _take(tables.loop_count, row)
    last = loops.cumsum(0)
    vertices = int(loops.sum()) if capacity is None else capacity.vertices
    numbers = torch.arange(vertices, device=device)
    vertex_cell = _take(cells, torch.searchsorted(last, numbers, right=True).clamp_(max=len(cells) - 1))
    first_and_row = torch.empty(dummy + 1, dtype=torch.int64, device=device)  # read at active cells alone
    first_and_row.scatter_(0, cells, last - loops << _ROW_BITS | row)

    crossed = _take(tables.lower_crossed, row)[:, None] >> _constant((0, 1, 2), device) & 1  # (C, 3)
    crossing = _nonzero(crossed, None if capacity is None else capacity.quads, 3 * (len(cells) - 1))
    cell, axis = _take(cells, crossing // 3), crossing % 3
    strides = _constant((side * side, side, 1), device)
    steps = (tables.quad_offset * strides).sum(-1)  # (3, 4)
    around = torch.stack([cell - _take(step, axis) for step in steps.T.contiguous()]).clamp_(min=0)  # (4, Q)
    edge = torch.stack([_take(number, axis) for number in tables.quad_edge.T.contiguous()])  # (4, Q)
    found = _take(first_and_row, around)
    vertex = (found >> _ROW_BITS) + _take(tables.edge_loop, (found & _ROW_MASK) * 12 + edge)
    if capacity is not None:
        vertex = torch.where(cell < dummy, vertex, vertices).clamp_(0, vertices)

    quads = len(crossing)
    vertex_quads = torch.full(((vertices + 1) * 12,), quads, device=device)
    slots = vertex * 12 + edge
    vertex_quads.scatter_(0, slots.view(-1), torch.arange(quads, device=device).expand(4, -1).reshape(-1))
    outward = (_take(field.cases, cell) & 1).bool()
    counts = torch.stack((torch.count_nonzero(active), loops.sum(), crossed.sum()))
    return _Topology(vertex_cell, vertex, slots, cell, axis, outward, vertex_quads.view(-1, 12)[:-1], counts)


def _position(index: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, y and z, (…) int64, of flat indices into a cube."""
    column = index // side
    x = column // side
    return x, column - x * side, index - column * side


def _crossings(field: _Field, topology: _Topology) -> tuple[Tensor, Tensor]:
    """(3, Q) where the field is zero on each crossed edge, in node units, and its unit gradient there."""
    nodes, axis = field.nodes, topology.quad_axis
    values = field.values.flatten()
    x, y, z = _position(topology.quad_cell, nodes - 1)
    strides = _constant((nodes * nodes, nodes, 1), values.device)
    along, beside, across = (_take(strides.roll(-k), axis) for k in range(3))  # the edge's axis and the others
    node = (x * nodes + y) * nodes + z
    ends = torch.stack((node, node + along)).clamp_(max=len(values) - 1)  # (2, Q)
    low, high = _take(values, ends).unbind()
    share = (low / (low - high)).nan_to_num_(0.5).clamp_(0.0, 1.0)
    steps = torch.stack((beside, across, -beside, -across))
    around = _take(values, (ends[:, None] + steps).clamp_(0, len(values) - 1))  # (2, 4, Q)
    start, end = (around[:, :2] - around[:, 2:]).unbind()
    slope = torch.cat((2 * (high - low)[None], start + (end - start) * share))  # along the axis and the others
    turned = _take(_tables(values.device).turned.view(-1), axis * 3 + _constant((0, 1, 2), values.device)[:, None])
    gradient = slope.gather(0, turned)
    position = torch.stack((x, y, z)) + share * (turned == 0)
    return position, _unit(gradient, 1e-12)


def _sum_around(vertex_quads: Tensor, per_quad: Tensor, weight: Tensor | None = None) -> Tensor:
    """(F, V) sums of (F, Q) over the quads around each vertex, weighted (V, 12), in a fixed order on every device."""
    rows = functional.pad(per_quad, (0, 1)).T.contiguous()
    return functional.embedding_bag(vertex_quads, rows, mode="sum", per_sample_weights=weight).T.contiguous()


def _place(field: _Field, topology: _Topology, position: Tensor, normal: Tensor) -> Tensor:
    """(3, V) the point of each cell, in node units, that fits the tangent planes at its crossings best.

    Minimises Σ (n·(x - p))² + λ|x - mean p|² in closed form, then stays in the cell.
    """
    n, plane = normal, _dot(normal, position)
    products = torch.cat((n * n, n * n.roll(-1, 0)))  # xx yy zz xy yz zx
    sums = _sum_around(topology.vertex_quads, torch.cat((torch.ones_like(plane)[None], position, products, n * plane)))
    sums[1:] /= sums[0].clamp(min=1.0)
    mean = sums[1:4]
    xx, yy, zz, xy, yz, zx, bx, by, bz = sums[4:].unbind()
    x, y, z = mean.unbind()
    rx, ry, rz = bx - xx * x - xy * y - zx * z, by - xy * x - yy * y - yz * z, bz - zx * x - yz * y - zz * z
    xx, yy, zz = xx + _SHARPNESS, yy + _SHARPNESS, zz + _SHARPNESS
    a, b, c = yy * zz - yz * yz, yz * zx - xy * zz, xy * yz - yy * zx  # cofactors
    d, e, f = xx * zz - zx * zx, xy * zx - xx * yz, xx * yy - xy * xy
    inverse = 1.0 / (xx * a + xy * b + zx * c)
    move = torch.stack((a * rx + b * ry + c * rz, b * rx + d * ry + e * rz, c * rx + e * ry + f * rz))
    corner = torch.stack(_position(topology.vertex_cell, field.nodes - 1)).float()
    return torch.clamp(mean + move * inverse, min=corner, max=corner + 1.0)


def _triangulate(vertices: Tensor, corners: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """(2·Q, 3) int32 triangles, and (3, Q) the area vector of each quad.

    ``corners`` (4, Q) run counter-clockwise seen from outside. Of the two diagonals the one is taken
    whose flatter triangle faces the field's gradient more: creases then run along diagonals.
    """
    a, b, c, d = _take_each(vertices, corners).unbind(1)
    ab, ac, ad = b - a, c - a, d - a
    first, second, third = _cross(ab, ac), _cross(ac, ad), _cross(ab, ad)
    area = first + second

    def facing(one: Tensor, two: Tensor) -> Tensor:
        return torch.minimum(*(_dot(t, normal) / _dot(t, t).sqrt_().clamp_(min=1e-6) for t in (one, two)))

    along_ac = facing(first, second) >= facing(third, area - third)
    i, j, k, m = corners.int().unbind()
    triangles = torch.stack((i, j, torch.where(along_ac, k, m), torch.where(along_ac, i, j), k, m), 1)
    return triangles.view(-1, 3), area


def _normals(topology: _Topology, area: Tensor, gradient: Tensor) -> Tensor:
    """(3, V) unit shading normals from the quads' area vectors and gradients (3, Q).

    A decoder's ripples are evened out by a mean over the quads around, in which those that face
    elsewhere hardly count, so that creases stay (a bilateral filter; the weight is the cosine's twelfth
    power: 30° elsewhere counts for a sixth).
    """
    around = topology.vertex_quads
    sums = _sum_around(around, torch.cat((area, gradient)))
    normal = _unit(_unit(sums[:3], 1e-9) + _unit(sums[3:], 1e-9), 1e-6)
    for _ in range(_SMOOTHINGS):
        corners = _take_each(normal, topology.quad_vertices)  # (3, 4, Q)
        a, b, c, d = corners.unbind(1)
        quad = _unit(a + b + c + d, 1e-6)
        agreement = _dot(corners, quad[:, None]).clamp_(min=0.0).square_().square_()  # (4, Q)
        weight = normal.new_zeros((len(around) + 1) * 12)
        weight.scatter_(0, topology.quad_slots.view(-1), (agreement * agreement.square()).view(-1))
        normal = _unit(_sum_around(around, quad, weight.view(-1, 12)[:-1]), 1e-6)
    return normal


def _sample(channels: Tensor, points: Tensor) -> Tensor:
    """(C, …) trilinear samples of ``channels`` (C, R, R, R) at object-space ``points`` (3, …)."""
    places = (2.0 * points).flip(0).reshape(3, -1).T
    found = functional.grid_sample(
        channels[None], places.view(1, 1, 1, -1, 3), padding_mode="border", align_corners=False
    )
    return found.view(channels.shape[0], *points.shape[1:])


def _occlusion(tsdf: Tensor, points: Tensor, normal: Tensor) -> Tensor:
    """(V,) share of the sky seen, 0…1, from how soon the field along the normal (3, V) stops growing."""
    device, reaches, weights = tsdf.device, (1.5, 3.5, 8.0), (0.35, 0.35, 0.3)
    reach = _constant(reaches, device)[:, None]
    probes = points[:, None] + normal[:, None] * (reach / tsdf.shape[-1])  # (3, 3 probes, V)
    distance = _sample(tsdf[None], probes)[0] * TRUNCATION_VOXELS
    first, second, third = (distance / reach.clamp(max=TRUNCATION_VOXELS)).clamp_(0.0, 1.0).unbind()
    return first * weights[0] + second * weights[1] + third * weights[2]


def _pack(position: Tensor, normal: Tensor, look: Tensor, open_sky: Tensor) -> Tensor:
    """(V, 24) uint8: see ``core.mesh.VERTEX_DTYPE``. ``look`` (6, V): RGB, roughness, metalness, emission."""
    nothing = torch.zeros_like(open_sky)[None]
    snorm = torch.round(torch.cat((normal, nothing)) * 127.0).to(torch.int8)
    material = torch.cat((look, open_sky[None], nothing))
    unorm = torch.round(material.clamp_(0.0, 1.0) * 255.0).to(torch.uint8)
    small = torch.cat((snorm.view(torch.uint8), unorm)).T
    return torch.cat((position.T.contiguous().view(torch.uint8), small), 1)


def extract(grid: Tensor, capacity: Capacity | None = None) -> Surface:
    """The surface of ``grid`` (7, R, R, R) float32 (``core.mesh``), on its device.

    With a ``capacity`` nothing waits for the device: compare it with ``Surface.counts`` before using the result.
    Without, the buffers are made as large as it takes, which asks the device. Values that are not finite give a
    useless but closed mesh; the gate asks for them.
    """
    if grid.ndim != 4 or grid.shape[0] != 7 or len(set(grid.shape[1:])) != 1:
        raise ValueError(f"A grid is (7, R, R, R), not {tuple(grid.shape)}.")
    field = _pad(grid[0])
    topology = _connect(field, capacity)
    crossing, gradient = _crossings(field, topology)
    place = _place(field, topology, crossing, gradient)
    corners = torch.where(topology.quad_up, topology.quad_vertices, topology.quad_vertices.flip(0))
    triangles, area = _triangulate(place, corners, gradient)
    normal = _normals(topology, area, gradient)
    position = (place - 0.5) / grid.shape[-1] - 0.5
    look = _sample(grid[1:], position - normal * (0.7 / grid.shape[-1]))
    packed = _pack(position, normal, look, _occlusion(grid[0], position, normal))
    return Surface(packed, triangles, topology.counts)
