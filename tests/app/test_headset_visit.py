"""The whole program on a simulated headset: a visit from putting it on to leaving, with everything that can go wrong.

Nothing of the program is left out but the networks: ``enter`` with its options, the world, physics, adaptation,
the renderer and the recorder. The user is a script that runs frame by frame (``yield n``: n frames).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xr
from scene_shapes import block, generated
from sim_input import HANDS
from sim_install import MANIFEST, in_place_of_raw_functions
from sim_runtime import SimulatedRuntime
from sim_space import SPACES

from tests.render.conftest import living
from vrapp.app import bench_headset, cli, settings, world
from vrapp.app.loop import Loop
from vrapp.app.menu_pages import Do, Meaning
from vrapp.app.options import Options
from vrapp.core.clock import FixedClock
from vrapp.core.comfort import Comfort
from vrapp.core.events import Act
from vrapp.core.generation import GeneratedObject, GenerationRequest, GeneratorFigures
from vrapp.core.input import INPUT_DTYPE, Button, Valid
from vrapp.core.maths import Array, look_at, vec3
from vrapp.core.mesh import LATENT_DIM
from vrapp.core.pose import Pose
from vrapp.core.scene import ObjectState
from vrapp.display.offscreen import OffscreenDisplay
from vrapp.display.openxr import display as openxr_display
from vrapp.display.openxr import link
from vrapp.study.journal import read_session

pytestmark = pytest.mark.gl
R = xr.Result
RIGHT_HAND = HANDS[1]
Script = Generator[int, None, None]

WORLD = """
label = "three boxes"
[[cluster]]
name = "boxes"
at = [0.0, 0.0]
items = [
  { of = "crate_box", at = [0.3, -1.2], size = 0.1, turn = 0 },
  { of = "crate_box", at = [-1.0, -2.0], size = 0.1, turn = 0 },
  { of = "crate_box", at = [-2.5, -2.5], size = 0.1, turn = 0 },
]
"""


class Boxes:
    """A generator that has every object at once."""

    categories = ("crate_box", "barrel")
    weights_hash = "boxes"
    latent_basis = np.eye(6, LATENT_DIM, dtype=np.float32)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.figures = GeneratorFigures()
        self._ready: list[GeneratedObject] = []

    def submit(self, request: GenerationRequest) -> bool:
        self.figures.requested += 1
        self._ready.append(generated(request.steering.category, request.request_id, block(spacing=0.2)))
        self.figures.in_flight = len(self._ready)
        return True

    def collect(self, frame_index: int) -> list[GeneratedObject]:
        ready, self._ready, self.figures.in_flight = self._ready, [], 0
        return ready

    def decoded(self) -> dict[int, GeneratedObject | None]:
        return {}

    def work(self, gpu_ms: float | None, period_ms: float) -> None:
        pass

    def set_pace(self, pace: str) -> None:
        pass

    def close(self) -> None:
        pass


class Wearer:
    """Somebody who wears the headset, and what is seen of the program."""

    def __init__(self, runtime: SimulatedRuntime) -> None:
        self.runtime = runtime
        self.loop: Loop
        self.hand = vec3(0.2, 1.25, -0.3)  # in the stage
        self.point_at(vec3(0.3, 9.0, -1.0))

    def to_tracking(self, pose: Pose) -> Pose:
        return self.runtime.bases[SPACES.LOCAL_FLOOR] @ pose

    def point_at(self, place: Array) -> None:
        """Both from the same place, so that pointing is exact."""
        self.runtime.aim_from_grip = Pose()
        self.runtime.grips[RIGHT_HAND] = self.to_tracking(Pose(self.hand, look_at(self.hand, place)))

    def squeeze(self, value: float) -> None:
        self.runtime.inputs[f"{RIGHT_HAND}/input/squeeze/value"] = value

    def tap(self, path: str) -> Script:
        self.runtime.inputs[path] = 1.0
        yield 2
        self.runtime.inputs[path] = 0.0
        yield 1

    def press(self, meaning: Meaning) -> Script:
        """A button of the menu, by its ray."""
        menu = self.loop.parts.hud.menu
        (button,) = [b for b in menu._sheet.buttons if b.meaning == meaning]
        sheet = menu.boards()[0]
        metres = sheet.width_m / sheet.pixels.shape[1]
        x = (button.x + button.width / 2) * metres - sheet.size_m[0] / 2
        y = sheet.size_m[1] / 2 - (button.y + button.height / 2) * metres
        self.point_at(sheet.pose.apply(vec3(x, y, 0)))
        yield 2
        self.squeeze(1.0)
        yield 2
        self.squeeze(0.0)
        yield 2

    @property
    def worn(self) -> bool:
        return self.loop.parts.display.view_count == 2

    def until(self, reached: Callable[[], bool], frames: int = 300) -> Script:
        for _ in range(frames):
            if reached():
                return
            yield 1
        raise AssertionError("it never came to that")

    def box(self, index: int) -> Array:
        return self.loop.parts.store.position[index].copy()


@pytest.fixture
def wearer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wearer]:
    """A headset that has everything, in place of the raw functions."""
    (tmp_path / "runtime.json").write_text(MANIFEST)
    monkeypatch.setenv("XR_RUNTIME_JSON", str(tmp_path / "runtime.json"))
    monkeypatch.setenv("VRAPP_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(openxr_display, "_open_desk", lambda clock, size, *_: OffscreenDisplay(size, clock, 60.0))
    monkeypatch.setattr(world, "open_generator", Boxes)
    monkeypatch.setattr(link, "_RETRY_NS", 10_000_000)
    monkeypatch.setattr(link, "_SLOWEST_RETRY_NS", 10_000_000)
    runtime = SimulatedRuntime()
    runtime.hands_supported = runtime.eyes_supported = True
    runtime.clock = FixedClock()  # the program's, too: no machine is too slow for this visit
    monkeypatch.setattr(world, "_clock", lambda *_: runtime.clock)
    with in_place_of_raw_functions(runtime):
        yield Wearer(runtime)
    assert runtime.breaches == []
    assert (runtime.things, runtime.leaks) == ({}, [])


@pytest.fixture
def visit(wearer: Wearer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], int]:
    """Runs the program, recording, with the script between its frames; its exit code."""
    place, leaks = tmp_path / "boxes.toml", []
    place.write_text(WORLD)
    original, closing = Loop.frame, openxr_display.OpenXRDisplay.close

    def enter(script: Script) -> int:
        wait, wrong = 0, []

        def frame(loop: Loop) -> None:
            nonlocal wait
            wearer.loop = loop
            wait -= 1
            if loop.parts.start.done and wait <= 0:
                try:
                    wait = next(script)
                except (AssertionError, StopIteration) as e:
                    wrong.append(e)
                    loop.quit_asked = True
            original(loop)

        def close(display: Any) -> None:
            if display.ctx.mglo is not None and not leaks:
                display._link.close()
                display._release_spare()
                leaks.append((display.ctx.error, living(display.ctx)))
            closing(display)

        monkeypatch.setattr(Loop, "frame", frame)
        monkeypatch.setattr(openxr_display.OpenXRDisplay, "close", close)
        words = ["--display", "openxr", "--world", str(place), "--size", "96x64", "--generator", "off"]
        words += ["--record", str(tmp_path / "record"), "--stats", str(tmp_path / "stats.json")]
        code = cli.main(words)
        for e in wrong:
            raise AssertionError("the script failed") from e
        (left,) = leaks
        assert left == (
            "GL_NO_ERROR",
            {**dict.fromkeys(left[1], 0), "Texture": 1, "Framebuffer": 1},
        )  # the window's own
        return code

    return enter


def recorded(folder: Path) -> tuple[np.ndarray, list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs as INPUT_DTYPE, events, decisions."""
    inputs, events, decisions = [], [], []
    for message in read_session(folder):
        if message.topic == "/input":
            inputs.append(message.content[: INPUT_DTYPE.itemsize])
        elif message.topic == "/events":
            events.append(json.loads(message.content))
        elif message.topic == "/decisions":
            decisions.append(json.loads(message.content))
    return np.frombuffer(b"".join(inputs), INPUT_DTYPE), events, decisions


