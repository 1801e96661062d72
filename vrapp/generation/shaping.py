"""Latent → a judged mesh on its device, in slices of work that fit into frames.

Worst-case buffers all the way, nothing read back but one record of less than 4 KB a shape, which arrives by itself
in pinned memory and is polled. On CUDA each slice is a captured graph. The same code runs on the CPU for tests; the
worker of machines without CUDA uses buffers that fit (``maker``), which is quicker there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vrapp.core.mesh import INDEX_BYTES, LATENT_DIM, LATENT_SHAPE, LEVELS, VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.generation import tidying
from vrapp.generation.device import FIXED_CAPACITIES, Decoder, decoded
from vrapp.generation.device_mesh import Copier, DeviceLevel
from vrapp.generation.gate import GateLimits, GridFacts, MeshFacts, Reason
from vrapp.generation.grid import Grid, levels_of_detail
from vrapp.generation.lane import Lane, Mark, Work
from vrapp.generation.maker import HULL_POINTS, Critic, hull_directions
from vrapp.generation.surface import Surface, extract
from vrapp.generation.tidying import Tidied
from vrapp.generation.topology import Capacity

STAGING_SLOTS = 3

#: What comes back of one shape.
RECORD_DTYPE = np.dtype(
    [
        ("counts", "<i8", (LEVELS, 5)),  # ``Tidied.counts``
        ("grid", "<f8", 4),  # finite, inside voxels, share of the border, the critic's logit
        ("sums", "<f8", 2),  # area, volume
        ("box", "<f4", (2, 3)),
        ("hull", "<f4", (HULL_POINTS, 3)),
        ("tops", "<f4", (tidying.TOP_CELLS, tidying.TOP_CELLS)),
    ]
)
assert RECORD_DTYPE.itemsize <= 4096


@dataclass
class _Slot:
    """A shape on its way to the host's knowledge: worst-case buffers, and its record."""

    vertices: tuple[Tensor, ...]
    triangles: tuple[Tensor, ...]
    record: Tensor  # (RECORD_DTYPE.itemsize,) uint8 in host memory
    end: Mark | None = None  # None: free
    on_host: Tensor | None = None  # uint8, room for all levels; made when first needed
    fetched: dict[int, tuple[int, int]] | None = None  # vertices and triangles of the levels that are coming there


