"""``bench generate``'s two ways: the limits of the category that was drawn, the fields that the decoder gives."""

import numpy as np
import pytest
import torch
from generation_toy import ToyModel, ToyPrior, axes, fields_of
from torch import nn

from vrapp.generation import measure

pytest.importorskip("skimage")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the toy's networks are for the CPU")


class Small(nn.Module):
    """A ball too small for the gate's usual limits. It interpolates nothing: the others' way takes its fields, too."""

    def fields(self, latent):
        x, y, z = axes()
        return fields_of((x**2 + y**2 + z**2).sqrt() - 0.12)

    def decode(self, latent):
        raise AssertionError("the look was interpolated to the distance's grid")


@pytest.fixture
def ways(monkeypatch):
    gate = {"categories": {"pea": {"longest_side_least": 0.1}}}
    model = ToyModel(Small(), ToyPrior(), ("pea", "lentil"), gate=gate)
    monkeypatch.setattr(measure, "load_weights", lambda path: model)
    return measure.Pipelines("weights", torch.get_num_threads(), None)


def test_what_was_drawn_passes_again_at_all_levels_and_at_the_finest(ways):
    drawn = ways.drawn(4, 1)
    assert {one.category for one in drawn} == {0}  # lentils are judged by the usual limits
    assert [len(ways.ours(one).levels) for one in drawn] == [3] * 4
    assert len(ways.ours(drawn[0], levels=1).levels) == 1
    vertices, faces = ways.otherwise(drawn[0].latent)
    assert vertices.shape[1] == 9
    assert faces.max() < len(vertices)
    np.testing.assert_allclose(vertices[:, 6:], np.tile([0.2, 0.5, 0.8], (len(vertices), 1)), atol=1e-6)
