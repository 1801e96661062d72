"""What the recorder writes, the input trace reads: a visit can be walked again, also one that was cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vrapp.core.input import Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import normalise
from vrapp.core.pose import Pose
from vrapp.display.trace import TraceInput
from vrapp.study.recorder import Recorder

STEP_NS = 11_111_111


def snapshots(count: int) -> list[InputSnapshot]:
    draw = np.random.default_rng(3)

    def pose() -> Pose:
        return Pose(draw.normal(size=3).astype(np.float32), normalise(draw.normal(size=4).astype(np.float32)))

    def hand() -> HandState:
        return HandState(pose(), pose(), float(draw.random()), float(draw.random()), (0.25, -0.5))

    tracked = Valid.HEAD | Valid.LEFT_HAND | Valid.RIGHT_HAND
    return [
        InputSnapshot(
            5_000 + n * STEP_NS, pose(), (hand(), hand()), Button.KEEP if n % 9 == 0 else Button(0), tracked,
            SourceKind.DESKTOP,
        )
        for n in range(count)
    ]  # fmt: skip


def assert_same(found: InputSnapshot, expected: InputSnapshot) -> None:
    for a, b in ((found.head, expected.head), (found.hands[0].grip, expected.hands[0].grip)):
        np.testing.assert_allclose(a.position, b.position, atol=1e-6)
        assert abs(abs(float(np.dot(a.orientation, b.orientation))) - 1) < 1e-5
    assert found.hands[1].squeeze == np.float32(expected.hands[1].squeeze)
    assert found.buttons == expected.buttons
    assert found.source == SourceKind.TRACE


def test_a_visit_is_walked_again(tmp_path: Path) -> None:
    visit = snapshots(100)
    recorder = Recorder(tmp_path, {"seed": 7})
    for snapshot in visit:
        recorder.frame(snapshot)
    recorder.decision(visit[-1].time_ns, "policy", name="frozen")  # other topics don't disturb
    recorder.close()
    trace = TraceInput(recorder.path, loop=False)
    for snapshot in visit:
        assert_same(trace.poll(snapshot.time_ns + 777), snapshot)

    whole = recorder.path.read_bytes()
    recorder.path.write_bytes(whole[: len(whole) // 2])
    cut = TraceInput(recorder.path, loop=False)
    assert cut.notice
    assert_same(cut.poll(0), visit[0])
