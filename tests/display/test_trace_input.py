"""Recorded and scripted people: exact at recorded times, smooth between, and honest about bad files."""

import json
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType, Writer

from vrapp.core.errors import InputFileError
from vrapp.core.input import (
    INPUT_DTYPE,
    LEFT,
    RIGHT,
    Button,
    HandState,
    InputSnapshot,
    SourceKind,
    Valid,
    pack_snapshot,
    unpack_snapshot,
)
from vrapp.core.maths import forward, quat_from_yaw_pitch, rotate, vec3
from vrapp.core.pose import Pose
from vrapp.display.trace import TraceInput
from vrapp.display.trace_file import Records, read_recording, write_recording

STEP_NS = 10_000_000
START_NS = 5_000_000_000


def person(i: int) -> InputSnapshot:
    """Somebody who walks to the right and turns left by 0.02 rad each 10 ms."""
    head = Pose(vec3(0.01 * i, 1.65, 0), quat_from_yaw_pitch(0.02 * i, 0.1))
    hand = HandState(head, head, squeeze=float(i == 7), stick=(0.5, -0.5))
    buttons = Button.KEEP if i == 5 else Button(0)
    return InputSnapshot(START_NS + i * STEP_NS, head, (hand, hand), buttons, Valid.HEAD | Valid.RIGHT_HAND)


def records_of(count: int) -> Records:
    return np.frombuffer(b"".join(pack_snapshot(person(i)) for i in range(count)), INPUT_DTYPE).copy()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "session.mcap"
    write_recording(path, records_of(20))
    return path


def test_at_recorded_times_it_is_the_record_exactly(recording: Path) -> None:
    source = TraceInput(recording)
    for i in range(20):
        replayed = source.poll(77 + i * STEP_NS)
        assert (replayed.time_ns, replayed.source) == (77 + i * STEP_NS, SourceKind.TRACE)
        once = unpack_snapshot(pack_snapshot(person(i)))
        np.testing.assert_array_equal(replayed.head.position, once.head.position)
        np.testing.assert_array_equal(replayed.head.orientation, once.head.orientation)
        assert replayed.hands[RIGHT].squeeze == once.hands[RIGHT].squeeze
        assert replayed.buttons == once.buttons


