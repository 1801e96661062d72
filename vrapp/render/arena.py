"""All meshes of the world in one vertex buffer and one index buffer, drawn by indirect commands.

``add`` only queues; ``pump`` uploads whole levels within a budget, once a frame; a mesh can be drawn
when all its levels are there. Whatever is given back stays in its place for ``FRAMES_IN_FLIGHT`` more
frames, because the GPU may still be drawing it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vrapp.core.errors import GraphicsError
from vrapp.core.mesh import INDEX_BYTES, LEVELS, VERTEX_DTYPE, LevelWriter, Mesh, MeshLevel, Placed
from vrapp.render.page_pool import GraphicsMemoryFull, PagePool, page_items

FRAMES_IN_FLIGHT = 3
_TRY_AGAIN_FRAMES = 90  # to ask a full graphics card for more; what is given back is used at once
#: VERTEX_DTYPE: position, normal, colour + roughness, material. Layout strings have no signed normalised
#: bytes, so the shader undoes the sign of the normal.
_VERTEX_LAYOUT = {"in_position": "3f4", "in_normal": "4f1", "in_colour": "4f1", "in_material": "4f1"}
#: OBJECT_DTYPE of ``culling``.
_ROW_LAYOUT = dict.fromkeys(("row_position_scale", "row_orientation", "row_highlight", "row_half_ground"), "4f4")

#: Where one level lies: what an indirect command needs, and the sizes to give its pages back.
LEVEL_DTYPE = np.dtype([("first_index", "<u4"), ("index_count", "<u4"), ("base_vertex", "<i4"), ("vertices", "<u4")])


log = logging.getLogger(__name__)


@dataclass
class _Upload:
    """A mesh on its way: levels not yet uploaded, and rows of the table for those that are."""

    mesh_id: int
    levels: list[MeshLevel]
    rows: np.ndarray  # (LEVELS,) LEVEL_DTYPE
    done: int = 0
    cancelled: bool = False


class MeshArena:
    """Owner of the meshes' GPU memory. ``add``, ``replace`` and ``release`` return at once.

    Public tables, indexed by mesh id: ``levels`` (capacity, LEVELS) of LEVEL_DTYPE, where a mesh with
    fewer levels repeats its last one; ``is_resident`` (capacity,) bool; ``version`` rises when they change.
    ``vertices`` and ``indices``: room for so many before the buffers grow, which costs a frame tens of milliseconds;
    as they are, for some 200 objects (each buffer 75 MB). Raises GraphicsError where there is no memory for them.
    """

    def __init__(self, ctx: Any, vertices: int = 3 << 20, indices: int = 18 << 20) -> None:
        self._ctx = ctx
        self._writers: set[LevelWriter] = set()
        try:
            self._vertices = PagePool(ctx, VERTEX_DTYPE.itemsize, vertices, self._tell_writers)
            self._indices = PagePool(ctx, INDEX_BYTES, indices, self._tell_writers)
        except GraphicsMemoryFull as e:
            raise GraphicsError(f"The graphics card has no memory left ({e}); close what else uses it.") from e
        self.levels = np.zeros((256, LEVELS), LEVEL_DTYPE)
        self.is_resident = np.zeros(256, bool)
        self.version = 0  # rises whenever either table changes
        self._free_ids = list(range(255, -1, -1))
        self._live: set[int] = set()
        self._queue: deque[_Upload] = deque()
        self._uploads: dict[int, _Upload] = {}
        self._leaving: deque[tuple[int, np.ndarray]] = deque()  # (frame when free, rows)
        self._frame = 0
        self.is_full = False  # what waits found no memory: something else has to go
        self._told_full = False
        self._try_again = 0  # frame
        self._vertex_arrays: dict[int, tuple[tuple[int, int], Any]] = {}

    def add(self, mesh: Mesh) -> int:
        """Queue a mesh; its id is good at once, it can be drawn once ``resident``."""
        if not self._free_ids:
            self._widen_tables()
        mesh_id = self._free_ids.pop()
        self._live.add(mesh_id)
        self._enqueue(mesh_id, mesh)
        return mesh_id

    def replace(self, mesh_id: int, mesh: Mesh) -> None:
        """Put another shape under the same id; the old one is drawn until the new one is there."""
        self._require_live(mesh_id)
        self._enqueue(mesh_id, mesh, urgent=True)

    def release(self, mesh_id: int) -> None:
        """Forget a mesh. Its memory is used again a few frames later."""
        self._require_live(mesh_id)
        self._cancel_upload(mesh_id)
        if self.is_resident[mesh_id]:
            self._retire(self.levels[mesh_id].copy())
        self.is_resident[mesh_id] = False
        self.levels[mesh_id] = 0
        self.version += 1
        self._live.remove(mesh_id)
        self._free_ids.append(mesh_id)

    def resident(self, mesh_id: int) -> bool:
        """Whether the mesh can be drawn."""
        return bool(self.is_resident[mesh_id])

    def pump(self, budget_bytes: int) -> int:
        """Upload queued levels, oldest first, up to the budget but at least one; bytes uploaded.

        Call once a frame: it also counts the frames until released memory is free. Where the graphics card has no
        memory left, the queue waits until something is given back, or for a while.
        """
        self._frame += 1
        while self._leaving and self._leaving[0][0] <= self._frame:
            self._give_back(self._leaving.popleft()[1])
            self._try_again = self._frame
        sent, placed = 0, []
        while self._queue and self._frame >= self._try_again:
            upload = self._queue[0]
            if upload.cancelled:
                self._queue.popleft()
                continue
            level = upload.levels[upload.done]
            size = level.nbytes
            if sent and sent + size > budget_bytes:
                break
            place = self._place(upload, level)
            if place is None:
                break
            placed.append(place)
            sent += size
            if upload.done == len(upload.levels):
                self._queue.popleft()
                self._finish(upload)
        self._write(placed)  # now that the buffers have grown as far as they have to
        self.is_full &= bool(self._queue)
        return sent

    @property
    def pending(self) -> int:
        """Meshes queued and not yet resident (or not yet replaced)."""
        return len(self._uploads)

    @property
    def count(self) -> int:
        """Meshes that exist."""
        return len(self._live)

    @property
    def bytes_used(self) -> int:
        """GPU bytes in pages that hold meshes (those about to be freed included)."""
        return self._vertices.bytes_used + self._indices.bytes_used

    @property
    def bytes_resident(self) -> int:
        """GPU bytes in pages of the meshes that can be drawn: but for what comes and goes, all that is used."""
        rows = self.levels[self.is_resident]
        kept = [row for mesh in rows.tolist() for row in set(mesh)]  # a mesh with fewer levels repeats its last row
        vertices = sum(page_items(vertices) for _, _, _, vertices in kept) * VERTEX_DTYPE.itemsize
        return vertices + sum(page_items(indices) for _, indices, _, _ in kept) * INDEX_BYTES

    @property
    def bytes_capacity(self) -> int:
        """GPU bytes of both buffers."""
        return self._vertices.bytes_capacity + self._indices.bytes_capacity

    def vertex_array(self, program: Any, rows: Any) -> Any:
        """The arena's vertex array for a program, with the attributes that it reads; made anew after growth.

        ``rows``: the buffer of the objects' rows, the same at every call. A command's base instance picks its row,
        for all instances of the command.
        """
        version = (self._vertices.version, self._indices.version)
        known = self._vertex_arrays.get(program.glo)
        if known and known[0] == version:
            return known[1]
        if known:
            known[1].release()
        layout = [attributes(program, self._vertices.buffer, _VERTEX_LAYOUT), row_attributes(program, rows, "/r")]
        array = self._ctx.vertex_array(program, layout, self._indices.buffer, index_element_size=INDEX_BYTES)
        self._vertex_arrays[program.glo] = (version, array)
        return array

    def forget_programs(self) -> None:
        """Drop the vertex arrays of programs that were replaced."""
        for _, array in self._vertex_arrays.values():
            array.release()
        self._vertex_arrays.clear()

    def close(self) -> None:
        """Delete all GL objects."""
        self.forget_programs()
        self._vertices.release()
        self._indices.release()

    def _enqueue(self, mesh_id: int, mesh: Mesh, urgent: bool = False) -> None:
        if not 1 <= len(mesh.levels) <= LEVELS:
            raise ValueError(f"A mesh has {len(mesh.levels)} levels; expected 1 to {LEVELS}.")
        self._cancel_upload(mesh_id)
        upload = _Upload(mesh_id, list(mesh.levels), np.zeros(LEVELS, LEVEL_DTYPE))
        self._uploads[mesh_id] = upload
        if urgent:
            self._queue.appendleft(upload)
        else:
            self._queue.append(upload)

    def _place(self, upload: _Upload, level: MeshLevel) -> Placed | None:
        """Where it will lie; None where there is no memory for it."""
        vertices, indices = level.vertex_count, 3 * level.triangles
        try:
            base, first = self._take(vertices, indices)
        except GraphicsMemoryFull as e:
            if not self._told_full:
                log.warning("The graphics card's memory is full: %s. What interests you least gives way.", e)
            self.is_full = self._told_full = True
            self._try_again = self._frame + _TRY_AGAIN_FRAMES
            return None
        self.is_full = False
        upload.rows[upload.done] = (first, indices, base, vertices)
        upload.done += 1
        return Placed(level, base * VERTEX_DTYPE.itemsize, first * INDEX_BYTES)

    def _write(self, placed: Sequence[Placed]) -> None:
        by_writer: dict[LevelWriter, list[Placed]] = {}
        for place in placed:
            if place.level.triangles:
                by_writer.setdefault(place.level.writer, []).append(place)
        self._writers |= by_writer.keys()
        for writer, its_own in by_writer.items():
            writer.write(its_own, self._vertices.buffer, self._indices.buffer)

    def _tell_writers(self, buffer: Any) -> None:
        for writer in self._writers:
            writer.forget(buffer)

    def _take(self, vertices: int, indices: int) -> tuple[int, int]:
        """Where each run begins: both of them, or none. Raises GraphicsMemoryFull."""
        base = self._vertices.take(vertices)
        try:
            return base, self._indices.take(indices)
        except GraphicsMemoryFull:
            self._vertices.give(base, vertices)
            raise

    def _finish(self, upload: _Upload) -> None:
        rows = upload.rows
        rows[upload.done :] = rows[upload.done - 1]
        if self.is_resident[upload.mesh_id]:
            self._retire(self.levels[upload.mesh_id].copy())
        self.levels[upload.mesh_id] = rows
        self.is_resident[upload.mesh_id] = True
        self.version += 1
        del self._uploads[upload.mesh_id]

    def _cancel_upload(self, mesh_id: int) -> None:
        """Drop a newer shape's predecessor that is still on its way, with the levels already sent."""
        if upload := self._uploads.pop(mesh_id, None):
            upload.cancelled = True
            self._retire(upload.rows[: upload.done])

    def _retire(self, rows: np.ndarray) -> None:
        self._leaving.append((self._frame + FRAMES_IN_FLIGHT, rows))

    def _give_back(self, rows: np.ndarray) -> None:
        for first, indices, base, vertices in set(rows.tolist()):  # a mesh with fewer levels repeats its last row
            self._indices.give(first, indices)
            self._vertices.give(base, vertices)

    def _require_live(self, mesh_id: int) -> None:
        if mesh_id not in self._live:
            raise KeyError(f"Mesh {mesh_id} does not exist (released before?).")

    def _widen_tables(self) -> None:
        old = len(self.is_resident)
        self.levels = np.concatenate([self.levels, np.zeros_like(self.levels)])
        self.is_resident = np.concatenate([self.is_resident, np.zeros(old, bool)])
        self._free_ids = list(range(2 * old - 1, old - 1, -1))


def attributes(program: Any, buffer: Any, layout: dict[str, str], step: str = "") -> tuple[Any, ...]:
    """``buffer``'s items as ModernGL takes them; what ``program`` does not read is passed over. ``step``: "" a vertex,
    "/i" an instance, "/r" a draw."""
    parts = [f if name in program else f"{f[0]}x{f[-1]}" for name, f in layout.items()]
    return buffer, " ".join(parts) + step, *(name for name in layout if name in program)


def row_attributes(program: Any, rows: Any, step: str) -> tuple[Any, ...]:
    """A buffer of objects' rows likewise; all steps but "" begin at the draw's base instance."""
    return attributes(program, rows, _ROW_LAYOUT, step)
