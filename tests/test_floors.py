"""The plan of the house (design.md §2): imports go down only, and each library has its owners."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "vrapp"
EVERYTHING = {
    "core", "models", "generation", "scene", "adaptation", "physics", "audio", "render", "display", "study",
    "interaction", "characters", "training",
}  # fmt: skip

#: What each package may import of the others.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "models": set(),
    "generation": {"core", "models"},
    "scene": {"core"},
    "adaptation": {"core"},
    "physics": {"core"},
    "audio": {"core"},
    "render": {"core"},
    "display": {"core"},
    "study": {"core"},
    "interaction": {"core", "scene", "physics"},
    "characters": {"core", "scene", "generation", "physics"},
    "training": {"core", "models", "generation"},
    "app": EVERYTHING,
}

#: Libraries that only these folders and files may import.
OWNERS: dict[str, tuple[str, ...]] = {
    "torch": ("models/", "generation/", "training/"),
    "moderngl": ("render/", "display/", "app/", "generation/interop.py"),
    "OpenGL": ("render/gl_native.py", "display/openxr/"),
    "xr": ("display/openxr/",),
    "glfw": ("display/", "app/"),
    "imgui_bundle": ("app/", "display/", "render/"),
    "mujoco": ("physics/",),
    "pyrr": ("core/",),
    "mcap": ("study/", "display/"),
}
#: The ground stands on little.
LIBRARIES: dict[str, set[str]] = {"core": {"numpy", "pyrr"}, "models": {"torch"}}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> list[tuple[int, str]]:
    """Line and dotted name of every import, those inside functions and for type checking too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [node.module or ""]
            if node.module in ("vrapp",):
                names = [f"vrapp.{alias.name}" for alias in node.names]
            found += [(node.lineno, name) for name in names]
    return found


def offences(package: str, path: str, imports: list[tuple[int, str]]) -> list[str]:
    """What of ``imports`` a module of ``package`` may not do; ``path`` is relative to ``vrapp/``."""
    wrong = []
    for line, name in imports:
        top, _, rest = name.partition(".")
        if top == "vrapp":
            other = rest.split(".")[0]
            if other in ("", "__version__") or other == package:
                continue
            if other not in MAY_IMPORT.get(package, EVERYTHING | {"app"}):
                wrong.append(f"vrapp/{path}:{line} imports {name}: {package} may not know {other}")
        elif top in OWNERS and not path.startswith(OWNERS[top]):
            wrong.append(f"vrapp/{path}:{line} imports {name}, which belongs to {', '.join(OWNERS[top])}")
        elif package in LIBRARIES and top not in sys.stdlib_module_names | LIBRARIES[package]:
            wrong.append(f"vrapp/{path}:{line} imports {name}: {package} needs no such library")
    return wrong


def test_imports_go_down_only() -> None:
    wrong = []
    for path in modules():
        relative = path.relative_to(PACKAGE)
        package = relative.parts[0] if len(relative.parts) > 1 else "vrapp"
        wrong += offences(package, relative.as_posix(), imports_of(path))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("package", "path", "name"),
    [
        ("core", "core/x.py", "vrapp.scene.store"),
        ("scene", "scene/x.py", "vrapp.physics.world"),
        ("scene", "scene/x.py", "vrapp.app"),
        ("render", "render/x.py", "torch.nn"),
        ("generation", "generation/x.py", "moderngl"),
        ("display", "display/window.py", "xr"),
        ("core", "core/x.py", "scipy"),
        ("models", "models/x.py", "numpy"),
    ],
)
def test_a_wrong_import_is_found(package: str, path: str, name: str) -> None:
    assert offences(package, path, [(1, name)])


def test_every_package_has_its_floor() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages <= set(MAY_IMPORT)


def test_no_file_is_longer_than_400_lines() -> None:
    files = [*modules(), *(PROJECT / "tests").rglob("*.py"), *(PROJECT / "shaders").glob("*"), PROJECT / "run.py"]
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in files if path.is_file()}
    assert not {str(path): length for path, length in lengths.items() if length > 400}


def test_no_folder_or_file_is_named_for_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager2", "stuff"}
    parts = {part for path in modules() for part in path.relative_to(PROJECT).with_suffix("").parts}
    assert not parts & vague


@pytest.mark.parametrize("module", ["vrapp", "vrapp.app.cli", "vrapp.app.commands", "vrapp.study.writer"])
def test_light_modules_stay_light(module: str) -> None:
    heavy = "('torch', 'moderngl', 'pydantic', 'numpy', 'mujoco', 'rich')"
    code = f"import sys, {module}; print(*[name for name in {heavy} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_the_frame_loads_no_torch() -> None:
    """The first picture is on screen before torch is loaded: nothing that the main process needs brings it."""
    code = "import sys, vrapp.app.world; print('torch' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == ["False"]
