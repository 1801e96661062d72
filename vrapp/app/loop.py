"""The frame of the running world, readable in one function (``Loop.frame``)."""

from __future__ import annotations

import gc
import logging
import math
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from vrapp.adaptation.adaptation import Adaptation
from vrapp.app.hud import Hud
from vrapp.app.menu import Ask
from vrapp.app.reshape import Reshape
from vrapp.app.start import Start
from vrapp.app.timers import STAGES, FrameTimers
from vrapp.app.world_time import WorldTime
from vrapp.core.display import Display, FrameTiming
from vrapp.core.events import Act, Event
from vrapp.core.generation import Generator
from vrapp.core.input import Button, InputSnapshot, InputSource, Valid
from vrapp.core.platform import return_free_memory
from vrapp.core.scene import SceneArrays
from vrapp.generation.bank import Bank
from vrapp.interaction import feedback
from vrapp.interaction.gestures import Interaction
from vrapp.interaction.locomotion import Locomotion
from vrapp.physics.world import PhysicsWorld
from vrapp.render.renderer import Renderer
from vrapp.scene.manager import SceneManager
from vrapp.scene.store import SceneStore

if TYPE_CHECKING:  # neither is imported by a run that does not use it
    from vrapp.app.window_tools import WindowTools
    from vrapp.study.recorder import Recorder

(INPUT, INTERACT, ADAPT, PHYSICS, SCENE, GENERATE, DRAW, PANEL, END, OBSERVE, TIDY) = range(len(STAGES))

log = logging.getLogger(__name__)

UPLOAD_BYTES = 2 << 20  # of meshes a frame: about one object at all its levels
PHYSICS_SHARE = 0.25  # of a frame's period
TIDY_FRAMES = 240
#: After these, what is ready in the bank no longer fits the preference best.
STRONG = frozenset({Act.KEEP, Act.DISMISS, Act.MORE})


@dataclass
class Parts:
    """Everything that one world consists of; built by ``world``, run by ``Loop``."""

    display: Display
    source: InputSource
    renderer: Renderer
    generator: Generator
    categories: tuple[str, ...]
    store: SceneStore
    manager: SceneManager
    bank: Bank
    start: Start
    reshape: Reshape
    interaction: Interaction
    locomotion: Locomotion
    physics: PhysicsWorld
    adaptation: Adaptation
    hud: Hud
    recorder: Recorder | None = None
    window_tools: WindowTools | None = None


