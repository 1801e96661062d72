"""Tables of the 256 sign patterns of a cell: which of its edges share a vertex of the dual surface.

Corner ``c`` of a cell lies at bits (x, y, z) = (c & 1, c >> 1 & 1, c >> 2 & 1); bit ``c`` of a case
is set where that corner is inside. Edge ``4·axis + k`` runs along ``axis``; ``k`` counts the corners of
the other two axes, the lower axis first.

Each closed loop that marching cubes would draw on the cell's faces gets one vertex (dual marching
cubes, Nielson 2004). On an ambiguous face (two inside corners across from each other) the loops cut
off the inside corners. A loop may then pass one face twice; where it does so on both sides of a face,
four quads would share one edge, so both cells are looked up among the ``FLIPPED`` rows, where that
face's loops cut off the outside corners (Wenger 2013, Isosurfaces §3.4.5). Only patterns with a single
ambiguous face do this, so flipping one face never disturbs another.
"""

from __future__ import annotations

import numpy as np

FLIPPED = 256  # add to a case for its row with the ambiguous face resolved the other way
NO_FACE = 6

#: (12, 2) corners of each edge, the lower one first.
EDGE_CORNERS = np.array(
    [
        (corner, corner | 1 << axis)
        for axis in range(3)
        for corner in range(8)
        if not corner >> axis & 1
    ],
    np.int64,
)  # fmt: skip

#: (6, 4) corners around each face in order; face ``2·axis + side``.
FACE_CORNERS = np.array(
    [
        [side << axis | u << (axis + 1) % 3 | v << (axis + 2) % 3 for u, v in ((0, 0), (1, 0), (1, 1), (0, 1))]
        for axis in range(3)
        for side in range(2)
    ],
    np.int64,
)

_EDGE_OF = {frozenset(map(int, pair)): index for index, pair in enumerate(EDGE_CORNERS)}


def _face_edges(face: int) -> list[int]:
    """The face's edges; edge ``i`` joins its corners ``i`` and ``i + 1``."""
    corners = [int(c) for c in FACE_CORNERS[face]]
    return [_EDGE_OF[frozenset((corners[i], corners[(i + 1) % 4]))] for i in range(4)]


def _segments(case: int, face: int, cut_off_outside: bool) -> list[tuple[int, int]]:
    """Pairs of edges that the surface joins across one face."""
    inside = [bool(case >> int(c) & 1) for c in FACE_CORNERS[face]]
    edges = _face_edges(face)
    crossed = [i for i in range(4) if inside[i] != inside[(i + 1) % 4]]
    if len(crossed) < 4:
        return [(edges[crossed[0]], edges[crossed[1]])] if crossed else []
    return [(edges[i - 1], edges[i]) for i in range(4) if inside[i] != cut_off_outside]


def _loops(case: int, flipped: bool) -> np.ndarray:
    """(12,) which loop each edge belongs to, counted from 0 in the order of edges; -1 not crossed."""
    loop = np.full(12, -1, np.int64)
    parent = list(range(12))

    def root(edge: int) -> int:
        while parent[edge] != edge:
            edge = parent[edge]
        return edge

    for face in range(6):
        for a, b in _segments(case, face, flipped):
            parent[root(a)] = root(b)
    numbers: dict[int, int] = {}
    for edge, (a, b) in enumerate(EDGE_CORNERS):
        if (case >> int(a) ^ case >> int(b)) & 1:
            loop[edge] = numbers.setdefault(root(edge), len(numbers))
    return loop


def _twice_passed_face(case: int, loop: np.ndarray) -> int:
    """The ambiguous face that one loop passes twice, or NO_FACE."""
    for face in range(6):
        on_face = loop[_face_edges(face)]
        if (on_face >= 0).all() and len(set(on_face.tolist())) == 1:
            return face
    return NO_FACE


#: (512, 12) int64 loop of each edge, -1 where the edge is not crossed.
EDGE_LOOP = np.array([_loops(case, flipped) for flipped in (False, True) for case in range(256)])
#: (512,) int64 loops, that is vertices, of each case.
LOOP_COUNT = EDGE_LOOP.max(axis=1) + 1
#: (256,) int64 the face that a loop passes twice, or NO_FACE.
TWICE_PASSED = np.array([_twice_passed_face(case, EDGE_LOOP[case]) for case in range(256)])
