import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import generation_toy as toy
import numpy as np
import pytest

from vrapp.core.errors import WeightsError, WorkerDied
from vrapp.core.generation import GenerationRequest, Generator, GeneratorFigures, Steering
from vrapp.generation.components import is_closed
from vrapp.generation.packing import mesh_hash
from vrapp.generation.service import ModelSource, State, WorkerGenerator

BOX, BALL, BROKEN, DEADLY = range(4)
WEIGHTS = Path("toy.safetensors")
LIMIT_S = 600.0  # only against hanging


def open_toy(load=toy.load, **options):
    return WorkerGenerator(WEIGHTS, source=ModelSource(toy.describe, load), **options)


@pytest.fixture(scope="module")
def shared():
    """One worker for all tests that leave it alive: starting one loads torch."""
    opened = open_toy()
    yield opened
    opened.close()


@pytest.fixture
def generator(shared):
    shared.figures = GeneratorFigures()
    yield shared
    shared.set_pace("load")
    collect_until(shared, lambda _: shared.figures.in_flight == 0)


@pytest.fixture
def own():
    """A worker that the test may kill."""
    opened = open_toy()
    yield opened
    opened.close()


def collect_until(generator, done):
    """All objects until ``done(objects)``; fails after a while rather than hang."""
    objects, give_up = [], time.monotonic() + LIMIT_S
    while not done(objects):
        assert time.monotonic() < give_up, f"{generator.state}, {generator.figures}"
        objects += generator.collect(0)
        time.sleep(0.005)
    return objects


def ask(generator, *categories, first=0):
    for i, category in enumerate(categories):
        assert generator.submit(GenerationRequest(first + i, 7, Steering(category)))


def test_objects_come_back_whole(generator):
    assert isinstance(generator, Generator)
    ask(generator, BOX, BALL)
    objects = sorted(collect_until(generator, lambda o: len(o) == 2), key=lambda o: o.request_id)
    for made, category in zip(objects, (BOX, BALL), strict=True):
        assert made.category == category
        assert made.latent.shape == (704,)
        assert made.components.shape == (6,)
        assert [level.triangles for level in made.mesh.levels] == sorted(
            (level.triangles for level in made.mesh.levels), reverse=True
        )
        assert all(is_closed(level.indices) for level in made.mesh.levels)
        assert made.mesh_hash == mesh_hash(made.mesh)
        position = made.mesh.levels[0].vertices["position"]
        np.testing.assert_array_equal(made.mesh.box, [position.min(0), position.max(0)])
        assert len(made.mesh.hull) <= 48
        assert made.latency_s > 0
    assert generator.figures.in_flight == 0
    assert generator.figures.requested == 2


def test_the_queue_is_bounded_and_says_so(generator):
    taken = [generator.submit(GenerationRequest(i, 1, Steering(BOX))) for i in range(20)]
    assert sum(taken) == 16
    collect_until(generator, lambda o: len(o) == 16)
    assert generator.submit(GenerationRequest(100, 1, Steering(BOX)))


def test_wrong_requests_are_refused_at_once(generator):
    ask(generator, BOX)
    with pytest.raises(ValueError, match="on its way"):
        ask(generator, BOX)
    with pytest.raises(ValueError, match="Category 9"):
        ask(generator, 9, first=1)
    with pytest.raises(ValueError, match="pace"):
        generator.set_pace("fast")


def test_an_object_depends_on_seed_and_request_alone(generator):
    """Other order, other neighbours, another worker: the same meshes."""
    ask(generator, BOX, BALL, BOX)
    first = {o.request_id: o for o in collect_until(generator, lambda o: len(o) == 3)}
    other = open_toy(fixed_latency_frames=2)
    for request_id in (2, 0):
        other.submit(GenerationRequest(request_id, 7, Steering(BOX)))
    again = other.collect(2)
    other.close()
    assert [o.request_id for o in again] == [2, 0]  # oldest request first
    for made in again:
        assert made.mesh_hash == first[made.request_id].mesh_hash
        np.testing.assert_array_equal(made.latent, first[made.request_id].latent)
    assert first[0].mesh_hash != first[2].mesh_hash


def test_under_a_fixed_clock_results_come_exactly_l_frames_later():
    generator = open_toy(fixed_latency_frames=3)
    ask(generator, BOX)
    assert [len(generator.collect(frame)) for frame in (1, 2, 3)] == [0, 0, 1]
    ask(generator, BALL, BROKEN, first=1)
    assert [len(generator.collect(frame)) for frame in (4, 5, 6)] == [0, 0, 1]
    generator.close()


def test_what_the_gate_refuses_is_counted_and_given_up(generator):
    ask(generator, BROKEN)
    collect_until(generator, lambda _: generator.figures.in_flight == 0)
    assert generator.figures.rejected == 8
    assert generator.figures.rejected_why == {"empty": 8}


def test_steering_prefers_what_it_is_asked_for(generator):
    plain = Steering(BOX)
    tall = Steering(BOX, candidates=16, utility=np.array([0, 1, 0, 0, 0, 0], np.float32))
    like = np.full(704, 0.25, np.float32)
    near = Steering(BOX, near=like, nearness=0.95)
    for i in range(6):
        generator.submit(GenerationRequest(i, 3, (plain, tall, near)[i % 3]))
    made = {o.request_id: o for o in collect_until(generator, lambda o: len(o) == 6)}
    height = [np.mean([made[i].components[1], made[i + 3].components[1]]) for i in range(3)]
    assert height[1] > height[0]
    assert made[1].components[1] > 0.8  # the best of sixteen
    for request_id, expected in ((0, 0.3), (2, 0.1), (5, 0.1)):
        distance = np.abs(np.delete(made[request_id].latent, 3) - like[0]).mean()
        assert distance > expected if request_id == 0 else distance < expected
    assert not np.array_equal(made[2].latent, made[5].latent)


