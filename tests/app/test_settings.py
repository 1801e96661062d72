"""What the user changes in the menu is there the next time."""

import json
from pathlib import Path

import pytest

from vrapp.app import settings
from vrapp.app.options import parse_options
from vrapp.core.comfort import Comfort


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VRAPP_CONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def test_without_a_file_all_is_as_by_default() -> None:
    assert settings.load() == Comfort()
    assert parse_options([]).comfort == Comfort()


def test_what_was_changed_is_kept_and_nothing_else() -> None:
    typed = Comfort(eye_height_m=1.2)  # for one visit
    settings.keep(typed, Comfort(eye_height_m=1.2, left_handed=True))
    assert settings.load() == Comfort(left_handed=True)
    settings.keep(Comfort(left_handed=True), Comfort(left_handed=True, turn_deg=0.0))
    assert settings.load() == Comfort(left_handed=True, turn_deg=0.0)


def test_nothing_changed_writes_nothing(folder: Path) -> None:
    settings.keep(Comfort(), Comfort())
    assert not folder.exists()


def test_options_come_before_what_was_kept() -> None:
    settings.keep(Comfort(), Comfort(turn_deg=45.0, seated=True))
    assert parse_options(["--turn", "smooth"]).comfort == Comfort(turn_deg=0.0, seated=True)
    assert parse_options(["--standing"]).comfort == Comfort(turn_deg=45.0)
    assert parse_options(["--left-handed", "--right-handed"]).comfort.left_handed is False


def test_what_is_repeated_does_not_depend_on_it(tmp_path: Path) -> None:
    settings.keep(Comfort(), Comfort(turn_deg=45.0))
    script = tmp_path / "walk.toml"
    script.write_text("")
    assert parse_options(["--input", str(script)]).comfort == Comfort()
    assert parse_options(["--display", "offscreen"]).comfort == Comfort()


@pytest.mark.parametrize(
    "written", ['{"move": "fly", "vignette": 3, "seated": 1, "turn_deg": 45, "speed": 9}', '["turn_deg"]', "{", ""]
)
def test_what_makes_no_sense_is_left_out_and_told(written: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    settings.path().write_text(written)
    loaded = settings.load()
    assert loaded == (Comfort(turn_deg=45) if "fly" in written else Comfort())
    assert str(settings.path()) in caplog.text or written.startswith("[")


def test_a_folder_that_takes_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VRAPP_CONFIG", "/dev/null/config")
    settings.keep(Comfort(), Comfort(seated=True))
    assert "cannot be kept" in caplog.text


def test_every_field_can_be_kept() -> None:
    changed = Comfort(True, True, 1.5, 60.0, "walk", 0.25)
    settings.keep(Comfort(), changed)
    assert settings.load() == changed
    assert set(json.loads(settings.path().read_text())) == set(settings._FITS)
