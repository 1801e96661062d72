"""Keeps the world filled: takes from the bank, places, and lets what is far and ignored give way. Never waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from vrapp.core.events import Act, Event
from vrapp.core.generation import GeneratedObject, Steering
from vrapp.core.mesh import Mesh
from vrapp.core.pose import Pose
from vrapp.core.scene import NO_HANDLE, ObjectState
from vrapp.scene.layout import Layout
from vrapp.scene.store import SceneStore

#: What an act says about the user's interest in the object.
INTEREST = {
    Act.GAZE: 0.5, Act.POINT: 0.2, Act.GRAB: 1.5, Act.RELEASE: 0.5, Act.THROW: 0.3, Act.KEEP: 4.0, Act.MORE: 3.0,
    Act.RESHAPE: 2.0,
}  # fmt: skip
_INTEREST_HALF_LIFE_S = 40.0
_PLACE_INTERVAL_S = 0.4  # at most so often something new comes, once the world is populated
_TURNOVER_S = 5.0  # a full world still changes: one ignored thing out of sight makes room
_LOOK_NS = 250_000_000  # between two looks at what was left behind
_WALKING_S = 0.2  # between two changes where the user has walked on to where little stands
_AHEAD_M, _AHEAD_OBJECTS = 14.0, 14
_FAR_M = (16.0, 12.0, 60.0)  # out of sight and farther than this (at radius 0, per metre of radius, at most) goes
_INTERESTING = 1.0
_BESIDE_M = 2.0  # what is nearer stays, seen or not
_CELL_M = 2.0
_OF_DISTANCE, _OF_NEIGHBOURS = 0.25, 0.15  # how much being far, and each other thing in its cell, take from a worth


class Bank(Protocol):
    """Ready objects (generation.bank)."""

    @property
    def stopped(self) -> bool:
        """Nothing will come any more."""

    def update(self, frame_index: int, propose: Callable[[int], Steering]) -> None:
        """Ask for more, with the steering that ``propose(request_id)`` gives."""

    def take(self, match: Callable[[GeneratedObject], bool] | None = None) -> GeneratedObject | None:
        """One that matches, at once, or None."""

    def requeue(self, made: GeneratedObject) -> None:
        """Give back what was taken and not shown."""


class Arena(Protocol):
    """Where meshes live on the GPU (render.arena)."""

    is_full: bool  # what waits found no memory

    def add(self, mesh: Mesh) -> int:
        """Queue the upload; returns the mesh's id at once."""

    def replace(self, mesh_id: int, mesh: Mesh) -> None:
        """Another shape under the same id; the old one is drawn until it is uploaded."""

    def release(self, mesh_id: int) -> None:
        """Give it back."""

    def resident(self, mesh_id: int) -> bool:
        """Is it uploaded, so that it can be drawn?"""


class Policy(Protocol):
    """Says what to make next (adaptation.policy)."""

    def propose(self, request_id: int) -> Steering:
        """The steering of this request."""


class Listener(Protocol):
    """Whoever wants to know what comes and goes: physics, the recorder."""

    def added(self, handle: int, made: GeneratedObject) -> None:
        """An object was put into the world."""

    def reshaped(self, handle: int, made: GeneratedObject, size: float) -> None:
        """It has another shape from now on, and ``size`` metres of edge."""

    def removed(self, handle: int) -> None:
        """It has gone."""


