"""Builds the world for a run, runs its frames, and leaves behind what was asked for."""

from __future__ import annotations

import gc
import logging
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vrapp import __version__
from vrapp.adaptation.adaptation import Adaptation
from vrapp.app import endings, hardware, settings
from vrapp.app.hud import Hud
from vrapp.app.listeners import Bodies, Requested, Shown
from vrapp.app.loop import Loop, Parts
from vrapp.app.menu_facts import menu_facts
from vrapp.app.options import Options
from vrapp.app.reshape import Reshape
from vrapp.app.start import FIRST_LIVE_REQUEST, Start
from vrapp.core import resources
from vrapp.core.categories import category_or_default, load_categories
from vrapp.core.clock import Clock, FixedClock, RealClock
from vrapp.core.display import Display
from vrapp.core.generation import Generator
from vrapp.core.input import InputSource
from vrapp.core.platform import tune_heap
from vrapp.display.open import OPENERS, DisplayOptions, Opener, open_display
from vrapp.display.trace import TraceInput
from vrapp.generation.bank import Bank
from vrapp.generation.ground import Ground, make_ground
from vrapp.generation.opening import open_generator
from vrapp.generation.weights import describe_weights
from vrapp.interaction.gestures import Interaction
from vrapp.interaction.locomotion import Locomotion
from vrapp.physics.world import PhysicsWorld
from vrapp.render.renderer import Renderer
from vrapp.render.warm_up import warm_up
from vrapp.scene.layout import Layout
from vrapp.scene.manager import Listener, SceneManager
from vrapp.scene.store import SceneStore
from vrapp.scene.worlds import load_world

if TYPE_CHECKING:
    from vrapp.app.window_tools import WindowTools
    from vrapp.study.recorder import Recorder

log = logging.getLogger(__name__)

DEFAULT_SIZE = (1280, 720)
#: A screenless visit ends by itself; a pace the tour was made for.
TOUR_SECONDS = 8.0
FIXED_PACE_HZ = 60.0
#: Under a fixed clock a generated object appears this many frames after it was asked for.
FIXED_LATENCY_FRAMES = 30
BANK = {"off": 0, "auto": 12, "full": 24}
COMPONENTS = 6


def default_weights() -> Path:
    """The weights that ship with the program."""
    return resources.assets() / "objects.safetensors"


def enter(options: Options) -> int:
    """The whole run; returns the exit code. Raises VrappError for what the user can mend."""
    began = time.perf_counter()
    _check_inputs(options)
    with ExitStack() as owned:
        world = World(options, owned)
        if options.input is None:
            owned.callback(lambda: settings.keep(options.comfort, world.parts.hud.menu.comfort))
        world.run(began)
        world.leave_behind()
    return 0


