"""What ``components``, ``gate`` and ``maker`` do to a mesh on the host, for one that stays on its device.

All shapes depend on the capacity alone and nothing is read back, so that it can be captured in a CUDA graph. The
same code runs on the CPU, where tests compare both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vrapp.generation.surface import Surface
from vrapp.generation.topology import Capacity

#: Rounds of label spreading; each at least doubles how far a label gets along a chain, and reaches a ring farther.
ROUNDS = 16
TOP_CELLS = 16
SPARE = 1024  # rows behind a level's vertices, for corners of triangles that are not there
_POSITION_BYTES = 12  # the first of a vertex (core.mesh.VERTEX_DTYPE)


@dataclass(frozen=True)
class Tidied:
    """A level without debris in buffers as large as before: ``vertices`` (V, 24) uint8, ``triangles`` (T, 3) int32.

    ``counts`` (5,) int64: vertices and triangles that hold, pieces, 1 where labels had not spread everywhere yet,
    1 where a buffer ran over. ``sums`` (2,) float64: area and volume of what is left.
    """

    vertices: Tensor
    triangles: Tensor
    counts: Tensor
    sums: Tensor


def positions_of(vertices: Tensor) -> Tensor:
    """(V, 3) float32 of packed vertices (V, 24) uint8."""
    return vertices[:, :_POSITION_BYTES].contiguous().view(torch.float32)


def tidy(surface: Surface, capacity: Capacity, least_share: Tensor) -> Tidied:
    """``components.without_debris`` on the device; ``least_share`` () float of the area that a piece needs."""
    total = len(surface.vertices)
    cells, vertices, quads = surface.counts.unbind()
    over = (cells > capacity.cells) | (vertices > capacity.vertices) | (quads > capacity.quads)
    is_triangle = torch.arange(len(surface.triangles), device=cells.device) < 2 * quads
    is_vertex = torch.arange(total, device=cells.device) < vertices
    # Unused corners in turn: were it one place, all would wait for each other there.
    spare = total + torch.arange(len(surface.triangles), device=cells.device) % SPARE
    corners = torch.where(is_triangle[:, None], surface.triangles.long().clamp(0, total), spare[:, None])  # (T, 3)
    label, unsettled = _labels(corners, total)
    area, volume = _areas_and_volumes(positions_of(surface.vertices), corners, is_triangle)
    piece = label.index_select(0, corners[:, 0])
    nothing = area.new_zeros(total + SPARE)
    areas, volumes = nothing.index_add(0, piece, area), nothing.index_add(0, piece, volume)
    body = (volumes > 0) & (areas > 0)
    stays = body & (areas >= least_share * (areas * body).sum())
    stays[total:].zero_()  # to set it to False would copy that over, which no graph can capture
    kept = stays.index_select(0, label[:total]) & is_vertex
    kept_triangles = stays.index_select(0, piece) & is_triangle
    number = torch.cumsum(kept, 0) - 1
    packed = _compacted(surface.vertices, kept)
    renumbered = torch.cat((number, number.new_zeros(SPARE))).index_select(0, corners.view(-1)).view(-1, 3)
    triangles = _compacted(renumbered.int(), kept_triangles)
    counts = torch.stack((kept.sum(), kept_triangles.sum(), stays.sum(), unsettled.long(), over.long()))
    return Tidied(packed, triangles, counts, torch.stack(((areas * stays).sum(), (volumes * stays).sum())))


def _labels(corners: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """(V + SPARE,) the least vertex of each vertex's piece, and whether some label would still change."""
    label = torch.arange(total + SPARE, device=corners.device)
    flat = corners.reshape(-1)
    unsettled = label.new_zeros((), dtype=torch.bool)
    for _ in range(ROUNDS):
        least = label.index_select(0, flat).view(-1, 3).amin(1, keepdim=True).expand(-1, 3).reshape(-1)
        spread = label.scatter_reduce(0, flat, least, "amin")
        # What a vertex pointed to learns of it, too, or a long chain would take as many rounds as it has links.
        spread = spread.scatter_reduce(0, label, spread, "amin")
        spread = spread.index_select(0, spread)
        unsettled = (spread != label).any()
        label = spread
    return label, unsettled


def _areas_and_volumes(position: Tensor, corners: Tensor, is_triangle: Tensor) -> tuple[Tensor, Tensor]:
    """(T,) float64 of triangles, and of the tetrahedra under them; 0 for unused rows."""
    padded = torch.cat((position, position.new_zeros(SPARE, 3))).double()
    a, b, c = padded.index_select(0, corners.reshape(-1)).view(-1, 3, 3).unbind(1)
    area = torch.linalg.vector_norm(torch.linalg.cross(b - a, c - a), dim=1) / 2
    volume = (a * torch.linalg.cross(b, c)).sum(1) / 6
    zero = area.new_zeros(())
    return torch.where(is_triangle, area, zero), torch.where(is_triangle, volume, zero)


def _compacted(rows: Tensor, kept: Tensor) -> Tensor:
    """``rows[kept]`` at the front of a buffer as long as ``rows``: a prefix sum gives each its place."""
    place = torch.where(kept, torch.cumsum(kept, 0) - 1, len(rows))
    out = rows.new_zeros(len(rows) + 1, rows.shape[1])
    return out.scatter_(0, place[:, None].expand_as(rows), rows)[:-1]


def support_points(level: Tidied, directions: Tensor) -> Tensor:
    """(D, 3) float32: the vertices that reach farthest in ``directions`` (D, 3), some perhaps twice."""
    position = positions_of(level.vertices)
    reach = directions @ position.T
    unused = torch.arange(len(position), device=position.device) >= level.counts[0]
    return position.index_select(0, reach.masked_fill_(unused, float("-inf")).argmax(1))


def box_of(level: Tidied) -> Tensor:
    """(2, 3) float32: lower and upper corner."""
    position = positions_of(level.vertices)
    unused = (torch.arange(len(position), device=position.device) >= level.counts[0])[:, None]
    lower, upper = position.masked_fill(unused, float("inf")), position.masked_fill(unused, float("-inf"))
    return torch.stack((lower.amin(0), upper.amax(0)))


def top_map(level: Tidied, box: Tensor) -> Tensor:
    """(16, 16) float32 as ``scene.surfaces.top_map`` finds it."""
    position = positions_of(level.vertices)
    extent = (box[1] - box[0]).clamp(min=1e-6)
    cell = ((position - box[0]) / extent * TOP_CELLS).long().clamp(0, TOP_CELLS - 1)
    place = cell[:, 0] * TOP_CELLS + cell[:, 2]
    unused = torch.arange(len(position), device=position.device) >= level.counts[0]
    place = torch.where(unused, TOP_CELLS**2, place)
    heights = position.new_full((TOP_CELLS**2 + 1,), float("-inf"))
    return heights.scatter_reduce_(0, place, position[:, 1].contiguous(), "amax")[:-1].view(TOP_CELLS, TOP_CELLS)