class SceneManager:
    """One per world. ``max_objects`` is the preset's budget; kept and held objects are never retired."""

    def __init__(
        self, store: SceneStore, layout: Layout, bank: Bank, arena: Arena, policy: Policy, *, max_objects: int = 160,
        start_temperature: float = 0.8, listeners: Sequence[Listener] = (),
    ) -> None:  # fmt: skip
        self.store = store
        self.policy = policy
        self.placed = 0  # objects that ever came into the world
        self.unplaceable = 0  # of those generated: no free place was found
        self.hurry = False  # place and turn over as fast as the bank gives: what benchmarks measure
        self._layout, self._bank, self._arena = layout, bank, arena
        self._listeners = listeners
        self.max_objects = max_objects
        self._temperature = start_temperature
        plan = layout.start_categories()
        self._open = dict(plan)  # start spots without an object: spot → category
        self._to_request = deque(plan)
        self._at_spot: dict[int, int] = {}  # spot → handle
        self._wanted_near: deque[tuple[int, int]] = deque(maxlen=8)  # (category, handle) of "more like this"
        self._waiting: list[int] = []  # slots whose mesh is not uploaded yet
        self._start_size = len(plan)
        self._unseen_s = 0.0  # since the last look
        self._last_ns = self._next_place_ns = self._next_turnover_ns = self._next_look_ns = 0

    @property
    def populated(self) -> bool:
        """True once at least two thirds of the designed start set, or 60 objects, stand there."""
        return self.placed >= min(60, max(1, self._start_size * 2 // 3))

    def start_requests(self) -> list[Steering]:
        """What to generate for the start set, in the order to fill it."""
        return [Steering(category, self._temperature) for _, category in self._layout.start_categories()]

    def populate_from(self, objects: Sequence[GeneratedObject], now_ns: int = 0, *, grown: bool = True) -> int:
        """Put a start set, or what is ready of it, into the world. Returns how many found their place."""
        before = self.placed
        self._to_request.clear()
        for generated in objects:
            self._put_at_start(generated, now_ns, grown=grown)
        self._to_request.extend(sorted(self._open.items()))  # what the set lacked is asked for
        return self.placed - before

    def update(self, events: Sequence[Event], head: Pose, frame_index: int, now_ns: int, *, asks: bool = True) -> None:
        """One frame: act on events, grow and shrink, place at most one new object, retire, ask for more.

        ``head`` is the user's head in the world. ``asks`` is False while the start set is being made:
        the world then only moves.
        """
        dt_s = min(max(now_ns - self._last_ns, 0) / 1e9, 0.1) if self._last_ns else 0.0
        self._last_ns = now_ns
        for event in events:
            self._act(event)
        self._advance(dt_s)
        self._unseen_s += dt_s
        if not asks:
            return
        if now_ns >= self._next_look_ns:
            self._next_look_ns = now_ns + _LOOK_NS
            self.store.interest *= np.float32(0.5 ** (self._unseen_s / _INTEREST_HALF_LIFE_S))
            self._unseen_s = 0.0
            if not self._bank.stopped:  # else nothing would come in their place
                self._retire_far(head)
            if self._arena.is_full:
                self._save_memory(head)
        self._place_next(head, now_ns)
        self._bank.update(frame_index, self._propose)

    def dismiss(self, handle: int) -> None:
        """Let it shrink away."""
        if self.store.alive(handle):
            self.store.shrink(handle)
            self._layout.removed(handle)

    def reshape(self, handle: int, made: GeneratedObject, *, is_last: bool) -> None:
        """Show a living object in another shape. Others are told of the last one only: the hands' next comes soon."""
        slot = self.store.slot(handle)
        self._arena.replace(int(self.store.mesh_id[slot]), made.mesh)
        self.store.reshape(handle, made)
        if not is_last:
            return
        self._layout.removed(handle)
        self._layout.added(handle, made.category, made.mesh)
        for listener in self._listeners:
            listener.reshaped(handle, made, float(self.store.size[slot]))

    def _propose(self, request_id: int) -> Steering:
        if self._to_request:
            _, category = self._to_request.popleft()
            return Steering(category, self._temperature)
        return self.policy.propose(request_id)

    def _act(self, event: Event) -> None:
        store = self.store
        if not store.alive(event.handle):
            return
        slot = store.slot(event.handle)
        if event.act is Act.DISMISS:
            self.dismiss(event.handle)
            return
        store.interest[slot] += INTEREST.get(event.act, 0.0)
        store.interest_ns[slot] = event.time_ns
        if event.act is Act.KEEP:
            store.kept[slot] = True
        elif event.act is Act.MORE:
            self._wanted_near.append((int(store.category[slot]), event.handle))

    def _advance(self, dt_s: float) -> None:
        arena, store = self._arena, self.store
        self._waiting = [s for s in self._waiting if not arena.resident(int(store.mesh_id[s]))]
        for slot in store.advance(dt_s, self._waiting):
            self._remove(store.handle(slot))

    def _remove(self, handle: int) -> None:
        slot = self.store.slot(handle)
        if slot in self._waiting:
            self._waiting.remove(slot)
        self._layout.removed(handle)
        for listener in self._listeners:
            listener.removed(handle)
        self._arena.release(self.store.remove(handle))

    def _put_at_start(self, generated: GeneratedObject, now_ns: int, *, grown: bool) -> bool:
        spot = next((s for s, c in self._open.items() if c == generated.category), None)
        if spot is None:
            return False
        del self._open[spot]
        carrier = self._at_spot.get(self._layout.world.spots[spot].on, NO_HANDLE)
        place = self._layout.place_start(spot, generated.mesh, self.store.arrays(), carrier)
        if place is None:
            self.unplaceable += 1
            return False
        self._at_spot[spot] = self._add(generated, place.pose, place.size, now_ns, grown=grown)
        return True

    def _add(self, generated: GeneratedObject, pose: Pose, size: float, now_ns: int, *, grown: bool) -> int:
        mesh_id = self._arena.add(generated.mesh)
        handle = self.store.add(generated, pose, size, mesh_id, now_ns, grown=grown)
        if not grown:
            self._waiting.append(self.store.slot(handle))
        self._layout.added(handle, generated.category, generated.mesh)
        for listener in self._listeners:
            listener.added(handle, generated)
        self.placed += 1
        return handle

    def _place_next(self, head: Pose, now_ns: int) -> None:
        """One object from the bank, if there is room and it is time."""
        wanted = {c for spot, c in self._open.items() if self._layout.polite(spot, head)}
        if wanted:
            generated = self._bank.take(lambda g: g.category in wanted)
            if generated is not None:
                self._put_at_start(generated, now_ns, grown=False)
                return
        if (self._to_request and not self.populated) or now_ns < self._next_place_ns:
            return
        full = len(self.store) >= self.max_objects
        if full and now_ns < self._next_turnover_ns:
            return
        generated = self._bank.take()
        if generated is None:
            return
        if full:
            if not self._make_room(head):
                self._bank.requeue(generated)
                return
            self._next_turnover_ns = now_ns + self._pause_ns(_TURNOVER_S, head)
        self._next_place_ns = now_ns + self._pause_ns(_PLACE_INTERVAL_S, head)
        place = self._layout.place(
            generated.category, generated.request_id, generated.mesh, self.store.arrays(), head,
            self._near_for(generated.category),
        )  # fmt: skip
        if place is None:
            self.unplaceable += 1
        else:
            self._add(generated, place.pose, place.size, now_ns, grown=False)

    def _near_for(self, category: int) -> np.ndarray | None:
        """Where "more like this" was asked for this category, once an answer."""
        for wanted in self._wanted_near:
            if wanted[0] == category and self.store.alive(wanted[1]):
                self._wanted_near.remove(wanted)
                return np.array(self.store.position[self.store.slot(wanted[1])])
        return None

    def _worth(self, head: Pose) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(slots, distance, worth, out of sight) of all that may be retired: near, seen and of interest is worth
        more."""
        store, a = self.store, self.store.arrays()
        slots = ((a.state == int(ObjectState.RESTING)) & ~store.kept[: a.count]).nonzero()[0]
        to = a.position[slots] - head.position
        distance = np.maximum(np.linalg.norm(to, axis=1), 0.1)
        ahead = (to @ head.forward) / distance
        radius = a.radius[slots]  # all of it must be out of sight
        hidden = (to @ head.forward + radius < 0.4 * distance) & (distance - radius > _BESIDE_M)
        worth = store.interest[slots] - _OF_DISTANCE * distance / (6.0 + 8.0 * a.radius[slots]) + 0.8 * ahead
        return slots, distance, worth, hidden

    def _pause_ns(self, usual_s: float, head: Pose) -> int:
        """Until the next change: shorter where little stands ahead, none when benchmarks hurry."""
        if self.hurry:
            return 0
        return int((min(usual_s, _WALKING_S) if self._empty_ahead(head) else usual_s) * 1e9)

    def _empty_ahead(self, head: Pose) -> bool:
        a = self.store.arrays()
        to = a.position - head.position
        distance = np.linalg.norm(to, axis=1)
        near = (a.state != int(ObjectState.FREE)) & (distance < _AHEAD_M) & (to @ head.forward > 0.3 * distance)
        return int(near.sum()) < _AHEAD_OBJECTS

    def _make_room(self, head: Pose) -> bool:
        """Send away the least worthy thing out of sight. False where there is none."""
        slots, _, worth, hidden = self._worth(head)
        if not hidden.any():
            return False
        # Where much stands, one can go: by distance alone, whoever stood still was hemmed in within the hour.
        cells = np.floor(self.store.arrays().position[slots][:, [0, 2]] / _CELL_M).astype(np.int64)
        _, of, count = np.unique(cells[:, 0] * 65_536 + cells[:, 1], return_inverse=True, return_counts=True)
        worth -= _OF_NEIGHBOURS * count[of]
        self.dismiss(self.store.handle(int(slots[int(np.argmin(np.where(hidden, worth, np.inf)))])))
        return True

    def _save_memory(self, head: Pose) -> None:
        """The graphics card has no memory for what waits: the least worthy goes, one after the other, in sight or not,
        and the world stays so small."""
        slots, _, worth, _ = self._worth(head)
        if len(slots) and not (self.store.arrays().state == int(ObjectState.SHRINKING)).any():
            self.dismiss(self.store.handle(int(slots[int(np.argmin(worth))])))
            self.max_objects = min(self.max_objects, len(self.store) - 1)

    def _retire_far(self, head: Pose) -> None:
        """What the user has walked away from goes without being asked, one at a time."""
        slots, distance, worth, hidden = self._worth(head)
        far = hidden & (distance > np.minimum(_FAR_M[0] + _FAR_M[1] * self.store.radius[slots], _FAR_M[2]))
        far &= self.store.interest[slots] < _INTERESTING
        if far.any():
            self.dismiss(self.store.handle(int(slots[int(np.argmin(np.where(far, worth, np.inf)))])))
