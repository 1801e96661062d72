"""Input scripts that a person writes: key poses over time, as TOML or JSON.

    [[keyframe]]
    time_s = 0.0
    head = { position = [0, 1.65, 0], yaw_deg = 0, pitch_deg = -10 }

    [[keyframe]]
    time_s = 1.5
    right = { position = [0.2, 1.4, -0.5], yaw_deg = 0, squeeze = 1.0 }
    buttons = ["KEEP"]

What a keyframe leaves out stays as it was. Poses glide to the next keyframe that names them; squeeze,
trigger, stick and buttons change at their keyframe. JSON has the same shape: {"keyframe": [...]}.
Yaw is positive to the left, pitch upwards. A hand that is never named is not tracked.
"""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vrapp.core import maths
from vrapp.core.errors import InputFileError
from vrapp.core.input import INPUT_DTYPE, Button, HandState, InputSnapshot, SourceKind, Valid, pack_snapshot
from vrapp.core.pose import Pose
from vrapp.display.grip import AIM_FROM_GRIP
from vrapp.display.trace_file import Records

RATE_HZ = 90
_LONGEST_S = 3600.0
_HAND_FIELDS = {"position", "yaw_deg", "pitch_deg", "squeeze", "trigger", "stick"}
_RANGES = {"yaw_deg": (-3600, 3600), "pitch_deg": (-90, 90), "trigger": (0, 1), "squeeze": (0, 1)}
_FIELDS = {"time_s", "head", "left", "right", "buttons"}
_HEAD = Pose(maths.vec3(0, 1.65, 0))
_HANDS = {"left": Pose(maths.vec3(-0.2, 1.3, -0.35)), "right": Pose(maths.vec3(0.2, 1.3, -0.35))}


def read_script(path: Path) -> Records:
    """The script as records at 90 Hz. Raises InputFileError naming the keyframe and field that is wrong."""
    keyframes = _parse(path)
    try:
        return _sample(keyframes)
    except _Wrong as e:
        raise InputFileError(f"In the input script '{path}', {e}") from e


class _Wrong(Exception):
    """What is wrong with which keyframe."""