class Loop:
    """Runs frames. All on the one thread that owns the GL context."""

    def __init__(self, parts: Parts, virtual_time: bool = False) -> None:
        self.parts = parts
        self.timers = FrameTimers()
        self._virtual_time = virtual_time
        self.frame_index = 0
        self.quit_asked = False
        self.snapshot = InputSnapshot(0)
        self._time = WorldTime()
        self._held = Button(0)
        self._told_stopped = False
        # Learnt one a frame, from the next on: it takes a millisecond, and so does what a grip or a throw sets off.
        self._unheard: deque[Event] = deque()

    def frame(self) -> None:
        """One frame, from the display's wait to the recorder."""
        p, timers = self.parts, self.timers
        timing = p.display.begin_frame()
        timers.begin()
        gl_s = 0.0
        try:
            snapshot = self.snapshot = p.source.poll(timing.predicted_time_ns)
            self._follow_menu(snapshot, timing)
            self._time.advance(timing, paused=p.hud.menu.paused or snapshot.has(Valid.AWAY))
            now_ns, dt_s = self._time.now_ns, self._time.step_s
            timers.stage(INPUT)
            scene = p.store.arrays()
            p.locomotion.update(snapshot, scene, dt_s, tuple(p.interaction.carried))
            events = p.interaction.update(snapshot, p.locomotion.world_from_stage, scene, dt_s, now_ns)
            self._answer(events, scene)
            timers.stage(INTERACT)
            if self._unheard:
                self._adapt(self._unheard.popleft())
                timers.stage(ADAPT)
            self._unheard.extend(events)
            p.physics.update(scene, events, p.interaction.carried, dt_s, self._physics_s(timing))
            timers.stage(PHYSICS)
            self._update_scene(events, now_ns)
            timers.stage(SCENE)
            p.renderer.arena.pump(UPLOAD_BYTES)
            timers.stage(GENERATE)
            if timing.should_render:
                self._draw(p.store.arrays(), snapshot, timing.predicted_time_ns)
                gl_s = p.renderer.draw_cpu_s
            timers.stage(DRAW)
            self._act_on_buttons(snapshot, timing.predicted_time_ns)
            self._tell_stopped(timing.predicted_time_ns)
            if p.window_tools is not None:
                p.window_tools.update(self)
                timers.stage(PANEL)
        finally:
            gl_s += timers.timed(END, p.display.end_frame)
        p.generator.work(p.renderer.gpu_ms or None, timing.period_ns / 1e6)
        timers.stage(GENERATE)
        if p.recorder is not None:
            p.recorder.frame(snapshot)
            for event in self._time.on_display_clock(events):
                p.recorder.event(event)
            timers.stage(OBSERVE)
        self.frame_index += 1
        self._tidy_memory()
        timers.end(gl_s, timing, p.renderer.stage_ms)

    def _physics_s(self, timing: FrameTiming) -> float:
        """What steps may take. Under a fixed clock no matter how long: a run has to repeat exactly."""
        return math.inf if self._virtual_time else PHYSICS_SHARE * timing.period_ns / 1e9

    def _follow_menu(self, snapshot: InputSnapshot, timing: FrameTiming) -> None:
        """What the user does at the menu, before the world sees the same hands."""
        p, menu = self.parts, self.parts.hud.menu
        asked = menu.update(snapshot, timing.period_ns / 1e9, p.interaction.holding)
        p.interaction.occupied = menu.occupied
        for pulse in menu.pulses:
            p.source.vibrate(pulse.hand, pulse.amplitude, pulse.duration_s)
        for ask in asked:
            if ask is Ask.LEAVE:
                self.quit_asked = True
            elif ask is Ask.RECENTRE:
                p.locomotion.recentre(snapshot.head)
            else:
                p.locomotion.use(menu.comfort)
                p.interaction.use_main_hand(menu.comfort.main_hand)
            if ask is not Ask.LEAVE:
                p.display.settle(menu.comfort)
            if p.recorder is not None:
                p.recorder.decision(timing.predicted_time_ns, "menu", ask=ask.name, comfort=asdict(menu.comfort))

    def _answer(self, events: list[Event], scene: SceneArrays) -> None:
        """What the user feels and sees of the gesture at once."""
        for pulse in feedback.pulses(events):
            self.parts.source.vibrate(pulse.hand, pulse.amplitude, pulse.duration_s)
        feedback.write_marks(scene, self.parts.interaction, events)

    def _adapt(self, event: Event) -> None:
        self.parts.adaptation.observe([event], self.parts.store)
        if event.act in STRONG:
            self.parts.bank.outdate()

    def _update_scene(self, events: list[Event], now_ns: int) -> None:
        p = self.parts
        if not p.start.done:
            p.start.update(self.frame_index, now_ns)
        p.hud.loading = self._loading()
        p.manager.update(events, p.interaction.head, self.frame_index, now_ns, asks=p.start.done)
        p.reshape.update(p.interaction.two_handed)

    def _loading(self) -> tuple[str, ...]:
        start = self.parts.start
        if self.parts.generator.figures.loading:
            return ("The networks are loading",)
        return () if start.done else ("The networks are making this world", f"{start.made} of {start.total}")

    def _draw(self, scene: SceneArrays, snapshot: InputSnapshot, now_ns: int) -> None:
        p = self.parts
        views, now_s = p.display.views(snapshot), now_ns / 1e9
        rest = p.display.show(p.hud.boards(snapshot, now_s, len(views)))
        extras = p.hud.extras(snapshot, now_s, p.interaction, p.locomotion, rest, len(views))
        p.renderer.draw(views, p.locomotion.world_from_stage, scene, p.display.target(), extras)

    def _act_on_buttons(self, snapshot: InputSnapshot, now_ns: int) -> None:
        """Buttons that mean something to the program rather than to the world."""
        p = self.parts
        if snapshot.buttons == self._held:  # nearly always, and Python's flags are slow to combine
            return
        pressed = snapshot.buttons & ~self._held
        self._held = snapshot.buttons
        if pressed & Button.QUIT:
            self.quit_asked = True
        if pressed & Button.POLICY:
            p.hud.say(f"Policy: {p.adaptation.use_next()}", now_ns / 1e9)
        if p.window_tools is not None and pressed & (Button.PANEL | Button.SCREENSHOT):
            p.window_tools.pressed(pressed, p, now_ns / 1e9)

    def _tell_stopped(self, now_ns: int) -> None:
        """Once, when the generator has given up: the visit goes on with what there is."""
        why = self.parts.generator.figures.stopped
        if why and not self._told_stopped:
            self._told_stopped = True
            log.warning("%s Nothing new is made; the visit goes on.", why)
            self.parts.hud.say("The generator has stopped: nothing new comes", now_ns / 1e9)

    def _tidy_memory(self) -> None:
        """After the frame is out: Python's cyclic collector runs here and nowhere else."""
        # While the networks load in this process there are a quarter of a million new objects to look at.
        if self.frame_index % TIDY_FRAMES == 0 and not self.parts.generator.figures.loading:
            gc.collect()  # a tenth of a millisecond: all that lived when the visit began is frozen
            return_free_memory(in_use=True)
            self.timers.stage(TIDY)

    def pointed_components(self) -> tuple[str, np.ndarray]:
        """Name and latent components of what the user points at, for the panel."""
        p = self.parts
        facts = p.store.facts(p.interaction.focus)
        if facts is None:
            return "", np.zeros(0, np.float32)
        return f"object {facts.request_id}, {facts.size_m:.2f} m", facts.components
