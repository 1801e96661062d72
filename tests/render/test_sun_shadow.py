"""Which casters a tile of the shadow map draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.render.conftest import scene_of
from tests.render.test_culling import drawn, fake_arena
from vrapp.core import maths, rng
from vrapp.render import sun_shadow
from vrapp.render.frame_block import FrameBlock
from vrapp.render.gl_native import NativeGL
from vrapp.render.preset import LIGHT
from vrapp.render.sun_shadow import SunShadow

pytestmark = pytest.mark.gl


def test_a_few_casters_are_drawn_as_many_would_be(gl_context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    places = rng.generator(5).uniform(-30, 30, (60, 3))
    scene = scene_of([0, 1] * 30, [tuple(place) for place in places.tolist()])
    scene.size[::7] = 4.0  # large ones have a finer level
    draws, arena, frame = drawn(scene, hands=2), fake_arena(), FrameBlock(gl_context)
    shadow = SunShadow(gl_context, NativeGL(gl_context), LIGHT.shadow, maths.normalise(np.array([0.3, 0.8, 0.4])))
    shadow.place(frame, maths.vec3(1, 1.7, -2), (0.0, -1.0))
    found = 0
    for first in range(draws.count - sun_shadow._FEW):
        rows = np.arange(first, first + sun_shadow._FEW)
        few = shadow._tiles(arena, draws, rows)  # type: ignore[arg-type]
        with monkeypatch.context() as patched:
            patched.setattr(sun_shadow, "_FEW", 0)
            many = shadow._tiles(arena, draws, rows)  # type: ignore[arg-type]
        assert [(tile, out.tolist()) for tile, out in few] == [(tile, out.tolist()) for tile, out in many]
        found += sum(len(out) for _, out in few)
    assert found > 50
    for owned in (shadow, frame):
        owned.release()
