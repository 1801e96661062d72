from dataclasses import replace

import numpy as np
import pytest
from generation_shapes import tetrahedra

from vrapp.core.errors import WeightsError
from vrapp.core.mesh import VERTEX_DTYPE, MeshLevel
from vrapp.generation.components import handles, is_closed, pieces_of, without_debris
from vrapp.generation.gate import GateLimits, Reason, judge_grid, judge_mesh

LIMITS = GateLimits(triangles_least=4)
FAR = (-0.4, -0.4, -0.4)


def judge(level, limits=LIMITS):
    return judge_mesh(level, pieces_of(level), limits)


def ring(sides: int = 12) -> MeshLevel:
    """A torus of triangles: one hole."""
    turn = np.arange(sides) / sides * 2 * np.pi
    around, across = np.meshgrid(turn, turn, indexing="ij")
    far = 0.35 + 0.12 * np.cos(across)
    vertices = np.zeros(sides * sides, VERTEX_DTYPE)
    vertices["position"] = np.stack((far * np.cos(around), 0.12 * np.sin(across), -far * np.sin(around)), -1).reshape(
        -1, 3
    )
    i, j = (a.ravel() for a in np.meshgrid(np.arange(sides), np.arange(sides), indexing="ij"))
    one, two = i * sides + j, i * sides + (j + 1) % sides
    three, four = (i + 1) % sides * sides + (j + 1) % sides, (i + 1) % sides * sides + j
    triangles = np.stack((one, four, three, one, three, two), -1).astype(np.uint32)
    return MeshLevel(vertices, triangles.reshape(-1))


def test_a_plain_body_passes():
    assert judge(tetrahedra((0.6, FAR))) is None


def test_holes_are_counted_over_all_pieces():
    one = ring()
    two = MeshLevel(np.concatenate((one.vertices,) * 2), np.concatenate((one.indices, one.indices + np.uint32(144))))
    for level, holes in ((one, 1), (two, 2), (tetrahedra((0.6, FAR), (0.3, (0.1, 0.1, 0.1))), 0)):
        assert handles(pieces_of(level).count, level.vertex_count, level.triangles) == holes
    assert judge(one) is None


def test_debris_and_cavities_go_and_the_rest_stays_closed():
    body, speck, cavity = tetrahedra((0.8, FAR)), tetrahedra((0.03, (0.3, 0.3, 0.3))), tetrahedra((0.2, (-0.3,) * 3))
    turned = cavity.indices.reshape(-1, 3)[:, ::-1].reshape(-1)
    both = MeshLevel(
        np.concatenate((speck.vertices, cavity.vertices, body.vertices)),
        np.concatenate((speck.indices, turned + np.uint32(4), body.indices + np.uint32(8))),
    )
    left, pieces = without_debris(both, 0.015)
    assert pieces.count == 1
    assert is_closed(left.indices)
    assert left.indices.dtype == np.uint32
    np.testing.assert_array_equal(left.vertices, body.vertices)
    np.testing.assert_array_equal(left.indices, body.indices)
    np.testing.assert_allclose(pieces.volume, 0.8**3 / 6, rtol=1e-5)


def test_large_pieces_stay():
    pair = tetrahedra((0.4, FAR), (0.3, (0.1, 0.1, 0.1)))
    left, pieces = without_debris(pair, 0.015)
    assert left is pair
    assert pieces.count == 2


@pytest.mark.parametrize(
    ("level", "limits", "reason"),
    [
        (tetrahedra((0.6, FAR)), GateLimits(), Reason.TOO_FEW_TRIANGLES),
        (tetrahedra((0.6, FAR)), GateLimits(triangles_least=1, triangles_most=3), Reason.TOO_MANY_TRIANGLES),
        (tetrahedra((0.1, FAR)), LIMITS, Reason.TOO_SMALL),
        (tetrahedra((0.3, FAR), (0.3, (0.1, 0.1, 0.1))), GateLimits(triangles_least=4, pieces=1), Reason.IN_PIECES),
        (tetrahedra((0.6, FAR)), GateLimits(triangles_least=4, thickness_least=0.2), Reason.TOO_THIN),
        (ring(), GateLimits(triangles_least=4, handles=0), Reason.TORN),
    ],
)
def test_each_limit_has_its_reason(level, limits, reason):
    assert judge(level, limits) is reason


def test_a_hole_is_seen():
    whole = tetrahedra((0.6, FAR))
    assert judge(MeshLevel(whole.vertices, whole.indices[:-3]), GateLimits(triangles_least=1)) is Reason.NOT_CLOSED
    turned = whole.indices.copy()
    turned[:3] = turned[2::-1]
    assert not is_closed(turned)
    assert not is_closed(np.tile(whole.indices, 2))  # every edge four times


def test_fields_are_judged_before_meshes():
    field = np.ones((8, 8, 8), np.float32)
    assert judge_grid(field, LIMITS) is Reason.EMPTY
    field[2:6, 2:6, 2:6] = -1
    assert judge_grid(field, LIMITS) is None
    assert judge_grid(field, replace(LIMITS, plausibility_least=-1.0), -1.5) is Reason.IMPLAUSIBLE
    assert judge_grid(field, replace(LIMITS, plausibility_least=-1.0).mild(), -1.5) is None
    field[:, 3:6, 3:6] = -1
    assert judge_grid(field, LIMITS) is Reason.CUT_BY_ITS_BOX
    field[4, 4, 4] = np.nan
    assert judge_grid(field, LIMITS) is Reason.NOT_FINITE


def test_the_weights_own_limits_win():
    card = {"default": {"pieces": 3, "unknown": 1}, "categories": {"tea_set": {"pieces": 12}}}
    assert GateLimits.from_card(card, "tea_set").pieces == 12
    assert GateLimits.from_card(card, "chair").pieces == 3
    assert GateLimits.from_card({}, "chair") == GateLimits()
    with pytest.raises(WeightsError, match="chair"):
        GateLimits.from_card({"default": {"pieces": "many"}}, "chair")
