"""A simulated headset for every test here."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xr
from sim_install import in_place_of_raw_functions
from sim_runtime import SimulatedRuntime

from vrapp.core.clock import FixedClock
from vrapp.core.input import InputSnapshot
from vrapp.display.openxr.display import OpenXRDisplay


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedRuntime]:
    """In place of the raw functions; fails the test on any call that a conformant program never makes."""
    manifest = tmp_path / "runtime.json"
    manifest.write_text("{}")
    monkeypatch.setenv("XR_RUNTIME_JSON", str(manifest))
    simulated = SimulatedRuntime()
    with in_place_of_raw_functions(simulated):
        yield simulated
    assert simulated.breaches == []


class Visit:
    """A display on the simulated runtime, and its loop."""

    def __init__(self, runtime: SimulatedRuntime, clock: FixedClock, wait: bool = False) -> None:
        self.runtime, self.clock = runtime, clock
        self.display = OpenXRDisplay(clock, (96, 64), "test", wait=wait)
        self.counts: list[int] = []
        self.snapshot = InputSnapshot(0)

    def frame(self) -> InputSnapshot:
        """One frame as the program's loop does it: each eye cleared to a colour of its own."""
        display = self.display
        timing = display.begin_frame()
        try:
            self.snapshot = display.input().poll(timing.predicted_time_ns)
            views = display.views(self.snapshot)
            self.counts.append(len(views))
            if timing.should_render:
                target = display.target()
                for i, (view, framebuffer) in enumerate(zip(views, target.framebuffers, strict=True)):
                    framebuffer.clear(0.25 + 0.5 * i, 0.5, 0.75 - 0.5 * i, 1.0, viewport=view.viewport)
        finally:
            display.end_frame()
        return self.snapshot

    def frames(self, count: int) -> InputSnapshot:
        for _ in range(count):
            self.frame()
        return self.snapshot

    def wait_s(self, seconds: float) -> None:
        """Time passes."""
        self.clock.sleep_until_ns(self.clock.now_ns() + round(seconds * 1e9))


Start = Callable[..., Visit]


@pytest.fixture
def start(runtime: SimulatedRuntime) -> Iterator[Start]:
    """Opens displays, closes them, and looks for what they left behind."""
    visits: list[Visit] = []

    def open_one(wait: bool = False) -> Visit:
        visits.append(Visit(runtime, FixedClock(), wait))
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


assert xr.exception.raise_on_qualified_success
