"""run.py: when it sets up, when it goes straight in, and what it says where it can't."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

RUN = Path(__file__).resolve().parents[2] / "run.py"
PYPROJECT = """
[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"
[project]
name = "vrapp"
version = "1"
[project.optional-dependencies]
test = []
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """run.py as a module, in a project of its own that is set up."""
    shutil.copy(RUN, tmp_path / "run.py")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    spec = importlib.util.spec_from_file_location("run_under_test", tmp_path / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    packages = Path(module.VENV) / ("Lib" if os.name == "nt" else "lib/python3.11") / "site-packages"
    for name in ("torch", "numpy", "vrapp-1.dist-info", "torch-2.13.0.dist-info"):
        (packages / name).mkdir(parents=True)
    Path(module.PYTHON).parent.mkdir(exist_ok=True)
    Path(module.PYTHON).symlink_to(sys.executable)
    module.write_stamp(module.wanted(["test"]) + "\n".join(module.site_packages()) + "\n")
    return module


def test_an_old_python_can_read_it_and_is_told(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    ast.parse(RUN.read_text("utf-8"), feature_version=(3, 6))
    said: list[str] = []
    monkeypatch.setattr(start, "say", said.append)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    assert start.main([]) == 2
    assert len(said) == 1
    assert said[0].startswith("vrapp needs Python 3.11 or newer and this is 3.9;")


def test_the_second_start_goes_straight_in(start: ModuleType) -> None:
    assert start.is_ready("")
    assert start.is_ready("test")
    assert not start.is_ready("another")


def test_an_updated_package_is_left_alone(start: ModuleType) -> None:
    """Users put their own build of torch in."""
    (folder,) = Path(start.VENV).glob("[lL]ib/**/torch-2.13.0.dist-info")
    folder.rename(folder.with_name("torch-2.14.0+cu130.dist-info"))
    assert start.is_ready("test")


@pytest.mark.parametrize("harm", ["project", "package", "python", "unfinished", "no stamp", "damaged", "moved"])
def test_what_makes_it_set_up_again(start: ModuleType, harm: str, tmp_path: Path) -> None:
    if harm == "project":
        with (tmp_path / "pyproject.toml").open("a") as project:
            project.write("dependencies = ['more']\n")
    elif harm == "package":
        next(Path(start.VENV).glob("[lL]ib/**/numpy")).rmdir()
    elif harm == "python":
        Path(start.PYTHON).unlink()
        Path(start.PYTHON).symlink_to("/nowhere/python3.11")
    elif harm == "unfinished":
        start.write_stamp(start.UNFINISHED)
    elif harm == "no stamp":
        Path(start.STAMP).unlink()
    elif harm == "damaged":
        Path(start.STAMP).write_bytes(b"\xff\xfe\x00")
    elif harm == "moved":
        start.VENV = str(shutil.copytree(start.VENV, tmp_path / "moved", symlinks=True))
    assert not start.is_ready("")


def test_extras_are_remembered(start: ModuleType, tmp_path: Path) -> None:
    assert start.stamped_extras() == ["test"]


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["test", "-k", "x"], "test"), (["train", "objects"], "train"), (["evaluate", "objects"], "train"),
        (["train", "dense"], ""), ([], ""),
    ],
)  # fmt: skip
def test_a_command_brings_what_it_needs(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, words: list[str], extra: str
) -> None:
    asked: list[str] = []

    def set_up(extra: str) -> None:
        asked.append(extra)
        raise start.SetupError("enough")

    monkeypatch.setattr(start, "set_up", set_up)
    assert start.main(words) == 2
    assert asked == [extra]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  Downloading torch-2.13.0-cp311-cp311-linux_x86_64.whl.metadata (29 kB)", None),
        ("Downloading torch-2.13.0-cp311-none-linux_x86_64.whl (190.3 MB)", "  getting torch, 190.3 MB"),
        ("Using cached imgui_bundle-1.9-cp311.whl (14.4 MB)", "  getting imgui_bundle, 14.4 MB"),
        ("Downloading rich-15.0.0-py3-none-any.whl (0.3 MB)", None),
        ("Installing collected packages: a, b, c", "  installing 3 packages"),
        ("Successfully installed a", None),
    ],
)
def test_pip_in_few_words(start: ModuleType, line: str, told: str | None) -> None:
    assert start.tell_pip(line) == told


