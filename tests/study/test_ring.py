"""The ring: what was put comes out whole, in order, once; a full ring refuses; half-written is not taken."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vrapp.study.ring import HEADER_BYTES, Ring, Word


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring(capacity=1024)
    yield made
    made.close()


def taken(ring: Ring) -> list[tuple[int, int, int, bytes]]:
    """Everything that is in, freed."""
    records = list(ring.take(ring[Word.TAIL]))
    if records:
        ring[Word.TAIL] = records[-1].end
    return [tuple(record[:4]) for record in records]


def test_records_come_out_as_they_went_in(ring: Ring) -> None:
    assert ring.put(0, 10, b"one")
    assert ring.put(2, -20, b"")
    assert taken(ring) == [(0, 10, 0, b"one"), (2, -20, 1, b"")]
    assert taken(ring) == []


def test_what_was_not_freed_is_taken_again(ring: Ring) -> None:
    ring.put(0, 1, b"a")
    assert len(list(ring.take(0))) == 1
    assert len(list(ring.take(0))) == 1


def test_a_full_ring_refuses_and_counts(ring: Ring) -> None:
    put = 0
    while ring.put(0, put, bytes(100)):
        put += 1
    assert ring[Word.DROPPED] == 1
    assert len(taken(ring)) == put
    assert ring.put(0, 0, bytes(100))


def test_larger_than_the_ring_is_refused(ring: Ring) -> None:
    assert not ring.put(0, 0, bytes(5000))
    assert taken(ring) == []
    assert ring.put(0, 0, b"small")


@pytest.mark.parametrize("seed", range(20))
def test_any_sizes_over_many_laps(ring: Ring, seed: int) -> None:
    draw = random.Random(seed)
    waiting: list[bytes] = []
    for _ in range(600):
        payload = draw.randbytes(draw.choice([0, 1, 7, 8, 9, 100, 224, 400]))
        if ring.put(1, 0, payload):
            waiting.append(payload)
        if draw.random() < 0.3:
            assert [record[3] for record in taken(ring)] == waiting
            waiting.clear()
    assert [record[3] for record in taken(ring)] == waiting


def test_half_written_is_not_taken(ring: Ring) -> None:
    """Stores may arrive in another order: HEAD first, the record's bytes later."""
    ring.put(0, 1, b"whole")
    ring.put(0, 2, b"half!")
    memory = ring._memory.buf
    assert memory is not None
    last = HEADER_BYTES + ring[Word.HEAD] - 8
    byte, memory[last] = memory[last], memory[last] ^ 1
    assert [record.payload for record in ring.take(0)] == [b"whole"]
    memory[last] = byte
    assert [record.payload for record in ring.take(0)] == [b"whole", b"half!"]


def test_an_earlier_lap_is_not_taken_for_new(ring: Ring) -> None:
    while ring.put(0, 0, bytes(24)):
        pass
    lap = ring[Word.HEAD]
    taken(ring)
    ring[Word.HEAD] = lap + 64  # a head that arrives before its record
    assert list(ring.take(ring[Word.TAIL])) == []


def test_the_memory_is_given_back() -> None:
    made = Ring(capacity=64)
    name = made.name
    made.close()
    made.close()
    with pytest.raises(FileNotFoundError):
        Ring(name)


def test_capacity_must_keep_alignment() -> None:
    with pytest.raises(ValueError, match="multiple of 8"):
        Ring(capacity=100)


def _produce(name: str, count: int) -> None:
    ring = Ring(name)
    for number in range(count):
        while not ring.put(0, number, number.to_bytes(4, "little") * (number % 50)):
            time.sleep(0)
    ring.close()


def test_two_processes(ring: Ring) -> None:
    count = 3000
    producer = multiprocessing.get_context("spawn").Process(target=_produce, args=(ring.name, count))
    producer.start()
    seen: list[tuple[int, int, int, bytes]] = []
    while len(seen) < count and (producer.is_alive() or ring[Word.HEAD] != ring[Word.TAIL]):
        seen += taken(ring)
    producer.join()
    assert [record[1] for record in seen] == list(range(count))
    assert all(payload == n.to_bytes(4, "little") * (n % 50) for _, n, _, payload in seen)


def test_shared_memory_leaves_nothing_behind(ring: Ring) -> None:
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("no /dev/shm on this system")
    assert (shared / ring.name.lstrip("/")).exists()
    ring.close()
    assert not (shared / ring.name.lstrip("/")).exists()
