"""A mesh whose vertices lie on the device that made them: what the arena gets is a copy from there."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from vrapp.core.mesh import VERTEX_DTYPE, MeshLevel


class Copier(Protocol):
    """Puts a tensor's bytes into a GL buffer. On the GL thread."""

    def copy(self, source: Tensor, buffer: Any, at: int) -> None:
        """All of ``source``, a contiguous tensor, to ``buffer`` (moderngl.Buffer) from byte ``at`` on."""

    def close(self) -> None:
        """Forget what was registered."""


class DeviceLevel(MeshLevel):
    """One level of detail: ``packed`` (V, 24) uint8 and ``triangles3`` (T, 3) int32 on their device.

    ``vertices`` and ``indices`` are there for whoever needs them in main memory (recordings, exports): the first
    to ask waits for the device.
    """

    _packed: Tensor
    _triangles: Tensor
    _copier: Copier

    def __init__(self, packed: Tensor, triangles3: Tensor, copier: Copier) -> None:
        vars(self).update(_packed=packed, _triangles=triangles3, _copier=copier)  # the base is frozen

    @property
    def vertex_count(self) -> int:
        """Number of vertices."""
        return len(self._packed)

    @property
    def triangles(self) -> int:
        """Number of triangles."""
        return len(self._triangles)

    @cached_property
    def vertices(self) -> np.ndarray:
        """(V,) of VERTEX_DTYPE."""
        packed: np.ndarray = on_host(self._packed).reshape(-1).view(VERTEX_DTYPE)
        return packed

    @cached_property
    def indices(self) -> np.ndarray:
        """(3·T,) uint32."""
        triangles: np.ndarray = on_host(self._triangles).reshape(-1).view(np.uint32)
        return triangles

    def write_to(self, vertex_buffer: Any, vertex_at: int, index_buffer: Any, index_at: int) -> None:
        """On the device, where it shares memory with OpenGL."""
        self._copier.copy(self._packed, vertex_buffer, vertex_at)
        self._copier.copy(self._triangles, index_buffer, index_at)


def on_host(tensor: Tensor) -> np.ndarray:
    """A copy; waits for every stream, as the tensor was made on another than the current one."""
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
    copied: np.ndarray = tensor.cpu().numpy()
    return copied
