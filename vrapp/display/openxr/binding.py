"""How the OpenGL context is handed to the runtime: XR_KHR_opengl_enable, XR_MNDX_egl_enable.

The one file with PyOpenGL's GLX and raw EGL and WGL: ModernGL does not tell native handles.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_int, c_void_p, cast
from typing import Any

import xr

from vrapp.core.errors import GraphicsError

OPENGL_EXTENSION = "XR_KHR_opengl_enable"
EGL_EXTENSION = "XR_MNDX_egl_enable"

_EGL_CONFIG_ID, _EGL_NONE = 0x3028, 0x3038


def required_extensions(surfaceless: bool) -> tuple[str, ...]:
    """What the runtime must offer so that it can take this context."""
    return (OPENGL_EXTENSION, EGL_EXTENSION) if surfaceless else (OPENGL_EXTENSION,)


def graphics_binding(surfaceless: bool) -> Any:
    """The structure for SessionCreateInfo.next, of the context that is current now.

    Keep it in a variable until xrCreateSession has returned: ``next`` holds no reference.
    """
    if sys.platform == "win32":
        return _wgl_binding()
    return _egl_binding() if surfaceless else _glx_binding()


def _glx_binding() -> Any:
    from OpenGL import GLX

    display, context = GLX.glXGetCurrentDisplay(), GLX.glXGetCurrentContext()
    if not display or not context:
        raise GraphicsError("No GLX context is current, so the headset cannot be given one; use an X11 window.")
    value, count = c_int(), c_int()
    GLX.glXQueryContext(display, context, GLX.GLX_FBCONFIG_ID, byref(value))
    fbconfig_id = value.value
    GLX.glXQueryContext(display, context, GLX.GLX_SCREEN, byref(value))
    wanted = (c_int * 3)(GLX.GLX_FBCONFIG_ID, fbconfig_id, 0)
    # Runtimes refuse a NULL fbconfig with GraphicsDeviceInvalid.
    configs = GLX.glXChooseFBConfig(display, value.value, wanted, byref(count))
    if count.value < 1:
        raise GraphicsError(f"GLX does not know the window's framebuffer configuration {fbconfig_id}; update Mesa.")
    visual = GLX.glXGetVisualFromFBConfig(display, configs[0])
    return xr.GraphicsBindingOpenGLXlibKHR(
        x_display=display,
        visualid=visual[0].visualid,
        glx_fbconfig=configs[0],
        glx_drawable=GLX.glXGetCurrentDrawable(),
        glx_context=context,
    )


def _egl_binding() -> Any:
    egl = ctypes.CDLL("libEGL.so.1")
    for name in ("eglGetCurrentDisplay", "eglGetCurrentContext"):
        getattr(egl, name).restype = c_void_p
    display, context = egl.eglGetCurrentDisplay(), egl.eglGetCurrentContext()
    if not display or not context:
        raise GraphicsError("No EGL context is current, so the headset cannot be given one.")
    config_id, config, count = c_int(), c_void_p(), c_int()
    egl.eglQueryContext(c_void_p(display), c_void_p(context), _EGL_CONFIG_ID, byref(config_id))
    wanted = (c_int * 3)(_EGL_CONFIG_ID, config_id.value, _EGL_NONE)
    egl.eglChooseConfig(c_void_p(display), wanted, byref(config), 1, byref(count))
    binding = xr.GraphicsBindingEGLMNDX()
    types = dict(xr.GraphicsBindingEGLMNDX._fields_)
    binding.get_proc_address = cast(egl.eglGetProcAddress, types["get_proc_address"])
    binding.display = cast(c_void_p(display), types["display"])
    binding.config = cast(config, types["config"])
    binding.context = cast(c_void_p(context), types["context"])
    return binding


def _wgl_binding() -> Any:
    wgl = ctypes.windll.opengl32  # type: ignore[attr-defined]
    for name in ("wglGetCurrentDC", "wglGetCurrentContext"):
        getattr(wgl, name).restype = c_void_p
    device, context = wgl.wglGetCurrentDC(), wgl.wglGetCurrentContext()
    if not device or not context:
        raise GraphicsError("No WGL context is current, so the headset cannot be given one.")
    return xr.GraphicsBindingOpenGLWin32KHR(h_dc=device, h_glrc=context)
