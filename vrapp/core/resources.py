"""Where shaders, assets and the user's own folders are, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _bundled(name: str) -> Path:
    """In a checkout the folder lies beside the package; in a wheel it is inside it."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def assets() -> Path:
    """The folder of weights, categories and baked data."""
    return _bundled("assets")


def shaders() -> Path:
    """The folder of GLSL files."""
    return _bundled("shaders")


def _user_folder(variable: str, windows: str, mac: str, linux: str) -> Path:
    if override := os.environ.get(variable):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "vrapp" / windows
    if sys.platform == "darwin":
        return Path.home() / "Library" / mac / "vrapp"
    xdg = {"config": "XDG_CONFIG_HOME", "cache": "XDG_CACHE_HOME"}[windows]
    return Path(os.environ.get(xdg) or Path.home() / linux) / "vrapp"


def config_folder() -> Path:
    """Settings that people change. ``VRAPP_CONFIG`` overrides."""
    return _user_folder("VRAPP_CONFIG", "config", "Application Support", ".config")


def cache_folder() -> Path:
    """Decoded start sets and logs; safe to delete. ``VRAPP_CACHE`` overrides."""
    return _user_folder("VRAPP_CACHE", "cache", "Caches", ".cache")