class World:
    """Everything of one run. ``owned`` closes it in reverse order, whatever happens.

    What takes about a second in all (shaders, physics, a start set that is kept) is done before the first frame: it
    would have nothing to show. What takes longer is done behind frames in which the user can look around.
    """

    def __init__(self, options: Options, owned: ExitStack) -> None:
        self._asked = options
        gc.disable()  # collected between frames, by the loop
        owned.callback(gc.enable)
        tune_heap()
        land = make_ground(options.seed)  # before a display opens: the file may be damaged
        display, clock, reasons = _open(options)
        owned.callback(display.close)
        self.options = options = _completed(options, display, bool(reasons))
        self.clock = clock
        for line in (*reasons, display.describe()):
            log.info(line)
        self.parts = self._build(options, display, land, owned)
        self.loop = Loop(self.parts, clock.fixed)
        self.first_picture_s: float | None = None
        self.populated_s: float | None = None

    def _build(self, options: Options, display: Display, land: Ground, owned: ExitStack) -> Parts:
        weights = options.weights or default_weights()
        fixed = self.clock.fixed
        renderer = Renderer(display.ctx, None if options.preset == "auto" else options.preset)
        owned.callback(renderer.release)
        renderer.set_ground(land.heights, land.cell_m)
        warm_up(renderer, display.ctx, 2 if options.stereo or display.name == "openxr" else 1)
        generator = open_generator(weights, display.ctx, FIXED_LATENCY_FRAMES if fixed else None)
        owned.callback(generator.close)
        recorder = self._recorder(options, generator, owned)
        asked = None if recorder is None else Requested(recorder, self.clock)
        bank = Bank(generator, options.seed, BANK[options.generator], FIRST_LIVE_REQUEST, asked, options.truncation)
        store = SceneStore(components=COMPONENTS)
        table = load_categories()
        rows = [category_or_default(table, name) for name in generator.categories]
        layout = Layout(load_world(options.world, options.seed), generator.categories, table, options.seed)
        adaptation = Adaptation(
            len(generator.categories), np.ones(COMPONENTS, np.float32), options.seed, options.policy
        )
        physics = PhysicsWorld()
        listeners: list[Listener] = [Bodies(physics)]
        if recorder is not None:
            listeners.append(Shown(recorder, self.clock))
        manager = SceneManager(store, layout, bank, renderer.arena, adaptation, listeners=listeners)
        return Parts(
            display=display,
            source=self._source(options, display, owned),
            renderer=renderer,
            generator=generator,
            categories=generator.categories,
            store=store,
            manager=manager,
            bank=bank,
            start=Start(generator, manager, options.seed, options.truncation),
            reshape=Reshape(generator, manager, np.array([row.size_m for row in rows]), options.seed),
            interaction=Interaction(np.array([row.graspable for row in rows]), options.comfort.main_hand),
            locomotion=Locomotion(comfort=options.comfort),
            physics=physics,
            adaptation=adaptation,
            hud=Hud(options.comfort, lambda: menu_facts(adaptation, store, generator.categories)),
            recorder=recorder,
            window_tools=_window_tools(display, owned),
        )

    def _source(self, options: Options, display: Display, owned: ExitStack) -> InputSource:
        own = display.input()
        if options.input is None and own is not None:
            return own
        trace = TraceInput(options.input or resources.assets() / "tour.mcap")
        owned.callback(trace.close)
        if trace.notice:
            log.warning(trace.notice)
        return trace

    def _recorder(self, options: Options, generator: Generator, owned: ExitStack) -> Recorder | None:
        if options.record is None:
            return None
        from vrapp.study.recorder import Recorder

        session = {
            "seed": options.seed,
            "weights": generator.weights_hash,
            "version": __version__,
            "command": hardware.command_line(),
            "clock": "fixed" if self.clock.fixed else "real",
            "comfort": options.comfort,
        }
        recorder = Recorder(options.record, session)
        owned.callback(recorder.close)
        return recorder

    def run(self, began: float) -> None:
        """First picture, population, then as many frames as were asked for."""
        self.populate(began)
        start_ns = self.clock.now_ns()
        while not self._ended() and not self._enough(start_ns):
            self._frame(began)

    def populate(self, began: float) -> None:
        """Until the start set stands in the world; figures count from here."""
        loop, parts = self.loop, self.parts
        if not parts.start.from_cache() and self.clock.fixed:
            log.info("The networks are making this world; the next start finds it ready.")
            parts.start.complete(_tell_progress)
        if parts.start.done:  # nobody waits for a frame yet: all of it, so that the first picture is complete
            parts.renderer.arena.pump(1 << 40)
        while not ((parts.start.done and not parts.generator.figures.loading) or self._ended()):
            self._frame(began)
        self.populated_s = time.perf_counter() - began
        self.set_generator(self.options.generator)
        gc.collect()
        gc.freeze()  # what lives now lives to the end: the collector need not look at it again
        loop.timers.restart(tells=not self.clock.fixed)  # where time is virtual nobody waits for a frame

    def set_generator(self, mode: str) -> None:
        """``off``: nothing new; ``auto``: as much as the world shows; ``full``: the worker never rests."""
        self.parts.generator.set_pace("off" if mode == "off" else "idle")
        self.parts.bank.capacity = BANK[mode]
        self.parts.bank.refreshes = mode == "full"

    def _frame(self, began: float) -> None:
        self.loop.frame()
        if self.first_picture_s is None:
            self.first_picture_s = time.perf_counter() - began

    def _ended(self) -> bool:
        return self.loop.quit_asked or self.parts.display.should_close

    def _enough(self, start_ns: int) -> bool:
        options = self.options
        if options.frames is not None:
            return self.loop.timers.frame_ms.total >= options.frames
        return options.seconds is not None and self.clock.now_ns() - start_ns >= options.seconds * 1e9

    def leave_behind(self) -> None:
        """Picture and figures, where they were asked for."""
        options, parts = self.options, self.parts
        if options.screenshot is not None:
            hardware.write_png(options.screenshot, parts.renderer.read_pixels())
            log.info(f"picture: {options.screenshot}")
        if options.stats is not None:
            hardware.write_json(options.stats, self.figures())
            log.info(f"figures: {options.stats}")

    def figures(self) -> dict[str, Any]:
        """What ``--stats`` writes (design.md §8)."""
        parts = self.parts
        return {
            "display": parts.display.name,
            "renderer": parts.renderer.renderer_name,
            "preset": parts.renderer.preset,
            "device": parts.generator.figures.device,
            **endings.timing_figures(self.loop.timers),
            "first_picture_s": self.first_picture_s,
            "populated_s": self.populated_s,
            "generator": endings.generator_figures(parts.generator.figures),
            **endings.world_figures(parts.store, parts.categories),
            "triangles": parts.renderer.triangles_drawn,
            "policy": parts.adaptation.policy,
            "seed": self.options.seed,
            "weights": parts.generator.weights_hash,
            **endings.machine_figures(parts.renderer.renderer_name),
        }


