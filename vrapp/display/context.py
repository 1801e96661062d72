"""OpenGL contexts and, where there is none to be had, the sentence that says what to install."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import moderngl

from vrapp.core.errors import DisplayUnavailable, GraphicsError, VrappError

GL_VERSION = 450

# The names with a version: the plain ones come with the -dev packages only.
_WINDOW_LIBRARIES: dict[str, dict[str, Any]] = {
    "linux": {"libgl": "libGL.so.1", "libx11": "libX11.so.6"},
    "win32": {"libgl": "opengl32.dll"},
}
_EGL_LIBRARIES: dict[str, Any] = {"backend": "egl", "libgl": "libGL.so.1", "libegl": "libEGL.so.1"}
_MOST_DEVICES = 4
_GL_PRIMITIVE_RESTART = 0x8F9D

_TOO_OLD = (
    "This machine's OpenGL driver does not offer version 4.5 core, which vrapp needs; "
    "update the graphics driver, or use Mesa 20 or newer."
)


def headless_context() -> Any:
    """A standalone EGL context (moderngl.Context) that needs no window system.

    Takes the first EGL device that works: in a container the first may be a GPU that is out of reach.
    Raises DisplayUnavailable where EGL or its driver is missing, GraphicsError below OpenGL 4.5.
    """
    reasons: list[Exception] = []
    for device in range(_MOST_DEVICES):
        try:
            settings = {**_EGL_LIBRARIES, "device_index": device}
            return _for_whole_lists(moderngl.create_context(standalone=True, require=GL_VERSION, **settings))
        except Exception as e:  # moderngl and glcontext raise bare Exception for every reason
            reasons.append(e)
    raise _explain(str(reasons[0])) from reasons[0]


def release_headless_context(ctx: Any) -> None:
    """Destroy a context made by ``headless_context`` and unbind EGL from this thread.

    Left bound, the next window's glXMakeCurrent ends the process with BadAccess (libglvnd).
    """
    ctx.release()
    ctypes.CDLL(_EGL_LIBRARIES["libegl"]).eglReleaseThread()


def context_of_current_window() -> Any:
    """The context that GLFW has just made current, as moderngl.Context. Raises GraphicsError."""
    try:
        # Settings are given so that moderngl does not hand out its process-wide default context.
        settings = _WINDOW_LIBRARIES.get(sys.platform, {"glversion": GL_VERSION})
        return _for_whole_lists(moderngl.create_context(require=GL_VERSION, **settings))
    except Exception as e:  # bare Exception, as above
        raise _explain(str(e)) from e


def _for_whole_lists(ctx: Any) -> Any:
    """``ctx`` without primitive restart, which moderngl turns on: nothing here is drawn as strips with indices.

    A software rasteriser otherwise looks at every index of every draw for the one that restarts.
    """
    ctx.disable_direct(_GL_PRIMITIVE_RESTART)
    return ctx


def _explain(reason: str) -> VrappError:
    """One sentence for what glcontext said."""
    if "not loaded" in reason:
        library = reason.split(maxsplit=1)[0]
        return DisplayUnavailable(
            f"The OpenGL library {library} is missing; on Debian or Ubuntu install it with "
            "'apt-get install libegl1 libgl1 libgl1-mesa-dri'."
        )
    if "eglCreateContext failed" in reason or "version" in reason.lower():
        return GraphicsError(_TOO_OLD)
    return DisplayUnavailable(
        f"No OpenGL driver could be started ({reason}); on Debian or Ubuntu install one with "
        "'apt-get install libgl1-mesa-dri', and check that the driver's files match it."
    )


def is_software(ctx: Any) -> bool:
    """True on a rasteriser that runs on the CPU, where the display never blocks on a vertical sync."""
    renderer = ctx.info["GL_RENDERER"].lower()
    return any(name in renderer for name in ("llvmpipe", "softpipe", "swiftshader", "swrast"))
