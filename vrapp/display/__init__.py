"""Displays and input sources behind the contracts of ``core.display`` and ``core.input``.

``open.open_display`` picks a display; every source of input (the display's own, or a recorded trace)
drives any of them.
"""

import os
import sys

if sys.platform == "linux":
    # Before any ``import glfw``: on Wayland desktops the wheel would load its build without GLX,
    # which ModernGL and OpenXR need.
    os.environ.setdefault("PYGLFW_LIBRARY_VARIANT", "x11")