def _check_inputs(options: Options) -> None:
    """Say what is wrong with the user's files before a window opens. Raises InputFileError, UsageError."""
    describe_weights(options.weights or default_weights())
    load_world(options.world, options.seed)
    if options.input is not None:
        TraceInput(options.input)


def _tell_progress(made: int, total: int) -> None:
    if made % 10 == 0 or made == total:
        log.info(f"  {made} of {total} objects")


def _open(options: Options) -> tuple[Display, Clock, list[str]]:
    """The display with the clock that suits it, and why those before it were passed over."""
    clocks: dict[str, Clock] = {}

    def with_its_clock(name: str, opener: Opener) -> tuple[str, Opener]:
        def opened(asked: DisplayOptions) -> Display:
            clock = clocks[name] = _clock(options, name)
            return opener(replace(asked, clock=clock, pace_hz=_pace_hz(options, clock)))

        return name, opened

    # A headset has its own clock: a run that repeats exactly is none of its.
    usable = [(n, o) for n, o in OPENERS if n != "openxr" or options.clock != "fixed"]
    asked = DisplayOptions(
        RealClock(), options.size or DEFAULT_SIZE, view_count=2 if options.stereo else 1,
        resolution_scale=options.resolution, comfort=options.comfort,
    )  # fmt: skip
    openers = [with_its_clock(name, opener) for name, opener in usable]
    display, reasons = open_display(options.display, asked, openers)
    return display, clocks[display.name], reasons


def _clock(options: Options, display: str) -> Clock:
    """As asked for; else fixed where nobody looks on, or a recording drives the visit."""
    fixed = options.clock == "fixed" or (
        options.clock is None and (display == "offscreen" or options.input is not None) and display != "openxr"
    )
    return FixedClock() if fixed else RealClock()


def _pace_hz(options: Options, clock: Clock) -> float | None:
    return options.pace_hz or (FIXED_PACE_HZ if clock.fixed else None)


def _completed(options: Options, display: Display, fell_back: bool) -> Options:
    """A visit without a screen and without an end becomes a bounded tour that leaves picture and figures."""
    if display.name != "offscreen" or options.frames is not None or options.seconds is not None:
        return options
    options = replace(options, seconds=TOUR_SECONDS)
    if not fell_back:
        return options
    log.info(f"No screen: a tour of {TOUR_SECONDS:.0f} s along a recorded visit.")
    return replace(
        options,
        screenshot=options.screenshot or Path("vrapp-tour.png"),
        stats=options.stats or Path("vrapp-tour.json"),
    )


def _window_tools(display: Display, owned: ExitStack) -> WindowTools | None:
    """The developers' tools, where there is a window to show them in."""
    if getattr(display, "window", None) is None:
        return None
    from vrapp.app.window_tools import WindowTools

    tools = WindowTools(display)
    owned.callback(tools.close)
    return tools
