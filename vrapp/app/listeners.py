"""Who is told what: the scene's comings and goings to physics and the recorder, requests to the recorder."""

from __future__ import annotations

from vrapp.core.clock import Clock
from vrapp.core.generation import GeneratedObject, GenerationRequest
from vrapp.physics.world import PhysicsWorld
from vrapp.study.recorder import Recorder


class Bodies:
    """Tells physics the shape of what comes."""

    def __init__(self, physics: PhysicsWorld) -> None:
        self._physics = physics

    def added(self, handle: int, made: GeneratedObject) -> None:
        """Its hull is worked out when it is first moved."""
        self._physics.added(handle, made.mesh)

    def reshaped(self, handle: int, made: GeneratedObject, size: float) -> None:
        """Its body gets the new hull."""
        self._physics.reshaped(handle, made.mesh)

    def removed(self, handle: int) -> None:
        """Its body goes back to the pool."""
        self._physics.removed(handle)


class Shown:
    """Records what was put into the world, and when it left."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock

    def added(self, handle: int, made: GeneratedObject) -> None:
        """With its latent and the hash of its mesh."""
        self._recorder.shown(self._clock.now_ns(), handle, made)

    def reshaped(self, handle: int, made: GeneratedObject, size: float) -> None:
        """With what it is from now on. The shapes on the way there follow from the hands' recorded poses."""
        self._recorder.reshaped(self._clock.now_ns(), handle, made, size)

    def removed(self, handle: int) -> None:
        """By its handle."""
        self._recorder.decision(self._clock.now_ns(), "removed", handle=handle)


class Requested:
    """Records every request to the generator."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock

    def __call__(self, request: GenerationRequest) -> None:
        """With its steering."""
        self._recorder.request(self._clock.now_ns(), request)