def test_a_project_that_cannot_be_written_is_told(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(start, "say", said.append)
    monkeypatch.setattr(start, "CACHE", "/dev/null/cache")
    Path(start.STAMP).unlink()
    assert start.main(["--help"]) == 2
    assert len(said) == 1
    assert "/dev/null/cache: Not a directory" in said[0]


def test_half_a_checkout_is_told(start: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said: list[str] = []
    monkeypatch.setattr(start, "say", said.append)
    (tmp_path / "pyproject.toml").unlink()
    assert start.main([]) == 2
    assert "pyproject.toml: No such file" in said[0]


def test_missing_opengl_is_told_with_the_command(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(start, "say", said.append)
    monkeypatch.setattr(start, "gl_problem", lambda: "libEGL.so.1 is missing")
    monkeypatch.setattr(start, "may_apt", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "apt-get" else None)
    start.provide_gl(None, None)
    assert len(said) == 1
    assert "sudo apt-get install -y libegl1" in said[0]


@pytest.mark.gl
def test_opengl_is_really_started(gl_context: object) -> None:
    checked = subprocess.run([sys.executable, str(RUN), "check-gl"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


# With a real environment: a project of the same name that needs nothing but what builds it.


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my projects ü"
    folder.mkdir()
    shutil.copy(RUN, folder / "run.py")
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "vrapp").mkdir()
    (folder / "vrapp" / "__init__.py").touch()
    (folder / "vrapp" / "__main__.py").write_text("import sys\nprint(sys.argv[1:], sys.prefix)\nsys.exit(7)\n")
    return folder


def begin(project: Path, *words: str) -> subprocess.Popen[str]:
    command = [getattr(sys, "_base_executable", sys.executable), str(project / "run.py"), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(program: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = program.communicate(timeout=600)
    if "could not be installed" in err:
        pytest.skip(f"no packages can be had here: {err}")
    assert program.returncode == 7, err
    return out, err


@pytest.mark.slow
def test_set_up_for_real(project: Path) -> None:
    """Two at once, then straight in, then broken, then killed half-way: it always ends in the program."""
    first, second = begin(project, "--a", "b c"), begin(project)
    out, said = finish(first)
    assert out == f"['--a', 'b c'] {project / '.venv'}\n"
    said += finish(second)[1]
    assert said.count("making the environment") == 1
    assert finish(begin(project))[1] == ""

    shutil.rmtree(next((project / ".venv").glob("[lL]ib")))
    assert "making the environment" in finish(begin(project))[1]

    (project / "pyproject.toml").write_text(PYPROJECT.replace('version = "1"', 'version = "2"'))
    third = begin(project)
    assert third.stderr is not None
    third.stderr.readline()
    time.sleep(0.5)
    third.send_signal(signal.SIGKILL)
    third.wait()
    finish(begin(project))
    assert finish(begin(project))[1] == ""


def test_somebody_elses_environment_is_never_removed(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(start.STAMP).unlink()
    monkeypatch.setattr(start, "say", lambda text: None)
    start.clear_away(start.read_stamp())
    assert not Path(start.VENV).exists()
    (aside,) = Path(start.VENV).parent.glob(".venv-before-*")
    assert list(aside.glob("[lL]ib/**/torch"))


def test_ones_own_is_removed(start: ModuleType) -> None:
    start.clear_away(start.read_stamp())
    assert list(Path(start.VENV).parent.glob(".venv*")) == []
