"""Two ways from a latent to vertices, for ``bench generate``: this project's, and what one would write otherwise."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vrapp.core import rng
from vrapp.core.errors import VrappError
from vrapp.core.generation import GenerationRequest, Steering
from vrapp.core.mesh import LATENT_SHAPE, LEVELS, Mesh
from vrapp.generation.gate import GateLimits, Reason
from vrapp.generation.maker import ObjectMaker
from vrapp.generation.onednn import with_onednn
from vrapp.generation.opening import cuda_shaper
from vrapp.generation.shaping import Shaper
from vrapp.generation.weights import load_weights

_KEY = 0xBE9C


class Pipelines:
    """Both ways over the same networks, device and number of threads. ``ctx``: the OpenGL context to draw in."""

    def __init__(self, weights: Path, threads: int, ctx: Any) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = load_weights(weights)
        self._model.vae.to(self.device)
        self._model.prior.to(self.device)
        if self._model.denoiser is not None:
            self._model.denoiser.to(self.device)
        self._maker = ObjectMaker(self._model, self.device)
        self._quick = with_onednn(self._model.vae) if self.device.type == "cpu" else self._model.vae
        self._shaper = cuda_shaper(self._model, ctx) if self.device.type == "cuda" else None

    def latents(self, count: int, seed: int) -> list[np.ndarray]:
        """``count`` latents (704,) that the gate lets through, categories in turn."""
        found: list[np.ndarray] = []
        for number in range(8 * count):
            category = int(rng.generator(seed, _KEY, number).integers(len(self._model.categories)))
            made = self._maker.make(GenerationRequest(number, seed, Steering(category))).shown
            if made is not None:
                found.append(made.latent)
            if len(found) == count:
                return found
        raise VrappError("These weights give hardly any object that passes the gate; train them longer.")

    def ours(self, latent: np.ndarray, levels: int = LEVELS) -> Mesh:
        """Decoder → closed manifold surfaces at so many levels, checked by the gate, in the arena's layout.

        On CUDA all levels are always made.
        """
        shaper = self._shaper
        mesh = self._maker.mesh(latent, GateLimits(), levels) if shaper is None else self._on_device(shaper, latent)
        if isinstance(mesh, Reason):
            raise VrappError(f"A latent that passed the gate does so no more ({mesh}).")
        return mesh

    @staticmethod
    def _on_device(shaper: Shaper, latent: np.ndarray) -> Mesh | Reason:
        """All slices at once, and wait."""
        shaper.begin(latent, GateLimits().debris_share)
        slot = None
        while slot is None:
            slot = shaper.step()
        shaper.wait(slot)
        return shaper.take(slot, GateLimits())

    def objects_per_s(self, latents: list[np.ndarray]) -> float | None:
        """Shapes a second when the next is begun before the last is told; None on the CPU, which does one at a time."""
        shaper = self._shaper
        if shaper is None:
            return None
        began, staged = time.perf_counter(), deque[int]()
        for latent in latents:
            while not shaper.can_begin:
                shaper.wait(staged[0])
                shaper.take(staged.popleft(), GateLimits())
            shaper.begin(latent, GateLimits().debris_share)
            slot = None
            while slot is None:
                slot = shaper.step()
            staged.append(slot)
        for slot in staged:
            shaper.wait(slot)
            shaper.take(slot, GateLimits())
        self.wait()
        return len(latents) / (time.perf_counter() - began)

    @torch.inference_mode()
    def otherwise(self, latent: np.ndarray, *, quick: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Decoder → host copy → scikit-image marching cubes → (V, 9) position, normal, colour; (T, 3).

        ``quick``: with the decoder's convolutions as we run them on the CPU (``onednn``), not as torch does.
        """
        from skimage.measure import marching_cubes  # type: ignore[import-untyped,unused-ignore]

        z = torch.from_numpy(latent.reshape(1, *LATENT_SHAPE)).to(self.device)
        grid = (self._quick if quick else self._model.vae).decode(z)[0].cpu().numpy()
        vertices, faces, normals, _ = marching_cubes(grid[0], 0.0)  # type: ignore[no-untyped-call]
        nearest = np.round(vertices).astype(int).T
        colour = grid[1:4, nearest[0], nearest[1], nearest[2]].T
        position = (vertices + 0.5) / grid.shape[-1] - 0.5
        return np.concatenate((position, normals, colour), 1).astype(np.float32), faces.astype(np.uint32)

    def wait(self) -> None:
        """Until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
