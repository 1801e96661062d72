"""Into OpenGL's buffers: the order of CUDA's calls with a made-up runtime, and each known way in which it fails."""

from __future__ import annotations

import ctypes
import platform
import sys
from enum import IntEnum
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vrapp.core.mesh import VERTEX_DTYPE
from vrapp.generation import interop
from vrapp.generation.device_mesh import DeviceLevel
from vrapp.generation.interop import CudaCopier, HostCopier, InteropUnavailable, open_copier

pytestmark = pytest.mark.gl


class Error(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorInsufficientDriver = 35
    cudaErrorOperatingSystem = 304


class Runtime:
    """CUDA's runtime over main memory: a "mapped" buffer is a copy, which unmapping writes back."""

    cudaGLDeviceList = SimpleNamespace(cudaGLDeviceListAll=1)
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyDeviceToDevice=3)

    def __init__(self, ctx, devices=1, broken=None, error=Error.cudaErrorInvalidValue, loses=False):
        self.calls, self._ctx = [], ctx
        self._devices, self._broken, self._error, self._loses = devices, broken, error, loses
        self.buffers = {}  # by GL name
        self._mapped = {}

    def _say(self, name, *found):
        self.calls.append(name)
        return (self._error,) if name == self._broken else (Error.cudaSuccess, *found)

    def cudaGLGetDevices(self, most, which):
        return self._say("devices", self._devices, [0] * most)

    def cudaGraphicsGLRegisterBuffer(self, name, flags):
        assert flags == 0  # nothing is discarded
        return self._say("register", SimpleNamespace(name=name))

    def cudaGraphicsMapResources(self, count, resource, stream):
        size = self.buffers[resource.name].size
        self._mapped[resource.name] = (ctypes.c_ubyte * size).from_buffer_copy(self.buffers[resource.name].read())
        return self._say("map")

    def cudaGraphicsResourceGetMappedPointer(self, resource):
        memory = self._mapped[resource.name]
        return self._say("pointer", ctypes.addressof(memory), len(memory))

    def cudaMemcpyAsync(self, to, source, count, kind, stream):
        if not self._loses:
            ctypes.memmove(to, source, count)
        return self._say("copy")

    def cudaGraphicsUnmapResources(self, count, resource, stream):
        self.buffers[resource.name].write(bytes(self._mapped.pop(resource.name)))
        return self._say("unmap")

    def cudaGraphicsUnregisterResource(self, resource):
        return self._say("unregister")


class Context:
    """A context whose buffers the made-up runtime knows."""

    def __init__(self, ctx):
        self._ctx, self.info, self.runtime = ctx, ctx.info, None

    def buffer(self, **options):
        made = self._ctx.buffer(**options)
        if self.runtime is not None:
            self.runtime.buffers[made.glo] = made
        return made


@pytest.fixture
def context(gl_context):
    return Context(gl_context)


def test_a_level_lies_in_the_buffers_after_a_copy_on_the_device(context):
    runtime = context.runtime = Runtime(context)
    copier = open_copier(context, 5, runtime)
    assert isinstance(copier, CudaCopier)
    vertices, indices = context.buffer(reserve=4096), context.buffer(reserve=4096)
    packed = torch.arange(10 * 24, dtype=torch.uint8).view(10, 24)
    triangles = torch.arange(12, dtype=torch.int32).view(4, 3)
    level = DeviceLevel(packed, triangles, copier)
    runtime.calls.clear()
    level.write_to(vertices, 240, indices, 48)
    once = ["register", "map", "pointer", "copy", "unmap"]
    assert runtime.calls == once * 2
    assert vertices.read(240, offset=240) == packed.numpy().tobytes()
    assert indices.read(48, offset=48) == triangles.numpy().tobytes()
    runtime.calls.clear()
    level.write_to(vertices, 0, indices, 0)
    assert "register" not in runtime.calls
    vertices.release()  # the arena has grown
    larger = context.buffer(reserve=8192)
    runtime.calls.clear()
    level.write_to(larger, 0, indices, 0)
    assert runtime.calls[:2] == ["unregister", "register"]
    copier.close()
    assert runtime.calls[-2:] == ["unregister"] * 2
    assert level.vertices.dtype == VERTEX_DTYPE
    assert np.array_equal(level.indices, np.arange(12))
    for buffer in (larger, indices):
        buffer.release()


def test_more_than_fits_is_an_error_and_the_buffer_is_given_back(context):
    runtime = context.runtime = Runtime(context)
    small = context.buffer(reserve=16)
    with pytest.raises(ValueError, match="do not fit"):
        CudaCopier(runtime, 0).copy(torch.zeros(32, dtype=torch.uint8), small, 0)
    assert runtime.calls[-1] == "unmap"
    small.release()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"devices": 0}, "which CUDA does not know"),
        ({"broken": "devices", "error": Error.cudaErrorOperatingSystem}, "another GPU"),
        ({"broken": "register", "error": Error.cudaErrorOperatingSystem}, "another GPU"),
        ({"broken": "devices", "error": Error.cudaErrorInsufficientDriver}, "driver is older"),
        ({"broken": "map"}, "cudaErrorInvalidValue"),
        ({"broken": "copy"}, "cudaErrorInvalidValue"),
        ({"loses": True}, "does not arrive"),
    ],
)
def test_what_fails_falls_back_with_one_line(context, caplog, options, expected):
    caplog.set_level("INFO")
    context.runtime = Runtime(context, **options)
    copier = open_copier(context, 0, context.runtime)
    assert isinstance(copier, HostCopier)
    assert expected in caplog.text
    assert len(caplog.records) == 1
    buffer = context.buffer(reserve=64)
    copier.copy(torch.arange(8, dtype=torch.int32), buffer, 16)
    assert np.array_equal(np.frombuffer(buffer.read(32, offset=16), np.int32), np.arange(8))
    buffer.release()


@pytest.mark.parametrize("broken", ["register", "map", "pointer", "copy", "unmap"])
def test_what_fails_later_falls_back_with_one_line_and_loses_nothing(context, caplog, broken):
    runtime = context.runtime = Runtime(context)
    copier = open_copier(context, 0, runtime)
    assert isinstance(copier, CudaCopier)
    first, grown = context.buffer(reserve=64), context.buffer(reserve=64)
    copier.copy(torch.arange(8, dtype=torch.int32), first, 16)
    runtime._broken = broken
    for at in (0, 32):
        copier.copy(torch.arange(8, dtype=torch.int32), grown, at)
    assert np.array_equal(np.frombuffer(grown.read(), np.int32), np.tile(np.arange(8), 2))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "through main memory from now on: CUDA answers cudaErrorInvalidValue" in caplog.text
    assert runtime.calls[-1] == "unregister"
    copier.close()
    for buffer in (first, grown):
        buffer.release()


@pytest.mark.parametrize(
    ("release", "preload", "expected"),
    [("5.15.1-microsoft-standard-WSL2", "", "WSL2"), ("6.1", "libdlfaker.so:libvglfaker.so", "VirtualGL")],
)
def test_places_where_it_is_not_even_tried(monkeypatch, release, preload, expected):
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setenv("LD_PRELOAD", preload)
    with pytest.raises(InteropUnavailable, match=expected):
        interop._runtime()


def test_without_cuda_python_the_sentence_tells_how_to_get_it(monkeypatch):
    monkeypatch.setattr(platform, "release", lambda: "6.1")
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(InteropUnavailable, match="pip install"):
        interop._runtime()