def _parse(path: Path) -> list[Any]:
    try:
        text = path.read_text("utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as e:
        raise InputFileError(f"The input script '{path}' cannot be read ({e.strerror}).") from e
    except (ValueError, RecursionError) as e:
        raise InputFileError(f"The input script '{path}' is not well formed: {e}.") from e
    keyframes = table.get("keyframe") if isinstance(table, dict) else None
    if not isinstance(keyframes, list) or not keyframes:
        raise InputFileError(f"The input script '{path}' has no keyframes; write at least one [[keyframe]].")
    return keyframes


def _sample(keyframes: list[Any]) -> Records:
    times_s = _times(keyframes)
    tracks = {name: _Track(name, keyframes, times_s) for name in ("head", "left", "right")}
    buttons = [_buttons(k, i) for i, k in enumerate(keyframes)]
    # The keyframes' own moments too, so that a press lasts from its keyframe to the next at least.
    grid_s = np.arange(0, times_s[-1], 1 / RATE_HZ)
    packed = []
    for time_s in sorted({*grid_s.tolist(), *times_s}):
        now = int(np.searchsorted(times_s, time_s, "right")) - 1
        valid = Valid.HEAD
        for name, bit in (("left", Valid.LEFT_HAND), ("right", Valid.RIGHT_HAND)):
            valid |= bit if tracks[name].named else Valid(0)
        head = tracks["head"].pose(time_s)
        hands = (tracks["left"].hand(time_s), tracks["right"].hand(time_s))
        time_ns = round(time_s * 1e9)
        packed.append(pack_snapshot(InputSnapshot(time_ns, head, hands, buttons[now], valid, SourceKind.TRACE, head)))
    return np.frombuffer(b"".join(packed), INPUT_DTYPE).copy()


class _Track:
    """One tracked thing over the keyframes that name it."""

    def __init__(self, name: str, keyframes: list[Any], times_s: list[float]) -> None:
        rest = _HANDS.get(name, _HEAD)
        self._times_s: list[float] = []
        self._states: list[_State] = []
        allowed = {"position", "yaw_deg", "pitch_deg"} if name == "head" else _HAND_FIELDS
        for i, (time_s, keyframe) in enumerate(zip(times_s, keyframes, strict=True)):
            if name in keyframe:
                before = self._states[-1] if self._states else _State(rest.position)
                where = f"keyframe {i + 1}: {name}"
                self._states.append(_next_state(before, keyframe[name], allowed, where))
                self._times_s.append(time_s)
        self.named = bool(self._states)
        if not self.named:
            self._times_s, self._states = [0.0], [_State(rest.position)]

    def pose(self, time_s: float) -> Pose:
        """Between the keyframes around ``time_s``."""
        after = int(np.searchsorted(self._times_s, time_s, "right"))
        if after == 0 or after == len(self._times_s):
            return self._states[min(after, len(self._states) - 1)].pose
        t0, t1 = self._times_s[after - 1], self._times_s[after]
        a, b = self._states[after - 1].pose, self._states[after].pose
        t = (time_s - t0) / (t1 - t0)
        position = a.position + (b.position - a.position) * np.float32(t)
        return Pose(position, maths.normalise(maths.quat_slerp(a.orientation, b.orientation, t)))

    def hand(self, time_s: float) -> HandState:
        """Pose, trigger, squeeze and stick. The keyframe's angles are where the hand points."""
        aim = self.pose(time_s)
        grip = aim @ Pose(orientation=AIM_FROM_GRIP)
        now = int(np.searchsorted(self._times_s, time_s, "right")) - 1
        state = self._states[now] if now >= 0 else _State(aim.position)
        return HandState(grip, aim, state.trigger, state.squeeze, state.stick)


@dataclass(frozen=True)
class _State:
    """What one keyframe says of one tracked thing, completed from the keyframe before."""

    position: maths.Array
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    trigger: float = 0.0
    squeeze: float = 0.0
    stick: tuple[float, float] = (0.0, 0.0)

    @property
    def pose(self) -> Pose:
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        return Pose(self.position, maths.quat_from_yaw_pitch(yaw, pitch))


def _next_state(before: _State, fields: Any, allowed: set[str], where: str) -> _State:
    if not isinstance(fields, dict):
        raise _Wrong(f"{where} is not a table like {{ position = [0, 1.6, 0] }}.")
    if unknown := sorted(set(fields) - allowed):
        raise _Wrong(f"{where} has the unknown field '{unknown[0]}'; it may have {', '.join(sorted(allowed))}.")
    changed: dict[str, Any] = {}
    for name, (low, high) in _RANGES.items():
        if name in fields:
            changed[name] = _numbers(fields[name], 1, low, high, f"{where}.{name}")[0]
    if "position" in fields:
        changed["position"] = np.array(_numbers(fields["position"], 3, -100, 100, f"{where}.position"), np.float32)
    if "stick" in fields:
        x, y = _numbers(fields["stick"], 2, -1, 1, f"{where}.stick")
        changed["stick"] = (x, y)
    return replace(before, **changed)


def _times(keyframes: list[Any]) -> list[float]:
    times_s: list[float] = []
    for i, keyframe in enumerate(keyframes):
        if not isinstance(keyframe, dict):
            raise _Wrong(f"keyframe {i + 1} is not a table.")
        if unknown := sorted(set(keyframe) - _FIELDS):
            raise _Wrong(
                f"keyframe {i + 1} has the unknown field '{unknown[0]}'; fields are {', '.join(sorted(_FIELDS))}."
            )
        time_s = keyframe.get("time_s")
        if isinstance(time_s, bool) or not isinstance(time_s, int | float) or not 0 <= time_s <= _LONGEST_S:
            raise _Wrong(f"keyframe {i + 1} needs time_s, seconds from 0 to {_LONGEST_S:g}, not {time_s!r}.")
        if times_s and time_s <= times_s[-1]:
            raise _Wrong(f"keyframe {i + 1} is at {time_s:g} s, not after the one before it ({times_s[-1]:g} s).")
        times_s.append(float(time_s))
    return times_s


def _numbers(found: Any, count: int, low: float, high: float, where: str) -> list[float]:
    """``found`` as ``count`` numbers from ``low`` to ``high``."""
    listed = found if count > 1 else [found]
    if isinstance(listed, list) and len(listed) == count:
        numbers = [float(v) for v in listed if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == count and all(low <= v <= high for v in numbers):
            return numbers
    expected = "a number" if count == 1 else f"{count} numbers"
    raise _Wrong(f"{where} needs {expected} from {low:g} to {high:g}, not {found!r}.")


def _buttons(keyframe: dict[str, Any], index: int) -> Button:
    names = keyframe.get("buttons", [])
    held = Button(0)
    for name in names if isinstance(names, list) else [names]:
        if not isinstance(name, str) or name not in Button.__members__:
            known = ", ".join(Button.__members__)
            raise _Wrong(f"keyframe {index + 1} has the unknown button {name!r}; buttons are {known}.")
        held |= Button[name]
    return held
