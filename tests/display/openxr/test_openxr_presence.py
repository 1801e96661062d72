"""Taken off, covered by a menu, put on again: the world waits, the window lives, and nothing jumps."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xr
from sim_input import HANDS
from sim_runtime import SimulatedRuntime
from sim_visit import Start, Visit

from vrapp.core.comfort import Comfort
from vrapp.core.input import RIGHT, Button, SourceKind, Valid
from vrapp.core.maths import quat_from_yaw_pitch, vec3, yaw_of
from vrapp.core.pose import Pose
from vrapp.display.openxr.wishes import Wishes

pytestmark = [pytest.mark.gl, pytest.mark.usefixtures("no_screen")]
S, SPACES = xr.SessionState, xr.ReferenceSpaceType
SQUEEZE = "/user/hand/right/input/squeeze/value"


def height(visit: Visit) -> float:
    return float(visit.snapshot.head.position[1])


def test_a_menu_over_the_program_is_a_pause_that_is_still_drawn(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    runtime.inputs[SQUEEZE] = 1.0
    held = visit.frame()
    runtime.go(S.VISIBLE)
    paused = visit.frames(3)
    assert paused.valid == Valid.HEAD | Valid.AWAY
    assert (paused.hands[RIGHT].squeeze, paused.buttons) == (0, Button(0))
    np.testing.assert_array_equal(paused.hands[RIGHT].grip.position, held.hands[RIGHT].grip.position)
    assert len(runtime.frames[-1].eyes) == 2
    runtime.go(S.FOCUSED)
    back = visit.frames(2)
    assert back.hands[RIGHT].squeeze == 1
    assert not back.valid & Valid.AWAY


def test_who_is_not_there_does_nothing(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.inputs[SQUEEZE] = 1.0
    visit = start()
    assert not visit.frames(4).valid & Valid.AWAY
    runtime.tell_presence(False)
    away = visit.frames(2)
    assert away.valid & Valid.AWAY
    assert away.hands[RIGHT].squeeze == 0
    assert len(runtime.frames[-1].eyes) == 2  # the runtime still shows it, so it is drawn
    runtime.tell_presence(True)
    assert visit.frames(2).hands[RIGHT].squeeze == 1


@pytest.mark.parametrize("lacking", ["extension", "sensor"])
def test_without_a_sensor_the_focus_alone_tells(runtime: SimulatedRuntime, start: Start, lacking: str) -> None:
    if lacking == "sensor":
        runtime.presence_supported = False
    else:
        runtime.extensions.remove("XR_EXT_user_presence")
    visit = start()
    assert not visit.frames(4).valid & Valid.AWAY
    runtime.go(S.VISIBLE)
    assert visit.frame().valid & Valid.AWAY


def test_taken_off_the_user_stays_where_they_were(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    worn = visit.frames(5)
    runtime.take_off()
    away = visit.frames(3)
    assert visit.counts[-1] == 1
    assert (away.source, away.valid) == (SourceKind.HEADSET, Valid.AWAY)
    np.testing.assert_array_equal(away.head.position, worn.head.position)
    runtime.put_on()
    back = visit.frames(4)
    assert visit.counts[-1] == 2
    np.testing.assert_allclose(back.head.position, worn.head.position, atol=1e-6)


def until(visit: Visit, happened: Callable[[], bool]) -> None:
    """Frames, until what another thread does has happened."""
    for _ in range(2000):
        visit.frame()
        if happened():
            return
        time.sleep(0.002)
    raise AssertionError("it did not happen")


def test_the_window_lives_while_the_runtime_holds_frames_back(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(5)
    runtime.open_gate.clear()
    runtime.go(S.VISIBLE)
    runtime.go(S.SYNCHRONIZED)
    visit.frame()
    ended = len(runtime.frames)
    visit.frames(20)  # not one of them waits for the runtime
    assert len(runtime.frames) == ended
    assert visit.snapshot.valid & Valid.AWAY
    runtime.open_gate.set()
    until(visit, lambda: len(runtime.frames) > ended + 3)  # what it lets through is ended, empty
    assert runtime.frames[-1].eyes == []
    assert visit.counts[-1] == 1
    runtime.go(S.VISIBLE)
    runtime.go(S.FOCUSED)
    visit.frames(3)
    assert visit.counts[-1] == 2
    assert len(runtime.frames[-1].eyes) == 2


def test_a_frame_that_is_shown_but_held_back_goes_to_the_window(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(5)
    runtime.open_gate.clear()
    runtime.hold_back_in = (S.VISIBLE,)
    runtime.go(S.VISIBLE)
    visit.frame()
    assert visit.counts[-1] == 1
    runtime.open_gate.set()
    until(visit, lambda: visit.counts[-1] == 2)


def test_a_session_that_ends_while_a_frame_is_held_back(runtime: SimulatedRuntime, start: Start) -> None:
    """The wait is out when the headset is taken off, and comes back when it is on again: it counts for nothing."""
    visit = start()
    visit.frames(5)
    runtime.open_gate.clear()
    runtime.go(S.VISIBLE)
    runtime.go(S.SYNCHRONIZED)
    visit.frames(3)
    runtime.take_off()
    visit.frames(3)
    assert runtime.states[-1] is S.IDLE
    runtime.open_gate.set()
    time.sleep(0.05)
    runtime.put_on()
    until(visit, lambda: visit.counts[-1] == 2)
    assert visit.display.lost is None


@pytest.mark.parametrize("result", [xr.Result.ERROR_SESSION_LOST, xr.Result.ERROR_INSTANCE_LOST])
def test_a_loss_while_nobody_looks(runtime: SimulatedRuntime, start: Start, result: xr.Result) -> None:
    visit = start()
    visit.frames(5)
    runtime.go(S.VISIBLE)
    runtime.go(S.SYNCHRONIZED)
    runtime.fail("xrWaitFrame", result)
    for _ in range(50):
        visit.frame()
        time.sleep(0.002)
        if visit.display.lost:
            break
    assert result.name in (visit.display.lost or "")
    visit.wait_s(5)
    visit.frames(5)
    assert visit.counts[-1] == 2


@pytest.mark.parametrize("comfort", [Comfort(seated=True, eye_height_m=1.5), Comfort(eye_height_m=1.5)])
def test_eyes_are_at_the_chosen_height_wherever_local_begins(
    runtime: SimulatedRuntime, start: Start, comfort: Comfort
) -> None:
    """Seated with a floor that is known, and standing where none is: LOCAL's origin lies on the table."""
    if not comfort.seated:
        runtime.reference_spaces = [SPACES.VIEW, SPACES.LOCAL]
    runtime.bases[SPACES.LOCAL] = replace(runtime.bases[SPACES.LOCAL], position=vec3(1, 0.7, 2))
    visit = start(wishes=Wishes(comfort=comfort))
    visit.frames(4)
    assert height(visit) == pytest.approx(1.5, abs=1e-4)
    runtime.head = lambda time: Pose(vec3(1, 1.2, 2))
    visit.frames(2)
    assert height(visit) == pytest.approx(1.1, abs=1e-4)  # who bends goes down


