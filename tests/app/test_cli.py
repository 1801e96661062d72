"""Every way of ending, as a user sees it: one sentence, the exit code, never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vrapp.app import cli, commands, outputs
from vrapp.core.errors import CheckFailed, OutputError


def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **more}
    command = [sys.executable, "-m", "vrapp", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--sed", "4"], "no option '--sed'. Did you mean '--seed'?"),
        (["--seed=4", "--sceenshot=p.png"], "Did you mean '--screenshot'?"),
        (["generat"], "no command 'generat'. Did you mean 'generate'?"),
        (["study", "new"], "'study' is not built yet"),
        (["replay", "x"], "'replay' is not built yet"),
        (["test"], "python3 run.py test"),
        (["enter", "door"], "no argument 'door'"),
        (["--seed"], "--seed: expected one argument"),
        (["bench"], "frame, generate, scale, memory, record, headset"),
        (["bench", "fram"], "Did you mean 'frame'?"),
        (["train", "scenes"], "does not exist in this version"),
        (["train", "dense"], "--out"),
        (["train", "dense", "--out", "x.safetensors", "--layers", "200"], "like 200-200-50"),
        (["evaluate", "dense", "--images", "1"], "--images takes"),
        (["generate"], "--out"),
        (["generate", "--out", "/dev/null"], "'/dev/null' is a file"),
        (["doctor", "--json", "/dev/null/p.json"], "--json"),
        (["--screenshot", "/proc/nothing/p.png"], "--screenshot"),
        (["--record", "/dev/null"], "'/dev/null' is a file"),
        (["--weights", "/"], "is a folder"),
        (["--input", "no\udcffsuch"], "there is no file"),
    ],
)
def test_wrong_words_end_in_one_sentence(words: list[str], expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    out, err = capfd.readouterr()
    assert expected in err
    assert err.count("\n") == 1
    assert out == ""


def test_help_and_version() -> None:
    helped = run("--help")
    assert helped.returncode == 0
    assert helped.stderr == ""
    for name in cli.SUMMARIES:
        assert f"\n  {name} " in helped.stdout
        assert callable(getattr(commands, name))
    assert not any(f"  {name}" in helped.stdout for name in cli.PLANNED)
    version = run("--version")
    assert (version.returncode, version.stdout) == (0, "vrapp 0.1.0\n")


@pytest.mark.parametrize("command", [[], *([name] for name in cli.SUMMARIES)])
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main([*command, "--help"])
    except SystemExit as e:  # argparse's way
        code = e.code
    assert code == 0
    assert "usage: vrapp" in capsys.readouterr().out


def test_the_program_is_called_as_the_user_called_it() -> None:
    said = run("--help", VRAPP_PROGRAM="python3 run.py").stdout
    assert "usage: python3 run.py" in said
    assert "  test " in said


def test_a_failure_leaves_a_log_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(words: list[str]) -> int:
        raise RuntimeError("the floor\nfell in")

    monkeypatch.setenv("VRAPP_CACHE", str(tmp_path))
    monkeypatch.setattr(commands, "doctor", fail)
    assert cli.main(["doctor"]) == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    path = Path(said.split()[-1])
    assert path.parent == tmp_path / "logs"
    assert "in fail" in path.read_text()
    assert "fell in" in path.read_text()


def test_a_failure_without_a_place_for_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(words: list[str]) -> int:
        raise RuntimeError("it broke")

    monkeypatch.setenv("VRAPP_CACHE", "/dev/null/cache")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/dev/null")
    monkeypatch.setattr(commands, "doctor", fail)
    assert cli.main(["doctor"]) == 3
    assert "it broke" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"), [(CheckFailed("They differ."), 1), (OutputError("Full."), 2), (KeyboardInterrupt(), 130)]
)
def test_exit_codes(error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(words: list[str]) -> int:
        raise error

    monkeypatch.setattr(commands, "doctor", end)
    assert cli.main(["doctor"]) == code


def test_a_closed_pipe_is_no_failure() -> None:
    code = "import sys; from vrapp.app import cli; sys.exit(cli.main(['--help']))"
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_terminal_without_unicode() -> None:
    ended = run("--world", "wörld", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.returncode == 2
    assert "w\\xf6rld" in ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_unwind(number: int, code: int, tmp_path: Path) -> None:
    """Whatever ends the program, its ``finally`` clauses run."""
    mark = tmp_path / "closed"
    script = f"""
import signal, sys, time
from pathlib import Path
from vrapp.app import cli, commands
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background may ignore them
signal.signal(signal.SIGHUP, signal.SIG_DFL)
def wait(words):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        Path({str(mark)!r}).touch()
commands.doctor = wait
sys.exit(cli.main(["doctor"]))
"""
    program = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    time.sleep(0.05)  # into the sleep
    program.send_signal(number)
    _, said = program.communicate(timeout=30)
    assert program.returncode == code
    assert mark.exists()
    assert "Traceback" not in said


def test_output_places_are_tried_before_the_run(tmp_path: Path) -> None:
    outputs.check_file(tmp_path / "new" / "p.png", "--screenshot")
    assert (tmp_path / "new").is_dir()
    assert list((tmp_path / "new").iterdir()) == []
    kept = tmp_path / "old.json"
    kept.write_text("kept")
    outputs.check_file(kept, "--stats")
    assert kept.read_text() == "kept"
    with pytest.raises(OutputError, match="is a folder"):
        outputs.check_file(tmp_path, "--stats")
    with pytest.raises(OutputError, match="--record"):
        outputs.check_folder(Path("/proc/vrapp"), "--record")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_locked_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        outputs.check_folder(tmp_path, "--record")


def test_another_broken_pipe_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Such as the generator's: nothing of that may look like success."""

    def fail(words: list[str]) -> int:
        raise BrokenPipeError("the generator's")

    monkeypatch.setattr(commands, "doctor", fail)
    assert cli.main(["doctor"]) == 3
    assert "the generator's" in capsys.readouterr().err