def a_whole_visit(wearer: Wearer) -> Script:
    runtime, parts = wearer.runtime, wearer.loop.parts
    yield from wearer.until(lambda: wearer.worn)
    yield from wearer.until(lambda: set(parts.store.state[:3]) == {ObjectState.RESTING})  # they have grown
    # Look, take, carry, throw.
    wearer.point_at(wearer.box(0))
    yield 30
    wearer.squeeze(1.0)
    yield 10
    assert parts.interaction.holding == (False, True)
    for step in range(14):
        wearer.hand = vec3(0.2 + 0.05 * step, 1.25 + 0.02 * step, -0.3)
        wearer.point_at(wearer.hand + vec3(0.3, -0.3, -1))
        yield 1
    wearer.squeeze(0.0)
    yield 20
    wearer.hand = vec3(0.2, 1.25, -0.3)
    # Keep another.
    wearer.point_at(wearer.box(1))
    yield 5
    yield from wearer.tap(f"{RIGHT_HAND}/input/a/click")
    assert parts.store.kept[1]
    # The menu: a setting, a pause, and on.
    yield from wearer.tap("/user/hand/left/input/menu/click")
    assert [layer.size[0] for layer in runtime.frames[-1].quads[:1]] == [pytest.approx(0.64)]
    yield from wearer.press(("turn_deg", 45.0))
    yield from wearer.press(Do.PAUSE)
    before = wearer.loop._time.now_ns
    yield 3
    assert wearer.loop._time.now_ns == before
    yield from wearer.press(Do.CLOSE)
    assert not parts.hud.menu.is_open
    assert runtime.frames[-1].quads == []
    # Off the head and on again; the cable out and in.
    runtime.take_off()
    yield from wearer.until(lambda: not wearer.worn)
    assert wearer.loop.snapshot.valid == Valid.AWAY
    runtime.put_on()
    yield from wearer.until(lambda: wearer.worn)
    runtime.connected = False
    runtime.fail("xrEndFrame", R.ERROR_SESSION_LOST)
    yield from wearer.until(lambda: not wearer.worn)
    yield 10
    runtime.connected = True
    yield from wearer.until(lambda: wearer.worn)
    yield from leave(wearer)


