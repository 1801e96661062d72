"""The tables of controllers against the specification's own tables."""

import pytest
import xr
from sim_input import GAZE_PATH, GAZE_PROFILE, fits, known_paths

from vrapp.display.openxr import profiles
from vrapp.display.openxr.actions import _TYPES
from vrapp.display.openxr.profiles import ACTIONS, HANDS, PROFILES, Kind, Profile

KINDS = {action.name: action.kind for action in ACTIONS}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda p: p.path.rsplit("/", 1)[1])
class TestProfile:
    def test_every_path_exists_and_fits_its_action(self, profile: Profile) -> None:
        for action, path in profile.bindings():
            assert path in known_paths(profile.path)
            assert fits(path, _TYPES[KINDS[action]]), (action, path)

    def test_either_hand_points_grips_and_grabs(self, profile: Profile) -> None:
        for hand in HANDS:
            of_hand = {action for action, path in profile.bindings() if path.startswith(hand)}
            assert {"grip", "aim", "squeeze"} <= of_hand

    def test_no_button_does_two_things(self, profile: Profile) -> None:
        paths = [path for _, path in profile.bindings()]
        assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    "name", ["khr/simple", "oculus/touch", "valve/index", "htc/vive", "microsoft/motion", "hp/mixed_reality"]
)
def test_the_controllers_of_the_notes_are_there(name: str) -> None:
    assert any(f"/{name}_controller" in p.path for p in PROFILES)


def test_everything_can_be_done_with_full_controllers() -> None:
    wanted = {action.name for action in ACTIONS}
    for profile in PROFILES:
        if any(maker in profile.path for maker in ("oculus", "valve", "hp/", "microsoft")):
            assert {action for action, _ in profile.bindings()} == wanted, profile.path


def test_availability_follows_version_and_extension() -> None:
    hp = next(p for p in PROFILES if "hp/" in p.path)
    hand = next(p for p in PROFILES if "hand_interaction" in p.path)
    assert not hp.available((1, 0), frozenset())
    assert hp.available((1, 0), frozenset({"XR_EXT_hp_mixed_reality_controller"}))
    assert hp.available((1, 1), frozenset())
    assert not hand.available((1, 1), frozenset())
    assert hand.available((1, 0), frozenset({"XR_EXT_hand_interaction"}))


def test_titles_are_unique_and_names_lower_case() -> None:
    assert len({a.title for a in ACTIONS}) == len({a.name for a in ACTIONS}) == len(ACTIONS)
    assert all(a.name == a.name.lower() for a in ACTIONS)
    assert set(_TYPES) == set(Kind)
    assert (profiles.GAZE_PROFILE, profiles.GAZE_BINDING) == (GAZE_PROFILE, GAZE_PATH)
    assert fits(GAZE_PATH, xr.ActionType.POSE_INPUT)
