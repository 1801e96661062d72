"""What the eyes do: dwelling on one object, and which objects were seen of late (the choice set of a pick)."""

from __future__ import annotations

import numpy as np

from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.core.scene import NO_HANDLE, Mark, SceneArrays, handle_of, slot_of
from vrapp.scene.queries import Hit, Surroundings, touchable

DWELL_S = 0.6
SEEN_NS = 10_000_000_000
_LOOK_NS = 250_000_000
_CONE_RAD = 0.07  # 4°: the eyes (and far more the head) point no better
LOOK_REACH_M = 45.0
_VIEW_RAD = 0.79  # half of the cone that counts as in view
_KEPT = int(Mark.KEPT)  # an array and an enum compare eight times slower
_NEAR_M = 8.0  # a choice set reaches at least so far


class Dwell:
    """Reports an object once when the same one has been in the middle for ``DWELL_S`` seconds."""

    def __init__(self) -> None:
        self.handle = NO_HANDLE
        self._since_ns = 0
        self._sent = False

    def update(self, handle: int, now_ns: int, dwell_s: float = DWELL_S) -> bool:
        """Tell what is in the middle now; True once per dwell."""
        if handle != self.handle:
            self.handle, self._since_ns, self._sent = handle, now_ns, False
        if handle == NO_HANDLE or self._sent or now_ns - self._since_ns < dwell_s * 1e9:
            return False
        self._sent = True
        return True


def looked_at(around: Surroundings, eye: Pose, met: Hit | None) -> int:
    """Handle of what the eye looks at: what its ray ``met``, else the nearest to its axis within 4°, else none."""
    if met is not None:
        return met.handle
    slots = around.within(eye, _CONE_RAD, 12.0)
    if not len(slots):
        return NO_HANDLE
    to = around.arrays.position[slots] - eye.position
    cosine = to @ eye.forward / np.linalg.norm(to, axis=1)
    return handle_of(around.arrays, int(slots[int(np.argmax(cosine))]))


class ChoiceSet:
    """Remembers when each object was last in view."""

    def __init__(self) -> None:
        self._updated_ns = -_LOOK_NS
        self._seen_ns = np.zeros(0, np.int64)
        self._generation = np.zeros(0, np.int32)

    def update(self, around: Surroundings, head: Pose, now_ns: int) -> None:
        """Note what is in view from ``head`` now (a few times a second is often enough)."""
        if 0 <= now_ns - self._updated_ns < _LOOK_NS:
            return
        self._updated_ns = now_ns
        self._reserve(around.arrays.count)
        slots = around.within(head, _VIEW_RAD, LOOK_REACH_M)
        self._seen_ns[slots], self._generation[slots] = now_ns, around.arrays.generation[slots]

    def _reserve(self, count: int) -> None:
        """Room for ``count`` slots: the scene grows between two looks as well."""
        if count > len(self._seen_ns):
            more = 2 * count - len(self._seen_ns)
            self._seen_ns = np.concatenate([self._seen_ns, np.full(more, -SEEN_NS - 1, np.int64)])
            self._generation = np.concatenate([self._generation, np.full(more, -1, np.int32)])

    def around(self, arrays: SceneArrays, chosen: int, head: Array, now_ns: int) -> tuple[int, ...]:
        """Handles seen in the last 10 s that could have been chosen instead: not yet kept, about as near or nearer.

        ``chosen`` is one of them in any case. Reaches 8 m, and farther where the chosen one is farther.
        """
        n = arrays.count
        self._reserve(n)
        slots = ((now_ns - self._seen_ns[:n] <= SEEN_NS) & (self._generation[:n] == arrays.generation)).nonzero()[0]
        one = slot_of(arrays, chosen)
        if one is not None and one not in slots:
            slots = np.sort(np.append(slots, one))
        distance = np.linalg.norm(arrays.position[slots] - head, axis=1) - arrays.radius[slots]
        its = slots == one
        reach = _NEAR_M if one is None else max(_NEAR_M, 1.3 * float(distance[its][0]))
        fit = touchable(arrays)[slots] & (distance <= reach) & (arrays.mark[slots] & _KEPT == 0)
        slots = slots[fit | its]
        handles: list[int] = (arrays.generation[slots].astype(np.int64) << 32 | slots).tolist()  # as ``handle_of``
        return tuple(handles)