def leave(wearer: Wearer) -> Script:
    wearer.point_at(vec3(0.3, 9.0, -1.0))
    yield from wearer.tap("/user/hand/left/input/menu/click")
    yield from wearer.press(Do.LEAVE)
    yield from wearer.press(Do.LEAVE)
    raise AssertionError("it did not leave")


def test_a_whole_visit(wearer: Wearer, visit: Callable[[Script], int], tmp_path: Path) -> None:
    def script() -> Script:
        yield from a_whole_visit(wearer)

    assert visit(script()) == 0
    inputs, events, decisions = recorded(tmp_path / "record")
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert stats["display"] == "openxr"
    assert len(inputs) >= stats["frames"] > 100
    assert (np.diff(inputs["time_ns"]) > 0).all()  # of headset and window alike
    acts = Counter(event["act"] for event in events)
    assert (acts[Act.GRAB], acts[Act.THROW], acts[Act.KEEP]) == (1, 1, 1)
    assert [d["ask"] for d in decisions if d["kind"] == "menu"] == ["COMFORT", "LEAVE"]
    assert next(d for d in decisions if d["kind"] == "menu")["comfort"]["turn_deg"] == 45
    assert settings.load() == Comfort(turn_deg=45.0)  # and the next visit begins with it
    assert (inputs["valid"] & Valid.AWAY).any()
    assert (inputs["buttons"] & Button.MENU).any()
    pulses = {hand for hand, *_ in wearer.runtime.haptics}
    assert pulses == {RIGHT_HAND}


#: A code for each way of handling it: the session made again, the instance made again, done without.
FAILURES = (
    ("xrEndFrame", R.ERROR_SESSION_LOST), ("xrWaitFrame", R.ERROR_INSTANCE_LOST),
    ("xrBeginFrame", R.ERROR_RUNTIME_FAILURE), ("xrLocateViews", R.SESSION_LOSS_PENDING),
    ("xrSyncActions", R.ERROR_OUT_OF_MEMORY), ("xrAcquireSwapchainImage", R.ERROR_CALL_ORDER_INVALID),
    ("xrWaitSwapchainImage", R.TIMEOUT_EXPIRED), ("xrReleaseSwapchainImage", R.ERROR_HANDLE_INVALID),
    ("xrLocateSpace", R.ERROR_TIME_INVALID), ("xrPollEvent", R.ERROR_INSTANCE_LOST),
    ("xrGetActionStateFloat", R.ERROR_SESSION_LOST), ("xrLocateHandJointsEXT", R.ERROR_RUNTIME_FAILURE),
    ("xrApplyHapticFeedback", R.ERROR_RUNTIME_FAILURE), ("xrCreateReferenceSpace", R.ERROR_OUT_OF_MEMORY),
)  # fmt: skip


