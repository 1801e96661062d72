"""On an NVIDIA GPU: captured slices give what the same code gives on the CPU, and it arrives in OpenGL's buffers.

Nobody has run these yet; the logic is tested on the CPU in test_shaping, test_device_service and test_interop.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from vrapp.core import resources
from vrapp.core.errors import VrappError
from vrapp.core.mesh import Mesh
from vrapp.generation.gate import GateLimits
from vrapp.generation.lane import HostLane
from vrapp.generation.opening import connect, cuda_shaper
from vrapp.generation.shaping import Shaper
from vrapp.generation.weights import ObjectModel, load_weights
from vrapp.render.arena import MeshArena

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]
LIMITS = GateLimits(triangles_least=1, thickness_least=0.0, longest_side_least=0.0)


@pytest.fixture(scope="module")
def model() -> ObjectModel:
    return load_weights(Path(resources.assets() / "objects.safetensors"))


@pytest.fixture(scope="module")
def on_card(model: ObjectModel) -> tuple[Shaper, object]:
    return cuda_shaper(model)


def shaped(shaper: Shaper, latent: np.ndarray, category: int) -> Mesh:
    shaper.begin(latent, 0.01, category)
    slot = None
    while slot is None:
        slot = shaper.step()
    found = shaper.taken(slot, LIMITS)
    assert isinstance(found, Mesh), found
    return found


def latents(model: ObjectModel, count: int) -> list[tuple[np.ndarray, int]]:
    """Of training models: they pass."""
    rng = torch.Generator().manual_seed(4)
    categories = torch.randint(len(model.categories), (count,), generator=rng)
    uniforms, noise = torch.rand(count, 64, 11, generator=rng), torch.randn(count, 11, 4, 4, 4, generator=rng)
    drawn = model.draw(categories, uniforms, noise, 0.5)
    return [(latent.reshape(-1).numpy(), int(category)) for latent, category in zip(drawn, categories, strict=True)]


def test_the_cards_shapes_are_the_cpus(model: ObjectModel, on_card: tuple[Shaper, object]) -> None:
    there, here = on_card[0], Shaper(copy.deepcopy(model.vae), HostLane(), critic=copy.deepcopy(model.critic))
    there.connect(None)  # through pinned memory
    for latent, category in latents(model, 3):
        mine, other = shaped(there, latent, category), shaped(here, latent, category)
        for one, two in zip(mine.levels, other.levels, strict=True):
            # Convolutions round otherwise there, so that a few cells fall on the other side.
            assert one.triangles == pytest.approx(two.triangles, rel=0.02)
        np.testing.assert_allclose(mine.box, other.box, atol=0.01)


def test_replayed_graphs_forget_the_shape_before(model: ObjectModel, on_card: tuple[Shaper, object]) -> None:
    shaper = on_card[0]
    shaper.connect(None)
    (first, a), (second, b) = latents(model, 2)
    alone = shaped(shaper, first, a)
    shaped(shaper, second, b)
    again = shaped(shaper, first, a)
    for one, two in zip(alone.levels, again.levels, strict=True):
        assert np.array_equal(one.indices, two.indices)
        assert np.array_equal(one.vertices, two.vertices)


def test_meshes_arrive_in_opengls_buffers(model: ObjectModel, on_card: tuple[Shaper, object]) -> None:
    from vrapp.display.context import headless_context, release_headless_context

    shaper, lane = on_card
    try:
        ctx = headless_context()
    except VrappError as e:
        pytest.skip(f"no OpenGL: {e}")
    try:
        connect(shaper, lane, ctx)  # type: ignore[arg-type]
        arena = MeshArena(ctx, vertices=4096, indices=4096)  # it has to grow
        for latent, category in latents(model, 2):
            mesh = shaped(shaper, latent, category)
            mesh_id = arena.add(mesh)
            arena.pump(1 << 30)
            for number, level in enumerate(mesh.levels):
                row = arena.levels[mesh_id, number]
                raw = arena._vertices.buffer.read(int(row["vertices"]) * 24, offset=int(row["base_vertex"]) * 24)
                assert raw == level.vertices.tobytes()
        shaper.close()
        arena.close()
    finally:
        release_headless_context(ctx)
