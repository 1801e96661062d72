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

from vrapp.core.mesh import VERTEX_DTYPE, Placed
from vrapp.generation import interop
from vrapp.generation.device_mesh import DeviceLevel
from vrapp.generation.interop import CudaCopier, InteropUnavailable, open_copier

pytestmark = pytest.mark.gl


class Error(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorInsufficientDriver = 35
    cudaErrorOperatingSystem = 304


class Resource(int):
    """A handle: here, the name of the buffer."""


class Stream:
    """Remembers what it has waited for."""

    handle = 5

    def __init__(self):
        self.followed = []

    def follow(self, sources):
        self.followed += sources


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
        return self._say("register", Resource(name))

    def _named(self, count, handles):
        """As cuda-python reads them: the address of so many handles."""
        names = [(ctypes.c_void_p * count).from_address(handles)[i] for i in range(count)]
        assert len({*names}) == count  # CUDA refuses duplicates
        return names

    def cudaGraphicsMapResources(self, count, handles, stream):
        for name in self._named(count, handles):
            raw = self.buffers[name].read()
            self._mapped[name] = (ctypes.c_ubyte * len(raw)).from_buffer_copy(raw)
        self.mapped_on = stream
        return self._say("map")

    def cudaGraphicsResourceGetMappedPointer(self, resource):
        memory = self._mapped[int(resource)]
        return self._say("pointer", ctypes.addressof(memory), len(memory))

    def cudaMemcpyAsync(self, to, source, count, kind, stream):
        assert stream == self.mapped_on
        if not self._loses:
            ctypes.memmove(to, source, count)
        return self._say("copy")

    def cudaGraphicsUnmapResources(self, count, handles, stream):
        for name in self._named(count, handles):
            self.buffers[name].write(bytes(self._mapped.pop(name)))
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


def level_of(vertices, triangles, copier, first=0):
    packed = torch.arange(first, first + vertices * 24, dtype=torch.int32).to(torch.uint8).view(vertices, 24)
    return DeviceLevel(packed, torch.arange(triangles * 3, dtype=torch.int32).view(triangles, 3), copier)


def test_levels_lie_in_the_buffers_after_copies_on_the_device(context):
    runtime, stream = Runtime(context), Stream()
    context.runtime = runtime
    copier = open_copier(context, stream, runtime)
    assert isinstance(copier, CudaCopier)
    vertices, indices = context.buffer(reserve=4096), context.buffer(reserve=4096)
    fine, coarse = level_of(10, 4, copier), level_of(5, 2, copier, first=7)
    runtime.calls.clear()
    stream.followed.clear()
    copier.write([Placed(fine, 240, 48), Placed(coarse, 720, 240)], vertices, indices)
    assert runtime.calls == ["register"] * 2 + ["map"] + ["pointer"] * 2 + ["copy"] * 4 + ["unmap"]
    assert runtime.mapped_on == Stream.handle
    assert {id(t) for t in stream.followed} == {id(t) for one in (fine, coarse) for t in (one.packed, one.triangles3)}
    for level, at, start in ((fine, 240, 48), (coarse, 720, 240)):
        assert vertices.read(level.packed.numel(), offset=at) == level.packed.numpy().tobytes()
        assert indices.read(4 * level.triangles3.numel(), offset=start) == level.triangles3.numpy().tobytes()
    runtime.calls.clear()
    copier.write([Placed(fine, 0, 0)], vertices, indices)
    assert "register" not in runtime.calls
    runtime.calls.clear()
    copier.forget(vertices)  # the arena grows
    copier.forget(vertices)
    assert runtime.calls == ["unregister"]
    vertices.release()
    larger = context.buffer(reserve=8192)
    copier.write([Placed(fine, 0, 0)], larger, indices)
    assert runtime.calls[1:3] == ["register", "map"]
    copier.close()
    assert runtime.calls[-2:] == ["unregister"] * 2
    assert fine.vertices.dtype == VERTEX_DTYPE
    assert np.array_equal(fine.indices, np.arange(12))
    for buffer in (larger, indices):
        buffer.release()


def test_more_than_fits_is_an_error_and_the_buffer_is_given_back(context):
    runtime = context.runtime = Runtime(context)
    small = context.buffer(reserve=16)
    with pytest.raises(ValueError, match="do not fit"):
        CudaCopier(runtime, Stream()).share([(torch.zeros(32, dtype=torch.uint8), small, 0)])
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
def test_what_fails_is_told_in_one_line(context, caplog, options, expected):
    caplog.set_level("INFO")
    context.runtime = Runtime(context, **options)
    assert open_copier(context, Stream(), context.runtime) is None
    assert expected in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("broken", ["register", "map", "pointer", "copy", "unmap"])
def test_what_fails_later_falls_back_with_one_line_and_loses_nothing(context, caplog, broken):
    runtime = context.runtime = Runtime(context)
    copier = open_copier(context, Stream(), runtime)
    assert copier.shares
    first, grown = context.buffer(reserve=512), context.buffer(reserve=512)
    level = level_of(4, 4, copier)
    copier.write([Placed(level, 16, 16)], first, first)
    runtime._broken = broken
    for at in (0, 192):
        copier.write([Placed(level, at, at + 96)], grown, grown)
    whole = level.packed.numpy().tobytes() + level.triangles3.numpy().tobytes()
    assert all(grown.read(144, offset=at) == whole for at in (0, 192))
    assert not copier.shares
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "through main memory from now on: CUDA answers cudaErrorInvalidValue" in caplog.text
    assert runtime.calls[-1] == "unregister"
    copier.close()
    for buffer in (first, grown):
        buffer.release()


class Gone(torch.Tensor):
    """What lies on a device that answers nothing any more."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func.__name__ in {"data_ptr", "cpu"}:
            raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore")
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))


def test_what_lies_on_a_card_that_is_gone_is_drawn_as_nothing(context, caplog):
    runtime = context.runtime = Runtime(context)
    copier = open_copier(context, Stream(), runtime)
    buffer = context.buffer(data=bytes(range(256)))
    runtime.buffers[buffer.glo] = buffer
    level = level_of(4, 4, copier)
    vars(level)["packed"] = level.packed.as_subclass(Gone)
    copier.write([Placed(level, 0, 100)], buffer, buffer)
    assert buffer.read(48, offset=100) == bytes(48)
    assert buffer.read(100) == bytes(range(100))
    (record,) = caplog.records
    assert record.message.endswith("from now on: CUDA error: an illegal memory access was encountered.")
    buffer.release()


def test_a_handle_of_nothing_is_no_sharing(context, caplog):
    caplog.set_level("INFO")
    runtime = context.runtime = Runtime(context)
    runtime.cudaGraphicsGLRegisterBuffer = lambda name, flags: (Error.cudaSuccess, Resource(0))
    assert open_copier(context, Stream(), runtime) is None
    assert "these cuda-bindings cannot share memory" in caplog.text


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
