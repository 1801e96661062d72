"""Snapshot → events: point, look, grab, carry, throw, keep, dismiss, ask for more. The same for every source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vrapp.core import floats
from vrapp.core.events import Act, Event
from vrapp.core.input import LEFT, RIGHT, Button, HandState, InputSnapshot, Valid
from vrapp.core.maths import Array, vec3
from vrapp.core.pose import Pose
from vrapp.core.scene import NO_HANDLE, ObjectState, SceneArrays, slot_of
from vrapp.interaction.attention import LOOK_REACH_M, ChoiceSet, Dwell, looked_at
from vrapp.interaction.hand import Hand
from vrapp.interaction.two_hands import TwoHanded, shared_pose
from vrapp.scene.queries import Hit, Surroundings, lowest_corner

POINT_REST_S = 0.25
TOUCH_M = 0.12  # so near to the palm a thing is taken without pointing
POINT_REACH_M = 40.0
THROW_M_S = 0.8  # slower is laid down, not thrown
LOST_NS = 500_000_000  # a hand that is not tracked for so long lets go
EYES = -1  # among the hands, 0 and 1
_RAY_M = 3.0  # of a ray that meets nothing
_LOOK_NS = 60_000_000  # between two questions what the eyes are at; they rest on things for tenths of a second
_CHEST_BELOW_HEAD = np.array([0, 0.25, 0], np.float32)
# As ints: Python's flags are slow to combine.
_PICKS = ((int(Button.KEEP), Act.KEEP), (int(Button.DISMISS), Act.DISMISS), (int(Button.MORE), Act.MORE))
_HAND_VALID = (int(Valid.LEFT_HAND), int(Valid.RIGHT_HAND))


class Interaction:
    """One user's gestures. ``graspable`` (C,) bool by category: what a hand can take; None: everything."""

    def __init__(self, graspable: np.ndarray | None = None, main_hand: int = RIGHT) -> None:
        self._graspable = graspable
        self.hands = (Hand(LEFT), Hand(RIGHT))
        self.use_main_hand(main_hand)
        self.head = Pose()
        self.gazed = NO_HANDLE
        #: Hands (and EYES) that are at a board: they neither point at the world nor take anything of it.
        self.occupied: frozenset[int] = frozenset()
        self.two_handed: TwoHanded | None = None
        self._rest = (Dwell(), Dwell())
        self._gaze = Dwell()
        self._looked_ns = -_LOOK_NS
        self._choice = ChoiceSet()
        self._around: Surroundings | None = None
        self._buttons = 0
        self._shared = Pose()  # of what both hands hold

    def use_main_hand(self, hand: int) -> None:
        """The hand whose pointing decides where both point."""
        self._main_first = (self.hands[hand], self.hands[1 - hand])

    @property
    def carried(self) -> dict[int, Pose]:
        """World pose of each object in a hand, by handle: physics moves it there."""
        if self.two_handed is not None:
            return {self.two_handed.handle: self._shared}
        return {h.held: h.carried for h in self.hands if h.held != NO_HANDLE}

    @property
    def holding(self) -> tuple[bool, bool]:
        """Whether each hand carries something."""
        return self.hands[LEFT].held != NO_HANDLE, self.hands[RIGHT].held != NO_HANDLE

    @property
    def pointed(self) -> tuple[Hit | None, Hit | None]:
        """What each hand points at or touches."""
        return self.hands[LEFT].hit, self.hands[RIGHT].hit

    @property
    def focus(self) -> int:
        """The object that a button acts on: held, else pointed at (main hand first), else looked at."""
        for hand in self._main_first:
            if hand.held != NO_HANDLE:
                return hand.held
        for hand in self._main_first:
            if hand.hit is not None:
                return hand.hit.handle
        return self.gazed

    def rays(self) -> list[tuple[Array, Array]]:
        """(origin, end) of each tracked and free hand's ray, world metres."""
        return [(h.aim.position, h.hit.point if h.hit is not None else _ahead(h.aim))
                for h in self.hands if h.tracked and h.held == NO_HANDLE and h.index not in self.occupied]  # fmt: skip

    def update(
        self, snapshot: InputSnapshot, world_from_stage: Pose, arrays: SceneArrays, dt_s: float, now_ns: int
    ) -> list[Event]:
        """One frame's events, oldest first. A snapshot with a pose that is not finite is as one not tracked."""
        events: list[Event] = []
        if snapshot.head.sound:
            self.head = world_from_stage @ snapshot.head
        edges = [
            hand.follow(state, world_from_stage, self._tracked(snapshot, hand.index), now_ns)
            for hand, state in zip(self.hands, snapshot.hands, strict=True)
        ]
        gaze = snapshot.has(Valid.GAZE) and snapshot.gaze.sound
        eye = world_from_stage @ snapshot.gaze if gaze else self.head
        if self._around is None or not self._around.follow(arrays, self.head.position):
            self._around = Surroundings(arrays, self.head.position)
        around = self._around
        self._choice.update(around, self.head, now_ns)
        looks = not 0 <= now_ns - self._looked_ns < _LOOK_NS
        seen = self._aim(around, [eye] if looks else [])
        if looks:
            self._looked_ns = now_ns
            self.gazed = looked_at(around, eye, *seen)
        if EYES in self.occupied:
            self.gazed = NO_HANDLE
        for hand, edge, state in zip(self.hands, edges, snapshot.hands, strict=True):
            self._update_hand(hand, edge, state, arrays, dt_s, now_ns, events)
        self._update_two_hands(arrays, now_ns, events)
        if self._gaze.update(self.gazed, now_ns) and self.gazed not in self.carried:
            events.append(Event(Act.GAZE, now_ns, self.gazed, seconds=0.6))
        self._update_buttons(snapshot, now_ns, events)
        return [self._with_choices(e, arrays, now_ns) for e in events]

    def _update_hand(
        self, hand: Hand, edges: tuple[bool, bool], state: HandState, arrays: SceneArrays, dt_s: float, now_ns: int,
        events: list[Event],
    ) -> None:  # fmt: skip
        closed, opened = edges
        if hand.held != NO_HANDLE:
            if slot_of(arrays, hand.held) is None:  # dismissed while in the hand
                hand.let_go(now_ns)
                hand.hit = None
            elif opened or (not hand.tracked and now_ns - hand.lost_since_ns > LOST_NS):
                events.append(self._release(hand, now_ns))
            elif hand.tracked:
                lowest_m = _lowest_of(arrays, hand.held)
                alone = self.two_handed is None
                hand.carry(self._lever_stick(hand, state), self._chest(), lowest_m, dt_s, now_ns, alone)
            return
        handle = NO_HANDLE if hand.hit is None else hand.hit.handle
        if self._rest[hand.index].update(handle, now_ns, POINT_REST_S):
            events.append(Event(Act.POINT, now_ns, handle, hand.index, POINT_REST_S))
        if closed and hand.hit is not None and self.can_grasp(arrays, hand.hit.slot):
            slot = hand.hit.slot
            other = self.hands[1 - hand.index]
            pose = Pose(arrays.position[slot].copy(), arrays.orientation[slot].copy())
            touching = hand.hit.distance_m <= TOUCH_M
            hand.take(handle, pose, 0.0 if touching else hand.hit.distance_m, self._chest(), now_ns)
            if other.held != handle:
                events.append(Event(Act.GRAB, now_ns, handle, hand.index))

    def can_grasp(self, arrays: SceneArrays, slot: int) -> bool:
        """May a hand take what is in this slot? Not what still grows."""
        if int(arrays.state[slot]) == ObjectState.GROWING:
            return False
        category = int(arrays.category[slot])
        return self._graspable is None or (0 <= category < len(self._graspable) and bool(self._graspable[category]))

    def _lever_stick(self, hand: Hand, state: HandState) -> float:
        """The other hand's stick walks; only the main one's pushes and pulls."""
        return state.stick[1] if hand is self._main_first[0] and math.isfinite(state.stick[1]) else 0.0

    def _chest(self) -> Array:
        return self.head.position - _CHEST_BELOW_HEAD

    @staticmethod
    def _tracked(snapshot: InputSnapshot, index: int) -> bool:
        hand = snapshot.hands[index]
        return bool(int(snapshot.valid) & _HAND_VALID[index]) and hand.grip.sound and hand.aim.sound

    def _aim(self, around: Surroundings, eyes: list[Pose]) -> list[Hit | None]:
        """Set what each empty hand is at: what the palm touches, else the ray meets. Returns what the eyes meet."""
        free = [hand for hand in self.hands if hand.held == NO_HANDLE]
        able = [hand for hand in free if hand.tracked and hand.index not in self.occupied]
        rays = [*eyes, *(hand.aim for hand in able)]
        reach_m = [LOOK_REACH_M] * len(eyes) + [POINT_REACH_M] * len(able)
        met, touched = around.aimed(rays, reach_m, [hand.grip.position for hand in able], TOUCH_M)
        for hand in free:
            hand.hit = None
        for hand, touch, ray in zip(able, touched, met[len(eyes) :], strict=True):
            hand.hit = touch or ray
        return met[: len(eyes)]

    def _release(self, hand: Hand, now_ns: int) -> Event:
        handle = hand.held
        tracked = hand.tracked
        seconds, velocity = hand.let_go(now_ns)
        other = self.hands[1 - hand.index]
        if other.held == handle:  # still in the other hand
            other.regrip(self._shared)
            return Event(Act.RESHAPE, now_ns, handle, other.index, seconds)
        thrown = tracked and float(np.linalg.norm(velocity)) >= THROW_M_S
        if not tracked:
            velocity = np.zeros(3, np.float32)
        return Event(Act.THROW if thrown else Act.RELEASE, now_ns, handle, hand.index, seconds, velocity)

    def _update_two_hands(self, arrays: SceneArrays, now_ns: int, events: list[Event]) -> None:
        """The object hangs half way between the hands: what they do alike moves it, against each other reshapes it."""
        left, right = self.hands
        if left.held == NO_HANDLE or left.held != right.held:
            self.two_handed = None
            return
        if self.two_handed is None:
            events.append(Event(Act.RESHAPE, now_ns, left.held))
        self.two_handed = TwoHanded(left.held, left.grip, right.grip)
        (x, y, z), turn = shared_pose(left.carried, right.carried)
        orientation = np.array(turn, np.float32)
        lowest_m = _lowest_of(arrays, left.held)(orientation)
        self._shared = Pose(vec3(x, max(y, -lowest_m), z), orientation)

    def _update_buttons(self, snapshot: InputSnapshot, now_ns: int, events: list[Event]) -> None:
        buttons = int(snapshot.buttons)
        pressed, self._buttons = buttons & ~self._buttons, buttons
        target = self.focus
        if not pressed or target == NO_HANDLE:
            return
        hand = next((h.index for h in self.hands if target in (h.held, h.hit.handle if h.hit else NO_HANDLE)), -1)
        events += [Event(act, now_ns, target, hand) for button, act in _PICKS if pressed & button]

    def _with_choices(self, event: Event, arrays: SceneArrays, now_ns: int) -> Event:
        visible = self._choice.around(arrays, event.handle, self.head.position, now_ns)
        return replace(event, visible=visible)


def _ahead(aim: Pose) -> Array:
    """Where a ray ends that meets nothing."""
    (x, y, z), (u, v, w) = aim.position.tolist(), floats.forward(aim.orientation.tolist())
    return vec3(x + _RAY_M * u, y + _RAY_M * v, z + _RAY_M * w)


def _lowest_of(arrays: SceneArrays, handle: int) -> Callable[[Array], float]:
    slot = handle & 0xFFFFFFFF
    box, edge_m = arrays.box[slot], float(arrays.size[slot] * arrays.growth[slot])
    return lambda orientation: lowest_corner(box, orientation) * edge_m
