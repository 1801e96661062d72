"""A simulated headset for every test here."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sim_install import MANIFEST, in_place_of_raw_functions
from sim_runtime import SimulatedRuntime
from sim_visit import Start, Visit

from vrapp.core.clock import FixedClock

sys.path.insert(0, str(Path(__file__).parents[1]))  # the displays' common tests


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedRuntime]:
    """In place of the raw functions; fails the test on any call that a conformant program never makes."""
    manifest = tmp_path / "runtime.json"
    manifest.write_text(MANIFEST)
    monkeypatch.setenv("XR_RUNTIME_JSON", str(manifest))
    simulated = SimulatedRuntime()
    with in_place_of_raw_functions(simulated):
        yield simulated
    assert simulated.breaches == []


@pytest.fixture
def start(runtime: SimulatedRuntime) -> Iterator[Start]:
    """Opens displays, closes them, and looks for what they left behind."""
    visits: list[Visit] = []

    def open_one(**options: Any) -> Visit:
        visits.append(Visit(runtime, FixedClock(), **options))
        return visits[-1]

    yield open_one
    for visit in visits:
        visit.display.close()
    assert runtime.things == {}, "handles that were never destroyed"
    assert runtime.leaks == [], "children that were still alive when their parent was destroyed"


@pytest.fixture
def no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No X: the context is EGL's."""
    from vrapp.core.errors import DisplayUnavailable
    from vrapp.display.openxr import display

    def refuse(*_: object, **__: object) -> None:
        raise DisplayUnavailable("no screen in this test")

    monkeypatch.setattr(display, "DesktopDisplay", type("NoDesktop", (), {"__init__": refuse}))


@pytest.fixture(params=[pytest.param("egl", marks=pytest.mark.gl), pytest.param("glx", marks=pytest.mark.window)])
def context_kind(request: pytest.FixtureRequest) -> str:
    """Both ways to own a context: without X, and a window."""
    request.getfixturevalue("no_screen" if request.param == "egl" else "screen")
    return str(request.param)
