"""A mesh whose vertices lie on the device that made them: what the arena gets is a copy from there."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vrapp.core.mesh import VERTEX_DTYPE, LevelWriter, MeshLevel


class Copier(LevelWriter, Protocol):
    """Writes ``DeviceLevel``s by a copy on the device, where the device shares memory with OpenGL."""

    @property
    def shares(self) -> bool:
        """Whether it does. Where it does so no more, what ``write`` is still given goes through main memory."""

    def close(self) -> None:
        """Forget what was registered."""


class DeviceLevel(MeshLevel):
    """One level of detail: ``packed`` (V, 24) uint8 and ``triangles3`` (T, 3) int32 on their device.

    ``vertices`` and ``indices`` are there for whoever needs them in main memory (recordings, exports): the first
    to ask waits for the device.
    """

    packed: Tensor
    triangles3: Tensor
    _copier: Copier

    def __init__(self, packed: Tensor, triangles3: Tensor, copier: Copier) -> None:
        vars(self).update(packed=packed, triangles3=triangles3, _copier=copier)  # the base is frozen

    @property
    def vertex_count(self) -> int:
        """Number of vertices."""
        return len(self.packed)

    @property
    def triangles(self) -> int:
        """Number of triangles."""
        return len(self.triangles3)

    @cached_property
    def vertices(self) -> np.ndarray:
        """(V,) of VERTEX_DTYPE."""
        packed: np.ndarray = _on_host(self.packed).reshape(-1).view(VERTEX_DTYPE)
        return packed

    @cached_property
    def indices(self) -> np.ndarray:
        """(3·T,) uint32."""
        triangles: np.ndarray = _on_host(self.triangles3).reshape(-1).view(np.uint32)
        return triangles

    @property
    def writer(self) -> Copier:
        """On the device."""
        return self._copier


def _on_host(tensor: Tensor) -> np.ndarray:
    """A copy; waits for every stream, as the tensor was made on another than the current one."""
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
    copied: np.ndarray = tensor.cpu().numpy()
    return copied
