"""Things that have to be destroyed in reverse order, whatever happens in between."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import xr

from vrapp.display.openxr.results import describe

_log = logging.getLogger(__name__)


class Owned(ExitStack):
    """An ExitStack for handles: in ``with``, what was made is destroyed again where a later part fails;
    ``keep = made.pop_all()`` at the end hands it on. A failing destroy is told and does not stop the next.
    """

    def destroys(self, destroy: Callable[..., Any], *handles: Any) -> None:
        """``destroy(*handles)`` on closing."""

        def quietly() -> None:
            try:
                destroy(*handles)
            except xr.XrException as e:
                _log.info("A part of the headset's session could not be destroyed (%s).", describe(e))

        self.callback(quietly)
