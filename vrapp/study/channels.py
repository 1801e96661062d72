"""What is in a recording: its topics, and how a stranger decodes them without this program."""

from __future__ import annotations

import base64
import json
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from vrapp.core.events import Event
from vrapp.core.generation import GeneratedObject, GenerationRequest
from vrapp.core.input import INPUT_DTYPE


class Topic(IntEnum):
    """Number of a topic in the ring."""

    INPUT = 0
    EVENTS = 1
    DECISIONS = 2


class Channel(NamedTuple):
    """One topic of the MCAP file."""

    topic: str
    message_encoding: str
    schema_name: str
    schema_encoding: str
    schema: str


def channels() -> tuple[Channel, ...]:
    """All topics, in the order of ``Topic``."""
    fields = {"byte_order": "little", "size": INPUT_DTYPE.itemsize, "fields": _describe(INPUT_DTYPE)}
    text = json.dumps({"title": "What the user did in one frame", "conventions": _CONVENTIONS, **fields})
    return (
        Channel("/input", "vrapp-struct", "vrapp.InputSnapshot", "vrapp-struct", text),
        Channel("/events", "json", "vrapp.Event", "jsonschema", json.dumps(_EVENT_SCHEMA)),
        Channel("/decisions", "json", "vrapp.Decision", "jsonschema", json.dumps(_DECISION_SCHEMA)),
    )


def _describe(dtype: np.dtype[Any]) -> list[dict[str, Any]]:
    """Every field of a record: numpy's own names of types (``<f4``), byte offset, count, parts."""
    described = []
    for name, (kind, offset, *_) in (dtype.fields or {}).items():
        base, shape = kind.subdtype or (kind, ())
        field: dict[str, Any] = {"name": name, "offset": offset, "count": int(np.prod(shape, dtype=int))}
        parts = {"fields": _describe(base)} if base.fields else {"type": base.str}
        described.append({**field, **parts})
    return described


def event_json(event: Event) -> bytes:
    """The message of one event on ``/events``."""
    velocity = None if event.velocity is None else [float(v) for v in event.velocity]
    return _compact(
        act=str(event.act), handle=event.handle, hand=event.hand, seconds=event.seconds,
        velocity=velocity, visible=list(event.visible),
    )  # fmt: skip


def request_json(request: GenerationRequest) -> bytes:
    """The message of a request to the generator on ``/decisions``."""
    steering = request.steering
    return _compact(
        kind="request", request_id=request.request_id, seed=request.seed, category=steering.category,
        temperature=steering.temperature, candidates=steering.candidates, utility_f32=_base64(steering.utility),
        near_f32=_base64(steering.near), nearness=steering.nearness,
    )  # fmt: skip


def shown_json(handle: int, made: GeneratedObject) -> bytes:
    """The message of a generated object that was put into the scene, on ``/decisions``."""
    return _compact(
        kind="shown", request_id=made.request_id, handle=handle, category=made.category, mesh_hash=made.mesh_hash,
        attempts=made.attempts, from_cache=made.from_cache, latent_f32=_base64(made.latent),
    )  # fmt: skip


def reshaped_json(handle: int, made: GeneratedObject, size: float) -> bytes:
    """The message of an object that the user's hands have reshaped, on ``/decisions``."""
    return _compact(
        kind="reshaped", request_id=made.request_id, handle=handle, category=made.category, mesh_hash=made.mesh_hash,
        size=size, latent_f32=_base64(made.latent),
    )  # fmt: skip


def decision_json(kind: str, **facts: Any) -> bytes:
    """The message of any other decision on ``/decisions``; ``facts`` are plain JSON values."""
    return _compact(kind=kind, **facts)


def _compact(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _base64(values: np.ndarray | None) -> str | None:
    """Exact, and a hundred times quicker than 512 numbers as text."""
    return None if values is None else base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


_CONVENTIONS = (
    "Right-handed, +Y up, -Z forward; metres; quaternions xyzw; poses in the stage; time_ns is when the frame "
    "is seen. buttons, valid and source are the numbers of Button, Valid and SourceKind in vrapp/core/input.py."
)
_EVENT_SCHEMA = {
    "title": "Something that the user did to an object",
    "type": "object",
    "required": ["act", "handle"],
    "properties": {
        "act": {"type": "string"},
        "handle": {"type": "integer", "description": "the object; -1 where there is none"},
        "hand": {"type": "integer", "description": "0 left, 1 right, -1 the eyes"},
        "seconds": {"type": "number", "description": "how long it was looked at or held"},
        "velocity": {"type": ["array", "null"], "description": "of a throw, m/s, x y z"},
        "visible": {"type": "array", "description": "handles of what could have been picked"},
    },
}
_DECISION_SCHEMA = {
    "title": "What the program chose: a request to the generator, an object shown, a change of policy",
    "description": "Names that end in _f32 are little-endian float32 numbers in base64.",
    "type": "object",
    "required": ["kind"],
    "properties": {
        "kind": {"type": "string"},
        "request_id": {"type": "integer"},
        "category": {"type": "integer", "description": "index into the weights' categories"},
        "mesh_hash": {"type": "string", "description": "SHA-256 of the finest level"},
        "latent_f32": {"type": "string"},
        "size": {"type": "number", "description": "of a reshaped object: its cube's edge in metres"},
    },
}
