"""The developers' panel (F1): frame graph, stages, generator, preference, the thing pointed at, policy.

Dear ImGui through imgui-bundle. It listens to the window's events beside the input source
(``display.window.WindowListener``). Imported, which takes half a second, where there is a window to show it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vrapp.adaptation.adaptation import CategoryPreference, Summary
from vrapp.app.timers import STAGES, FrameTimers
from vrapp.core.display import FrameTiming
from vrapp.core.generation import GeneratorFigures

GRAPH_FRAMES = 240


@dataclass
class PanelFacts:
    """What the panel shows of one frame."""

    timers: FrameTimers
    gpu_ms: dict[str, float]
    figures: GeneratorFigures
    bank: int
    objects: int
    triangles: int
    period_ms: float
    policies: Sequence[str]
    preference: Summary
    categories: Sequence[str]
    pointed: str = ""
    components: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    notes: Sequence[str] = ()


def _everything() -> PanelFacts:
    """All that the panel can show, and every letter."""
    timers, letters = FrameTimers(capacity=2), "".join(map(chr, range(ord(" "), ord("~") + 1)))
    timers.begin()
    timers.end(0.0, FrameTiming(0, 0, 1))
    learnt = Summary("", 0, (CategoryPreference(0, 0.0, 1.0, 1.0),), np.zeros(1), np.ones(1))
    return PanelFacts(
        timers, {"": 0.0}, GeneratorFigures(), 0, 0, 0, 1.0, ("-",), learnt, ("",), letters, np.zeros(1), (letters,)
    )


class Panel:
    """Owns an ImGui context and its GL objects; draw it into the bound framebuffer after the world."""

    def __init__(self, window: Any) -> None:
        from imgui_bundle import imgui
        from imgui_bundle.python_backends.opengl_backend_programmable import ProgrammablePipelineRenderer

        self._imgui = imgui
        self._window = window
        self._context = imgui.create_context()
        imgui.get_io().set_ini_filename("")  # no imgui.ini in the folder that the user happens to be in
        self._renderer: Any = ProgrammablePipelineRenderer()  # type: ignore[no-untyped-call]
        self.draw(_everything(), 0.0)  # to be painted over: letters and shaders are made as they are first used

    def wants_mouse(self) -> bool:
        """The pointer is over the panel: the world should not take the click."""
        return bool(self._imgui.get_io().want_capture_mouse)

    def draw(self, facts: PanelFacts, delta_s: float) -> str | None:
        """Draw one frame; answers the name of the policy that was clicked, or None."""
        imgui = self._imgui
        imgui.set_current_context(self._context)
        self._feed(delta_s)
        imgui.new_frame()
        imgui.set_next_window_pos((12, 12), imgui.Cond_.first_use_ever)
        imgui.set_next_window_size((390, 640), imgui.Cond_.first_use_ever)
        imgui.set_next_window_bg_alpha(0.82)
        chosen = None
        imgui.begin("vrapp")
        self._frames(facts)
        self._generator(facts)
        chosen = self._preference(facts)
        self._pointed(facts)
        for note in facts.notes:
            imgui.text_wrapped(note)
        imgui.end()
        imgui.render()
        self._renderer.render(imgui.get_draw_data())
        return chosen

    def _feed(self, delta_s: float) -> None:
        import glfw

        io = self._imgui.get_io()
        width, height = glfw.get_window_size(self._window.handle)
        pixels, _ = glfw.get_framebuffer_size(self._window.handle)
        io.display_size = self._imgui.ImVec2(max(1, width), max(1, height))
        scale = pixels / max(1, width)
        io.display_framebuffer_scale = self._imgui.ImVec2(scale, scale)
        io.delta_time = max(1e-4, delta_s)

    def keyboard_callback(self, window: Any, key: int, scancode: int, action: int, mods: int) -> None:
        """Nothing is typed here."""

    def char_callback(self, window: Any, char: int) -> None:
        """Nothing is typed here."""

    def mouse_callback(self, window: Any, x: float, y: float) -> None:
        """The pointer moved."""
        self._imgui.get_io().add_mouse_pos_event(x, y)

    def mouse_button_callback(self, window: Any, button: int, action: int, mods: int) -> None:
        """A button went down or up."""
        if button < 3:  # ImGui knows left, right and middle
            self._imgui.get_io().add_mouse_button_event(button, bool(action))

    def scroll_callback(self, window: Any, x: float, y: float) -> None:
        """The wheel turned."""
        self._imgui.get_io().add_mouse_wheel_event(x, y)

    def _frames(self, facts: PanelFacts) -> None:
        imgui = self._imgui
        recent = facts.timers.frame_ms.last(GRAPH_FRAMES)
        if not len(recent):
            return
        top = max(2 * facts.period_ms, float(recent.max()))
        imgui.plot_lines(
            "##frames", recent, overlay_text=f"{recent[-1]:.1f} ms, p99 {np.percentile(recent, 99):.1f}",
            scale_min=0.0, scale_max=top, graph_size=(360, 70),
        )  # fmt: skip
        imgui.text(f"late {facts.timers.late}   objects {facts.objects}   triangles {facts.triangles:,}")
        main = facts.timers.main_ms.last(GRAPH_FRAMES)
        imgui.text(f"main thread without GL: {np.median(main):.2f} ms")
        if facts.timers.hitches:
            worst = facts.timers.hitches[0]
            ran = ", ".join(f"{name} {ms:.0f}" for name, ms in worst.stages_ms.items())
            imgui.text_disabled(f"longest: frame {worst.frame}, {worst.frame_ms:.0f} ms ({ran})")
        if imgui.collapsing_header("Stages", imgui.TreeNodeFlags_.default_open):
            means = facts.timers.stages.last(60).mean(axis=0)
            for name, ms in zip(STAGES, means, strict=True):
                imgui.progress_bar(min(1.0, float(ms) / max(facts.period_ms, 1e-3)), (220, 13), f"{ms:.2f}")
                imgui.same_line()
                imgui.text(name)
            for name, ms in facts.gpu_ms.items():
                imgui.text_disabled(f"GPU {name}: {ms:.2f} ms")

    def _generator(self, facts: PanelFacts) -> None:
        imgui, f = self._imgui, facts.figures
        if not imgui.collapsing_header("Generator", imgui.TreeNodeFlags_.default_open):
            return
        imgui.text(f"{f.device}: asked {f.requested}, shown {f.shown}, rejected {f.rejected}")
        imgui.text(f"in flight {f.in_flight}, bank {facts.bank}")
        if f.latency_s:
            imgui.text(f"latency {np.median(f.latency_s[-100:]) * 1e3:.0f} ms (median of the last 100)")
        for reason, count in sorted(f.rejected_why.items(), key=lambda kv: -kv[1])[:4]:
            imgui.text_disabled(f"  {reason}: {count}")

    def _preference(self, facts: PanelFacts) -> str | None:
        imgui = self._imgui
        chosen = None
        if imgui.collapsing_header("Preference", imgui.TreeNodeFlags_.default_open):
            seen = facts.preference
            for name in facts.policies:
                if imgui.radio_button(name, name == seen.policy) and name != seen.policy:
                    chosen = name
                imgui.same_line()
            imgui.new_line()
            imgui.text(f"{seen.observations} choices observed")
            for row in seen.top:
                imgui.progress_bar(row.share, (220, 13), f"{100 * row.share:.0f} %")
                imgui.same_line()
                imgui.text(facts.categories[row.category])
            for i, (mean, sd) in enumerate(zip(seen.component_weight, seen.component_sd, strict=True)):
                imgui.text_disabled(f"component {i}: {mean:+.2f} ± {sd:.2f}")
        return chosen

    def _pointed(self, facts: PanelFacts) -> None:
        imgui = self._imgui
        if facts.pointed and imgui.collapsing_header("Pointed at", imgui.TreeNodeFlags_.default_open):
            imgui.text(facts.pointed)
            if len(facts.components):
                imgui.plot_histogram(
                    "##latents", np.asarray(facts.components, np.float32), scale_min=-3.0, scale_max=3.0,
                    graph_size=(360, 60),
                )  # fmt: skip

    def close(self) -> None:
        """Destroy GL objects and the context."""
        self._imgui.set_current_context(self._context)
        self._renderer.shutdown()
        self._imgui.destroy_context(self._context)
