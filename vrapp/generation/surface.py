"""Distances and a look → closed triangle meshes, in torch, one code for CPU and CUDA.

All levels of detail go through at once: on the CPU most of a coarse level's time would be the calls themselves, and
CUDA takes as many kernels for three levels as for one.

Nothing here waits for the device: shapes depend on the ``Capacity`` alone, the counts stay in a tensor,
and rows past the counts are meaningless. So the whole can be captured in a CUDA graph. Without capacities
everything fits exactly, which costs nothing on the CPU, as nobody waits there.

Vectors lie by components, (3, N): three runs of numbers take a few operations each, where the CPU would take
every three for themselves.

Source: Ju et al. 2002 (dual contouring: placing by gradients); ``topology`` names those of the mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vrapp.core.mesh import LOOK_CHANNELS, TRUNCATION_VOXELS, VERTEX_DTYPE, MeshLevel
from vrapp.generation.topology import Capacity, Field, Topology, connect, constant, take, whole

_SHARPNESS = 0.02  # weight of staying at the mean crossing: lower is sharper, and noisier
_SMOOTHINGS = 2  # of the shading normals


@dataclass(frozen=True)
class Surface:
    """``vertices`` (V, 24) uint8 in ``core.mesh.VERTEX_DTYPE``'s layout, ``triangles`` (2·Q, 3) int32, CCW
    outside. ``counts`` (3,) int64: cells, vertices and quads of the field; the first ``counts[1]``
    vertices and ``2·counts[2]`` triangles hold. Where one is over its capacity nothing holds (with too
    few cells the other two are too small as well)."""

    vertices: Tensor
    triangles: Tensor
    counts: Tensor

    def level(self) -> MeshLevel:
        """In main memory, cut to its counts. Waits for the device."""
        _, vertices, quads = self.counts.tolist()
        packed = self.vertices[:vertices].cpu().contiguous().numpy()
        triangles = self.triangles[: 2 * quads].cpu().contiguous().numpy()
        return MeshLevel(packed.reshape(-1).view(VERTEX_DTYPE), triangles.reshape(-1).view(np.uint32))


def _take_each(vectors: Tensor, index: Tensor) -> Tensor:
    """(3, *index.shape) of ``vectors`` (3, N)."""
    return torch.stack([take(row, index) for row in vectors])


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


def _crossings(field: Field, topology: Topology) -> tuple[Tensor, Tensor]:
    """(3, Q) where the field is zero on each crossed edge, in node units, and its unit gradient there."""
    values, node, (x, y, z) = field.values, topology.quad_cell, field.strides
    steps = take(whole((x, y, z, y, z, x, z, x, y), values.device), topology.quad_axis)
    ends = torch.stack((node, node + steps[0]))  # (2, Q)
    low, high = take(values, ends).unbind()
    share = (low / (low - high)).nan_to_num_(0.5).clamp_(0.0, 1.0)
    beside = steps[1:]
    start, end = (take(values, ends[:, None] + beside) - take(values, ends[:, None] - beside)).unbind()  # (2, Q) each
    slope = torch.cat((2 * (high - low)[None], start + (end - start) * share))  # along the axis and the others
    gradient, along = topology.turned(slope)
    position = torch.stack(field.position(node)) + share * along
    return position, _unit(gradient, 1e-12)


def _sum_around(vertex_quads: Tensor, per_quad: Tensor, weight: Tensor | None = None) -> Tensor:
    """(F, V) sums of (F, Q) over the quads around each vertex, weighted (V, 8), in a fixed order on every device."""
    rows = per_quad.new_zeros(per_quad.shape[1] + 1, len(per_quad))
    rows[:-1] = per_quad.T
    return functional.embedding_bag(vertex_quads, rows, mode="sum", per_sample_weights=weight).T.contiguous()


def _place(field: Field, topology: Topology, position: Tensor, normal: Tensor) -> Tensor:
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
    corner = torch.stack(field.position(topology.vertex_cell)).float()
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


def _normals(topology: Topology, area: Tensor, gradient: Tensor) -> Tensor:
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
        weight = normal.new_zeros((len(around) + 1) * around.shape[1])
        weight.scatter_(0, topology.quad_slots.view(-1), (agreement * agreement.square()).view(-1))
        normal = _unit(_sum_around(around, quad, weight.view(-1, around.shape[1])[:-1]), 1e-6)
    return normal


def _corners(points: Tensor, strides: tuple[int, int, int], count: int) -> tuple[Tensor, Tensor]:
    """(N,) index of the lowest of the eight samples around each of ``points`` (3, N), which are in steps between
    samples, and (8, N) trilinear weights; the eight are ``_steps`` apart.

    There are ``count`` samples, beyond which no index goes, also where a point is none.
    """
    below = points.floor()
    index = _dot(below, constant(tuple(map(float, strides)), points.device)[:, None]).long()  # exact below 2²⁴
    share = points - below
    wx, wy, wz = torch.stack((1.0 - share, share)).unbind(1)  # (2, N) each
    weight = (wx[:, None] * wy)[:, :, None] * wz
    return index.clamp_(0, count - 1 - sum(strides)), weight.view(8, -1)


def _steps(strides: tuple[int, int, int], device: torch.device) -> Tensor:
    """(8,) from the lowest of eight neighbouring samples to each."""
    x, y, z = strides
    return whole((0, z, y, y + z, x, x + z, x + y, x + y + z), device)


def _look_at(look: Tensor, points: Tensor) -> Tensor:
    """(6, V) trilinear samples of ``look`` (6, L, L, L) at object-space ``points`` (3, V)."""
    size, strides = look.shape[-1], (look.shape[-1] ** 2, look.shape[-1], 1)
    places = ((points + 0.5) * size - 0.5).clamp_(0.0, size - 1.001)  # never on the last sample, which has none behind
    index, weight = _corners(places, strides, size**3)
    rows = look.permute(1, 2, 3, 0).reshape(-1, len(look))
    around = index[:, None] + _steps(strides, look.device)
    return functional.embedding_bag(around, rows, mode="sum", per_sample_weights=weight.T.contiguous()).T


def _occlusion(field: Field, topology: Topology, place: Tensor, normal: Tensor) -> Tensor:
    """(V,) share of the sky seen, 0…1, from how soon the field along the normal (3, V) stops growing."""
    device, reaches, weights = place.device, (1.5, 3.5, 8.0), (0.35, 0.35, 0.3)
    reach = constant(reaches, device)[:, None]
    probes = place[:, None] + normal[:, None] * reach  # (3, 3 probes, V)
    for k, (start, end) in enumerate(pairwise(topology.vertex_starts)):
        least, most = field.inner(k)
        inner = probes[..., start:end]
        torch.clamp(inner, constant(least, device)[:, None, None], constant(most, device)[:, None, None], out=inner)
    index, weight = _corners(probes.view(3, -1), field.strides, len(field.values))
    around = index + _steps(field.strides, device)[:, None]
    distance = (take(field.values, around) * weight).sum(0).view(3, -1) * TRUNCATION_VOXELS
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


def extract(
    distances: Sequence[Tensor], look: Tensor, capacities: Sequence[Capacity] | None = None
) -> tuple[Surface, ...]:
    """The surface of each of ``distances`` (R, R, R), the finest first, on their device, looking as ``look``
    (6, L, L, L) with L > 1 says; all float32 (``core.mesh``).

    With ``capacities``, one for each, nothing waits for the device: compare them with ``Surface.counts`` before using
    the result. Without, the buffers are made as large as it takes, which asks the device. Values that are not finite
    give a useless but closed mesh; the gate asks for them. Raises ValueError for other shapes.
    """
    for name, channels, given in [("(R, R, R)", (), d) for d in distances] + [("(6, L, L, L)", (LOOK_CHANNELS,), look)]:
        *leading, x, y, z = given.shape
        if tuple(leading) != channels or not x == y == z:
            raise ValueError(f"Expected {name}, not {tuple(given.shape)}.")
    field = Field.of(distances)
    topology = connect(field, capacities)
    crossing, gradient = _crossings(field, topology)
    place = _place(field, topology, crossing, gradient)
    corners = torch.where(topology.quad_up, topology.quad_vertices, topology.quad_vertices.flip(0))
    triangles, area = _triangulate(place, corners, gradient)
    normal = _normals(topology, area, gradient)
    open_sky = _occlusion(field, topology, place, normal)
    position, depth = torch.empty_like(place), torch.empty_like(open_sky)
    for k, (start, end) in enumerate(pairwise(topology.vertex_starts)):
        origin = constant(field.origin(k), place.device)[:, None]
        position[:, start:end] = (place[:, start:end] - origin) / len(distances[k]) - 0.5
        depth[start:end].fill_(0.7 / len(distances[k]))
    packed = _pack(position, normal, _look_at(look, position - normal * depth), open_sky)
    vertices, quads = pairwise(topology.vertex_starts), pairwise(topology.quad_starts)
    return tuple(
        Surface(packed[first:end], triangles[2 * low : 2 * high] - first, counts)
        for (first, end), (low, high), counts in zip(vertices, quads, topology.counts.unbind(), strict=True)
    )
