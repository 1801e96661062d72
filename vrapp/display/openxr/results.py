"""What each OpenXR error means for the program: which part has to be made again, or whether to give up.

OpenXR 1.1, section 2.7 "Return codes". In pyopenxr qualified successes raise as well.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import xr

_log = logging.getLogger(__name__)


class Remedy(Enum):
    """How to go on after a failed call."""

    SESSION = "make the session again"
    INSTANCE = "make the instance again"
    WAIT = "ask again later, the headset is not connected"
    STOP = "do not ask this runtime again"


_REMEDIES: dict[type[xr.XrException], Remedy] = {
    xr.InstanceLostError: Remedy.INSTANCE,
    xr.RuntimeUnavailableError: Remedy.INSTANCE,
    xr.RuntimeFailureError: Remedy.INSTANCE,
    xr.InitializationFailedError: Remedy.INSTANCE,
    xr.HandleInvalidError: Remedy.INSTANCE,
    xr.SystemInvalidError: Remedy.INSTANCE,
    xr.FileAccessErrorError: Remedy.INSTANCE,
    xr.FileContentsInvalidError: Remedy.INSTANCE,
    xr.FormFactorUnavailableError: Remedy.WAIT,
    xr.FormFactorUnsupportedError: Remedy.STOP,
    xr.ApiVersionUnsupportedError: Remedy.STOP,
    xr.ExtensionNotPresentError: Remedy.STOP,
    xr.GraphicsDeviceInvalidError: Remedy.STOP,
    xr.ViewConfigurationTypeUnsupportedError: Remedy.STOP,
    xr.EnvironmentBlendModeUnsupportedError: Remedy.STOP,
    xr.SwapchainFormatUnsupportedError: Remedy.STOP,
}


def remedy_for(error: xr.XrException) -> Remedy:
    """Everything not listed (session lost or pending, call order, limits, timeouts) costs the session."""
    return _REMEDIES.get(type(error), Remedy.SESSION)


_SENTENCES = {
    Remedy.WAIT: "No headset is connected to the OpenXR runtime; connect and switch it on",
    Remedy.INSTANCE: "The OpenXR runtime is not running or fails; start it (SteamVR, monado-service, WiVRn or the "
    "headset's own program)",
    Remedy.SESSION: "The headset's session was lost",
    Remedy.STOP: "The OpenXR runtime cannot show this program",
}
_ADVICE: dict[type[xr.XrException], str] = {
    xr.GraphicsDeviceInvalidError: "; start it on the graphics card that the headset is connected to",
    xr.ApiVersionUnsupportedError: "; update the runtime",
    xr.ExtensionNotPresentError: "; update the runtime",
    xr.FormFactorUnsupportedError: "; make a runtime for headsets the active one",
    xr.SwapchainFormatUnsupportedError: "; update the runtime",
}


def explain(error: xr.XrException) -> str:
    """What is wrong and what to do, as a clause without its full stop."""
    return f"{_SENTENCES[remedy_for(error)]}{_ADVICE.get(type(error), '')} ({describe(error)})"


#: After these nothing works any more.
_LOSSES = (xr.SessionLostError, xr.InstanceLostError, xr.SessionLossPending)


@contextmanager
def nicety(lack: str) -> Iterator[None]:
    """Around what the program can do without: an error other than a loss is told (``lack``) and passed over.

    Which code a runtime answers when it cannot do what it offered is nothing to rely on.
    """
    try:
        yield
    except _LOSSES:
        raise
    except xr.XrException as e:
        _log.info("%s (%s).", lack, describe(e))


def describe(error: xr.XrException) -> str:
    """Few words for the log: the specification's name of the code."""
    code = error.get_result_enum() if isinstance(error, xr.exception.ResultException) else None
    return f"XR_{code.name}" if code is not None else f"{type(error).__name__}: {error}"


def check(code: int) -> None:
    """Raise what the result of a raw call stands for."""
    if code:
        raise xr.exception.check_result(xr.Result(code))
