"""Shared by all tests: folders of their own, an OpenGL context, a screen."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def user_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings, caches and logs go to a temporary folder, in subprocesses too: never to the user's own."""
    folder = tmp_path_factory.mktemp("user")
    before = {name: os.environ.get(name) for name in ("VRAPP_CONFIG", "VRAPP_CACHE", "VRAPP_PROGRAM")}
    os.environ.update(VRAPP_CONFIG=str(folder / "config"), VRAPP_CACHE=str(folder / "cache"))
    os.environ.pop("VRAPP_PROGRAM", None)  # run.py sets it, and messages would differ
    yield
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def logger_as_it_was() -> Iterator[None]:
    """The program's logger, which each command sets up anew: what caplog sees must not hang on the test before."""
    logger = logging.getLogger("vrapp")
    handlers, level, propagates = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagates


@pytest.fixture
def gl_context() -> Iterator[Any]:
    """A moderngl.Context without a window system. Fails where an OpenGL error is left behind."""
    from vrapp.core.errors import VrappError
    from vrapp.display.context import headless_context, release_headless_context

    try:
        ctx = headless_context()
    except VrappError as e:
        pytest.skip(f"no OpenGL: {e}")
    try:
        yield ctx
        assert ctx.error == "GL_NO_ERROR"
    finally:
        release_headless_context(ctx)


@pytest.fixture(scope="session")
def x_server() -> Iterator[str]:
    """``DISPLAY`` of an X server: the one there is, or an Xvfb for this session."""
    if os.environ.get("DISPLAY"):
        yield os.environ["DISPLAY"]
        return
    if not shutil.which("Xvfb"):
        pytest.skip("no DISPLAY, and Xvfb is not installed")
    reader, writer = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(writer),
        "-screen",
        "0",
        "1280x1024x24",
        "+extension",
        "GLX",
        "-nolisten",
        "tcp",
    ]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as numbers:
            number = numbers.readline().strip()
        if not number:
            pytest.skip("Xvfb did not start")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def screen(x_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """``DISPLAY`` is set during the test."""
    monkeypatch.setenv("DISPLAY", x_server)
    return x_server


@pytest.fixture(scope="session")
def project() -> Path:
    """The folder of the checkout."""
    return Path(__file__).resolve().parents[1]
