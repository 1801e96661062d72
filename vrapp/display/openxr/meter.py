"""How much of a frame's CPU time is the OpenXR runtime's. Imports nothing of it: there may be none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Call = Callable[..., int]
T = TypeVar("T")


class Meter:
    """``cpu_s``: CPU seconds that a thread has spent inside the calls that were put ``around``."""

    def __init__(self) -> None:
        self.cpu_s = 0.0

    def around(self, call: Callable[..., T]) -> Callable[..., T]:
        """The same call, measured."""

        def measured(*arguments: Any) -> T:
            before_s = time.thread_time()
            try:
                return call(*arguments)
            finally:
                self.cpu_s += time.thread_time() - before_s

        return measured


_meters: list[Meter] = []  # the innermost last


@contextmanager
def metered() -> Iterator[Meter]:
    """Calls of sessions that are made within it are measured, for as long as they are made."""
    _meters.append(Meter())
    try:
        yield _meters[-1]
    finally:
        _meters.pop()


def through_meter(call: Call) -> Call:
    """``call`` as it is made now: measured within ``metered``, else itself."""
    return _meters[-1].around(call) if _meters else call
