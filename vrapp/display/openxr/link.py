"""Finding, losing and finding the headset again."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import xr

from vrapp.core.clock import Clock
from vrapp.core.comfort import Comfort
from vrapp.core.errors import DisplayUnavailable, GraphicsError
from vrapp.display.openxr.headset import Headset
from vrapp.display.openxr.instance import Instance
from vrapp.display.openxr.probe import require_runtime
from vrapp.display.openxr.results import Remedy, explain, remedy_for
from vrapp.display.openxr.wishes import Wishes

_log = logging.getLogger(__name__)

_RETRY_NS = 2_000_000_000
_SLOWEST_RETRY_NS = 30_000_000_000
#: A session that fails this often without one good frame is not tried again.
_MOST_FAILURES = 5
_NEVER_NS = 2**63 - 1
_OF_LAYERS = (xr.LayerInvalidError, xr.ValidationFailureError, xr.SwapchainRectInvalidError)


class HeadsetLink:
    """Holds the instance and, while there is one, the headset. ``lost`` is why there is none, else None.

    After a loss it tries again every two seconds, more and more slowly while it goes on failing. Looking
    for a headset costs one quick call; only a lost runtime means connecting anew.
    """

    def __init__(self, ctx: Any, clock: Clock, surfaceless: bool, wishes: Wishes, rest: Any) -> None:
        """``rest``: the framebuffer to use when the headset's are gone."""
        self.headset: Headset | None = None
        self.lost: str | None = None
        self.runtime = self.system = ""
        self._ctx, self._clock, self._surfaceless = ctx, clock, surfaceless
        self._wishes, self._rest = wishes, rest
        self._instance: Instance | None = None
        self._failures = 0
        self._next_try_ns = 0

    def connect(self) -> None:
        """Take up the headset. Raises DisplayUnavailable or GraphicsError with the reason."""
        try:
            require_runtime()  # it may be started, or started again, later
        except DisplayUnavailable as e:
            self._try_later(str(e).rstrip("."))
            raise
        try:
            self._connect()
        except xr.XrException as e:
            self.lose(e)
            raise DisplayUnavailable(f"{self.lost}.") from e
        except (DisplayUnavailable, GraphicsError) as e:
            self._give_up(str(e).rstrip("."))
            raise

    def _connect(self) -> None:
        if self._instance is None:
            self._instance = Instance(self._surfaceless)
        instance = self._instance
        instance.find_headset(divmod(self._ctx.version_code // 10, 10))
        self.headset = Headset(instance, self._ctx, self._clock, self._surfaceless, self._wishes)
        self.runtime, self.system, self.lost = instance.runtime, instance.system_name, None

    @property
    def waiting(self) -> bool:
        """The runtime is there and takes the program, but no headset is connected yet."""
        return self._instance is not None and self.headset is None

    def retry(self) -> bool:
        """Try again where it is time to. True when the headset is back."""
        if self.headset is not None or self._clock.now_ns() < self._next_try_ns:
            return False
        try:
            self.connect()
        except (DisplayUnavailable, GraphicsError):
            return False
        _log.info("The headset is back: %s.", self.system)
        return True

    def settle(self, comfort: Comfort) -> None:
        """Of this session and of those that follow."""
        self._wishes = replace(self._wishes, comfort=comfort)
        if self.headset is not None:
            self.headset.settle(comfort)

    def worked(self) -> None:
        """A frame has reached the compositor: earlier failures are over."""
        self._failures = 0

    def lose(self, error: xr.XrException) -> None:
        """Close what the error has made useless and note when to try again."""
        remedy = remedy_for(error)
        if isinstance(error, _OF_LAYERS) and self.headset is not None:
            # It takes a part of the frame ill, though it said that it takes any: the next session goes without.
            if self.headset.boards:
                self._wishes = replace(self._wishes, boards=False)
            elif self.headset.has_depth:
                self._wishes = replace(self._wishes, depth=False)
        self._close_headset()
        if remedy in (Remedy.INSTANCE, Remedy.STOP) or (remedy is Remedy.SESSION and self._failures):
            self._close_instance()
        reason = explain(error)
        if remedy is not Remedy.WAIT:
            self._failures += 1
        if remedy is Remedy.STOP or self._failures > _MOST_FAILURES:
            self._give_up(reason)
            return
        self._try_later(reason)

    def leave(self) -> None:
        """The user has left through the runtime's own menu: the session is over for good."""
        self._close_headset()
        self._give_up("The headset's session was ended by the user")

    def _try_later(self, reason: str) -> None:
        pause_ns = min(_RETRY_NS * 2 ** max(self._failures - 1, 0), _SLOWEST_RETRY_NS)
        self._next_try_ns = self._clock.now_ns() + pause_ns
        self._tell(reason)

    def _give_up(self, reason: str) -> None:
        self._close_headset()
        self._close_instance()
        self._next_try_ns = _NEVER_NS
        self._tell(reason)

    def _tell(self, reason: str) -> None:
        if self.system and reason != self.lost:  # before the first headset, the one who asked says it
            _log.warning("%s.", reason)
        self.lost = reason

    def _close_headset(self) -> None:
        if self.headset is not None:
            headset, self.headset = self.headset, None
            self._rest.use()  # ModernGL returns to the one in use, which must not be a deleted one
            headset.close()

    def _close_instance(self) -> None:
        if self._instance is not None:
            instance, self._instance = self._instance, None
            instance.close()

    def close(self) -> None:
        """End the session as the runtime wants it and disconnect."""
        if self.headset is not None:
            self.headset.leave()
        self._close_headset()
        self._close_instance()