def test_the_stage_is_turned_and_moved_to_where_the_user_recentred(runtime: SimulatedRuntime, start: Start) -> None:
    """Without LOCAL_FLOOR: STAGE's floor, and the place and heading of LOCAL."""
    runtime.reference_spaces = [SPACES.VIEW, SPACES.LOCAL, SPACES.STAGE]
    visit = start()
    head = visit.frames(4).head
    np.testing.assert_allclose(head.position, (0, 1.6, 0), atol=1e-5)
    assert yaw_of(head.orientation) == pytest.approx(0, abs=1e-5)
    runtime.recentre(SPACES.LOCAL, Pose(vec3(1, 1.5, 1), quat_from_yaw_pitch(-0.7, 0)))
    head = visit.frames(2).head
    np.testing.assert_allclose(np.linalg.norm(head.position[[0, 2]]), 1, atol=1e-5)
    assert yaw_of(head.orientation) == pytest.approx(1.5, abs=1e-5)
    assert float(head.position[1]) == pytest.approx(1.6, abs=1e-5)


def test_the_height_is_taken_again_after_recentring_and_for_the_next_wearer(
    runtime: SimulatedRuntime, start: Start
) -> None:
    visit = start(wishes=Wishes(comfort=Comfort(seated=True)))
    visit.frames(4)
    runtime.head = lambda time: Pose(vec3(1, 1.1, 2))
    assert visit.frames(2).head.position[1] == pytest.approx(1.15, abs=1e-4)
    runtime.recentre(SPACES.LOCAL, Pose(vec3(1, 1.0, 2)))
    visit.frames(2)
    assert height(visit) == pytest.approx(1.65, abs=1e-4)
    runtime.tell_presence(False)
    visit.frame()
    runtime.head = lambda time: Pose(vec3(1, 1.4, 2))
    visit.frame()
    assert height(visit) == pytest.approx(1.95, abs=1e-4)  # off the head nothing is measured
    runtime.tell_presence(True)
    visit.frames(2)
    assert height(visit) == pytest.approx(1.65, abs=1e-4)


def test_left_handed_the_left_stick_aims_the_teleport(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start(wishes=Wishes(comfort=Comfort(left_handed=True)))
    visit.frames(4)
    runtime.inputs[f"{HANDS[RIGHT]}/input/thumbstick"] = (0.0, 1.0)
    assert not visit.frame().buttons & Button.TELEPORT
    runtime.inputs = {f"{HANDS[0]}/input/thumbstick": (0.0, 1.0)}
    assert visit.frame().buttons & Button.TELEPORT
