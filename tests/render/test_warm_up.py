"""What is drawn before anybody looks on: all there is to draw, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.render.conftest import camera, scene_of, sphere
from vrapp.core.display import Target
from vrapp.core.pose import Pose
from vrapp.render.extras import FrameExtras
from vrapp.render.renderer import Renderer
from vrapp.render.shader_library import ShaderLibrary
from vrapp.render.warm_up import warm_up

pytestmark = pytest.mark.gl


@pytest.mark.parametrize("preset", ["light", "full"])
@pytest.mark.parametrize("eyes", [1, 2])
def test_every_program_has_been_drawn_with(ctx: Any, monkeypatch: pytest.MonkeyPatch, preset: str, eyes: int) -> None:
    used: set[str] = set()
    look_up = ShaderLibrary.__getitem__
    monkeypatch.setattr(ShaderLibrary, "__getitem__", lambda self, name: used.add(name) or look_up(self, name))
    renderer = Renderer(ctx, preset)
    renderer.set_ground(np.zeros((1, 1), np.float32), 0.0)
    try:
        warm_up(renderer, ctx, eyes)
        assert {*renderer._programs._entries} == used
        meshes = renderer.arena.count  # hands keep theirs
        warm_up(renderer, ctx, eyes)
        assert renderer.arena.count == meshes
    finally:
        renderer.release()


def test_the_next_picture_is_what_it_would_have_been(
    checked_context: Any, renderers: Callable[[str], Renderer], target: Callable[..., Target]
) -> None:
    renderer, size = renderers("light"), (160, 120)
    mesh_id = renderer.arena.add(sphere())
    renderer.arena.pump(1 << 30)
    pictures = []
    for _ in range(2):
        renderer.draw((camera(size),), Pose(), scene_of([mesh_id], [(0, 1.4, -3)]), target(size), FrameExtras())
        pictures.append(renderer.read_pixels())
        warm_up(renderer, checked_context, 1)
    renderer.arena.release(mesh_id)
    assert pictures[0].std() > 5
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 2
