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
Yaw is positive to the left, pitch upwards, a hand's roll clockwise as seen from behind it. A hand that is
never named is not tracked.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vrapp.core import maths
from vrapp.core.errors import InputFileError
from vrapp.core.input import INPUT_DTYPE, Button, SourceKind, Valid
from vrapp.core.maths import Array
from vrapp.display.grip import AIM_FROM_GRIP
from vrapp.display.trace_file import Records

RATE_HZ = 90
_LONGEST_S = 3600.0
_HEAD_FIELDS = {"position", "yaw_deg", "pitch_deg"}
_HAND_FIELDS = {*_HEAD_FIELDS, "roll_deg", "squeeze", "trigger", "stick"}
_RANGES = {
    "yaw_deg": (-3600, 3600), "pitch_deg": (-90, 90), "roll_deg": (-360, 360), "trigger": (0, 1), "squeeze": (0, 1)
}  # fmt: skip
_FIELDS = {"time_s", "head", "left", "right", "buttons"}
#: Where each is until a keyframe says otherwise, metres.
_REST_M = {"head": (0.0, 1.65, 0.0), "left": (-0.2, 1.3, -0.35), "right": (0.2, 1.3, -0.35)}


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
    buttons = np.array([int(_buttons(keyframe, i)) for i, keyframe in enumerate(keyframes)])
    # The keyframes' own moments too, so that each is met exactly.
    grid_s = np.unique(np.concatenate([np.arange(0, times_s[-1], 1 / RATE_HZ), times_s]))
    records = np.zeros(len(grid_s), INPUT_DTYPE)
    records["time_ns"] = np.round(grid_s * 1e9)
    records["source"] = int(SourceKind.TRACE)
    before = np.searchsorted(times_s, grid_s, "right") - 1
    records["buttons"] = np.where(before >= 0, buttons[before], 0)
    for pose in ("head", "gaze"):
        records[f"{pose}_position"], records[f"{pose}_orientation"] = tracks["head"].poses(grid_s)
    valid = Valid.HEAD
    for hand, bit in (("left", Valid.LEFT_HAND), ("right", Valid.RIGHT_HAND)):
        tracks[hand].write_hand(records[hand], grid_s)
        valid |= bit if tracks[hand].named else Valid(0)
    records["valid"] = int(valid)
    return records


class _State(NamedTuple):
    """What one keyframe says of one tracked thing, completed from the keyframe before."""

    position: tuple[float, ...]
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    trigger: float = 0.0
    squeeze: float = 0.0
    stick: tuple[float, ...] = (0.0, 0.0)


class _Track:
    """One tracked thing over the keyframes that name it."""

    def __init__(self, name: str, keyframes: list[Any], times_s: list[float]) -> None:
        rest = _State(_REST_M[name])
        allowed = _HEAD_FIELDS if name == "head" else _HAND_FIELDS
        self._times_s: list[float] = []
        self._states: list[_State] = []
        for i, (time_s, keyframe) in enumerate(zip(times_s, keyframes, strict=True)):
            if name in keyframe:
                before = self._states[-1] if self._states else rest
                where = f"keyframe {i + 1}: {name}"
                self._states.append(_next_state(before, keyframe[name], allowed, where))
                self._times_s.append(time_s)
        self.named = bool(self._states)
        if not self.named:
            self._times_s, self._states = [0.0], [rest]

    def poses(self, grid_s: npt.NDArray[np.float64]) -> tuple[Array, Array]:
        """Positions (N, 3) and orientations (N, 4), gliding from keyframe to keyframe in angles."""
        positions = [self._glide([state.position[axis] for state in self._states], grid_s) for axis in range(3)]
        turn = self._turns("yaw_deg", (0, 1, 0), grid_s)
        for angle, axis in (("pitch_deg", (1, 0, 0)), ("roll_deg", (0, 0, -1))):
            turn = maths.quat_multiply(turn, self._turns(angle, axis, grid_s))
        return np.stack(positions, axis=1).astype(np.float32), turn

    def _turns(self, angle: str, axis: tuple[int, int, int], grid_s: npt.NDArray[np.float64]) -> Array:
        """(N, 4) rotations about ``axis`` by the states' ``angle``."""
        half = np.radians(self._glide([getattr(state, angle) for state in self._states], grid_s)) / 2
        return np.concatenate([np.sin(half)[:, None] * axis, np.cos(half)[:, None]], axis=1).astype(np.float32)

    def _glide(self, values: list[float], grid_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.interp(grid_s, self._times_s, values)

    def write_hand(self, hand: Records, grid_s: npt.NDArray[np.float64]) -> None:
        """Fill a hand's fields. The keyframes' angles are where it points."""
        hand["aim_position"], hand["aim_orientation"] = self.poses(grid_s)
        hand["grip_position"] = hand["aim_position"]
        hand["grip_orientation"] = maths.quat_multiply(hand["aim_orientation"], AIM_FROM_GRIP)
        states = [_State(self._states[0].position), *self._states]  # before the first: nothing pressed
        now = np.searchsorted(self._times_s, grid_s, "right")
        for field in ("trigger", "squeeze", "stick"):
            hand[field] = np.array([getattr(state, field) for state in states])[now]


def _next_state(before: _State, fields: Any, allowed: set[str], where: str) -> _State:
    if not isinstance(fields, dict):
        raise _Wrong(f"{where} is not a table like {{ position = [0, 1.6, 0] }}.")
    if unknown := sorted(set(fields) - allowed):
        raise _Wrong(f"{where} has the unknown field '{unknown[0]}'; it may have {', '.join(sorted(allowed))}.")
    changed: dict[str, Any] = {}
    for name, (low, high) in _RANGES.items():
        if name in fields:
            changed[name] = _numbers(fields[name], 1, low, high, f"{where}.{name}")[0]
    for name, count, limit in (("position", 3, 100), ("stick", 2, 1)):
        if name in fields:
            changed[name] = tuple(_numbers(fields[name], count, -limit, limit, f"{where}.{name}"))
    return before._replace(**changed)


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
