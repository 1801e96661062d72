"""Ground of the simulated OpenXR runtime: handles, results, error injection, and how Python becomes C."""

from __future__ import annotations

import collections
import ctypes
import traceback
from collections.abc import Callable
from ctypes import POINTER, c_uint32, c_uint64, c_void_p, cast
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xr

from vrapp.core.pose import Pose

R = xr.Result
T = xr.StructureType


class Refused(Exception):
    """A call that the runtime answers with a result other than success."""

    def __init__(self, result: xr.Result, why: str = "") -> None:
        super().__init__(why)
        self.result = result


@dataclass
class Thing:
    """One object behind a handle. ``parent`` is a handle; ``fields`` are its kind's own."""

    kind: str
    parent: int
    fields: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None


def handle_value(handle: Any) -> int:
    return cast(handle, c_void_p).value or 0


def number(value: Any) -> int:
    """A ctypes integer or enum as int."""
    return int(getattr(value, "value", value))


class SimBase:
    """Handles with parents, and a table of C functions made of all methods named ``xr…``.

    ``breaches`` lists every call that a conformant program never makes. ``leaks`` lists what was still alive
    when its parent was destroyed. ``fail(name, result)`` makes coming calls of ``name`` answer ``result``.
    """

    def __init__(self) -> None:
        self.things: dict[int, Thing] = {}
        self.paths: dict[str, int] = {}
        self._texts: dict[int, str] = {}
        self.calls: collections.Counter[str] = collections.Counter()
        self.breaches: list[str] = []
        self.leaks: list[str] = []
        self._next_handle = 0x1000
        self._failures: dict[str, collections.deque[xr.Result | None]] = {}
        self.table = {name: self._as_c(name) for name in dir(self) if name.startswith("xr") and name[2].isupper()}

    def fail(self, name: str, result: xr.Result, times: int = 1, after: int = 0) -> None:
        """The calls of ``name`` after the next ``after`` ones answer ``result``, ``times`` times."""
        self._failures[name] = collections.deque([None] * after + [result] * times)

    def _as_c(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self, name)
        prototype = getattr(xr, "PFN_" + name)
        if name == "xrPathToString":  # pyopenxr types the buffer c_char_p, of which a callback gets a copy
            prototype = ctypes.CFUNCTYPE(ctypes.c_int, xr.Instance, c_uint64, c_uint32, POINTER(c_uint32), c_void_p)

        def call(*arguments: Any) -> int:
            self.calls[name] += 1
            planned = self._failures.get(name)
            if planned and (result := planned.popleft()) is not None:
                return int(result.value)
            try:
                answered = method(*arguments)
                return int(answered.value) if isinstance(answered, xr.Result) else 0
            except Refused as e:
                if e.result.value < 0 and str(e):
                    self.breaches.append(f"{name}: {e}")
                return int(e.result.value)
            except Exception:
                self.breaches.append(f"{name}: {traceback.format_exc()}")
                return int(R.ERROR_RUNTIME_FAILURE.value)

        return prototype(call)

    def new(self, kind: str, parent: Any, out: Any, **fields: Any) -> int:
        self._next_handle += 8
        parent_value = parent if isinstance(parent, int) else handle_value(parent)
        self.things[self._next_handle] = Thing(kind, parent_value, fields)
        cast(out, POINTER(c_uint64))[0] = self._next_handle
        return self._next_handle

    def get(self, handle: Any, kind: str) -> Thing:
        found = self.things.get(handle_value(handle))
        if found is None or found.kind != kind:
            raise Refused(R.ERROR_HANDLE_INVALID, f"no {kind} with handle {handle_value(handle):#x}")
        return found

    def destroy(self, handle: Any, kind: str) -> None:
        self.get(handle, kind)
        value = handle_value(handle)
        for child, thing in list(self.things.items()):
            if thing.parent == value:
                self.leaks.append(f"{thing.kind} of {kind}")
                del self.things[child]
        del self.things[value]

    def alive(self, kind: str) -> list[int]:
        return [handle for handle, thing in self.things.items() if thing.kind == kind]

    def path_of(self, text: str) -> int:
        path = self.paths.setdefault(text, len(self.paths) + 1)
        self._texts[path] = text
        return path

    def text_of(self, path: Any) -> str:
        return self._texts.get(number(path), "")

    @staticmethod
    def room_for(capacity: int, count: Any, needed: int) -> bool:
        """The two-call idiom: True where the caller's buffer is to be filled now."""
        count[0] = needed
        if number(capacity) == 0:
            return False
        if number(capacity) < needed:
            raise Refused(R.ERROR_SIZE_INSUFFICIENT, "buffer too small")
        return True

    @staticmethod
    def chained(pointer: Any, kind: xr.StructureType, structure: type) -> Any | None:
        """The structure of ``kind`` in a ``next`` chain."""
        while pointer:
            base = cast(pointer, POINTER(xr.BaseInStructure)).contents
            if base._type == kind.value:
                return cast(pointer, POINTER(structure)).contents
            following = base.next
            pointer = cast(following, c_void_p).value if following else None
        return None


def put_pose(target: Any, pose: Pose) -> None:
    target.position.x, target.position.y, target.position.z = (float(v) for v in pose.position)
    q = pose.orientation
    target.orientation.x, target.orientation.y, target.orientation.z, target.orientation.w = (float(v) for v in q)


def take_pose(source: Any) -> Pose:
    p, q = source.position, source.orientation
    pose = Pose(np.array([p.x, p.y, p.z], np.float32), np.array([q.x, q.y, q.z, q.w], np.float32))
    if abs(float(np.linalg.norm(pose.orientation)) - 1) > 0.01:
        raise Refused(R.ERROR_POSE_INVALID, "quaternion is not of unit length")
    return pose
