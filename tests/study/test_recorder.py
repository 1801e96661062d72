"""The recorder process: nothing is lost, whoever is killed; nothing is written over; trouble is told."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from vrapp.core.errors import OutputError
from vrapp.core.events import Act, Event
from vrapp.core.generation import GeneratedObject, GenerationRequest, Steering
from vrapp.core.input import INPUT_DTYPE, InputSnapshot, unpack_snapshot
from vrapp.core.mesh import Mesh
from vrapp.core.pose import Pose
from vrapp.study.journal import read_messages, read_metadata, read_session
from vrapp.study.recorder import Recorder
from vrapp.study.ring import State, Word

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def snapshot(number: int) -> InputSnapshot:
    return InputSnapshot(number, head=Pose(np.array([number, 2, 3], np.float32)))


def input_times(folder: Path) -> list[int]:
    return [message.time_ns for message in read_session(folder) if message.topic == "/input"]


def wait_until_writing(recorder: Recorder) -> None:
    deadline = time.monotonic() + 60
    while recorder._ring[Word.STATE] != State.WRITING and time.monotonic() < deadline:
        time.sleep(0.01)


def test_frames_come_back_bit_for_bit(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "visit", {"seed": 7, "weights": "abc"})
    for number in range(100):
        recorder.frame(snapshot(number))
    recorder.close()
    recorder.close()
    messages = list(read_messages(tmp_path / "visit" / "session.mcap"))
    assert [m.time_ns for m in messages] == list(range(100))
    assert [m.sequence for m in messages] == list(range(100))
    assert unpack_snapshot(messages[42].content).head.position.tolist() == [42, 2, 3]
    metadata = read_metadata(recorder.path)
    assert (metadata["seed"], metadata["weights"], metadata["part"]) == ("7", "abc", "0")


def test_events_and_decisions(tmp_path: Path) -> None:
    latent = np.arange(512, dtype=np.float32)
    mesh = Mesh((), np.zeros((2, 3), np.float32), np.zeros((0, 3), np.float32))
    with_velocity = np.array([1, 2, 3.5], np.float32)
    recorder = Recorder(tmp_path, {})
    recorder.event(Event(Act.THROW, 5, 77, 1, 0.25, with_velocity, (77, 78)))
    recorder.request(6, GenerationRequest(3, 9, Steering(2, near=latent)))
    recorder.shown(7, 77, GeneratedObject(3, 2, latent, latent[:6], mesh, "hash"))
    recorder.decision(8, "policy", name="frozen")
    recorder.close()
    found = [(m.topic, m.time_ns, json.loads(m.content)) for m in read_messages(recorder.path)]
    topic, time_ns, event = found[0]
    assert (topic, time_ns) == ("/events", 5)
    assert (event["act"], event["handle"], event["hand"], event["seconds"]) == ("throw", 77, 1, 0.25)
    assert (event["velocity"], event["visible"]) == ([1, 2, 3.5], [77, 78])
    assert [(topic, d["kind"]) for topic, _, d in found[1:]] == [
        ("/decisions", k) for k in ("request", "shown", "policy")
    ]
    assert np.frombuffer(base64.b64decode(found[2][2]["latent_f32"]), "<f4").tolist() == latent.tolist()
    assert found[1][2]["near_f32"] == found[2][2]["latent_f32"]


def test_a_stranger_can_decode_it(tmp_path: Path) -> None:
    """With nothing but the file: its schema tells where each number lies."""
    recorder = Recorder(tmp_path, {})
    recorder.frame(snapshot(42))
    recorder.close()
    with recorder.path.open("rb") as stream:
        schema, channel, message = next(iter(make_reader(stream).iter_messages(topics="/input")))
    assert channel.message_encoding == "vrapp-struct"
    layout = json.loads(schema.data)
    assert layout["size"] == len(message.data) == INPUT_DTYPE.itemsize
    head = next(field for field in layout["fields"] if field["name"] == "head_position")
    assert (head["type"], head["count"]) == ("<f4", 3)
    assert struct.unpack_from("<3f", message.data, head["offset"]) == (42, 2, 3)
    right = next(field for field in layout["fields"] if field["name"] == "right")
    assert {part["name"] for part in right["fields"]} >= {"trigger", "squeeze", "stick"}


def test_an_existing_recording_is_never_touched(tmp_path: Path) -> None:
    kept = tmp_path / "session.mcap"
    kept.write_bytes(b"dear")
    with pytest.raises(OutputError, match="already"):
        Recorder(tmp_path, {})
    assert kept.read_bytes() == b"dear"


def test_unwritable_places_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/vrapp")):
        with pytest.raises(OutputError, match="recording"):
            Recorder(folder, {})


def test_a_full_ring_loses_and_tells(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, {}, capacity=4096)
    for number in range(100):  # before the recorder process is up
        recorder.frame(snapshot(number))
    assert recorder.dropped > 50
    lost = recorder.dropped
    with pytest.raises(OutputError, match="not complete"):
        recorder.close()
    assert input_times(tmp_path) == list(range(100 - lost))


@posix
@pytest.mark.parametrize("begun", [True, False])
def test_a_killed_recorder_loses_nothing(begun: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also where it dies before it has written anything."""
    caplog.set_level(logging.WARNING)
    recorder = Recorder(tmp_path, {"seed": 7})
    for number in range(50):
        recorder.frame(snapshot(number))
    if begun:
        wait_until_writing(recorder)
    first = recorder._process
    os.kill(first.pid or 0, signal.SIGKILL)
    first.join()
    number = 50
    while recorder._process is first:
        recorder.frame(snapshot(number))
        number += 1
        time.sleep(0.01)
    for later in range(number, number + 50):
        recorder.frame(snapshot(later))
    recorder.close()
    assert recorder.path.name == "session-001.mcap"
    assert input_times(tmp_path) == list(range(number + 50))
    assert read_metadata(recorder.path)["part"] == "1"
    assert len([r for r in caplog.records if "recording" in r.message]) == 1


