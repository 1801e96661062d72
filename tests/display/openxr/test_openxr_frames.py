"""A visit with the simulated headset: frames, poses, pixels."""

import numpy as np
import pytest
from conftest import Start
from sim_runtime import SimulatedRuntime

pytestmark = pytest.mark.usefixtures("context_kind")


def test_a_plain_visit(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.capture = True
    visit = start()
    visit.frames(10)
    assert visit.counts[-1] == 2
    assert len(runtime.frames[-1].eyes) == 2
    left, right = runtime.frames[-1].eyes
    np.testing.assert_allclose(left.pixels[..., :3].mean((0, 1)), (64, 128, 191), atol=1)
    np.testing.assert_allclose(right.pixels[..., :3].mean((0, 1)), (191, 128, 64), atol=1)
