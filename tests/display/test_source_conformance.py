"""What every input source promises, whoever is behind it."""

from collections.abc import Iterator
from pathlib import Path

import glfw
import numpy as np
import pytest

from vrapp.core.input import HandState, InputSource, SourceKind, Valid, pack_snapshot, unpack_snapshot
from vrapp.core.pose import Fov, Pose
from vrapp.display.desktop_input import DesktopInput
from vrapp.display.tour import open_tour
from vrapp.display.trace import TraceInput


class Pointer:
    logical_size = (800, 600)

    def capture_pointer(self, captured: bool) -> None:
        """Nothing to hold."""


def desk() -> InputSource:
    source = DesktopInput(Pointer(), lambda: Fov.symmetric(1.2, 4 / 3))
    source.keyboard_callback(None, glfw.KEY_W, 0, glfw.PRESS, 0)
    source.keyboard_callback(None, glfw.KEY_Q, 0, glfw.PRESS, 0)
    source.mouse_callback(None, 100, 500)
    return source


def tour() -> InputSource:
    return open_tour()


def script() -> InputSource:
    return TraceInput(Path(__file__).with_name("walk.toml"))


@pytest.fixture(params=[desk, tour, script])
def source(request: pytest.FixtureRequest) -> Iterator[InputSource]:
    opened = request.param()
    yield opened
    opened.close()
    opened.close()


def check_pose(pose: Pose) -> None:
    for values, shape in ((pose.position, (3,)), (pose.orientation, (4,))):
        assert values.dtype == np.float32
        assert values.shape == shape
        assert np.isfinite(values).all()
    assert np.linalg.norm(pose.orientation) == pytest.approx(1, abs=1e-4)


def check_hand(hand: HandState) -> None:
    check_pose(hand.grip)
    check_pose(hand.aim)
    assert 0 <= hand.trigger <= 1
    assert 0 <= hand.squeeze <= 1
    assert all(-1 <= v <= 1 for v in hand.stick)
    assert hand.joints is None or hand.joints.shape == (26, 8)


def test_snapshots_are_whole(source: InputSource) -> None:
    assert isinstance(source, InputSource)
    for time_ns in (10**9, 10**9 + 11_111_111, 10**9 + 11_111_111, 4 * 10**9, 3 * 10**9, 10**11):
        s = source.poll(time_ns)
        assert s.time_ns == time_ns
        assert s.valid & Valid.HEAD
        assert s.source is not SourceKind.NONE
        check_pose(s.head)
        check_pose(s.gaze)
        for hand in s.hands:
            check_hand(hand)
        again = unpack_snapshot(pack_snapshot(s))
        assert (again.buttons, again.valid, again.source) == (s.buttons, s.valid, s.source)
    source.vibrate(0, 0.5, 0.1)
    source.vibrate(1, 9.0, -1.0)
