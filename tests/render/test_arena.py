"""Meshes in one pair of buffers: queued, uploaded within a budget, given back."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import moderngl
import numpy as np
import pytest

from tests.render.conftest import mesh_of, sphere, sphere_level
from vrapp.core.mesh import HOST_WRITER, VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.render.arena import FRAMES_IN_FLIGHT, MeshArena
from vrapp.render.page_pool import PAGE_ITEMS, GraphicsMemoryFull, PagePool, page_items

pytestmark = pytest.mark.gl


def stored(arena: MeshArena, mesh_id: int, level: int) -> tuple[np.ndarray, np.ndarray]:
    """What the GPU holds of one level."""
    row = arena.levels[mesh_id, level]
    v, i = arena._vertices, arena._indices
    raw = v.buffer.read(int(row["vertices"]) * 24, offset=int(row["base_vertex"]) * 24)
    indices = i.buffer.read(int(row["index_count"]) * 4, offset=int(row["first_index"]) * 4)
    return np.frombuffer(raw, VERTEX_DTYPE), np.frombuffer(indices, np.uint32)


def assert_stored(arena: MeshArena, mesh_id: int, mesh: Mesh) -> None:
    for k, level in enumerate(mesh.levels):
        found_vertices, found_indices = stored(arena, mesh_id, k)
        assert (found_vertices == level.vertices).all()
        assert (found_indices == level.indices).all()


def test_a_mesh_is_resident_only_after_it_was_pumped(ctx: Any) -> None:
    arena = MeshArena(ctx)
    mesh = sphere()
    mesh_id = arena.add(mesh)
    assert not arena.resident(mesh_id)
    assert arena.pump(1 << 30) == mesh.nbytes
    assert arena.resident(mesh_id)
    assert arena.bytes_resident == arena.bytes_used > 0
    assert_stored(arena, mesh_id, mesh)
    arena.close()


def test_pump_keeps_to_the_budget_but_always_gets_on(ctx: Any) -> None:
    arena = MeshArena(ctx)
    meshes = [sphere() for _ in range(3)]
    ids = [arena.add(m) for m in meshes]
    levels = [level for m in meshes for level in m.levels]
    sent = [arena.pump(1) for _ in levels]  # a budget that no level fits into
    assert sent == [level.vertices.nbytes + level.indices.nbytes for level in levels]
    assert all(arena.resident(i) for i in ids)
    assert arena.pump(1) == 0
    arena.close()


def test_growing_keeps_what_is_there(ctx: Any) -> None:
    arena = MeshArena(ctx, vertices=2048, indices=4096)
    before = arena.bytes_capacity
    meshes = [sphere((i, 2 * i, 0)) for i in range(20)]
    ids = [arena.add(m) for m in meshes]
    arena.pump(1 << 30)
    assert arena.bytes_capacity > before
    for mesh_id, mesh in zip(ids, meshes, strict=True):
        assert_stored(arena, mesh_id, mesh)
    arena.close()


class Elsewhere(MeshLevel):
    """A level with a writer of its own."""

    writer: Any = None


class Writer:
    """Remembers what it was given, and writes it."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.forgotten = 0

    def write(self, placed: Any, vertices: Any, indices: Any) -> None:
        self.frames.append(len(placed))
        self.buffers = vertices, indices
        HOST_WRITER.write(placed, vertices, indices)

    def forget(self, buffer: Any) -> None:
        assert buffer.size > 0  # it is still there
        self.forgotten += 1


def test_what_lies_elsewhere_is_written_once_a_frame_into_buffers_that_have_grown(ctx: Any) -> None:
    arena = MeshArena(ctx, vertices=2048, indices=4096)
    before, writer = arena.bytes_capacity, Writer()
    meshes = []
    for i in range(10):
        mesh = sphere((i, 2 * i, 0))
        levels = tuple(Elsewhere(level.vertices, level.indices) for level in mesh.levels)
        for level in levels:
            vars(level)["writer"] = writer
        meshes += [replace(mesh, levels=levels), sphere((i, i, i))]
    ids = [arena.add(mesh) for mesh in meshes]
    arena.pump(1 << 30)
    assert arena.bytes_capacity > before
    assert writer.frames == [10 * len(meshes[0].levels)]
    for mesh_id, mesh in zip(ids, meshes, strict=True):
        assert_stored(arena, mesh_id, mesh)
    assert writer.forgotten == 0  # the buffers that grew had nothing of it
    for _ in range(30):
        arena.add(sphere())
    arena.pump(1 << 30)
    grown = writer.forgotten
    assert grown >= 2  # each before it was deleted
    arena.close()
    assert writer.forgotten == grown + 2


