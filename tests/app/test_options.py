"""The world's options: what is typed becomes ``Options``, what is impossible becomes a sentence."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path

import pytest

from vrapp.app.options import Options, check_outputs, parse_options
from vrapp.core.comfort import Comfort
from vrapp.core.errors import OutputError, UsageError, VrappError


def test_nothing_typed_is_the_defaults() -> None:
    assert parse_options([]) == Options()


def test_every_field_can_be_set(tmp_path: Path) -> None:
    trace = tmp_path / "t.mcap"
    trace.touch()
    words = f"""--display offscreen --world meadow --seed 8 --weights {trace} --policy frozen --frames 300
        --size 1280x720 --input {trace} --clock fixed --pace 90 --generator full --preset light --stereo
        --screenshot p.png --stats s.json --record d --resolution 1.5 --seated --left-handed --eye-height 1.5
        --turn 45 --move walk --vignette 0.5 --truncation 0.6"""
    found = parse_options(words.split())
    expected = Options(
        "offscreen", "meadow", 8, trace, "frozen", 300, None, (1280, 720), trace, "fixed", 90.0, "full", "light",
        True, Path("p.png"), Path("s.json"), Path("d"), 1.5, Comfort(True, True, 1.5, 45.0, "walk", 0.5), 0.6,
    )  # fmt: skip
    assert found == expected
    unset = {f.name for f in dataclasses.fields(Options) if getattr(found, f.name) == f.default}
    assert unset == {"seconds", "world", "objects"}  # the last is of benches alone


def test_a_world_file_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text("")
    assert parse_options(["--world", str(own)]).world == str(own)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--display ofscreen", "Did you mean 'offscreen'"),
        ("--world medow", "Did you mean 'meadow'"),
        ("--world mine.toml", "no file 'mine.toml'"),
        ("--policy yoked:old", "does not replay yet"),
        ("--turn 3", "from 5 to 90"),
        ("--turn smoth", "or smooth"),
        ("--move walking", "Did you mean 'walk'"),
        ("--eye-height 160", "metres from 0.5 to 2.5"),
        ("--policy adapt", "Did you mean 'adaptive'"),
        ("--seed -1", "whole number from 0"),
        ("--seed 9223372036854775808", "whole number from 0"),
        ("--seed 1e3", "whole number"),
        ("--seed ７x", "whole number"),
        ("--frames 0", "from 1 to"),
        ("--frames 2.5", "whole number"),
        ("--seconds 0", "from 0.1"),
        ("--seconds nan", "not 'nan'"),
        ("--seconds inf", "not 'inf'"),
        ("--pace 0", "from 1 to 1000"),
        ("--size 1280", "WIDTHxHEIGHT"),
        ("--size 1280x", "WIDTHxHEIGHT"),
        ("--size 0x720", "WIDTHxHEIGHT"),
        ("--size 1280x720x3", "WIDTHxHEIGHT"),
        ("--size 99999x720", "64 to 8192"),
        ("--size -1280x720", "--size"),
        ("--clock fast", "real, fixed"),
        ("--clock fixed --display openxr", "its own clock"),
        ("--stereo --display desktop", "--stereo is for"),
        ("--frames 3 --seconds 4", "give one of them"),
        ("--screenshot p.jpg", "ends in .png"),
        ("--stats s.txt", "ends in .json"),
        ("--weights nowhere.safetensors", "no file 'nowhere.safetensors'"),
        ("--input /", "is a folder"),
        ("--fram 3", "Did you mean '--frames'"),
    ],
)
def test_what_is_impossible_is_told(words: str, expected: str) -> None:
    with pytest.raises(VrappError) as caught:
        parse_options(words.split())
    assert expected in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_null_byte_in_a_path_is_told() -> None:
    with pytest.raises(VrappError):
        parse_options(["--input", "a\0b"])
    with pytest.raises(OutputError):
        check_outputs(parse_options(["--stats", "a\0b/s.json"]))


def test_a_full_disk_is_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(**_: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", no_room)
    with pytest.raises(OutputError, match="No space left"):
        check_outputs(Options(record=tmp_path))


def test_a_recording_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "session.mcap").touch()
    with pytest.raises(OutputError, match="already"):
        check_outputs(Options(record=tmp_path))


def test_two_results_in_one_file_are_told() -> None:
    with pytest.raises(UsageError):
        parse_options(["--frames", "3", "--seconds", "3"])
