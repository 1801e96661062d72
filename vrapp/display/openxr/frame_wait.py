"""xrWaitFrame: OpenXR 1.1, section 10.4 "Frame Synchronization"."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from ctypes import byref
from queue import Empty, SimpleQueue
from typing import Any

import xr

from vrapp.display.openxr.calls import prepared
from vrapp.display.openxr.results import check

_log = logging.getLogger(__name__)

_SERVE_EVERY_S = 0.02
_FAREWELL_S = 1.0


class FrameWait:
    """Waits for the next frame: directly, or in a thread of its own, for as long as the caller has patience.

    While nobody wears the headset or another program covers this one, runtimes hold xrWaitFrame back, some of
    them for seconds. Then it is made in a thread, and the window lives on meanwhile. While the picture counts
    it is made directly: no second thread has to be woken.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._wait, self._state = prepared("xrWaitFrame"), xr.FrameState()
        self._state_at = byref(self._state)
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()  # xr.FrameState or the exception
        self.pending = False  # a wait was begun and not used: each goes with one xrBeginFrame
        self._stale = False  # begun for a session that was ended and begun again meanwhile
        self._thread: threading.Thread | None = None

    def now(self) -> Any:
        """The frame's xr.FrameState, valid until the next call. Raises xr.XrException."""
        state = self._taken(self._answers.get()) if self.pending else None
        if state is None:
            check(self._wait(self._session, None, self._state_at))
            state = self._state
        return state

    def for_a_while(self, patience_s: float, serve: Callable[[], object]) -> Any | None:
        """The same, or None after ``patience_s``; the wait then goes on. ``serve`` is called now and then."""
        while True:
            if not self.pending:
                self._ask()
            try:
                state = self._taken(self._answers.get(timeout=min(patience_s, _SERVE_EVERY_S)))
            except Empty:
                patience_s -= _SERVE_EVERY_S
                if patience_s <= 0:
                    return None
                serve()
            else:
                if state is not None:
                    return state

    def session_begins(self) -> None:
        """A wait that is still out was for the time before."""
        self._stale = self.pending

    def _ask(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="xrWaitFrame", daemon=True)
            self._thread.start()
        self.pending = True
        self._asked.put(True)

    def _run(self) -> None:
        while self._asked.get():
            try:
                self._answers.put(xr.wait_frame(self._session))
            except Exception as e:  # raised again where it was asked for
                self._answers.put(e)

    def _taken(self, answer: Any) -> Any | None:
        """The state, or None where the answer is that of a session which had ended by then."""
        stale, self.pending, self._stale = self._stale, False, False
        if stale and isinstance(answer, xr.SessionNotRunningError):
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """End the thread, before the session is destroyed."""
        if self._thread is None:
            return
        self._asked.put(False)
        self._thread.join(_FAREWELL_S)
        if self._thread.is_alive():
            _log.warning("The OpenXR runtime does not answer xrWaitFrame; its session is ended nevertheless.")
        self._thread = None
