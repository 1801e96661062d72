"""Which cells of a field hold vertices of its surface, and which four vertices each quad joins.

Manifold dual contouring: one vertex for each loop of the surface through a cell (``cases``), one quad for each grid
edge that changes sign. Each mesh edge therefore has exactly two faces, whatever the field, and what lies beyond a
grid counts as outside, so the mesh is closed.

Sources: Nielson 2004 (dual marching cubes), Wenger 2013 (manifold splitting).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from vrapp.generation import cases

_SLOT_BITS = 3  # room for the quads around a vertex: a loop has seven edges at most
_SLOTS = 1 << _SLOT_BITS
_OUTSIDE = 1.0
#: Cells are numbered column by column, this wide along y and z, and in a column layer by layer along x. A few hundred
#: triangles in a row are then a patch as high as wide, with few vertices for its size: on llvmpipe, which shades what
#: every 341 triangles use, 0.62 vertices a triangle and not 0.87; of widths from 4 to 33 this was the best.
_COLUMN = 11
_ROW_BITS = 13  # of the first of a row's twelve edges in the case tables
_ROW_MASK = (1 << _ROW_BITS) - 1


@dataclass(frozen=True)
class Capacity:
    """Most cells, vertices and quads that the buffers hold."""

    cells: int
    vertices: int
    quads: int


@dataclass(frozen=True)
class _Tables:
    edge_slot: Tensor  # (512·12 and more,) int64: _SLOTS · loop + how many of its edges come before, 0 not crossed
    loop_count: Tensor  # (512,) int64
    twice_passed: Tensor  # (256,) int64
    lower_crossed: Tensor  # (512, 3) bool: whether the lowest corner's edge along each axis is crossed
    quad_edge: Tensor  # (4·3,) int64: the shared edge's number in each of the four cells around it, by axis
    quad_offset: Tensor  # (4, 3, 3) int64 xyz steps back to those cells, by axis
    turned: Tensor  # (3·3,) int64: for x, y, z which of the values along (the axis, the next, the one after), by axis


def _edge_slots() -> np.ndarray:
    """Of ``_Tables``; as long as what is read of cells that are not there can ask for."""
    slots = np.zeros(_ROW_MASK + 13, np.int64)
    for row, loops in zip(slots[: cases.EDGE_LOOP.size].reshape(-1, 12), cases.EDGE_LOOP, strict=True):
        for edge in np.flatnonzero(loops >= 0):
            row[edge] = _SLOTS * loops[edge] + (loops[:edge] == loops[edge]).sum()
    return slots


@cache
def _tables(device: torch.device) -> _Tables:
    steps = torch.zeros(4, 3, 3, dtype=torch.int64)
    edges = torch.zeros(4, 3, dtype=torch.int64)
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3
        for k, (back_b, back_c) in enumerate(((1, 1), (0, 1), (0, 0), (1, 0))):  # CCW seen from +axis
            steps[k, axis, b], steps[k, axis, c] = back_b, back_c
            low, high = (back_b, back_c) if b < c else (back_c, back_b)
            edges[k, axis] = 4 * axis + low + 2 * high
    return _Tables(
        torch.from_numpy(_edge_slots()).to(device),
        torch.from_numpy(cases.LOOP_COUNT).to(device),
        torch.from_numpy(cases.TWICE_PASSED).to(device),
        torch.from_numpy(cases.EDGE_LOOP[:, [0, 4, 8]] >= 0).to(device),
        edges.flatten().to(device),
        steps.to(device),
        torch.tensor([(k - axis) % 3 for k in range(3) for axis in range(3)], device=device),
    )


@cache
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """float32, made once per device: copying numbers there would wait, and break a graph's capture."""
    return torch.tensor(values, dtype=torch.float32, device=device)


@cache
def whole(values: tuple[int, ...], device: torch.device) -> Tensor:
    """The same, int64."""
    return torch.tensor(values, device=device)


def take(values: Tensor, index: Tensor) -> Tensor:
    """``values[index]`` for flat ``values``; on CPU several times as fast."""
    return values.index_select(0, index.reshape(-1)).view(index.shape)


