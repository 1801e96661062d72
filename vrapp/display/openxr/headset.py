"""One session with a headset, from xrCreateSession to xrDestroySession, and its frames.

OpenXR 1.1, chapters 9 "Session" and 10 "Rendering". A frame is wait, begin, locate, acquire, draw, release,
end. Any call may raise xr.XrException; then the session is closed and made again by ``link.HeadsetLink``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, cast
from typing import Any

import xr

from vrapp.core.clock import Clock
from vrapp.core.comfort import Comfort
from vrapp.core.display import Board, FrameTiming, Target
from vrapp.core.input import InputSnapshot
from vrapp.core.pose import View
from vrapp.display.openxr import refresh, stereo, views
from vrapp.display.openxr.binding import graphics_binding
from vrapp.display.openxr.board_layers import BoardLayers
from vrapp.display.openxr.calls import prepared
from vrapp.display.openxr.frame_wait import FrameWait
from vrapp.display.openxr.headset_input import HeadsetInput
from vrapp.display.openxr.instance import Instance
from vrapp.display.openxr.owned import Owned
from vrapp.display.openxr.results import check, describe
from vrapp.display.openxr.session_state import Duty, SessionStateMachine
from vrapp.display.openxr.spaces import Stage
from vrapp.display.openxr.time_bridge import TimeBridge
from vrapp.display.openxr.visibility import VisibilityMasks
from vrapp.display.openxr.wishes import Wishes

_log = logging.getLogger(__name__)

_EVENT, _NO_EVENT = xr.StructureType.EVENT_DATA_BUFFER.value, xr.Result.EVENT_UNAVAILABLE.value
_FRAME_DISCARDED = xr.Result.FRAME_DISCARDED.value
_Header = POINTER(xr.CompositionLayerBaseHeader)

#: How long a frame may be held back by the runtime before the window takes it, seconds.
_PATIENCE_S = 0.25
_LAST_WAIT_S = 0.5  # for a frame that is out when the session has to end
_GL_ERRORS = 8  # that an OpenGL can hold, at the very most; a lost context answers with one for ever
_FAREWELL_FRAMES, _FAREWELL_WAIT_S = 90, 0.02  # at most, while the runtime winds the session down


class Headset:
    """Owns session, spaces, swapchains and input. ``size``: pixels of one eye."""

    def __init__(self, instance: Instance, ctx: Any, clock: Clock, surfaceless: bool, wishes: Wishes) -> None:
        """Make everything; what was made is destroyed again where a later part fails."""
        self._instance, self._ctx, self._clock = instance, ctx, clock
        self.states = SessionStateMachine()
        self._index = -1
        self._frame_state: Any = None
        self._located = False
        self._target: Target | None = None
        self._present = True  # on the head; stays so where the headset does not tell
        self._poll, self._begin, self._end = map(prepared, ("xrPollEvent", "xrBeginFrame", "xrEndFrame"))
        self._event = xr.EventDataBuffer()
        with Owned() as made:
            binding = graphics_binding(surfaceless)  # `next` holds no reference: kept until the call is over
            info = xr.SessionCreateInfo(system_id=instance.system_id, next=binding)
            self._session = xr.create_session(instance.handle, info)
            made.destroys(xr.destroy_session, self._session)
            self._frame_wait, self._eyes = FrameWait(self._session), views.EyeLocator(self._session)
            made.callback(self._frame_wait.close)
            self.stage = Stage(self._session, wishes.comfort)
            made.callback(self._close_stage)
            self.size = views.recommended_size(instance.handle, instance.system_id, wishes.resolution_scale)
            blend_mode = views.blend_mode(instance.handle, instance.system_id)
            self._end_info = xr.FrameEndInfo(environment_blend_mode=blend_mode)
            self._masks = VisibilityMasks(instance.handle, self._session, instance.extensions)
            takes_depth = wishes.depth and stereo.DEPTH_EXTENSION in instance.extensions
            self._forget_gl_errors()
            self._picture = stereo.StereoPicture(self._session, ctx, self.size, takes_depth)
            made.destroys(self._picture.close)
            self._boards = BoardLayers(self._session, ctx, wishes.boards)
            made.destroys(self._boards.close)
            self._input = HeadsetInput(instance, self._session, self.stage, wishes.comfort)
            made.destroys(self._input.close)
            if wishes.refresh_hz and refresh.EXTENSION in instance.extensions:
                refresh.request_rate(self._session, wishes.refresh_hz)
            self._bridge = TimeBridge(clock, instance.handle, instance.extensions)
            self._owned = made.pop_all()

    @property
    def has_depth(self) -> bool:
        """Depth is handed in with the picture."""
        return self._picture.has_depth

    @property
    def boards(self) -> tuple[Board, ...]:
        """Shown in this frame beside the picture, in layers of their own."""
        return self._boards.shown

    @property
    def attended(self) -> bool:
        """Somebody wears it and acts in this program; else the world waits for them."""
        return self._present and self.states.focused

    def poll_events(self) -> Duty:
        """Follow the runtime. Returns LEAVE or REMAKE where the session is over, else NOTHING."""
        while (event := self._next_event()) is not None:
            duty = self._handle(event)
            if duty in (Duty.LEAVE, Duty.REMAKE):
                return duty
        return Duty.NOTHING

    def _next_event(self) -> Any | None:
        self._event._type, self._event._next = _EVENT, None
        code = self._poll(self._instance.handle, byref(self._event))
        if code == _NO_EVENT:
            return None
        check(code)
        return self._event

    def _handle(self, event: Any) -> Duty:
        kind = event._type  # the property raises on types of extensions newer than pyopenxr
        if kind == xr.StructureType.EVENT_DATA_INSTANCE_LOSS_PENDING.value:
            raise xr.InstanceLostError("the runtime is going away")
        if kind == xr.StructureType.EVENT_DATA_SESSION_STATE_CHANGED.value:
            changed = cast(byref(event), POINTER(xr.EventDataSessionStateChanged)).contents
            if changed.session != self._session:
                return Duty.NOTHING  # of a session that was lost: its events may still be in the queue
            return self._perform(self.states.enter(int(changed._state)))
        if kind == xr.StructureType.EVENT_DATA_REFERENCE_SPACE_CHANGE_PENDING.value:
            change = cast(byref(event), POINTER(xr.EventDataReferenceSpaceChangePending)).contents
            self.stage.measure_again(int(change.change_time))
            _log.info("The headset was recentred.")
        elif kind == xr.StructureType.EVENT_DATA_VISIBILITY_MASK_CHANGED_KHR.value:
            mask = cast(byref(event), POINTER(xr.EventDataVisibilityMaskChangedKHR)).contents
            if mask.session == self._session:
                self._masks.refresh(int(mask.view_index))
        elif kind == xr.StructureType.EVENT_DATA_INTERACTION_PROFILE_CHANGED.value:
            self._input.look_at_profiles()
        elif kind == xr.StructureType.EVENT_DATA_USER_PRESENCE_CHANGED_EXT.value:
            self._take_presence(cast(byref(event), POINTER(xr.EventDataUserPresenceChangedEXT)).contents)
        elif kind == xr.StructureType.EVENT_DATA_EVENTS_LOST.value:
            _log.warning("The OpenXR runtime lost events: the program did not ask for them in time.")
        return Duty.NOTHING

    def _perform(self, duty: Duty) -> Duty:
        if duty is Duty.BEGIN:
            xr.begin_session(self._session, xr.SessionBeginInfo(primary_view_configuration_type=views.STEREO))
            self.states.began()
            self._frame_wait.session_begins()
        elif duty is Duty.END:
            if self._frame_wait.pending:
                self.begin_frame(patience_s=_LAST_WAIT_S)  # and end it: nothing of it is seen
            xr.end_session(self._session)
            self.states.ended()
        return duty

    def begin_frame(
        self, serve: Callable[[], object] = lambda: None, patience_s: float | None = None
    ) -> FrameTiming | None:
        """xrWaitFrame (the compositor's pace) and xrBeginFrame. Call only while ``states.running``.

        None where the frame is not the user's: the runtime holds it back for longer than ``patience_s``
        (``serve`` is called meanwhile), or nothing of the program is seen. Then the runtime gets an empty frame
        as soon as it takes one, which it needs to bring the program into view.
        """
        visible, before_ns = self.states.visible, self._clock.now_ns()
        if patience_s is None:
            patience_s = _PATIENCE_S if visible else 0.0
        state = self._frame_wait.now() if self.attended else self._frame_wait.for_a_while(patience_s, serve)
        if state is None:
            return None
        wait_s = (self._clock.now_ns() - before_ns) / 1e9
        self._frame_state, self._located, self._target = state, False, None
        code = self._begin(self._session, None)
        if code != _FRAME_DISCARDED:
            check(code)
        if not visible:
            self.end_frame()
            return None
        self._index += 1
        period_ns = int(state.predicted_display_period) or 11_111_111
        predicted_ns = self._bridge.to_monotonic_ns(int(state.predicted_display_time), period_ns)
        return FrameTiming(self._index, predicted_ns, period_ns, bool(state.should_render), wait_s)

    def _take_presence(self, changed: Any) -> None:
        if changed.session != self._session:
            return
        if changed.is_user_present and not self._present:
            self.stage.measure_again()  # it may be somebody else, of another height
        self._present = bool(changed.is_user_present)

    def read_input(self, predicted_time_ns: int) -> InputSnapshot:
        """Head, hands and buttons as they will be then."""
        return self._input.read(self._bridge.to_xr_time(predicted_time_ns), predicted_time_ns, self.attended)

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """A pulse in the hand; only while the input is ours."""
        if self.states.focused:
            self._input.vibrate(hand, amplitude, duration_s)

    def settle(self, comfort: Comfort) -> None:
        """Where the floor is and which hand is the main one, from now on."""
        before, self.stage = self.stage, Stage(self._session, comfort)
        self._input.settle(self.stage, comfort)
        before.close()

    def _close_stage(self) -> None:
        self.stage.close()  # whichever it is by then

    def show(self, boards: Sequence[Board]) -> Sequence[Board]:
        """Answers those that are to be drawn into the picture."""
        return self._boards.take(boards)

    def locate_views(self) -> tuple[View, ...] | None:
        """Both eyes in the stage at this frame's display time, None while the head is not tracked at all."""
        self._located = self._eyes.locate(self.stage.space, self._frame_state.predicted_display_time)
        return self._eyes.views(self.size, self._masks.hidden) if self._located else None

    def acquire(self) -> Target:
        """The images of both eyes, to be drawn now."""
        self._target = self._picture.acquire()
        return self._target

    def drawn(self) -> tuple[Any, ...]:
        """Both eyes' framebuffers of this frame, until ``end_frame``; empty where nothing was drawn."""
        return self._target.framebuffers if self._target is not None else ()

    def end_frame(self) -> None:
        """Release what was acquired and submit it, or submit nothing; always ends what was begun."""
        if self._frame_state is None:
            return
        state, self._frame_state = self._frame_state, None
        self._picture.release()
        info, layers = self._end_info, []
        if self._target is not None and self._located and state.should_render:
            space = self.stage.space
            layers = [self._picture.layer(space, self._eyes.located), *self._boards.layers(space)]
        info.display_time, info.layer_count = state.predicted_display_time, len(layers)
        info._layers = (_Header * len(layers))(*layers)
        check(self._end(self._session, byref(info)))
        self._forget_gl_errors()

    def _forget_gl_errors(self) -> None:
        """SteamVR leaves errors of its own behind, and takes those that it finds for a failure of its next call."""
        for _ in range(_GL_ERRORS):
            if self._ctx.error == "GL_NO_ERROR":
                return

    def leave(self) -> None:
        """Ask the runtime to wind the session down, and go along until it has."""
        if not self.states.running:
            return
        try:
            xr.request_exit_session(self._session)
            for _ in range(_FAREWELL_FRAMES):
                if self.poll_events() is not Duty.NOTHING or not self.states.running:
                    return
                self.begin_frame(patience_s=_FAREWELL_WAIT_S)
                self.end_frame()
        except xr.XrException as e:
            _log.info("The headset's session ended abruptly (%s).", describe(e))

    def close(self) -> None:
        """Destroy everything, last made first. Safe to call twice."""
        self._owned.close()
