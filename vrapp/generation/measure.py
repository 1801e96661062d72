"""Two ways from a latent to vertices, for ``bench generate``: this project's, and what one would write otherwise."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vrapp.core import rng
from vrapp.core.errors import VrappError
from vrapp.core.generation import GeneratedObject, GenerationRequest, Steering
from vrapp.core.mesh import LATENT_SHAPE, LEVELS, Mesh
from vrapp.generation.gate import GateLimits, Reason
from vrapp.generation.maker import ObjectMaker
from vrapp.generation.onednn import with_onednn
from vrapp.generation.opening import connect, cuda_shaper
from vrapp.generation.shaping import Shaper
from vrapp.generation.weights import load_weights

_KEY = 0xBE9C


class Pipelines:
    """Both ways over the same networks, device and number of threads. ``ctx``: the OpenGL context to draw in.

    Latents are drawn on the CPU, as in the program; on CUDA it is copies of the networks that are measured.
    """

    def __init__(self, weights: Path, threads: int, ctx: Any) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model = load_weights(weights)
        self._categories = len(model.categories)
        self._limits = [GateLimits.from_card(model.gate, category) for category in model.categories]
        self._maker = ObjectMaker(model, torch.device("cpu"))
        self._plain = copy.deepcopy(model.vae).to(self.device)
        self._quick = with_onednn(self._plain) if self.device.type == "cpu" else self._plain
        self._shaper: Shaper | None = None
        if self.device.type == "cuda":
            self._shaper, lane = cuda_shaper(model)
            connect(self._shaper, lane, ctx)

    def drawn(self, count: int, seed: int) -> list[GeneratedObject]:
        """``count`` objects that the gate lets through, of random categories: latents to measure with."""
        found: list[GeneratedObject] = []
        for number in range(8 * count):
            category = int(rng.generator(seed, _KEY, number).integers(self._categories))
            made = self._maker.make(GenerationRequest(number, seed, Steering(category))).shown
            if made is not None and self._passes(made):
                found.append(made)
            if len(found) == count:
                return found
        raise VrappError("These weights give hardly any object that passes the gate; train them longer.")

    def ours(self, drawn: GeneratedObject, levels: int = LEVELS) -> Mesh:
        """Decoder → closed manifold surfaces at so many levels, judged as its category is, in the arena's layout.

        The critic judges what has all levels, as in the program: it is not asked of what is in somebody's hands. On
        CUDA all levels are always made.
        """
        if self._shaper is not None:
            return self._taken(self._shaper, self._begun(self._shaper, drawn), drawn)
        category = drawn.category if levels == LEVELS else None
        return _passed(self._maker.mesh(drawn.latent, self._limits[drawn.category], levels, category))

    def objects_per_s(self, objects: Sequence[GeneratedObject], show: Callable[[Mesh], None]) -> float | None:
        """Shapes a second when the next is begun before the last is told and shown; None on the CPU, which does one at
        a time."""
        shaper = self._shaper
        if shaper is None:
            return None
        began, staged = time.perf_counter(), deque[tuple[int, GeneratedObject]]()
        for drawn in objects:
            while not shaper.can_begin:
                show(self._taken(shaper, *staged.popleft()))
            staged.append((self._begun(shaper, drawn), drawn))
        for slot, drawn in staged:
            show(self._taken(shaper, slot, drawn))
        self.wait()
        return len(objects) / (time.perf_counter() - began)

    def _begun(self, shaper: Shaper, drawn: GeneratedObject) -> int:
        """Enqueue all slices; the slot that it will be told of in."""
        shaper.begin(drawn.latent, self._limits[drawn.category].debris_share, drawn.category)
        slot = None
        while slot is None:
            slot = shaper.step()
        return slot

    def _passes(self, drawn: GeneratedObject) -> bool:
        """Also on the device: its last bits are others, and the gate has limits."""
        if self._shaper is None:
            return True
        return isinstance(self._shaper.taken(self._begun(self._shaper, drawn), self._limits[drawn.category]), Mesh)

    def _taken(self, shaper: Shaper, slot: int, drawn: GeneratedObject) -> Mesh:
        """Wait for it."""
        return _passed(shaper.taken(slot, self._limits[drawn.category]))

    @torch.inference_mode()
    def otherwise(self, latent: np.ndarray, *, quick: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Decoder → host copy → scikit-image marching cubes → (V, 9) position, normal, colour; (T, 3).

        Colours are the decoder's own cells of 32³, looked up and not interpolated. ``quick``: with its convolutions as
        we run them on the CPU (``onednn``), not as torch does.
        """
        from skimage.measure import marching_cubes  # type: ignore[import-untyped,unused-ignore]

        z = torch.from_numpy(latent.reshape(1, *LATENT_SHAPE)).to(self.device)
        distance, look = (field[0].cpu().numpy() for field in (self._quick if quick else self._plain).fields(z))
        vertices, faces, normals, _ = marching_cubes(distance[0], 0.0)  # type: ignore[no-untyped-call]
        position = (vertices + 0.5) / distance.shape[-1] - 0.5
        cell = ((position + 0.5) * look.shape[-1]).astype(int).T  # (3, V)
        colour = look[:3, cell[0], cell[1], cell[2]].T
        return np.concatenate((position, normals, colour), 1).astype(np.float32), faces.astype(np.uint32)

    def wait(self) -> None:
        """Until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _passed(mesh: Mesh | Reason) -> Mesh:
    if isinstance(mesh, Reason):
        raise VrappError(f"A latent that passed the gate does so no more ({mesh}).")
    return mesh