@posix
def test_a_recorder_killed_at_the_very_end_loses_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, {})
    wait_until_writing(recorder)
    os.kill(recorder._process.pid or 0, signal.SIGKILL)
    recorder._process.join()
    for number in range(50):
        recorder._ring.put(0, number, bytes(INPUT_DTYPE.itemsize))
    recorder.close()
    assert input_times(tmp_path) == list(range(50))


_VISIT = """
import sys, time
from pathlib import Path
from vrapp.core.errors import VrappError
from vrapp.core.input import InputSnapshot
from vrapp.study.recorder import Recorder

def main():
    try:
        recorder = Recorder(Path(sys.argv[1]), {}, capacity=int(sys.argv[3]))
        try:
            for number in range(int(sys.argv[2])):
                recorder.frame(InputSnapshot(number))
                print(number, flush=True)
                time.sleep(0.001)
        finally:
            recorder.close()
    except KeyboardInterrupt:
        return 130
    except VrappError as e:
        print(e, file=sys.stderr)
        return e.exit_code
    return 0

if __name__ == "__main__":
    sys.exit(main())
"""


def visit(
    tmp_path: Path, frames: int = 100_000, before: str = "", capacity: int = 8 << 20, shell: str = '"$@"'
) -> tuple[subprocess.Popen[str], Path]:
    """A process that records frames and prints the number of each that it has put."""
    script = tmp_path / "visit.py"
    script.write_text(before + _VISIT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    folder = tmp_path / "visit"
    program = [sys.executable, str(script), str(folder), str(frames), str(capacity)]
    command = program if shell == '"$@"' else ["unshare", "-rm", "sh", "-c", shell, str(folder), *program]
    return subprocess.Popen(command, env=environment, start_new_session=True, **pipes), folder


def read_numbers(program: subprocess.Popen[str], count: int) -> int:
    assert program.stdout is not None
    for _ in range(count):
        last = int(program.stdout.readline())
    return last


def wait_for_the_end(path: Path) -> None:
    """The recorder outlives the program: until the file has its last bytes."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes()[-8:] == b"\x89MCAP0\r\n" and path.stat().st_size > 8:
            return
        time.sleep(0.05)
    pytest.fail("the recorder did not finish its file")


def kill_the_program(tmp_path: Path, after: int) -> None:
    program, folder = visit(tmp_path)
    read_numbers(program, after)
    program.kill()
    assert program.stdout is not None
    printed = [after - 1, *(int(line) for line in program.stdout.read().split())]
    program.wait()
    wait_for_the_end(folder / "session.mcap")
    times = input_times(folder)
    assert times == list(range(len(times)))
    assert len(times) >= max(printed) + 1  # nothing that was put is lost
    with (folder / "session.mcap").open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == len(times)


@posix
@pytest.mark.parametrize("after", [1, 700])
def test_a_killed_program_loses_nothing(after: int, tmp_path: Path) -> None:
    kill_the_program(tmp_path, after)


@posix
@pytest.mark.slow
@pytest.mark.parametrize("after", range(1, 1501, 30))
def test_killed_at_many_moments(after: int, tmp_path: Path) -> None:
    kill_the_program(tmp_path, after)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_whole_group_lose_nothing(number: int, tmp_path: Path) -> None:
    """Ctrl-C and `kill` of a group reach the recorder as well."""
    before = (
        "import signal, sys\n"
        "if __name__ == '__main__':  # not in the recorder, which imports this, too\n"
        "    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)  # the test run may ignore it\n"
    )
    program, folder = visit(tmp_path, before=before)
    last = read_numbers(program, 300)
    os.killpg(program.pid, number)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 128 + number
    assert "Traceback" not in err
    numbers = [last, *(int(line) for line in out.split())]
    assert input_times(folder)[: max(numbers) + 1] == list(range(max(numbers) + 1))


@posix
def test_a_file_that_can_grow_no_more_is_followed_by_another(tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
    program, folder = visit(tmp_path, frames=3000, before=limit, capacity=512 << 10)
    _, err = program.communicate(timeout=120)
    assert program.returncode == 0
    assert "The recording stopped (File too large)" in err
    assert input_times(folder) == list(range(3000))
    assert len(list(folder.iterdir())) == 2


@posix
def test_too_little_shared_memory_is_told(tmp_path: Path) -> None:
    """As in a container: it must be told, not end in a bus error at some later frame."""
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode or not Path("/dev/shm").is_dir():
        pytest.skip("no mount namespaces on this machine")
    program, folder = visit(tmp_path, shell='mount -t tmpfs -o size=1m tmpfs /dev/shm && "$@"')
    _, err = program.communicate(timeout=60)
    assert program.returncode == 2
    assert err.startswith("No shared memory is left for recording")
    assert err.count("\n") == 1
    assert list(folder.iterdir()) == []


@posix
@pytest.mark.slow
def test_a_disk_that_fills_up_is_told_at_the_end(tmp_path: Path) -> None:
    """The world goes on; the exit says that the recording is not whole. What fitted is readable."""
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("no mount namespaces on this machine")
    counter = tmp_path / "count.py"
    counter.write_text(
        "import pathlib, sys, vrapp.study.journal as j\nprint(len(list(j.read_session(pathlib.Path(sys.argv[1])))))"
    )
    read = f"{sys.executable} {counter}"
    shell = f'mkdir "$0"; mount -t tmpfs -o size=300k tmpfs "$0" && "$@"; code=$?; {read} "$0"; exit $code'
    program, _ = visit(tmp_path, frames=3000, capacity=256 << 10, shell=shell)
    out, err = program.communicate(timeout=120)
    assert "2999" in out.split()
    assert program.returncode == 2
    assert "is not complete: No space left on device" in err
    assert "goes on without recording" in err
    assert "Traceback" not in err
    assert int(out.split()[-1]) > 500


@posix
def test_no_room_at_the_beginning_is_told(tmp_path: Path) -> None:
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    program, folder = visit(tmp_path, before=limit)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 2
    assert err.count("\n") == 1
    assert "No recording can be written" in err
    assert list(folder.iterdir()) == []
