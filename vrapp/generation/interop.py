"""From the GPU that computes to the GPU that draws: CUDA–OpenGL interoperability.

It needs ``cuda-python`` (the extra ``cuda``), and one GPU with one driver for both. Where it cannot work meshes come
through main memory (``shaping``), and one line tells why.

Source: CUDA Runtime API 13, "OpenGL Interoperability".
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vrapp.core.mesh import HOST_WRITER, INDEX_BYTES, Placed
from vrapp.generation.device_mesh import DeviceLevel

_PROBE_BYTES = 256
_OLD_DRIVER = 35  # cudaErrorInsufficientDriver
_OPERATING_SYSTEM = 304  # cudaErrorOperatingSystem: what GL calls on a GPU other than the monitor's end in

log = logging.getLogger(__name__)


class InteropUnavailable(Exception):
    """Why memory cannot be shared, as the end of a sentence."""


class CopyStream:
    """A CUDA stream for copies alone: OpenGL's picture, which they wait for, then holds up no slice of work."""

    def __init__(self, makes: torch.cuda.Stream) -> None:
        self._makes = makes  # the stream that tensors are made on
        self._copies = torch.cuda.Stream(makes.device)  # type: ignore[no-untyped-call]

    @property
    def handle(self) -> int:
        """CUDA's own name for it."""
        return int(self._copies.cuda_stream)

    def follow(self, sources: Sequence[Tensor]) -> None:
        """What comes next waits until ``sources`` are made, and their memory is given to nobody before it is done."""
        self._copies.wait_stream(self._makes)
        for source in sources:
            source.record_stream(self._copies)


