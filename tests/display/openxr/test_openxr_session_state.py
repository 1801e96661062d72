"""The session's life as pure logic."""

import logging

import pytest

from vrapp.display.openxr.session_state import Duty, SessionStateMachine, State

VISIT = [
    (State.IDLE, Duty.NOTHING),
    (State.READY, Duty.BEGIN),
    (State.SYNCHRONIZED, Duty.NOTHING),
    (State.VISIBLE, Duty.NOTHING),
    (State.FOCUSED, Duty.NOTHING),
    (State.VISIBLE, Duty.NOTHING),
    (State.SYNCHRONIZED, Duty.NOTHING),
    (State.STOPPING, Duty.END),
    (State.IDLE, Duty.NOTHING),
    (State.READY, Duty.BEGIN),
    (State.SYNCHRONIZED, Duty.NOTHING),
    (State.STOPPING, Duty.END),
    (State.IDLE, Duty.NOTHING),
    (State.EXITING, Duty.LEAVE),
]


def follow(machine: SessionStateMachine, state: int) -> Duty:
    duty = machine.enter(state)
    if duty is Duty.BEGIN:
        machine.began()
    elif duty is Duty.END:
        machine.ended()
    return duty


def test_a_visit_to_the_letter(caplog: pytest.LogCaptureFixture) -> None:
    machine = SessionStateMachine()
    running = False
    for state, duty in VISIT:
        assert follow(machine, state) is duty
        running = {Duty.BEGIN: True, Duty.END: False}.get(duty, running)
        assert machine.running is running
        assert machine.focused is (running and state is State.FOCUSED)
        assert machine.visible is (running and state in (State.VISIBLE, State.FOCUSED))
    assert caplog.records == []


@pytest.mark.parametrize("state", list(State))
def test_loss_may_come_at_any_time(state: State, caplog: pytest.LogCaptureFixture) -> None:
    machine = SessionStateMachine()
    machine.state = state
    assert machine.enter(State.LOSS_PENDING) is Duty.REMAKE
    assert not machine.focused
    assert caplog.records == []


def test_ready_told_twice_begins_once() -> None:
    machine = SessionStateMachine()
    assert follow(machine, State.READY) is Duty.BEGIN
    assert follow(machine, State.READY) is Duty.NOTHING


def test_stopping_without_running_ends_nothing() -> None:
    assert SessionStateMachine().enter(State.STOPPING) is Duty.NOTHING


def test_an_impossible_step_is_told_and_followed(caplog: pytest.LogCaptureFixture) -> None:
    machine = SessionStateMachine()
    machine.enter(State.IDLE)
    with caplog.at_level(logging.WARNING):
        machine.enter(State.FOCUSED)
    assert machine.state is State.FOCUSED
    assert "IDLE to FOCUSED" in caplog.text


def test_an_unknown_state_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    machine = SessionStateMachine()
    machine.enter(State.IDLE)
    assert machine.enter(1000401000) is Duty.NOTHING
    assert machine.state is State.IDLE
    assert "1000401000" in caplog.text


def test_numbers_are_the_specifications() -> None:
    xr = pytest.importorskip("xr")
    assert {s.name: s.value for s in State} == {s.name: s.value for s in xr.SessionState}
