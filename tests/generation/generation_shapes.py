"""Objects and a generator without processes or torch, for tests of what stands behind a generator."""

import numpy as np

from vrapp.core.generation import GeneratedObject, GeneratorFigures
from vrapp.core.mesh import VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.generation.packing import mesh_hash

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
FACES = np.array([0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3], np.uint32)


def tetrahedron(size=0.5, at=(0.0, 0.0, 0.0), first=0):
    """(vertices, indices) of one closed body."""
    vertices = np.zeros(4, VERTEX_DTYPE)
    vertices["position"] = CORNERS * size + at
    vertices["normal"][:, 1] = 127
    vertices["colour"] = (255, 128, 0, 64)
    vertices["material"] = (51, 0, 255, 0)
    return vertices, FACES + np.uint32(first)


def tetrahedra(*bodies):
    """One level of several bodies, each ``(size, at)``."""
    parts = [tetrahedron(size, at, 4 * i) for i, (size, at) in enumerate(bodies)]
    return MeshLevel(np.concatenate([v for v, _ in parts]), np.concatenate([i for _, i in parts]))


def small_object(request_id=0, category=0, size=0.5):
    level = tetrahedra((size, (-0.2, -0.2, -0.2)))
    box = np.array([[-0.2] * 3, [size - 0.2] * 3], np.float32)
    mesh = Mesh((level, level, level), box, level.vertices["position"].copy())
    latent = np.random.default_rng(request_id).standard_normal(704).astype(np.float32)
    return GeneratedObject(request_id, category, latent, latent[:6], mesh, mesh_hash(mesh))


class QueueGenerator:
    """A generator whose objects take ``frames`` calls of ``collect``; ``failing`` request ids give none."""

    def __init__(self, frames=1, slots=4, failing=()):
        self.categories = ("a", "b")
        self.weights_hash = "w"
        self.figures = GeneratorFigures()
        self.requests = []
        self._frames, self._slots, self._failing = frames, slots, failing
        self._queue = []

    def submit(self, request):
        if len(self._queue) >= self._slots:
            return False
        self.requests.append(request)
        self._queue.append([request, self._frames])
        self.figures.in_flight = len(self._queue)
        return True

    def collect(self, frame_index):
        for entry in self._queue:
            entry[1] -= 1
        done = [request for request, left in self._queue if left <= 0]
        self._queue = [entry for entry in self._queue if entry[1] > 0]
        self.figures.in_flight = len(self._queue)
        return [small_object(r.request_id, r.steering.category) for r in done if r.request_id not in self._failing]

    def set_pace(self, pace):
        pass

    def close(self):
        pass