def test_released_space_is_used_again_but_not_while_in_flight(ctx: Any) -> None:
    arena = MeshArena(ctx)
    mesh_id = arena.add(sphere())
    arena.pump(1 << 30)
    place = int(arena.levels[mesh_id, 0]["base_vertex"])
    used = arena.bytes_used
    arena.release(mesh_id)
    other = arena.add(sphere())
    arena.pump(1 << 30)
    assert int(arena.levels[other, 0]["base_vertex"]) != place
    for _ in range(FRAMES_IN_FLIGHT):
        arena.pump(0)
    assert arena.bytes_used == used
    third = arena.add(sphere())
    arena.pump(1 << 30)
    assert int(arena.levels[third, 0]["base_vertex"]) == place
    arena.close()


def test_a_thousand_meshes_come_and_go_in_the_same_memory(ctx: Any) -> None:
    arena = MeshArena(ctx)
    rng = np.random.default_rng(0)
    shapes = [mesh_of(*(sphere_level(r + k, (9, 9, 9)) for k in (8, 4, 0))) for r in range(4, 16)]
    living: list[int] = []
    capacity = 0
    for step in range(1000):
        living.append(arena.add(shapes[rng.integers(len(shapes))]))
        arena.pump(1 << 20)
        if len(living) > 40:
            arena.release(living.pop(int(rng.integers(len(living)))))
        if step == 200:
            capacity = arena.bytes_capacity
    assert arena.bytes_capacity == capacity
    assert arena.count == len(living)
    arena.close()


def test_replacing_shows_the_old_shape_until_the_new_one_is_there(ctx: Any) -> None:
    arena = MeshArena(ctx)
    old, new = sphere((10, 0, 0)), sphere((0, 10, 0))
    mesh_id = arena.add(old)
    arena.pump(1 << 30)
    arena.replace(mesh_id, new)
    arena.pump(1)  # one level of three
    assert arena.resident(mesh_id)
    assert_stored(arena, mesh_id, old)
    arena.pump(1 << 30)
    assert_stored(arena, mesh_id, new)
    arena.close()


def test_reshaping_every_frame_shows_the_last_shape_and_leaks_nothing(ctx: Any) -> None:
    arena = MeshArena(ctx)
    mesh_id = arena.add(sphere())
    arena.pump(1 << 30)
    used = arena.bytes_used
    for i in range(50):
        arena.replace(mesh_id, sphere((i, 0, 0)))
        arena.replace(mesh_id, last := sphere((0, i, 0)))
        arena.pump(1 if i % 3 else 1 << 30)
    arena.pump(1 << 30)
    for _ in range(FRAMES_IN_FLIGHT):
        arena.pump(0)
    assert_stored(arena, mesh_id, last)
    assert arena.bytes_used == used
    arena.close()


def test_releasing_what_is_still_queued_uploads_nothing(ctx: Any) -> None:
    arena = MeshArena(ctx)
    arena.release(arena.add(sphere()))
    assert arena.pump(1 << 30) == 0
    assert arena.count == 0
    arena.close()


def test_unknown_meshes_are_refused(ctx: Any) -> None:
    arena = MeshArena(ctx)
    mesh_id = arena.add(sphere())
    arena.release(mesh_id)
    for act in (lambda: arena.release(mesh_id), lambda: arena.replace(mesh_id, sphere())):
        with pytest.raises(KeyError, match="does not exist"):
            act()
    arena.close()


def test_ids_are_used_again_and_tables_widen(ctx: Any) -> None:
    arena = MeshArena(ctx)
    level = sphere_level(4, (1, 1, 1))
    ids = [arena.add(mesh_of(level)) for _ in range(700)]
    arena.pump(1 << 30)
    assert len(set(ids)) == 700
    assert arena.is_resident[ids].all()
    assert (
        arena.levels[ids[-1]]["first_index"] == arena.levels[ids[-1], 0]["first_index"]
    ).all()  # one level serves all
    arena.close()


class FullCard:
    """A context whose driver has no memory for more, once ``is_full``; it says so in either way that there is."""

    def __init__(self, ctx: Any, raises: bool) -> None:
        self._ctx, self._raises, self.is_full, self._error = ctx, raises, False, "GL_NO_ERROR"

    def buffer(self, **options: Any) -> Any:
        if self.is_full and self._raises:
            raise moderngl.Error("cannot create buffer")
        if self.is_full and self._error == "GL_NO_ERROR":  # a driver may keep but one, the first
            self._error = "GL_OUT_OF_MEMORY"
        return self._ctx.buffer(**options)

    @property
    def error(self) -> str:
        told, self._error = self._error, "GL_NO_ERROR"
        return told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)


