"""Small meshes made by code, and fakes of the bank and the arena, for tests of the scene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vrapp.core import rng
from vrapp.core.generation import GeneratedObject, Steering
from vrapp.core.mesh import LATENT_DIM, VERTEX_DTYPE, Mesh, MeshLevel


def block(extent: tuple[float, float, float] = (0.875, 0.875, 0.875), spacing: float = 1 / 64) -> Mesh:
    """A box of ``extent`` about the cube's centre, with a vertex every ``spacing`` on its six faces (no triangles)."""
    half = np.array(extent) / 2
    axes = [np.linspace(-h, h, max(2, round(2 * h / spacing))) for h in half]
    faces = []
    for axis in range(3):
        u, v = np.meshgrid(axes[(axis + 1) % 3], axes[(axis + 2) % 3])
        for side in (-half[axis], half[axis]):
            face = np.zeros((u.size, 3))
            face[:, axis], face[:, (axis + 1) % 3], face[:, (axis + 2) % 3] = side, u.ravel(), v.ravel()
            faces.append(face)
    vertices = np.zeros(sum(map(len, faces)), VERTEX_DTYPE)
    vertices["position"] = np.concatenate(faces)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    level = MeshLevel(vertices, np.zeros(3, np.uint32))
    return Mesh((level,), np.array([-half, half], np.float32), corners.astype(np.float32))


def generated(category: int, request_id: int = 0, mesh: Mesh | None = None) -> GeneratedObject:
    """A made-up object whose latent depends on its request."""
    latent = rng.generator(1, request_id).normal(size=LATENT_DIM).astype(np.float32)
    return GeneratedObject(request_id, category, latent, latent[:6], mesh or block(), f"{request_id:064d}")


class InstantBank:
    """Answers every request at once, with boxes whose proportions depend on the category."""

    stopped = False

    def __init__(self, capacity: int = 8, per_frame: int = 2) -> None:
        self.ready: list[GeneratedObject] = []
        self.asked: list[Steering] = []
        self._capacity, self._per_frame = capacity, per_frame

    def update(self, frame_index: int, propose: Callable[[int], Steering]) -> None:
        for _ in range(min(self._per_frame, self._capacity - len(self.ready))):
            request_id = len(self.asked)
            steering = propose(request_id)
            self.asked.append(steering)
            extent = rng.generator(2, steering.category, request_id).uniform(0.4, 0.875, 3)
            extent[np.argmax(extent)] = 0.875
            self.ready.append(generated(steering.category, request_id, block(tuple(extent), 1 / 32)))

    def take(self, match: Callable[[GeneratedObject], bool] | None = None) -> GeneratedObject | None:
        for i, one in enumerate(self.ready):
            if match is None or match(one):
                return self.ready.pop(i)
        return None

    def requeue(self, made: GeneratedObject) -> None:
        self.ready.insert(0, made)


class CountingArena:
    """Counts meshes; everything is uploaded at once."""

    def __init__(self) -> None:
        self.is_full = False
        self.live: set[int] = set()
        self._next = 0

    def add(self, mesh: Mesh) -> int:
        self._next += 1
        self.live.add(self._next)
        return self._next

    def release(self, mesh_id: int) -> None:
        self.live.remove(mesh_id)

    def resident(self, mesh_id: int) -> bool:
        return mesh_id in self.live


class RoundRobin:
    """A policy that takes the categories in turn."""

    def __init__(self, categories: int) -> None:
        self._n = categories

    def propose(self, request_id: int) -> Steering:
        return Steering(request_id % self._n)