@dataclass(frozen=True)
class Field:
    """The TSDFs of all levels one behind the other along x, each with a layer of outside around it, in a box whose
    layers are as wide as the finest needs, in whole columns. A cell has the number of its lowest corner."""

    values: Tensor  # (N,) float32
    cases: Tensor  # (M,) uint8 of the cells, M < N; 0 where there is none
    side: int  # S: samples along y and z
    starts: tuple[int, ...]  # the first layer of each level, and of what is behind the last
    dummy: int  # a cell with nothing but outside for a few cells around

    @property
    def strides(self) -> tuple[int, int, int]:
        """From one sample to the next along x, y, z."""
        return self.side * self.side, self.side, 1

    def position(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, y and z, (…) int64, of ``cells`` (…)."""
        column = cells // self.side
        x = column // self.side
        return x, column - x * self.side, cells - column * self.side

    def origin(self, level: int) -> tuple[float, float, float]:
        """Where object space's lower corner lies, in samples."""
        return self.starts[level] + 0.5, 0.5, 0.5

    def inner(self, level: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The first and the last sample that is not of the layer around it, x y z."""
        start, size = self.starts[level], self.starts[level + 1] - self.starts[level] - 2
        return (start + 1.0, 1.0, 1.0), (float(start + size), float(size), float(size))

    @staticmethod
    def of(distances: Sequence[Tensor]) -> Field:
        """The field of ``distances`` (R, R, R) float32, the widest first."""
        side, device = -(-(len(distances[0]) + 2) // _COLUMN) * _COLUMN, distances[0].device
        starts = tuple(accumulate((len(d) + 2 for d in distances), initial=0))
        values = torch.full((starts[-1] + 4, side, side), _OUTSIDE, device=device)
        for start, distance in zip(starts, distances, strict=False):
            size = len(distance)
            values[start + 1 : start + 1 + size, 1 : 1 + size, 1 : 1 + size] = distance
        values = values.view(-1)
        # (values < 0) by itself takes three times as long on the CPU.
        inside = torch.sign(values).to(torch.int8).view(torch.uint8) >> 7
        # Beyond the end of a row the next one begins: both ends are outside.
        x = torch.add(inside[: -side * side], inside[side * side :], alpha=2)
        y = torch.add(x[:-side], x[side:], alpha=4)
        case = torch.add(y[:-1], y[1:], alpha=16)
        return Field(values, case, side, starts, (starts[-1] + 1) * side * side + side + 1)


@dataclass(frozen=True)
class Topology:
    """Counts of vertices and quads are V and Q, all levels' one after the other: the capacities', or their own."""

    vertex_cell: Tensor  # (V,) int64
    quad_vertices: Tensor  # (4, Q) int64, CCW seen from above the axis; some vertex for unused ones
    quad_slots: Tensor  # (4, Q) int64: where the quad stands in ``vertex_quads``, flattened
    quad_cell: Tensor  # (Q,) int64: the cell that the crossed edge leaves from its lowest corner
    quad_axis: Tensor  # (3, Q) int64: the axis, and 3 and 6 more, to look up what tables have of it
    quad_up: Tensor  # (Q,) bool: outside lies up the axis
    vertex_quads: Tensor  # (V, 8) int32: the quads around each vertex, in the order of edges; Q where there is none
    counts: Tensor  # (levels, 3) int64: cells, vertices and quads of the field itself
    vertex_starts: tuple[int, ...]  # the first vertex of each level, and V
    quad_starts: tuple[int, ...]

    def turned(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """``vectors`` (3, Q) along (the quad's axis, the next, the one after) by x, y, z; and where that is the axis,
        (3, Q) bool."""
        source = take(_tables(vectors.device).turned, self.quad_axis)
        return vectors.gather(0, source), source == 0


def _rows(field: Field, cells: Tensor) -> Tensor:
    """(C,) row of the case tables for each cell, with the pinched faces flipped."""
    tables, (x, y, z) = _tables(cells.device), field.strides
    case = take(field.cases, cells).long()
    face = take(tables.twice_passed, case)
    beyond = cells + take(whole((-x, x, -y, y, -z, z, 0), cells.device), face)
    facing = take(tables.twice_passed, take(field.cases, beyond).long())
    return case + cases.FLIPPED * ((face < cases.NO_FACE) & (facing == face ^ 1))


def _by_columns(values: Tensor, side: int) -> Tensor:
    """(N,) a copy of ``values`` (N,), layers ``side`` by ``side`` along x, in the order of ``_COLUMN``."""
    columns = side // _COLUMN
    return values.view(-1, columns, _COLUMN, columns, _COLUMN).permute(1, 3, 0, 2, 4).reshape(-1)


@cache
def _cells_by_columns(layers: int, side: int, unused: int, device: torch.device) -> Tensor:
    """(N + 1,) int64: the numbers of the cells of so many layers in that order, and ``unused`` behind them."""
    numbers = torch.arange(layers * side * side, device=device)
    return torch.cat((_by_columns(numbers, side), torch.tensor([unused], device=device)))


def _nonzero(mask: Tensor, size: int | None, unused: int) -> Tensor:
    """Flat indices of what is set: all of it, or ``size``, filled up with ``unused``."""
    if size is None:
        return torch.nonzero(mask.view(-1)).view(-1)
    return torch.nonzero_static(mask.view(-1), size=size, fill_value=unused).view(-1)


def connect(field: Field, capacities: Sequence[Capacity] | None) -> Topology:
    """Number the vertices and find the four of each quad."""
    device, tables = field.values.device, _tables(field.values.device)
    layer, dummy, levels = field.side**2, field.dummy, range(len(field.starts) - 1)
    active = field.cases + 1 >> 1  # uint8, which wraps: 0 for 0 and 255
    spans = [slice(layer * field.starts[k], layer * field.starts[k + 1]) for k in levels]
    found = []
    for k, span in enumerate(spans):
        order = _cells_by_columns(field.starts[k + 1] - field.starts[k], field.side, dummy - span.start, device)
        places = _nonzero(
            _by_columns(active[span], field.side), capacities[k].cells + 1 if capacities else None, len(order) - 1
        )
        found.append(take(order, places).add_(span.start))
    cells = torch.cat(found)  # (C,)
    cell_starts = tuple(accumulate(map(len, found), initial=0))
    row = _rows(field, cells)
    loops, crossed = take(tables.loop_count, row), tables.lower_crossed.index_select(0, row)  # (C,), (C, 3)

    lasts, crossings, counts, vertex_starts, quad_starts = [], [], [], [0], [0]
    for k in levels:
        members = slice(cell_starts[k], cell_starts[k + 1])
        last = loops[members].cumsum(0)
        unused = 3 * (members.stop - members.start - 1)
        crossing = _nonzero(crossed[members], capacities[k].quads if capacities else None, unused)
        lasts.append(last + vertex_starts[k])
        crossings.append(crossing + 3 * members.start)
        counts += [torch.count_nonzero(active[spans[k]]), loops[members].sum(), torch.count_nonzero(crossed[members])]
        vertex_starts.append(vertex_starts[k] + (capacities[k].vertices if capacities else int(counts[-2])))
        quad_starts.append(quad_starts[k] + len(crossing))
    vertices, quads = vertex_starts[-1], quad_starts[-1]
    first_and_row = torch.empty(dummy + 1, dtype=torch.int64, device=device)  # read at active cells alone
    first_and_row.scatter_(0, cells, torch.cat(lasts) - loops << _SLOT_BITS + _ROW_BITS | row * 12)

    crossing = torch.cat(crossings)  # (Q,)
    number = crossing // 3
    cell = take(cells, number)
    axis = crossing - 3 * number + whole((0, 3, 6, 9), device)[:, None]  # (4, Q)
    back = (tables.quad_offset * whole(field.strides, device)).sum(-1)
    around = cell - take(back.view(-1), axis)
    known = take(first_and_row, around)
    slots = (known >> _ROW_BITS) + take(tables.edge_slot, (known & _ROW_MASK) + take(tables.quad_edge, axis))
    if capacities:
        slots = torch.where(cell < dummy, slots, _SLOTS * vertices).clamp_(0, _SLOTS * vertices)
    vertex = slots >> _SLOT_BITS
    vertex_cell = torch.full((vertices + 1,), dummy, device=device).scatter_(0, vertex.view(-1), around.view(-1))
    vertex_quads = torch.full(((vertices + 1) * _SLOTS,), quads, dtype=torch.int32, device=device)
    vertex_quads.scatter_(0, slots.view(-1), torch.arange(quads, dtype=torch.int32, device=device).repeat(4))
    return Topology(
        vertex_cell[:-1], vertex.clamp_(max=max(vertices - 1, 0)), slots, cell, axis[:3],
        (take(field.cases, cell) & 1).bool(), vertex_quads.view(-1, _SLOTS)[:-1],
        torch.stack(counts).view(-1, 3), tuple(vertex_starts), tuple(quad_starts),
    )  # fmt: skip