class CudaCopier:
    """On the device. ``runtime``: ``cuda.bindings.runtime``.

    A buffer is registered when it is first written to, and let go of before it is deleted (the arena's buffers are
    replaced when they grow). It is registered without flags: to discard what it held would lose all
    other meshes. Where sharing fails once it has worked (a buffer that cannot be registered, a driver that was reset),
    one line tells why, and everything goes through main memory from then on. What cannot be read any more either is
    drawn as nothing.
    """

    def __init__(self, runtime: Any, stream: CopyStream) -> None:
        self._runtime, self._stream = runtime, stream
        self.shares = True
        self._registered: dict[int, tuple[Any, Any]] = {}  # id of the buffer → the buffer, its resource

    def write(self, placed: Sequence[Placed], vertices: Any, indices: Any) -> None:
        """See ``device_mesh.Copier``. Never raises InteropUnavailable."""
        if self.shares:
            copies = []
            for level, vertices_at, indices_at in placed:
                assert isinstance(level, DeviceLevel)
                copies += [(level.packed, vertices, vertices_at), (level.triangles3, indices, indices_at)]
            try:
                self.share(copies)
                return
            except (InteropUnavailable, RuntimeError) as e:  # the other one is torch's
                log.warning("Meshes go from CUDA to OpenGL through main memory from now on: %s.", _first_line(e))
                self.close()
                self.shares = False
        try:
            HOST_WRITER.write(placed, vertices, indices)  # these few wait for the device; later ones come by themselves
        except RuntimeError:  # the device is gone, and what lay there: they are nothing, where else there was rubbish
            for level, _, at in placed:
                indices.write(bytes(level.triangles * 3 * INDEX_BYTES), offset=at)

    def share(self, copies: Sequence[tuple[Tensor, Any, int]]) -> None:
        """Each tensor's bytes to a buffer, from a byte on, all buffers mapped at once.

        Enqueued; OpenGL's later use of the buffers waits for it by itself. Raises InteropUnavailable.
        """
        rt, stream = self._runtime, self._stream.handle
        buffers = list({id(buffer): buffer for _, buffer, _ in copies}.values())
        resources = {id(buffer): self._resource(buffer) for buffer in buffers}
        handles = (ctypes.c_void_p * len(resources))(*(int(resource) for resource in resources.values()))
        self._stream.follow([source for source, _, _ in copies])
        _checked(rt.cudaGraphicsMapResources(len(handles), ctypes.addressof(handles), stream))
        try:
            mapped = {key: _checked(rt.cudaGraphicsResourceGetMappedPointer(r)) for key, r in resources.items()}
            kind = rt.cudaMemcpyKind.cudaMemcpyDeviceToDevice
            for source, buffer, at in copies:
                address, size = mapped[id(buffer)]
                count = source.numel() * source.element_size()
                if at + count > size:
                    raise ValueError(f"{count} bytes at {at} do not fit into a buffer of {size}.")
                _checked(rt.cudaMemcpyAsync(int(address) + at, source.data_ptr(), count, kind, stream))
        finally:
            _checked(rt.cudaGraphicsUnmapResources(len(handles), ctypes.addressof(handles), stream))

    def forget(self, buffer: Any) -> None:
        """Before it is deleted."""
        _, resource = self._registered.pop(id(buffer), (None, None))
        if resource is not None:
            self._runtime.cudaGraphicsUnregisterResource(resource)

    def close(self) -> None:
        """Before the buffers are deleted, if possible."""
        for _, resource in self._registered.values():
            self._runtime.cudaGraphicsUnregisterResource(resource)
        self._registered.clear()

    def _resource(self, buffer: Any) -> Any:
        known = self._registered.get(id(buffer))
        if known is not None:
            return known[1]
        (resource,) = _checked(self._runtime.cudaGraphicsGLRegisterBuffer(buffer.glo, 0))
        if not int(resource):
            raise InteropUnavailable("these cuda-bindings cannot share memory; another version of them can")
        self._registered[id(buffer)] = buffer, resource
        return resource


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _checked(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a call of CUDA gave. Raises InteropUnavailable with CUDA's name of what went wrong."""
    error, *found = answer
    if int(error) == 0:
        return tuple(found)
    name = getattr(error, "name", str(error))
    if int(error) == _OPERATING_SYSTEM:
        raise InteropUnavailable(
            f"the picture is drawn on another GPU than the one that computes, or through a remote display ({name})"
        )
    if int(error) == _OLD_DRIVER:
        bring = f"{sys.executable} -m pip install 'cuda-bindings<13'"
        raise InteropUnavailable(f"the driver is older than cuda-bindings ({name}); for one of CUDA 12: {bring}")
    raise InteropUnavailable(f"CUDA answers {name}")


def open_copier(ctx: Any, stream: CopyStream, runtime: Any = None) -> CudaCopier | None:
    """The way on the device into ``ctx``'s buffers, tried out with one of them. On the GL thread.

    ``runtime`` is given by tests. None, and one line that tells why, where meshes have to go through main memory.
    """
    try:
        return _tried(ctx, stream, _runtime() if runtime is None else runtime)
    except InteropUnavailable as e:
        log.info("Meshes go from CUDA to OpenGL through main memory: %s.", e)
        return None


def _runtime() -> Any:
    if "microsoft" in platform.release().lower():
        raise InteropUnavailable("WSL2 does not share CUDA's memory with OpenGL")
    if any(name in os.environ.get("LD_PRELOAD", "") for name in ("libvglfaker", "libdlfaker")):
        raise InteropUnavailable("VirtualGL stands between this program and the driver")
    try:
        from cuda.bindings import runtime
    except (ImportError, RuntimeError) as e:
        raise InteropUnavailable(
            f"cuda-python is not usable ({e}); '{sys.executable} -m pip install cuda-bindings' brings it"
        ) from e
    return runtime


def _tried(ctx: Any, stream: CopyStream, runtime: Any) -> CudaCopier:
    """A copier that has put known bytes into a buffer of ``ctx``. Raises InteropUnavailable."""
    count, *_ = _checked(runtime.cudaGLGetDevices(8, runtime.cudaGLDeviceList.cudaGLDeviceListAll))
    if int(count) == 0:
        raise InteropUnavailable(f"OpenGL draws on {ctx.info['GL_RENDERER']}, which CUDA does not know")
    copier = CudaCopier(runtime, stream)
    buffer = ctx.buffer(reserve=2 * _PROBE_BYTES)
    try:
        on_gpu = torch.cuda.is_available()
        probe = torch.arange(_PROBE_BYTES, dtype=torch.uint8, device="cuda" if on_gpu else "cpu")
        if on_gpu:
            torch.cuda.synchronize()
        copier.share([(probe, buffer, _PROBE_BYTES)])
        if buffer.read(_PROBE_BYTES, offset=_PROBE_BYTES) != bytes(range(_PROBE_BYTES)):
            raise InteropUnavailable("what CUDA writes does not arrive in OpenGL")
    finally:
        copier.close()
        buffer.release()
    return copier
