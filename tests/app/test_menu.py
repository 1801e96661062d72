"""The menu: opened, pointed at, clicked; with hands, with the head alone, and never by accident."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vrapp.app.hud import Hud, help_in_headset
from vrapp.app.menu import DWELL_S, Ask, Menu
from vrapp.app.menu_pages import Do, Meaning, MenuFacts, Page
from vrapp.core.comfort import Comfort
from vrapp.core.input import LEFT, RIGHT, Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import look_at, vec3
from vrapp.core.pose import Pose
from vrapp.interaction.gestures import EYES

STEP_S = 1 / 90
NONE = Button(0)
BOTH = Valid.HEAD | Valid.LEFT_HAND | Valid.RIGHT_HAND
HEAD = Pose(vec3(0, 1.65, 0))
AT_REST = (vec3(-0.2, 1.2, -0.3), vec3(0.2, 1.2, -0.3))
UP = vec3(0, 9, 0)  # nothing is there


class User:
    """Somebody at a menu, whose hands point where they are told to."""

    def __init__(self, menu: Menu | None = None, valid: Valid = BOTH) -> None:
        self.menu, self.valid = menu or Menu(facts=lambda: FACTS), valid
        self.holding = (False, False)
        self.aims = [UP, UP]
        self.head = HEAD
        self.asked: list[Ask] = []

    def frame(self, buttons: Button = NONE, squeeze: tuple[float, float] = (0.0, 0.0)) -> list[Ask]:
        hands = tuple(
            HandState(Pose(at), Pose(at, look_at(at, aim)), squeeze=s)
            for at, aim, s in zip(AT_REST, self.aims, squeeze, strict=True)
        )
        snapshot = InputSnapshot(0, self.head, (hands[0], hands[1]), buttons, self.valid, SourceKind.HEADSET, self.head)
        return self.menu.update(snapshot, STEP_S, self.holding)

    def open(self) -> None:
        self.frame(Button.MENU)
        self.frame()

    def point(self, meaning: Meaning, hand: int = RIGHT) -> None:
        self.aims[hand] = self.place_of(meaning)
        self.frame()

    def place_of(self, meaning: Meaning) -> np.ndarray:
        (button,) = [b for b in self.menu._sheet.buttons if b.meaning == meaning]
        sheet = self.menu.boards()[0]
        height, width = sheet.pixels.shape[:2]
        metres = sheet.width_m / width
        x, y = button.x + button.width / 2 - width / 2, height / 2 - button.y - button.height / 2
        return sheet.pose.apply(vec3(x * metres, y * metres, 0))

    def click(self, meaning: Meaning, hand: int = RIGHT) -> list[Ask]:
        self.point(meaning, hand)
        asked = self.frame(squeeze=(1.0, 0.0) if hand == LEFT else (0.0, 1.0))
        self.frame()
        return asked


FACTS = MenuFacts("adaptive", 3, (("vase", 0.4), ("chair", 0.2)), (("vase", 2),))


def test_the_menu_button_opens_and_closes_it() -> None:
    user = User()
    assert user.menu.boards() == []
    user.open()
    assert [board.name for board in user.menu.boards()] == ["menu"]
    user.open()
    assert user.menu.boards() == []


def test_a_ray_on_a_button_is_seen_and_felt_once() -> None:
    user = User()
    user.open()
    user.point(Do.PAUSE)
    assert [board.name for board in user.menu.boards()] == ["menu", "hovered", "dot"]
    assert [pulse.hand for pulse in user.menu.pulses] == [RIGHT]
    assert user.menu.occupied == {RIGHT, EYES}  # who looks at it does not look through it
    np.testing.assert_allclose(user.menu.boards()[-1].pose.position, user.place_of(Do.PAUSE), atol=0.004)
    user.frame()
    assert user.menu.pulses == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("turn_deg", 0.0), ("move", "teleport"), ("vignette", 0.5), ("left_handed", True), ("seated", True)],
)
def test_a_click_changes_a_setting_and_shows_it(field: str, value: object) -> None:
    user = User()
    user.open()
    before = user.menu.boards()[0].pixels
    assert user.click((field, value)) == [Ask.COMFORT]
    assert user.menu.comfort == replace(Comfort(), **{field: value})
    assert (user.menu.boards()[0].pixels != before).any()


def test_either_hand_clicks_and_who_presses_is_meant() -> None:
    user = User()
    user.open()
    user.point(Do.PAUSE, RIGHT)
    user.click(("move", "walk"), LEFT)
    assert user.menu.comfort.move == "walk"
    assert not user.menu.paused


def test_what_was_pressed_before_is_no_click() -> None:
    user = User()
    user.frame(Button.MENU, (0.0, 1.0))
    user.aims[RIGHT] = user.place_of(Do.PAUSE)
    user.frame(squeeze=(0.0, 1.0))
    assert not user.menu.paused
    user.frame(squeeze=(0.0, 0.0))
    user.frame(squeeze=(0.0, 1.0))
    assert user.menu.paused


def test_a_press_that_slides_onto_a_button_is_no_click() -> None:
    user = User()
    user.open()
    user.frame(squeeze=(0.0, 1.0))
    user.aims[RIGHT] = user.place_of(Do.PAUSE)
    user.frame(squeeze=(0.0, 1.0))
    assert not user.menu.paused


def test_a_hand_that_carries_something_is_not_at_the_menu() -> None:
    user = User()
    user.open()
    user.holding = (False, True)
    assert user.click(Do.PAUSE) == []
    assert RIGHT not in user.menu.occupied
    assert not user.menu.paused


def test_from_behind_and_beside_there_is_nothing_to_click() -> None:
    user = User()
    user.open()
    sheet = user.menu.boards()[0].pose
    behind = sheet.apply(vec3(0, 0, -0.5))
    assert user.menu._met(RIGHT, Pose(behind, look_at(behind, sheet.position))) is None
    assert user.menu._met(RIGHT, Pose(HEAD.position, look_at(HEAD.position, sheet.apply(vec3(0.4, 0, 0))))) is None
    assert user.menu._met(RIGHT, Pose(np.full(3, np.nan, np.float32))) is None


def test_without_hands_the_head_points_and_waiting_clicks_once() -> None:
    user = User(valid=Valid.HEAD)
    user.open()
    user.head = Pose(HEAD.position, look_at(HEAD.position, user.place_of(Do.PAUSE)))
    user.frame()
    wide = user.menu.boards()[-1].width_m
    for _ in range(round(DWELL_S / STEP_S) - 5):
        user.frame()
    assert not user.menu.paused
    assert user.menu.boards()[-1].width_m < wide / 2  # it shrinks while the time passes
    for _ in range(round(3 * DWELL_S / STEP_S)):
        user.frame()
    assert user.menu.paused  # once: it did not go on and off
    assert user.menu.pulses == []


def test_what_the_head_happens_to_point_at_as_the_menu_opens_is_not_clicked() -> None:
    user = User(valid=Valid.HEAD)
    user.open()
    user.head = Pose(HEAD.position, look_at(HEAD.position, user.place_of(Do.PAUSE)))
    user.menu._turn_to(Page.MAIN)  # it appears under the eyes
    for _ in range(round(2 * DWELL_S / STEP_S)):
        user.frame()
    assert not user.menu.paused


def test_leaving_asks_twice() -> None:
    user = User()
    user.open()
    assert user.click(Do.LEAVE) == []
    assert user.click(("move", "walk")) == [Ask.COMFORT]
    assert user.click(Do.LEAVE) == []  # forgotten meanwhile
    assert user.click(Do.LEAVE) == [Ask.LEAVE]


def test_a_pause_outlasts_the_menu_until_going_on() -> None:
    user = User()
    user.open()
    user.click(Do.PAUSE)
    user.open()
    assert user.menu.paused
    assert not user.menu.is_open
    user.open()
    user.click(Do.CLOSE)
    assert not user.menu.paused
    assert not user.menu.is_open


def test_recentring_closes_it() -> None:
    user = User()
    user.open()
    assert user.click(Do.RECENTRE) == [Ask.RECENTRE]
    assert not user.menu.is_open


def test_pages_tell_what_is_known_and_lead_back() -> None:
    user = User()
    user.open()
    main = user.menu.boards()[0].pixels
    for page in (Page.HELP, Page.TASTE, Page.KEPT):
        user.click(page)
        sheet = user.menu.boards()[0].pixels
        assert sheet.shape == main.shape  # one size: its images are made once
        assert (sheet != main).any(axis=-1).mean() > 0.1
        user.click(Page.MAIN)
    np.testing.assert_array_equal(user.menu.boards()[0].pixels, main)


def test_who_is_away_does_nothing() -> None:
    user = User(valid=BOTH | Valid.AWAY)
    user.open()
    user.click(Do.PAUSE)
    assert not user.menu.paused
    assert user.menu.occupied == frozenset()


def test_it_is_painted_only_when_it_changes() -> None:
    user = User()
    user.open()
    before = user.menu.boards()[0].pixels
    user.point(Do.PAUSE)
    user.point(("move", "walk"))
    assert user.menu.boards()[0].pixels is before


def snapshot(valid: Valid = BOTH) -> InputSnapshot:
    return InputSnapshot(0, HEAD, valid=valid, source=SourceKind.HEADSET)


def test_before_two_eyes_messages_stand_on_boards_large_enough_to_read() -> None:
    hud = Hud()
    hud.say("Policy: random", 1.0)
    assert hud.boards(snapshot(), 1.0, eyes=1) == []
    (board,) = hud.boards(snapshot(), 1.0, eyes=2)
    lines_m = board.size_m[1]
    distance_m = float(np.linalg.norm(board.pose.position - HEAD.position))
    assert 0.78 * lines_m / 2.4 / distance_m > 0.018  # an em of at least 18 mrad (one line, and the rim around it)
    assert board.pixels.shape[1] / np.degrees(board.width_m / distance_m) > 25  # pixels a degree
    hud.menu.open()
    lower = hud.boards(snapshot(), 1.0, eyes=2)[0]
    assert lower.pose.position[1] < board.pose.position[1] - 0.1  # not behind the menu


def test_who_takes_the_headset_off_or_pauses_reads_it() -> None:
    hud = Hud()
    assert hud.boards(snapshot(), 1.0, eyes=2) == []
    assert len(hud.boards(snapshot(BOTH | Valid.AWAY), 1.0, eyes=2)) == 1
    hud.menu.paused = True
    assert len(hud.boards(snapshot(), 1.0, eyes=2)) == 1


def test_the_help_follows_the_comfort() -> None:
    assert help_in_headset(Comfort())[0].startswith("Left stick  walk")
    assert help_in_headset(Comfort(left_handed=True))[0].startswith("Right stick  walk")
    assert "teleport" not in " ".join(help_in_headset(Comfort(move="walk"))[:1])
    assert all(len(help_in_headset(Comfort(move=move))) <= 8 for move in ("both", "walk", "teleport"))
