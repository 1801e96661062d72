"""What lies at the top of the project, and that no path or host of somebody's machine is in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "run.py", "vrapp", "assets", "shaders", "tests"}
MAY_MISS = re.compile(r"^(assets/pictures/.*|out/.*)$")


@pytest.fixture(scope="module")
def tracked(project: Path) -> list[str]:
    asked = subprocess.run(
        ["git", "-C", str(project), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if asked.returncode:
        pytest.skip("not a git checkout")
    return asked.stdout.splitlines()


def test_the_top_level_is_exactly_as_agreed(tracked: list[str]) -> None:
    names = {name.split("/")[0] for name in tracked}
    assert {name for name in names if not name.startswith(".")} == TOP_LEVEL


def test_tests_mirror_the_package(project: Path) -> None:
    packages = {path.parent.name for path in (project / "vrapp").glob("*/__init__.py")}
    mirrored = {path.name for path in (project / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert mirrored <= packages


def test_test_files_have_names_of_their_own(project: Path) -> None:
    """pytest imports them by file name: two of one name in two folders would clash."""
    names = [path.name for path in (project / "tests").rglob("*.py") if path.name != "conftest.py"]
    assert len(names) == len(set(names))


def test_no_machine_paths_or_hosts(project: Path, tracked: list[str]) -> None:
    machine = re.compile(r"/work/(main|shared)|/root/\.|/opt/(pypi|wheels)|extra-index-url\s*=|https?://[^\s/]*pypi")
    found = []
    for name in tracked:
        path = project / name
        if name == "tests/test_toplevel.py" or path.suffix not in (
            ".py",
            ".toml",
            ".md",
            ".glsl",
            ".frag",
            ".vert",
            "",
        ):
            continue
        if path.is_file() and machine.search(path.read_text("utf-8", "replace")):
            found.append(name)
    assert not found


def test_the_readme_names_files_that_exist(project: Path) -> None:
    readme = (project / "README.md").read_text("utf-8")
    named = set(re.findall(r"`((?:assets|shaders|tests|vrapp)/[\w./-]*\w)`", readme))
    named |= {link for link in re.findall(r"\]\(([^)]+)\)", readme) if not link.startswith(("http", "#"))}
    assert named
    assert not [name for name in named if not (project / name).exists() and not MAY_MISS.match(name)]


def test_the_readme_names_options_that_exist(project: Path) -> None:
    from vrapp.app.options import _parser

    readme = (project / "README.md").read_text("utf-8")
    table = readme[readme.index("The world's options") : readme.index("A picture without a screen")]
    known = {name for action in _parser()._actions for name in action.option_strings}
    assert set(re.findall(r"--[a-z][a-z-]*", table)) <= known
    assert known - {"-h", "--help", "--stereo"} <= set(re.findall(r"--[a-z][a-z-]*", table))