class Shaper:
    """Makes one shape at a time; up to ``STAGING_SLOTS`` may wait to be told of.

    ``begin`` a shape, ``step`` through its ``slices``, then ``poll`` until it is told. All on one thread.
    """

    def __init__(
        self, decoder: Decoder, lane: Lane, capacities: Sequence[Capacity] = FIXED_CAPACITIES,
        critic: Critic | None = None, check_wanted: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._copier: Copier | None = None
        self._decoder, self._lane, self._critic = decoder, lane, critic
        self._capacities = tuple(capacities)
        device = lane.device
        # One for each shape that may be on its way: the device reads it in its own time.
        self._latents_host = deque(lane.host_buffer(4 * LATENT_DIM) for _ in range(STAGING_SLOTS + 1))
        self._latent = torch.zeros(1, *LATENT_SHAPE, device=device)
        self._share = torch.zeros((), device=device)
        self._category = torch.zeros(1, dtype=torch.int64, device=device)
        self._directions = torch.from_numpy(hull_directions()).to(device)
        self._grid: Grid | None = None
        self._distances: list[Tensor] = []
        self._surfaces: tuple[Surface, ...] = ()
        self._tidied: list[Tidied | None] = [None] * LEVELS
        self._record: Tensor | None = None
        self._slots = [self._new_slot() for _ in range(STAGING_SLOTS)]  # before captures: those wait for it
        slices: list[Work] = [self._decode, self._extract]
        slices += [self._tidying(level) for level in range(LEVELS)]
        slices.append(self._write_record)
        self._slices = []
        for work in slices:
            check_wanted()
            self._slices.append(lane.captured(work))
        lane.run_aside(self._reserve)
        self._next: int | None = None  # slice of the shape that is begun
        self._times: deque[tuple[int, Mark, Mark]] = deque()

    @property
    def slices(self) -> int:
        """Pieces of work of one shape."""
        return len(self._slices)

    @property
    def next_slice(self) -> int | None:
        """Which one ``step`` would do; None where no shape is begun."""
        return self._next

    @property
    def can_begin(self) -> bool:
        """Whether another shape may be begun: none is, and a slot is free for it."""
        return self._next is None and any(slot.end is None for slot in self._slots)

    def begin(self, latent: np.ndarray, debris_share: float, category: int = 0) -> None:
        """Start on ``latent`` (704,); the critic, where there is one, judges it as one of ``category``."""
        if not self.can_begin:
            raise RuntimeError("A shape is begun already, or all staging slots are taken.")
        self._latents_host.rotate()
        source = self._latents_host[0].view(torch.float32).view(1, *LATENT_SHAPE)
        source.copy_(torch.from_numpy(np.asarray(latent, np.float32).reshape(1, *LATENT_SHAPE)))

        def put() -> None:
            self._latent.copy_(source, non_blocking=True)
            self._share.fill_(debris_share)
            self._category.fill_(category)

        self._lane.run(put)
        self._next = 0

    def step(self) -> int | None:
        """Do the next slice; after the last one answers the slot that the shape will be told of in, else None."""
        if self._next is None:
            raise RuntimeError("No shape is begun.")
        index = self._next
        before = self._lane.mark()
        self._lane.run(self._slices[index])
        self._times.append((index, before, self._lane.mark()))
        self._next = index + 1 if index + 1 < len(self._slices) else None
        return self._deliver() if self._next is None else None

    def times(self) -> list[tuple[int, float]]:
        """(slice, ms) of those that have finished since the last call."""
        found = []
        while self._times and self._times[0][2].done():  # they finish in order
            index, start, end = self._times.popleft()
            found.append((index, end.ms_since(start)))
        return found

    def poll(self, slot: int) -> bool:
        """Whether the shape in ``slot`` is told."""
        end = self._slots[slot].end
        return end is not None and end.done()

    def wait(self, slot: int) -> None:
        """Until it is: for benches."""
        end = self._slots[slot].end
        if end is not None:
            end.wait()

    def take(self, slot: int, limits: GateLimits, levels: int = LEVELS) -> Mesh | Reason | None:
        """The mesh in ``slot`` (``poll`` said so) at its finest ``levels``, or why it may not be shown.

        None: it is on its way to main memory, and ``poll`` tells when to ask again. Else the slot is free afterwards:
        the mesh has memory of its own, of the size that it needs.
        """
        staged = self._slots[slot]
        record = staged.record.numpy().view(RECORD_DTYPE)[0].copy()
        if staged.fetched is not None:
            found = _unpacked(staged)
            staged.end = staged.fetched = None
            return _mesh(found, record, levels)
        wrong = judge_record(record, limits)
        if wrong is not None:
            staged.end = None
            return wrong
        counts = {level: (v, t) for level, (v, t) in enumerate(record["counts"][:levels, :2].tolist()) if v}
        if self._copier is None or not self._copier.shares:
            self._fetch(staged, counts)
            return None
        made: dict[int, MeshLevel] = {}
        copier = self._copier

        def copy_out() -> None:
            for level, (vertices, triangles) in counts.items():
                packed = staged.vertices[level][:vertices].clone()
                made[level] = DeviceLevel(packed, staged.triangles[level][:triangles].clone(), copier)

        try:
            self._lane.run_aside(copy_out)
        except torch.OutOfMemoryError:  # main memory has room for it
            self._fetch(staged, counts)
            return None
        staged.end = None
        return _mesh(made, record, levels)

    def taken(self, slot: int, limits: GateLimits, levels: int = LEVELS) -> Mesh | Reason:
        """``take``, waiting for it: for benches."""
        found = None
        while found is None:
            self.wait(slot)
            found = self.take(slot, limits, levels)
        return found

    def connect(self, copier: Copier | None) -> None:
        """Have meshes go into OpenGL's buffers. Without, they come to main memory, where room is made for them now."""
        self._copier = copier
        if copier is None:
            for slot in self._slots:
                self._room_on_host(slot)

    def flush(self) -> None:
        """The frame's slices are begun; have the device see them."""
        self._lane.flush()

    def close(self) -> None:
        """Let go of OpenGL's buffers, before they are deleted."""
        if self._copier is not None:
            self._copier.close()

    def _fetch(self, staged: _Slot, counts: dict[int, tuple[int, int]]) -> None:
        """Have the levels copied to the slot's part of main memory, one after the other; ``end`` tells when."""
        host = self._room_on_host(staged)

        def copy() -> None:
            at = 0
            for level, (vertices, triangles) in counts.items():
                for part in (staged.vertices[level][:vertices], staged.triangles[level][:triangles]):
                    raw = part.view(-1).view(torch.uint8)
                    host[at : at + len(raw)].copy_(raw, non_blocking=True)
                    at += len(raw)

        self._lane.run(copy)
        staged.fetched, staged.end = counts, self._lane.mark()

    def _reserve(self) -> None:
        """Memory for the first meshes: to get it from the driver would hold up their frames."""
        _ = [torch.empty_like(part) for part in (*self._slots[0].vertices, *self._slots[0].triangles)]

    def _room_on_host(self, staged: _Slot) -> Tensor:
        if staged.on_host is None:
            parts = (*staged.vertices, *staged.triangles)
            staged.on_host = self._lane.host_buffer(sum(part.numel() * part.element_size() for part in parts))
        return staged.on_host

    # The slices.

    def _decode(self) -> None:
        self._grid = decoded(self._decoder, self._latent)
        self._distances = levels_of_detail(self._grid.distance)

    def _extract(self) -> None:
        assert self._grid is not None
        self._surfaces = extract(self._distances, self._grid.look, self._capacities)

    def _tidying(self, level: int) -> Callable[[], None]:
        def work() -> None:
            self._tidied[level] = tidying.tidy(self._surfaces[level], self._capacities[level], self._share)

        return work

    def _write_record(self) -> None:
        levels = [level for level in self._tidied if level is not None]
        tsdf, finest = self._distances[0], levels[0]
        inside = tsdf < 0
        faces = (inside[0], inside[-1], inside[:, 0], inside[:, -1], inside[:, :, 0], inside[:, :, -1])
        border = torch.stack([face.double().mean() for face in faces]).mean()
        told = border.new_full((), torch.inf)
        if self._critic is not None:
            told = self._critic(tsdf[None, None], self._category)[0].double()
        grid = torch.stack((torch.isfinite(tsdf).all().double(), inside.sum().double(), border, told))
        box = tidying.box_of(finest)
        parts = (
            torch.stack([level.counts for level in levels]), grid, finest.sums, box,
            tidying.support_points(finest, self._directions), tidying.top_map(finest, box),
        )  # fmt: skip
        self._record = torch.cat([part.contiguous().view(-1).view(torch.uint8) for part in parts])

    def _new_slot(self) -> _Slot:
        device, width = self._lane.device, VERTEX_DTYPE.itemsize
        return _Slot(
            tuple(torch.zeros(c.vertices, width, dtype=torch.uint8, device=device) for c in self._capacities),
            tuple(torch.zeros(2 * c.quads, 3, dtype=torch.int32, device=device) for c in self._capacities),
            self._lane.host_buffer(RECORD_DTYPE.itemsize),
        )

    def _deliver(self) -> int:
        """From the one workspace that all shapes are made in to a free slot."""
        number = next(i for i, slot in enumerate(self._slots) if slot.end is None)
        slot = self._slots[number]

        def copy() -> None:
            for level, tidied in enumerate(self._tidied):
                assert tidied is not None
                slot.vertices[level].copy_(tidied.vertices)
                slot.triangles[level].copy_(tidied.triangles)
            assert self._record is not None
            slot.record.copy_(self._record, non_blocking=True)

        self._lane.run(copy)
        slot.end = self._lane.mark()
        return number


def _unpacked(staged: _Slot) -> dict[int, MeshLevel]:
    """The levels that have come to main memory, in memory of their own."""
    assert staged.on_host is not None
    assert staged.fetched is not None
    raw, at, found = staged.on_host.numpy(), 0, {}
    for level, (vertices, triangles) in staged.fetched.items():
        between = at + vertices * VERTEX_DTYPE.itemsize
        end = between + triangles * 3 * INDEX_BYTES
        found[level] = MeshLevel(raw[at:between].copy().view(VERTEX_DTYPE), raw[between:end].copy().view(np.uint32))
        at = end
    return found


def _mesh(found: dict[int, MeshLevel], record: np.void, levels: int) -> Mesh:
    """Of the levels that there are: for one that the object is too thin for, the finer one is shown."""
    shown = [found[max(finer for finer in found if finer <= level)] for level in range(levels)]
    hull = np.unique(record["hull"], axis=0)
    return Mesh(tuple(shown), record["box"].copy(), np.ascontiguousarray(hull), record["tops"].copy())


def judge_record(record: np.void, limits: GateLimits) -> Reason | None:
    """The gate over what came back. That the surface is closed follows from how it is extracted (and is tested)."""
    finite, inside, border_share, plausibility = record["grid"].tolist()
    grid = GridFacts(bool(finite), int(inside), border_share, plausibility)
    if wrong := grid.wrong(limits):
        return wrong
    if record["counts"][:, 3:].any():  # a buffer ran over, or pieces too winding to be told apart
        return Reason.TOO_COMPLEX
    vertices, triangles, pieces = record["counts"][0, :3].tolist()
    box = record["box"]
    area, volume = record["sums"].tolist()
    longest = float((box[1] - box[0]).max())
    facts = MeshFacts(pieces, vertices, triangles, bool(np.isfinite(box).all()), longest, area, volume, closed=True)
    return facts.wrong(limits)