def test_a_killed_worker_is_replaced_and_nothing_is_lost(own):
    ask(own, BOX)
    collect_until(own, lambda o: len(o) == 1)
    own.set_pace("off")
    ask(own, BOX, BALL, first=1)
    os.kill(own._process.pid, signal.SIGKILL)
    own._process.join()
    own.collect(0)
    own.set_pace("idle")
    objects = collect_until(own, lambda o: len(o) == 2)
    assert {o.request_id for o in objects} == {1, 2}
    assert own.state is State.READY


@pytest.mark.slow
def test_a_request_that_kills_its_worker_is_dropped(own):
    ask(own, BALL, DEADLY, BOX)
    assert [o.request_id for o in collect_until(own, lambda o: len(o) == 2)] == [0, 2]
    collect_until(own, lambda _: own.figures.in_flight == 0)
    assert own.unmade() == [1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_what_was_made(own):
    """At most 1 MB over 1,000 objects, in either process, once the first 900 have filled its allocator's pools.

    Medians of several readings: one may fall into an object's peak.
    """
    held: list[list[float]] = []
    for total in range(900, 2_000, 50):
        while own.figures.requested < total:
            own.submit(GenerationRequest(own.figures.requested, 7, Steering(BALL)))
            own.collect(0)
            time.sleep(0.001)
        collect_until(own, lambda _: own.figures.in_flight == 0)
        held.append([resident_mb(pid) for pid in (os.getpid(), own._process.pid)])
    growth = np.median(held[-6:], axis=0) - np.median(held[:6], axis=0)  # 800 objects apart
    assert (growth < 0.8).all(), growth


def resident_mb(pid):
    """Memory of its own, without what is shared (slots that are touched for the first time)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


@pytest.mark.slow
def test_a_worker_that_keeps_dying_ends_in_a_clear_state():
    generator = open_toy(toy.load_crashing)
    ask(generator, BOX)
    collect_until(generator, lambda _: generator.state is State.STOPPED)
    assert generator.collect(1) == []
    assert not generator.submit(GenerationRequest(5, 7, Steering(BOX)))
    assert generator.figures.device == "stopped"
    assert "3 times in a row" in generator.figures.stopped
    generator.close()


def test_under_a_fixed_clock_a_worker_that_keeps_dying_is_an_error(caplog):
    generator = open_toy(toy.load_crashing, fixed_latency_frames=1)
    ask(generator, BOX)
    with pytest.raises(WorkerDied, match="a bug") as caught:
        generator.collect(1)
    assert "\n" not in str(caught.value)
    assert caplog.text.count("worker ended (exit code") == 3
    assert caplog.text.count("Traceback") == 1  # of three that are the same
    generator.close()


def test_damaged_weights_end_in_one_sentence():
    generator = open_toy(toy.load_damaged)
    with pytest.raises(WeightsError, match="are damaged; get them again"):
        collect_until(generator, lambda _: False)
    generator.close()


def test_closing_never_hangs_and_can_be_repeated():
    generator = open_toy(toy.load_never)
    ask(generator, BOX)
    generator.close()
    generator.close()
    assert not generator._process.is_alive()
    assert not generator.submit(GenerationRequest(9, 7, Steering(BOX)))


def test_a_resting_worker_makes_nothing(generator):
    ask(generator, BOX)
    collect_until(generator, lambda o: len(o) == 1)
    generator.set_pace("off")
    ask(generator, BOX, first=1)
    time.sleep(0.5)
    assert generator.collect(0) == []
    generator.set_pace("load")
    collect_until(generator, lambda o: len(o) == 1)


MAIN = """
    import signal, sys, time
    from pathlib import Path
    from vrapp.core.generation import GenerationRequest, Steering
    from vrapp.generation.service import ModelSource, WorkerGenerator

    def describe(path):
        return type("D", (), {"categories": ("box",), "weights_hash": "toy", "latent_basis": ()})()

    def load(path):
        import generation_toy
        return generation_toy.load(path)

    if __name__ == "__main__":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run where it is ignored
        generator = WorkerGenerator(Path("x"), source=ModelSource(describe, load))
        generator.submit(GenerationRequest(0, 7, Steering(0)))
        while not (objects := generator.collect(0)):
            time.sleep(0.01)
        print(generator._process.pid, "torch" in sys.modules, flush=True)
        if "stay" in sys.argv:
            time.sleep(600)
        generator.close()
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(MAIN))
    root = Path(__file__).parents[2]
    search = os.pathsep.join((str(root), str(Path(__file__).parent)))
    return [sys.executable, str(path)], os.environ | {"PYTHONPATH": search}


def wait_gone(pid):
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_the_program_itself_never_loads_torch(program):
    command, environment = program
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert done.stdout.split()[1] == "False"
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="looks into Linux' /dev/shm and /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_when_the_program_ends_suddenly(program, how):
    command, environment = program
    before = set(os.listdir("/dev/shm"))
    running = subprocess.Popen(
        [*command, "stay"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    worker = int(running.stdout.readline().split()[0])
    if how is signal.SIGINT:
        os.killpg(running.pid, how)  # Ctrl-C reaches the whole group: the worker must not complain
    else:
        running.kill()
    _, errors = running.communicate(timeout=LIMIT_S)
    assert wait_gone(worker)
    assert {n for n in set(os.listdir("/dev/shm")) - before if "vrapp" in n or "psm" in n} == set()
    assert "resource_tracker" not in errors
    assert errors.count("Traceback") == (1 if how is signal.SIGINT else 0)  # the toy program's own
