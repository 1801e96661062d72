from generation_shapes import QueueGenerator

from vrapp.core.generation import Steering
from vrapp.generation.bank import STALE_REVISIONS, Bank


def filled(capacity=6, **options):
    generator = QueueGenerator(**options)
    bank = Bank(generator, seed=7, capacity=capacity, first_request_id=100)
    for frame in range(20):
        bank.update(frame, lambda i: Steering(i % 2))
    return bank, generator


def test_it_fills_to_its_capacity_and_no_further():
    bank, generator = filled()
    assert len(bank) == 6
    assert [r.request_id for r in generator.requests] == list(range(100, 106))
    assert {r.seed for r in generator.requests} == {7}
    assert generator.figures.ready == 6


def test_each_request_id_is_proposed_once_even_when_the_queue_is_full():
    proposed = []
    generator = QueueGenerator(frames=3, slots=2)
    bank = Bank(generator, 7, 5)
    for frame in range(30):
        bank.update(frame, lambda i: proposed.append(i) or Steering(0))
    assert proposed == list(range(len(proposed)))
    assert [r.request_id for r in generator.requests] == proposed[: len(generator.requests)]


def test_a_bank_that_refreshes_always_has_something_on_its_way():
    bank, generator = filled()
    bank.refreshes = True
    for frame in range(20, 60):
        bank.update(frame, lambda i: Steering(i % 2))
        assert generator.figures.in_flight > 0
    assert len(generator.requests) > 40
    assert len(bank) <= 6
    assert min(bank.take().request_id for _ in range(len(bank))) > 120  # the oldest gave way


def test_take_gives_the_oldest_that_fits_or_none_at_once():
    bank, generator = filled()
    assert bank.take(lambda o: o.category == 1).request_id == 101
    assert bank.take().request_id == 100
    assert bank.take(lambda o: o.category == 5) is None
    assert len(bank) == 4
    assert generator.figures.shown == 2


def test_what_is_requeued_can_be_taken_again():
    bank, generator = filled()
    made = bank.take()
    bank.requeue(made)
    assert len(bank) == 6
    assert generator.figures.shown == 0
    assert bank.take() is made


def test_a_new_preference_comes_first_and_stale_objects_go():
    bank, _ = filled(capacity=2)
    bank.outdate()
    bank.capacity = 4
    bank.update(20, lambda i: Steering(1))
    bank.update(21, lambda i: Steering(1))
    assert [bank.take().request_id for _ in range(3)] == [102, 103, 100]
    for _ in range(STALE_REVISIONS):
        bank.outdate()
    assert bank.take() is None


def test_a_request_that_gives_nothing_is_replaced():
    bank, generator = filled(failing={101, 103})
    assert len(bank) == 6
    assert generator.requests[-1].request_id == 107


def test_truncation_keeps_a_share_of_the_temperature_that_was_proposed():
    generator = QueueGenerator()
    bank = Bank(generator, 7, 3, truncation=0.5)
    bank.update(0, lambda i: Steering(0, temperature=0.8))
    assert {request.steering.temperature for request in generator.requests} == {0.4}
