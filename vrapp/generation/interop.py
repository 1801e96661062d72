"""From the GPU that computes to the GPU that draws: CUDA–OpenGL interoperability, or a copy through main memory.

The CUDA way needs ``cuda-python`` (the extra ``cuda``), and one GPU with one driver for both. Where it cannot work
the copy goes through main memory, and one line tells why.

Source: CUDA Runtime API 13, "OpenGL Interoperability".
"""

from __future__ import annotations

import logging
import os
import platform
from typing import Any

import moderngl
import numpy as np
import torch
from torch import Tensor

from vrapp.generation.device_mesh import Copier, on_host

_PROBE_BYTES = 256
_OLD_DRIVER = 35  # cudaErrorInsufficientDriver
_OPERATING_SYSTEM = 304  # cudaErrorOperatingSystem: what GL calls on a GPU other than the monitor's end in

log = logging.getLogger(__name__)


class InteropUnavailable(Exception):
    """Why memory cannot be shared, as the end of a sentence."""


class HostCopier:
    """Through main memory: waits for the device, a millisecond or less for an object."""

    def copy(self, source: Tensor, buffer: Any, at: int) -> None:
        """See ``device_mesh.Copier``."""
        buffer.write(np.ascontiguousarray(on_host(source)).reshape(-1).view(np.uint8), offset=at)

    def close(self) -> None:
        """Nothing was registered."""


class CudaCopier:
    """On the device. ``runtime``: ``cuda.bindings.runtime``; ``stream``: the CUDA stream that made the tensors.

    A buffer is registered when it is first written to, and let go of when it is found to be deleted (the arena's
    buffers are replaced when they grow). It is registered without flags: to discard what it held would lose all
    other meshes. Where sharing fails once it has worked (a driver that was reset, a buffer that cannot be registered),
    one line tells why, and everything goes through main memory from then on.
    """

    def __init__(self, runtime: Any, stream: int) -> None:
        self._runtime, self._stream = runtime, stream
        self._instead: HostCopier | None = None
        self._registered: dict[int, tuple[Any, Any]] = {}  # id of the buffer → the buffer, its resource

    def copy(self, source: Tensor, buffer: Any, at: int) -> None:
        """See ``device_mesh.Copier``. Never raises InteropUnavailable."""
        if self._instead is None:
            try:
                self.share(source, buffer, at)
                return
            except InteropUnavailable as e:
                log.warning("Meshes go from CUDA to OpenGL through main memory from now on: %s.", e)
                self.close()
                self._instead = HostCopier()
        self._instead.copy(source, buffer, at)

    def share(self, source: Tensor, buffer: Any, at: int) -> None:
        """Enqueued in the stream's order; OpenGL's later use of the buffer waits for it by itself.

        ``source`` was allocated on that stream, so its memory is given to nobody before the copy is done. Raises
        InteropUnavailable.
        """
        rt, resource = self._runtime, self._resource(buffer)
        _checked(rt.cudaGraphicsMapResources(1, resource, self._stream))
        try:
            address, size = _checked(rt.cudaGraphicsResourceGetMappedPointer(resource))
            count = source.numel() * source.element_size()
            if at + count > size:
                raise ValueError(f"{count} bytes at {at} do not fit into a buffer of {size}.")
            kind = rt.cudaMemcpyKind.cudaMemcpyDeviceToDevice
            _checked(rt.cudaMemcpyAsync(int(address) + at, source.data_ptr(), count, kind, self._stream))
        finally:
            _checked(rt.cudaGraphicsUnmapResources(1, resource, self._stream))

    def close(self) -> None:
        """Before the buffers are deleted, if possible."""
        for _, resource in self._registered.values():
            self._runtime.cudaGraphicsUnregisterResource(resource)
        self._registered.clear()

    def _resource(self, buffer: Any) -> Any:
        known = self._registered.get(id(buffer))
        if known is not None:
            return known[1]
        for key, (old, resource) in list(self._registered.items()):
            if isinstance(old.mglo, moderngl.InvalidObject):
                self._runtime.cudaGraphicsUnregisterResource(resource)  # of a buffer that is gone: an error says so
                del self._registered[key]
        (resource,) = _checked(self._runtime.cudaGraphicsGLRegisterBuffer(buffer.glo, 0))
        self._registered[id(buffer)] = buffer, resource
        return resource


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
        raise InteropUnavailable(
            f"the driver is older than cuda-bindings ({name}); for one of CUDA 12, 'pip install \"cuda-bindings<13\"'"
        )
    raise InteropUnavailable(f"CUDA answers {name}")


def open_copier(ctx: Any, stream: int, runtime: Any = None) -> Copier:
    """The quickest way into ``ctx``'s buffers that works, tried out with one of them. On the GL thread.

    ``runtime`` is given by tests. Raises nothing: what fails is told in one line, and copied through main memory.
    """
    try:
        return _tried(ctx, stream, _runtime() if runtime is None else runtime)
    except InteropUnavailable as e:
        log.info("Meshes go from CUDA to OpenGL through main memory: %s.", e)
        return HostCopier()


def _runtime() -> Any:
    if "microsoft" in platform.release().lower():
        raise InteropUnavailable("WSL2 does not share CUDA's memory with OpenGL")
    if any(name in os.environ.get("LD_PRELOAD", "") for name in ("libvglfaker", "libdlfaker")):
        raise InteropUnavailable("VirtualGL stands between this program and the driver")
    try:
        from cuda.bindings import runtime
    except (ImportError, RuntimeError) as e:
        raise InteropUnavailable(f"cuda-python is not usable ({e}); 'pip install vrapp[cuda]' brings it") from e
    return runtime


def _tried(ctx: Any, stream: int, runtime: Any) -> CudaCopier:
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
        copier.share(probe, buffer, _PROBE_BYTES)
        if buffer.read(_PROBE_BYTES, offset=_PROBE_BYTES) != bytes(range(_PROBE_BYTES)):
            raise InteropUnavailable("what CUDA writes does not arrive in OpenGL")
    finally:
        copier.close()
        buffer.release()
    return copier