@pytest.mark.parametrize("raises", [True, False])
@pytest.mark.parametrize(("vertices", "indices"), [(1024, 1 << 20), (1 << 20, 1024)])
def test_a_full_card_loses_nothing_and_what_waits_comes_when_there_is_room(
    ctx: Any, raises: bool, vertices: int, indices: int, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    card = FullCard(ctx, raises)
    arena = MeshArena(card, vertices, indices)
    meshes = [sphere(), sphere()]
    first = arena.add(meshes[0])
    arena.pump(1 << 30)
    card.is_full = True
    used, capacity = arena.bytes_used, arena.bytes_capacity
    others = [arena.add(mesh) for mesh in meshes for _ in range(60)]
    for _ in range(200):
        arena.pump(1 << 30)
    waiting = [mesh_id for mesh_id in others if not arena.resident(mesh_id)]
    assert waiting
    assert arena.is_full
    assert arena.bytes_capacity == capacity
    assert len([r for r in caplog.records if "memory is full" in r.message]) == 1
    for mesh_id in (first, *(i for i in others if arena.resident(i))):
        assert_stored(arena, mesh_id, meshes[0])
    arena.release(first)  # something gives way
    for _ in range(FRAMES_IN_FLIGHT + 1):
        arena.pump(1 << 30)
    assert arena.resident(waiting[0])
    assert_stored(arena, waiting[0], meshes[0])
    card.is_full = False
    for _ in range(100):
        arena.pump(1 << 30)
    assert not arena.is_full
    assert all(arena.resident(mesh_id) for mesh_id in others)
    for mesh_id in others:
        arena.release(mesh_id)
    for _ in range(FRAMES_IN_FLIGHT + 1):
        arena.pump(0)
    assert arena.bytes_used == 0 < used
    arena.close()


def test_what_others_have_left_behind_is_not_taken_for_the_cards_answer(ctx: Any) -> None:
    card = FullCard(ctx, raises=False)
    pool = PagePool(card, 4, 256)
    card._error, card.is_full = "GL_INVALID_OPERATION", True
    with pytest.raises(GraphicsMemoryFull):
        pool.take(100_000)
    card._error, card.is_full = "GL_OUT_OF_MEMORY", False
    assert pool.take(100_000) == 0
    pool.release()


def test_a_pool_page_is_filled_at_its_own_place(ctx: Any) -> None:
    pool = PagePool(ctx, 4, 1024)
    first, second = pool.take(300), pool.take(300)
    pool.buffer.write(np.arange(300, dtype=np.uint32), offset=second * 4)
    pool.buffer.write(np.full(300, 7, np.uint32), offset=first * 4)
    assert (np.frombuffer(pool.buffer.read(1200, offset=second * 4), np.uint32) == np.arange(300)).all()
    pool.release()


def test_runs_in_use_never_overlap_and_all_of_it_is_one_run_again_at_the_end(ctx: Any) -> None:
    pool, draw = PagePool(ctx, 4, 256 * PAGE_ITEMS), np.random.default_rng(3)
    capacity, runs = pool.bytes_capacity, []
    for _ in range(2_000):
        if len(runs) < 40:
            items = int(draw.integers(0, 5 * PAGE_ITEMS))
            runs.append((pool.take(items), items))
        else:
            pool.give(*runs.pop(int(draw.integers(len(runs)))))
        spans = sorted((first, first + page_items(items)) for first, items in runs)
        assert all(end <= first for (_, end), (first, _) in pairwise(spans))
        assert pool.used == sum(end - first for first, end in spans)
    while runs:
        pool.give(*runs.pop(int(draw.integers(len(runs)))))
    assert pool.take(256 * PAGE_ITEMS) == 0
    assert (pool.used, pool.bytes_capacity) == (256 * PAGE_ITEMS, capacity)
    pool.release()


def test_what_comes_and_goes_takes_less_than_twice_the_place_of_what_is_there(ctx: Any) -> None:
    """As objects do: sizes over two orders of magnitude, about a hundred alive."""
    pool, draw = PagePool(ctx, 4, PAGE_ITEMS), np.random.default_rng(4)
    runs, most = [], 0
    for _ in range(4_000):
        items = int(np.exp(draw.normal(9, 1)))
        runs.append((pool.take(items), items))
        most = max(most, pool.used)
        if len(runs) > 100:
            pool.give(*runs.pop(int(draw.integers(len(runs)))))
    assert pool.bytes_capacity < 2 * most * 4
    pool.release()
