"""The headset as a Display, with a mirror on the desktop that carries on alone when the headset is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import xr

from vrapp.core.clock import Clock
from vrapp.core.comfort import Comfort
from vrapp.core.display import Board, FrameTiming, Target
from vrapp.core.errors import DisplayUnavailable, GraphicsError
from vrapp.core.input import InputSnapshot, InputSource
from vrapp.core.pose import Fov, View
from vrapp.display.desktop import DesktopDisplay
from vrapp.display.eyes import views_of_head
from vrapp.display.offscreen import OffscreenDisplay
from vrapp.display.openxr.headset import Headset
from vrapp.display.openxr.headset_or_desk import HeadsetOrDesk
from vrapp.display.openxr.link import HeadsetLink
from vrapp.display.openxr.mirror import Mirror
from vrapp.display.openxr.session_state import Duty
from vrapp.display.openxr.wishes import Wishes

_MIRROR_HZ = 60.0  # of the window on its own, while there is no headset
#: Between two pictures in the mirror: up to 75 Hz each frame has one, above that every second one or fewer.
_MIRROR_PAUSE_NS = 13_300_000
_GUESSED_FOV = Fov.symmetric(1.6, 1.0)


class OpenXRDisplay:
    """Two eyes while the headset is worn, else one view in the window: ``view_count`` and ``size`` follow.

    The window owns the GL context, so nothing on the GPU is made again when the headset comes or goes.
    ``lost`` is the reason why there is no headset now, or None. Without X the context is EGL's (the runtime
    has to offer XR_MNDX_egl_enable), and there is no mirror.
    """

    name = "openxr"

    def __init__(
        self,
        clock: Clock,
        mirror_size: tuple[int, int],
        title: str,
        wishes: Wishes | None = None,
        wait: bool = False,
    ) -> None:
        """``wait``: start in the window while no headset is connected. Else raises DisplayUnavailable."""
        wishes = wishes or Wishes()
        self._desk = _open_desk(clock, mirror_size, title, wishes)
        self.ctx: Any = self._desk.ctx
        self._mirror = Mirror(self._desk) if isinstance(self._desk, DesktopDisplay) else None
        rest = self._desk.target().framebuffers[0]
        self._link = HeadsetLink(self.ctx, clock, self._mirror is None, wishes, rest)
        self._input = HeadsetOrDesk(self)
        self._worn: Headset | None = None  # the headset that this frame was begun on
        self._failure: xr.XrException | None = None  # met within the frame, dealt with after it
        self._views: tuple[View, ...] = ()
        self._spare: list[Any] = []
        self._index, self._shown_ns = -1, -(2**63)
        self._mirror_due_ns = self._shown_ns
        self.should_close = False
        self.size, self.view_count = self._desk.size, self._desk.view_count
        try:
            self._link.connect()
        except (DisplayUnavailable, GraphicsError):
            if not (wait and self._link.waiting and self._mirror):
                self.close()
                raise

    @property
    def mirror_cpu_s(self) -> float:
        """CPU seconds of the last frame inside the mirror's GL calls, where a software rasteriser works."""
        return 0.0 if self._mirror is None else self._mirror.cpu_s

    @property
    def lost(self) -> str | None:
        """Why there is no headset now; None while there is one."""
        return self._link.lost

    @property
    def overlay(self) -> Callable[[], None]:
        """Draws panels over the mirror, or over the world while the window is alone."""
        return self._desk.overlay if isinstance(self._desk, DesktopDisplay) else _nothing

    @overlay.setter
    def overlay(self, draw: Callable[[], None]) -> None:
        if isinstance(self._desk, DesktopDisplay):
            self._desk.overlay = draw

    @property
    def window(self) -> Any:
        """The mirror's window for panels; None without X."""
        return self._desk.window if isinstance(self._desk, DesktopDisplay) else None

    def attach(self, *listener_and_filters: Any) -> None:
        """As DesktopDisplay.attach, for panels in the mirror."""
        if isinstance(self._desk, DesktopDisplay):
            self._desk.attach(*listener_and_filters)

    def input(self) -> InputSource:
        """Head and hands of the headset, or mouse and keys of the window, whichever is worn."""
        return self._input

    def begin_frame(self) -> FrameTiming:
        """The compositor's pace while the headset is worn, else the window's."""
        self._link.retry()
        self._worn = self._follow_session()
        timing = self._begin_on_headset() if self._worn else None
        if timing is None:
            self._worn = None
            timing = self._desk.begin_frame()
            self.size, self.view_count = self._desk.size, self._desk.view_count
        self.should_close = self.should_close or self._desk.should_close
        self._index += 1
        # A headset predicts farther ahead than the window: on a change time must not go back.
        self._shown_ns = max(timing.predicted_time_ns, self._shown_ns + 1)
        return FrameTiming(self._index, self._shown_ns, timing.period_ns, timing.should_render, timing.wait_s)

    def _follow_session(self) -> Headset | None:
        headset = self._link.headset
        if headset is None:
            return None
        try:
            duty = headset.poll_events()
        except xr.XrException as e:
            self._link.lose(e)
            return None
        if duty is Duty.LEAVE:
            self._link.leave()
            self.should_close = True
        elif duty is Duty.REMAKE:
            self._link.lose(xr.SessionLossPending())
        return headset if self._link.headset is headset and headset.states.running else None

    def _begin_on_headset(self) -> FrameTiming | None:
        assert self._worn is not None
        self._serve_window()
        try:
            timing = self._worn.begin_frame(self._serve_window)
        except xr.XrException as e:
            self._link.lose(e)
            return None
        if timing is not None:
            self.size, self.view_count = self._worn.size, 2
            if isinstance(self._desk, DesktopDisplay):
                self._desk.input().free_pointer()
        return timing

    def _serve_window(self) -> None:
        if isinstance(self._desk, DesktopDisplay):
            self._desk.handle_events()

    def views(self, snapshot: InputSnapshot) -> tuple[View, ...]:
        """The eyes as the headset tracks them; from ``snapshot.head`` where it cannot."""
        if self._worn is None:
            return self._desk.views(snapshot)
        located: tuple[View, ...] | None = self._attempt(self._worn.locate_views)
        if located is None:
            guessed = views_of_head(snapshot.head, _GUESSED_FOV, self.size, 2)
            located = tuple(View(v.pose, v.fov, (0, 0, *self.size)) for v in guessed)
        self._views = located
        return located

    def show(self, boards: Sequence[Board]) -> Sequence[Board]:
        """In layers of their own while the headset is worn."""
        worn = self._worn
        if worn is None:
            return boards
        rest: Sequence[Board] | None = self._attempt(lambda: worn.show(boards))
        return boards if rest is None else rest

    def settle(self, comfort: Comfort) -> None:
        """Seat, height and main hand, of the headset and of the window; the height is measured again."""
        self._desk.settle(comfort)
        self._attempt(lambda: self._link.settle(comfort))

    def menu_open(self, is_open: bool) -> None:
        """For the pointer of the window, as DesktopDisplay.menu_open; a headset's hands need not be told."""
        if isinstance(self._desk, DesktopDisplay):
            self._desk.menu_open(is_open and self._worn is None)

    def target(self) -> Target:
        """One framebuffer for each eye. After a failure spare ones, so that the frame can be finished."""
        if self._worn is None:
            return self._desk.target()
        target: Target | None = self._attempt(self._worn.acquire)
        return target if target is not None else Target(self._spare_framebuffers())

    def _attempt(self, call: Callable[[], Any]) -> Any:
        """The call's answer, or None after a failure in this frame; ``end_frame`` draws the consequence."""
        if self._failure is not None:
            return None
        try:
            return call()
        except xr.XrException as e:
            self._failure = e
            return None

    def _spare_framebuffers(self) -> tuple[Any, ...]:
        if not self._spare or self._spare[0].size != self.size:
            self._release_spare()
            self._spare = [self.ctx.framebuffer([self.ctx.texture(self.size, 4)]) for _ in range(2)]
        return tuple(self._spare)

    def _release_spare(self) -> None:
        for framebuffer in self._spare:
            texture = framebuffer.color_attachments[0]
            framebuffer.release()
            texture.release()
        self._spare = []

    def end_frame(self) -> None:
        """Mirror, submit, and only then deal with what failed."""
        worn, self._worn = self._worn, None
        failure, self._failure = self._failure, None
        if worn is None:
            self._desk.end_frame()
            if failure is not None:
                self._link.lose(failure)
            return
        mirrored = self._draw_mirror(worn)
        # The frame is ended even after a failure: the runtime counts begun frames.
        try:
            worn.end_frame()
        except xr.XrException as e:
            failure = failure or e
        if failure is not None:
            self._link.lose(failure)
        else:
            self._link.worked()
        if mirrored and self._mirror:
            self.overlay()
            self._mirror.show()

    def _draw_mirror(self, worn: Headset) -> bool:
        if self._mirror is None:
            return False
        if self._shown_ns < self._mirror_due_ns:  # a headset is faster than most screens, and than it has to be here
            self._mirror.cpu_s = 0.0
            return False
        drawn = worn.drawn()
        if not drawn or len(self._views) != len(drawn):
            return False
        self._mirror_due_ns = self._shown_ns + _MIRROR_PAUSE_NS
        self._mirror.draw(drawn, self._views, worn.boards)
        return True

    def describe(self) -> str:
        """Headset, runtime, pixels and floor; or why there is none."""
        headset = self._link.headset
        renderer = self.ctx.info["GL_RENDERER"]
        if headset is None:
            return f"headset: {self.lost}; until then {self._desk.describe()}"
        width, height = headset.size
        return (
            f"headset {self._link.system} through {self._link.runtime}, 2 x {width}x{height}, "
            f"floor by {headset.stage.kind}, on {renderer}"
        )

    def close(self) -> None:
        """Session, instance, spare images, window: last made first. Safe to call twice."""
        self._link.close()
        self._release_spare()
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None
        self._desk.close()

    # For HeadsetOrDesk.

    @property
    def worn(self) -> bool:
        """Whether the present frame is the headset's."""
        return self._worn is not None

    @property
    def deserted(self) -> bool:
        """There is a headset but nobody wears it, and nobody has taken the mouse at the window either."""
        desk = self._desk.input()
        return self._link.headset is not None and self._worn is None and not (desk is not None and desk.captured)

    def recentred(self) -> None:
        """The user asked for it at the window: the height of the eyes is measured again, too."""
        if self._link.headset is not None:
            self._link.headset.stage.measure_again()

    def turn_mirror(self) -> None:
        """The mirror shows both eyes, or the left one again."""
        if self._mirror is not None:
            self._mirror.both = not self._mirror.both

    def read(self, predicted_time_ns: int) -> InputSnapshot | None:
        """The headset's snapshot in this frame, None after a failure or without a headset."""
        worn = self._worn
        snapshot: InputSnapshot | None = None
        if worn is not None:
            snapshot = self._attempt(lambda: worn.read_input(predicted_time_ns))
        return snapshot

    def desk_input(self) -> InputSource | None:
        """Mouse and keys."""
        return self._desk.input()

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """A pulse in the headset's controller."""
        worn = self._worn
        if worn is not None:
            self._attempt(lambda: worn.vibrate(hand, amplitude, duration_s))


def _nothing() -> None:
    """No mirror, no panels."""


def _open_desk(clock: Clock, size: tuple[int, int], title: str, wishes: Wishes) -> DesktopDisplay | OffscreenDisplay:
    """A window without vertical sync, which would slow the headset; without a screen a bare context."""
    try:
        return DesktopDisplay(size, title, clock, pace_hz=_MIRROR_HZ, vsync=False, comfort=wishes.comfort)
    except DisplayUnavailable:
        return OffscreenDisplay(size, clock, pace_hz=_MIRROR_HZ)