@pytest.mark.slow
def test_failures_in_the_middle_cost_a_moment_each(
    wearer: Wearer, visit: Callable[[Script], int], tmp_path: Path
) -> None:
    """With something in the hand and the menu open, so that every call is made in the frame."""

    def script() -> Script:
        runtime = wearer.runtime
        yield from wearer.until(lambda: wearer.worn)
        yield from wearer.tap("/user/hand/left/input/menu/click")
        for call, result in FAILURES:
            runtime.fail(call, result)
            left_handed = wearer.loop.parts.hud.menu.comfort.left_handed
            yield from wearer.press(("left_handed", not left_handed))
            yield from wearer.until(lambda: wearer.worn and wearer.loop.parts.display.lost is None)
            assert not runtime._failures[call], f"{call} was not made"
            yield 3
        for call in ("xrCreateInstance", "xrGetSystem", "xrCreateSession", "xrCreateSwapchain", "xrCreateAction"):
            runtime.fail("xrEndFrame", R.ERROR_INSTANCE_LOST)
            runtime.fail(call, R.ERROR_RUNTIME_FAILURE)
            yield from wearer.until(lambda: not wearer.worn)
            yield from wearer.until(lambda: wearer.worn)
            yield 3
        yield from wearer.press(Do.CLOSE)
        yield from leave(wearer)

    assert visit(script()) == 0
    inputs, _, decisions = recorded(tmp_path / "record")
    assert (np.diff(inputs["time_ns"]) > 0).all()
    assert len([d for d in decisions if d["kind"] == "menu"]) >= len(FAILURES) // 2  # some met the click itself


@pytest.mark.slow
def test_a_headset_that_never_works_again_leaves_the_window(
    wearer: Wearer, visit: Callable[[Script], int], tmp_path: Path
) -> None:
    def script() -> Script:
        yield from wearer.until(lambda: wearer.worn)
        wearer.runtime.fail("xrEndFrame", R.ERROR_SESSION_LOST)
        wearer.runtime.fail("xrCreateSession", R.ERROR_GRAPHICS_DEVICE_INVALID, times=100)
        yield 30
        assert "cannot show this program" in wearer.loop.parts.display.lost
        wearer.loop.quit_asked = True
        yield 1

    assert visit(script()) == 0
    inputs, _, _ = recorded(tmp_path / "record")
    assert len(inputs) > 30


@pytest.mark.slow
def test_leaving_by_the_runtimes_own_menu_ends_the_program_well(
    wearer: Wearer, visit: Callable[[Script], int], tmp_path: Path
) -> None:
    def script() -> Script:
        yield from wearer.until(lambda: wearer.worn)
        yield 5
        wearer.runtime._leaving = True
        wearer.runtime._wind_down()
        yield 30
        raise AssertionError("it went on")

    assert visit(script()) == 0
    assert len(recorded(tmp_path / "record")[0]) > 3


def test_the_bench_compares_headset_and_offscreen(wearer: Wearer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROUNDS", "FRAMES", "SETTLE_FRAMES"):
        monkeypatch.setattr(bench_headset, name, 1)
    rows, summary, renderer = bench_headset.headset(Options(size=(96, 64)))
    assert [row["display"] for row in rows] == ["openxr", "offscreen"]
    assert renderer is not None
    expected = rows[0]["own_ms_p50"] - rows[1]["own_ms_p50"]
    assert summary["openxr_over_offscreen_ms"] == pytest.approx(expected, abs=1e-3)
    assert rows[0]["with_runtime_ms_p50"] == pytest.approx(rows[0]["own_ms_p50"] + rows[0]["runtime_ms_p50"], abs=1e-3)
    assert rows[0]["runtime_ms_p50"] > 0


def test_the_bench_without_a_runtime_says_so_by_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XR_RUNTIME_JSON", "/nowhere/runtime.json")
    _, summary, _ = bench_headset.headset(Options())
    assert set(summary.values()) == {None}