def test_between_records_poses_glide(recording: Path) -> None:
    source = TraceInput(recording)
    source.poll(0)
    s = source.poll(3 * STEP_NS + STEP_NS // 4)
    np.testing.assert_allclose(s.head.position, (0.0325, 1.65, 0), atol=1e-6)
    np.testing.assert_allclose(s.head.orientation, quat_from_yaw_pitch(0.065, 0.1), atol=1e-5)


def test_presses_between_slow_polls_are_kept(recording: Path) -> None:
    source = TraceInput(recording)
    assert source.poll(0).buttons == Button(0)
    s = source.poll(9 * STEP_NS)
    assert s.buttons == Button.KEEP
    assert s.hands[LEFT].squeeze == 1
    s = source.poll(10 * STEP_NS)
    assert s.buttons == Button(0)
    assert s.hands[LEFT].squeeze == 0


def test_it_loops_or_stays(recording: Path) -> None:
    looped, once = TraceInput(recording), TraceInput(recording, loop=False)
    for source in (looped, once):
        source.poll(0)
    assert looped.poll(20 * STEP_NS).head.position[0] == pytest.approx(0)
    assert looped.poll(1_000_003 * 20 * STEP_NS).head.position[0] == pytest.approx(0)
    assert not looped.finished
    assert once.poll(10**12).head.position[0] == pytest.approx(0.19)
    assert once.finished


def test_a_looped_trace_never_quits_and_a_single_one_does(tmp_path: Path) -> None:
    records = records_of(3)
    records["buttons"] = int(Button.QUIT | Button.HELP)
    write_recording(tmp_path / "q.mcap", records)
    assert TraceInput(tmp_path / "q.mcap").poll(0).buttons == Button.HELP
    assert TraceInput(tmp_path / "q.mcap", loop=False).poll(0).buttons == Button.HELP | Button.QUIT


def test_a_pause_in_the_recording_is_not_glided_over(tmp_path: Path) -> None:
    records = records_of(4)
    records["time_ns"][2:] += 10_000_000_000
    write_recording(tmp_path / "gap.mcap", records)
    source = TraceInput(tmp_path / "gap.mcap")
    source.poll(0)
    assert source.poll(5_000_000_000).head.position[0] == pytest.approx(0.01)


def test_the_clock_going_back_is_no_error(recording: Path) -> None:
    source = TraceInput(recording)
    source.poll(10**9)
    assert source.poll(0).head.position[0] == pytest.approx(0)


def test_one_record_is_a_trace(tmp_path: Path) -> None:
    write_recording(tmp_path / "one.mcap", records_of(1))
    source = TraceInput(tmp_path / "one.mcap")
    for t in (0, 1, 10**10):
        assert source.poll(t).head.position[1] == pytest.approx(1.65)


@pytest.mark.parametrize("compression", [CompressionType.NONE, CompressionType.ZSTD])
def test_a_cut_file_gives_all_up_to_the_cut(tmp_path: Path, compression: CompressionType) -> None:
    whole = tmp_path / "whole.mcap"
    with whole.open("wb") as stream:
        writer = Writer(stream, chunk_size=1000, compression=compression)
        writer.start()
        schema = writer.register_schema("vrapp.InputSnapshot", "vrapp-struct", b"{}")
        channel = writer.register_channel("/input", "vrapp-struct", schema)
        for r in records_of(20):
            writer.add_message(channel, int(r["time_ns"]), r.tobytes(), int(r["time_ns"]))
        writer.finish()
    content = whole.read_bytes()
    counts = set()
    for length in range(0, len(content), 37):
        (tmp_path / "cut.mcap").write_bytes(content[:length])
        try:
            records, notice = read_recording(tmp_path / "cut.mcap")
        except InputFileError:
            continue
        counts.add(len(records))
        assert (records["head_position"][:, 1] == np.float32(1.65)).all()
        assert notice.endswith("moments.") or len(records) == 20
    assert len(counts) > 3
    assert max(counts) == 20


def test_random_damage_never_ends_in_a_traceback(recording: Path, tmp_path: Path) -> None:
    content, rng = recording.read_bytes(), np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 4):
            damaged[place] = rng.integers(0, 256)
        (tmp_path / "damaged.mcap").write_bytes(damaged)
        try:
            source = TraceInput(tmp_path / "damaged.mcap")
        except InputFileError:
            continue
        s = source.poll(0)
        assert np.isfinite(s.head.position).all()


def test_impossible_poses_are_left_out_and_told(tmp_path: Path) -> None:
    records = records_of(6)
    records["head_position"][2] = np.nan
    records["head_orientation"][3] = 0
    records["time_ns"][5] = 2**62
    records["left"]["grip_orientation"][4] = np.inf  # not tracked: no harm
    write_recording(tmp_path / "odd.mcap", records)
    source = TraceInput(tmp_path / "odd.mcap")
    assert "3 moments with impossible poses or times" in source.notice
    source.poll(0)
    assert np.isfinite(source.poll(4 * STEP_NS).hands[LEFT].grip.orientation).all()


def foreign_topic(path: Path) -> None:
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        channel = writer.register_channel("/camera", "json", 0)
        writer.add_message(channel, 1, b"{}", 1)
        writer.finish()


def foreign_encoding(path: Path) -> None:
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        channel = writer.register_channel("/input", "cdr", 0)
        writer.add_message(channel, 1, b"\0" * INPUT_DTYPE.itemsize, 1)
        writer.finish()


def other_version(path: Path) -> None:
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        channel = writer.register_channel("/input", "vrapp-struct", 0)
        writer.add_message(channel, 1, b"\0" * 100, 1)
        writer.finish()


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("missing.mcap", lambda p: None, "No such file"),
        ("folder.mcap", lambda p: p.mkdir(), "Is a directory"),
        ("empty.mcap", lambda p: p.write_bytes(b""), "damaged from the start"),
        ("text.mcap", lambda p: p.write_text("hello\n" * 100), "no recording"),
        ("picture.png", lambda p: p.write_bytes(b"\x89PNG\r\n" + bytes(300)), "no recording"),
        ("topic.mcap", foreign_topic, "no moment of input"),
        ("encoding.mcap", foreign_encoding, "'cdr'"),
        ("version.mcap", other_version, "another version"),
        ("nan.mcap", lambda p: write_recording(p, _nans()), "none of them with sound poses"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, name: str, make, says: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path / name)
    with pytest.raises(InputFileError, match=says) as raised:
        TraceInput(tmp_path / name)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def _nans() -> Records:
    records = records_of(3)
    records["head_position"] = np.nan
    return records


