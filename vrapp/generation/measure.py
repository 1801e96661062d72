"""Two ways from a latent to vertices, for ``bench generate``: this project's, and what one would write otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from vrapp.core import rng
from vrapp.core.errors import VrappError
from vrapp.core.generation import GenerationRequest, Steering
from vrapp.core.mesh import LATENT_SHAPE, Mesh
from vrapp.generation.gate import GateLimits, Reason
from vrapp.generation.maker import ObjectMaker
from vrapp.generation.weights import load_weights

_KEY = 0xBE9C


class Pipelines:
    """Both ways over the same networks, device and number of threads."""

    def __init__(self, weights: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._model = load_weights(weights)
        self._model.vae.to(self.device)
        self._model.prior.to(self.device)
        self._maker = ObjectMaker(self._model, self.device)

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

    def ours(self, latent: np.ndarray) -> Mesh:
        """Decoder → closed manifold surfaces at three levels, checked by the gate, in the arena's layout."""
        mesh = self._maker.mesh(latent, GateLimits())
        if isinstance(mesh, Reason):
            raise VrappError(f"A latent that passed the gate does so no more ({mesh}).")
        return mesh

    @torch.inference_mode()
    def otherwise(self, latent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Decoder → host copy → scikit-image marching cubes → (V, 9) position, normal, colour; (T, 3)."""
        from skimage.measure import marching_cubes  # type: ignore[import-untyped,unused-ignore]

        z = torch.from_numpy(latent.reshape(1, *LATENT_SHAPE)).to(self.device)
        grid = self._model.vae.decode(z)[0].float().cpu().numpy()
        vertices, faces, normals, _ = marching_cubes(grid[0], 0.0)  # type: ignore[no-untyped-call]
        nearest = np.round(vertices).astype(int).T
        colour = grid[1:4, nearest[0], nearest[1], nearest[2]].T
        position = (vertices + 0.5) / grid.shape[-1] - 0.5
        return np.concatenate((position, normals, colour), 1).astype(np.float32), faces.astype(np.uint32)

    def wait(self) -> None:
        """Until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
