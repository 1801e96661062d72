"""All objects of the world as a structure of arrays: one row (slot) an object, one array a column."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from vrapp.core import floats, maths
from vrapp.core.generation import GeneratedObject
from vrapp.core.mesh import LATENT_DIM
from vrapp.core.pose import Pose
from vrapp.core.scene import Mark, ObjectFacts, ObjectState, SceneArrays, Traits
from vrapp.scene.queries import lowest_corner

GROW_S = 0.8
SHRINK_S = 0.4
_SLOT_BITS = 32


class SceneStore:
    """Owns every object's row. Slots are reused; a handle keeps naming one object only.

    ``components``: the number k of exposed latent components. The arrays double when they are full, so
    take ``arrays()`` anew each frame. State GROWING and SHRINKING, growth and what grows are written
    here; HELD, FLYING and RESTING by physics.
    """

    def __init__(self, capacity: int = 256, components: int = 6) -> None:
        n = max(int(capacity), 1)
        self.state = np.zeros(n, np.int8)
        self.generation = np.zeros(n, np.int32)
        self.position = np.zeros((n, 3), np.float32)
        self.orientation = np.tile(maths.IDENTITY_QUATERNION, (n, 1))
        self.size = np.ones(n, np.float32)
        self.growth = np.zeros(n, np.float32)
        self.mesh_id = np.full(n, -1, np.int32)
        self.mark = np.zeros(n, np.uint8)
        self.category = np.full(n, -1, np.int16)
        self.radius = np.zeros(n, np.float32)
        self.box = np.zeros((n, 2, 3), np.float32)
        # Not for drawing:
        self.request_id = np.full(n, -1, np.int64)
        self.latent = np.zeros((n, LATENT_DIM), np.float32)
        self.components = np.zeros((n, components), np.float32)
        self.kept = np.zeros(n, bool)
        self.born_ns = np.zeros(n, np.int64)
        self.interest = np.zeros(n, np.float32)  # decays; rises with what the user does to it
        self.interest_ns = np.zeros(n, np.int64)
        self.phase = np.zeros(n, np.float32)  # linear 0…1 time of growing or shrinking
        self.anchor = np.zeros((n, 3), np.float32)  # world point that stays put while it grows
        self.pivot = np.zeros((n, 3), np.float32)  # the same point in object space
        self._columns = [name for name, value in vars(self).items() if isinstance(value, np.ndarray)]
        self._count = 0  # slots ever used: everything beyond is free
        self._free: list[int] = []  # heap, so that low slots are used first and the arrays stay dense
        self._alive = 0
        self._changing: set[int] = set()  # slots that grow or shrink: few, so that no frame looks through all
        self._view: SceneArrays | None = None

    def __len__(self) -> int:
        """Objects alive, those that shrink included."""
        return self._alive

    def add(
        self, generated: GeneratedObject, pose: Pose, size: float, mesh_id: int, now_ns: int, *, grown: bool = False
    ) -> int:
        """Put an object at ``pose`` (of its cube's centre); ``size`` is the cube's edge in metres.

        It grows in from its lowest point, or stands there at once where ``grown``. Returns its handle.
        """
        slot = heapq.heappop(self._free) if self._free else self._count
        if slot == len(self.state):
            self._double()
        self._count = max(self._count, slot + 1)
        self._alive += 1
        self._view = None
        box = np.asarray(generated.mesh.box, np.float32)
        self.state[slot] = ObjectState.RESTING if grown else ObjectState.GROWING
        self.phase[slot] = self.growth[slot] = 1.0 if grown else 0.0
        self.position[slot], self.orientation[slot] = pose.position, pose.orientation
        self.size[slot], self.mesh_id[slot], self.box[slot] = size, mesh_id, box
        self._measure(slot)
        self.mark[slot], self.category[slot] = Mark.NONE, generated.category
        self.request_id[slot], self.latent[slot] = generated.request_id, generated.latent
        self._set_components(slot, generated.components)
        self.kept[slot], self.born_ns[slot] = False, now_ns
        self.interest[slot], self.interest_ns[slot] = 0.0, now_ns
        self._set_anchor(slot)
        if not grown:
            self._changing.add(slot)
            self.position[slot] = self.anchor[slot]
        return self.handle(slot)

    def handle(self, slot: int) -> int:
        """The handle that names what is in ``slot`` now."""
        return int(self.generation[slot]) << _SLOT_BITS | int(slot)

    def alive(self, handle: int) -> bool:
        """True while the object exists (also while it shrinks)."""
        slot = handle & (1 << _SLOT_BITS) - 1
        return (
            handle >= 0
            and slot < self._count
            and int(self.generation[slot]) == handle >> _SLOT_BITS
            and int(self.state[slot]) != ObjectState.FREE
        )

    def slot(self, handle: int) -> int:
        """The row of a living object. Raises KeyError for a handle that names nothing any more."""
        if not self.alive(handle):
            raise KeyError(f"handle {handle} names no living object")
        return handle & (1 << _SLOT_BITS) - 1

    def facts(self, handle: int) -> ObjectFacts | None:
        """What adaptation and the panel want to know (core.scene.ObjectLookup)."""
        if not self.alive(handle):
            return None
        s = handle & (1 << _SLOT_BITS) - 1
        lower, upper = self.box[s].tolist()
        longest = max(map(float.__sub__, upper, lower)) * float(self.size[s])
        return ObjectFacts(
            handle, int(self.request_id[s]), int(self.category[s]), self.latent[s].copy(), self.components[s].copy(),
            longest, bool(self.kept[s]),
        )  # fmt: skip

    def traits(self, chosen: int, others: Sequence[int]) -> Traits | None:
        """What adaptation learns a choice from (core.scene.ObjectLookup): of dozens of objects at once."""
        if not self.alive(chosen):
            return None
        handles = np.array([chosen, *others], np.int64)
        slots, generations = handles & (1 << _SLOT_BITS) - 1, handles >> _SLOT_BITS
        known = (handles >= 0) & (slots < self._count)
        slots = np.where(known, slots, 0)
        fits = known & (self.generation[slots] == generations) & (self.state[slots] > int(ObjectState.FREE))
        fits &= ~self.kept[slots]
        fits[0] = True
        slots = slots[fits]
        box = self.box[slots].astype(float)
        longest = (box[:, 1] - box[:, 0]).max(axis=1) * self.size[slots]
        return Traits(self.category[slots], self.components[slots], longest)

    def resize(self, handle: int, size: float) -> None:
        """Another edge of the object's cube, in metres; its centre stays."""
        slot = self.slot(handle)
        self.size[slot] = size
        self._measure(slot)

    def reshape(self, handle: int, made: GeneratedObject) -> None:
        """Another shape of the same object; in a hand its centre stays where it is, else its lowest point."""
        slot = self.slot(handle)
        before = lowest_corner(self.box[slot], self.orientation[slot])
        self.box[slot], self.latent[slot] = made.mesh.box, made.latent
        self._set_components(slot, made.components)
        self._measure(slot)
        if int(self.state[slot]) != ObjectState.HELD:
            after = lowest_corner(self.box[slot], self.orientation[slot])
            self.position[slot, 1] += (before - after) * self.size[slot] * self.growth[slot]

    def shrink(self, handle: int) -> None:
        """Let an object shrink away; ``advance`` reports when it is gone. No effect on one that shrinks already."""
        slot = self.slot(handle)
        if int(self.state[slot]) == ObjectState.SHRINKING:
            return
        self.state[slot] = ObjectState.SHRINKING
        self.kept[slot], self.mark[slot] = False, Mark.NONE
        self._changing.add(slot)
        self._set_anchor(slot)

    def remove(self, handle: int) -> int:
        """Free the slot at once. Returns the mesh id, which the caller releases."""
        slot = self.slot(handle)
        mesh_id = int(self.mesh_id[slot])
        self.state[slot], self.mesh_id[slot], self.mark[slot] = ObjectState.FREE, -1, Mark.NONE
        self.growth[slot], self.radius[slot] = 0.0, 0.0
        self.generation[slot] += 1
        self._changing.discard(slot)
        heapq.heappush(self._free, slot)
        self._alive -= 1
        return mesh_id

    def arrays(self) -> SceneArrays:
        """The columns that everyone shares, as views; valid until the next ``add``."""
        if self._view is None:
            n = self._count
            self._view = SceneArrays(
                n, self.state[:n], self.generation[:n], self.position[:n], self.orientation[:n], self.size[:n],
                self.growth[:n], self.mesh_id[:n], self.mark[:n], self.category[:n], self.radius[:n], self.box[:n],
            )  # fmt: skip
        return self._view

    def handles(self) -> Iterator[int]:
        """Handles of all living objects, by slot."""
        return (self.handle(int(s)) for s in np.flatnonzero(self.state[: self._count] != ObjectState.FREE))

    def advance(self, dt_s: float, paused: Collection[int] = ()) -> list[int]:
        """Grow and shrink everything by ``dt_s`` seconds; of what grows, ``paused`` slots (mesh not there yet) stay.

        Returns the slots that have shrunk to nothing, for the caller to remove.
        """
        gone: list[int] = []
        for slot in sorted(self._changing):
            state, phase = int(self.state[slot]), float(self.phase[slot])
            if state == ObjectState.SHRINKING:
                phase = max(phase - dt_s / SHRINK_S, 0.0)
                if phase == 0:
                    gone.append(slot)
            elif state != ObjectState.GROWING:
                self._changing.discard(slot)
                continue
            elif slot in paused:
                continue
            else:
                phase = min(phase + dt_s / GROW_S, 1.0)
                if phase == 1:
                    self.state[slot] = ObjectState.RESTING
            self._scale(slot, phase)
        return gone

    def _scale(self, slot: int, phase: float) -> None:
        """Draw an object at this phase of growing; its anchor stays where it is."""
        growth = phase * phase * (3 - 2 * phase)
        self.phase[slot], self.growth[slot] = phase, growth
        scale = float(self.size[slot]) * growth
        offset = floats.rotate(self.orientation[slot].tolist(), self.pivot[slot].tolist())
        self.position[slot] = [a - d * scale for a, d in zip(self.anchor[slot].tolist(), offset, strict=True)]

    def _measure(self, slot: int) -> None:
        self.radius[slot] = self.size[slot] * np.linalg.norm(np.abs(self.box[slot]).max(0))

    def _set_components(self, slot: int, components: np.ndarray) -> None:
        k = min(len(components), self.components.shape[1])
        self.components[slot] = 0
        self.components[slot, :k] = components[:k]

    def _set_anchor(self, slot: int) -> None:
        """Growing and shrinking keep the object's lowest point where it is, however it lies."""
        down = maths.vec3(0, lowest_corner(self.box[slot], self.orientation[slot]), 0)
        self.pivot[slot] = maths.rotate(maths.quat_conjugate(self.orientation[slot]), down)
        drawn = 1.0 if int(self.state[slot]) == ObjectState.GROWING else float(self.growth[slot])
        self.anchor[slot] = self.position[slot] + down * self.size[slot] * drawn

    def _double(self) -> None:
        for name in self._columns:
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
        n = self._count
        self.mesh_id[n:], self.category[n:], self.request_id[n:] = -1, -1, -1
        self.orientation[n:] = maths.IDENTITY_QUATERNION
        self.size[n:] = 1.0
        self._view = None