SCRIPT = """
[[keyframe]]
time_s = 0.0
head = { position = [0, 1.7, 0] }

[[keyframe]]
time_s = 1.0
head = { position = [1, 1.7, 0], yaw_deg = 90 }
right = { position = [0.2, 1.4, -0.5] }
buttons = ["KEEP"]

[[keyframe]]
time_s = 2.0
right = { squeeze = 1.0, stick = [0, 1] }
"""


def test_a_script_glides_and_steps(tmp_path: Path) -> None:
    path = tmp_path / "walk.toml"
    path.write_text(SCRIPT)
    source = TraceInput(path, loop=False)
    assert source.duration_s == 2
    first = source.poll(0)
    assert first.valid == Valid.HEAD | Valid.RIGHT_HAND
    half = source.poll(500_000_000)
    np.testing.assert_allclose(half.head.position, (0.5, 1.7, 0), atol=0.01)
    np.testing.assert_allclose(half.head.orientation, quat_from_yaw_pitch(np.pi / 4, 0), atol=0.01)
    assert half.buttons == Button(0)
    assert source.poll(1_000_000_000).buttons == Button.KEEP
    assert source.poll(1_900_000_000).hands[RIGHT].squeeze == 0
    last = source.poll(2_000_000_000)
    assert last.hands[RIGHT].squeeze == 1
    assert last.hands[RIGHT].stick == (0, 1)
    np.testing.assert_allclose(last.hands[RIGHT].grip.position, (0.2, 1.4, -0.5), atol=1e-6)


def test_a_hand_rolls_about_where_it_points(tmp_path: Path) -> None:
    path = tmp_path / "roll.toml"
    path.write_text("[[keyframe]]\ntime_s = 0\nright = { yaw_deg = 40, pitch_deg = 20, roll_deg = 90 }\n")
    aim = TraceInput(path, loop=False).poll(0).hands[RIGHT].aim
    np.testing.assert_allclose(aim.forward, forward(quat_from_yaw_pitch(np.radians(40), np.radians(20))), atol=1e-6)
    np.testing.assert_allclose(rotate(aim.orientation, (0, 1, 0))[1], 0, atol=1e-6)  # what was up lies level


def test_the_same_script_as_json(tmp_path: Path) -> None:
    frames = [{"time_s": 0, "head": {"yaw_deg": 0}}, {"time_s": 1, "head": {"yaw_deg": 90}, "buttons": "MORE"}]
    path = tmp_path / "turn.json"
    path.write_text(json.dumps({"keyframe": frames}))
    source = TraceInput(path)
    source.poll(0)
    assert source.poll(1_000_000_000).buttons == Button.MORE


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("", "no keyframes"),
        ("keyframe = 3", "no keyframes"),
        ("[[keyframe]", "not well formed"),
        ("[[keyframe]]\nhead = {}", "time_s"),
        ("[[keyframe]]\ntime_s = nan", "time_s"),
        ("[[keyframe]]\ntime_s = -1", "time_s"),
        ("[[keyframe]]\ntime_s = 1e9", "time_s"),
        ("[[keyframe]]\ntime_s = 1\n[[keyframe]]\ntime_s = 1", "keyframe 2"),
        ("[[keyframe]]\ntime_s = 0\nhaed = {}", "'haed'"),
        ("[[keyframe]]\ntime_s = 0\nhead = 3", "keyframe 1: head"),
        ("[[keyframe]]\ntime_s = 0\nhead = { squeeze = 1 }", "'squeeze'"),
        ("[[keyframe]]\ntime_s = 0\nhead = { position = [0, 1] }", "3 numbers"),
        ("[[keyframe]]\ntime_s = 0\nhead = { position = [0, inf, 1] }", "3 numbers"),
        ("[[keyframe]]\ntime_s = 0\nleft = { squeeze = -1 }", "from 0 to 1"),
        ("[[keyframe]]\ntime_s = 0\nbuttons = ['JUMP']", "'JUMP'"),
    ],
)
def test_a_wrong_script_says_where(tmp_path: Path, script: str, says: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(script)
    with pytest.raises(InputFileError, match=says) as raised:
        TraceInput(path)
    assert "wrong.toml" in str(raised.value)
