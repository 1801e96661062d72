"""A recorded or scripted person as an input source, for replays, tests and machines without a screen."""

from __future__ import annotations

from bisect import bisect_right
from functools import reduce
from operator import or_
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vrapp.core.input import Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.display.trace_file import Records, read_recording
from vrapp.display.trace_script import read_script

SCRIPT_SUFFIXES = (".toml", ".json")

#: Poses hold rather than glide over a longer silence: the recording was paused there.
_LONGEST_GAP_NS = 250_000_000
_QUIT, _NONE = int(Button.QUIT), Button(0)


class TraceInput:
    """Replays ``/input`` of an MCAP recording, or a script of key poses (.toml, .json).

    The trace's first moment is the first poll's. Asked for a recorded time it answers with that record
    exactly; in between, poses are interpolated (slerp). What was pressed since the last poll shows in
    the next, however short. A looped trace never quits; otherwise the last moment stays and
    ``finished`` turns True. ``notice`` says what was wrong with a file that could still be used.
    """

    def __init__(self, path: Path, loop: bool = True) -> None:
        """Raises InputFileError where the file is missing, foreign, or holds no usable moment."""
        if path.suffix.lower() in SCRIPT_SUFFIXES:
            records, self.notice = read_script(path), ""
        else:
            records, self.notice = read_recording(path)
        self.finished = False
        self._loop = loop
        # Taken apart here: fields of a record cost a poll more than all of its arithmetic.
        times_ns = records["time_ns"] - records["time_ns"][0]
        self._times_ns: list[int] = times_ns.tolist()
        self._step_ns = max(int(np.median(np.diff(times_ns))), 1) if len(times_ns) > 1 else 1
        self._buttons: list[int] = records["buttons"].tolist()
        flags = {bits: Valid(bits) for bits in set(records["valid"].tolist())}
        self._valid = [flags[bits] for bits in records["valid"].tolist()]
        self._fingers = _fingers(records)
        self._positions = _stacked(records, "position")
        self._steps = np.diff(self._positions, axis=0)
        self._orientations = _stacked(records, "orientation")
        self._angles, self._over_sines = _arcs(self._orientations)
        self._glides = _glides(times_ns, records["valid"])
        self._start_ns: int | None = None
        self._last_index = -1

    @property
    def duration_s(self) -> float:
        """From the first moment to the last."""
        return self._times_ns[-1] / 1e9

    def poll(self, predicted_time_ns: int) -> InputSnapshot:
        """The person at this time of the trace, stamped with ``predicted_time_ns``."""
        if self._start_ns is None:
            self._start_ns = predicted_time_ns
        at_ns = self._place(max(predicted_time_ns - self._start_ns, 0))
        index = bisect_right(self._times_ns, at_ns) - 1
        buttons, fingers = self._pressed(index)
        self._last_index = index
        if self._loop:
            buttons &= ~_QUIT
        head, gaze, *grips = self._poses(index, at_ns - self._times_ns[index])
        left, right = (
            HandState(grips[2 * k], grips[2 * k + 1], trigger, squeeze, (stick_x, stick_y))
            for k, (trigger, squeeze, stick_x, stick_y) in enumerate(fingers)
        )
        pressed = Button(buttons) if buttons else _NONE
        hands = left, right
        return InputSnapshot(predicted_time_ns, head, hands, pressed, self._valid[index], SourceKind.TRACE, gaze)

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """Nobody feels it."""

    def close(self) -> None:
        """Nothing is held open."""

    def _place(self, elapsed_ns: int) -> int:
        """Where in the trace this is; in a loop the last moment leads to the first after one more step."""
        end_ns = self._times_ns[-1]
        if elapsed_ns <= end_ns:
            return elapsed_ns
        if not self._loop:
            self.finished = True
            return end_ns
        at_ns = elapsed_ns % (end_ns + self._step_ns)
        if at_ns < self._times_ns[self._last_index]:
            self._last_index = -1
        return min(at_ns, end_ns)

    def _poses(self, index: int, since_ns: int) -> list[Pose]:
        """Head, gaze, left grip and aim, right grip and aim, ``since_ns`` after a record."""
        positions, orientations = self._positions[index], self._orientations[index]
        if since_ns > 0 and self._glides[index]:
            share = since_ns / (self._times_ns[index + 1] - self._times_ns[index])
            positions = positions + self._steps[index] * share
            weights = np.sin(self._angles[index] * np.array([[1 - share], [share]], np.float32))
            weights *= self._over_sines[index]
            parts = weights[:, :, None] * self._orientations[index : index + 2]
            orientations = parts[0] + parts[1]
        return list(map(Pose, positions, orientations))

    def _pressed(self, index: int) -> tuple[int, list[list[float]]]:
        """Buttons and fingers as in this record, and what was pressed in those that no poll fell on."""
        first = self._last_index + 1
        passed = self._fingers[min(first, index) : index + 1].tolist()
        fingers: list[list[float]] = passed[-1]
        if index <= first:
            return self._buttons[index], fingers
        for left, right in passed[:-1]:
            for most, hand in zip(fingers, (left, right), strict=True):
                most[:2] = max(most[0], hand[0]), max(most[1], hand[1])
        return reduce(or_, self._buttons[first : index + 1]), fingers


def _fingers(records: Records) -> Array:
    """(N, 2, 4) float32 by hand: trigger, squeeze, stick x and y."""
    sides = [records["left"], records["right"]]
    parts = [np.column_stack([side["trigger"], side["squeeze"], side["stick"]]) for side in sides]
    return np.stack(parts, axis=1)


def _stacked(records: Records, field: str) -> Array:
    """(N, 6, 3 or 4) float32: head, gaze, left grip and aim, right grip and aim."""
    parts = [records[f"head_{field}"], records[f"gaze_{field}"]]
    parts += [records[hand][f"{pose}_{field}"] for hand in ("left", "right") for pose in ("grip", "aim")]
    return np.stack(parts, axis=1).astype(np.float32)


def _glides(times_ns: npt.NDArray[np.int64], valid: npt.NDArray[np.uint32]) -> list[bool]:
    """For each record, whether poses glide from it to the next: no pause between, and the same things tracked."""
    soon, alike = np.diff(times_ns) <= _LONGEST_GAP_NS, valid[1:] == valid[:-1]
    return [*(soon & alike).tolist(), False]


def _arcs(orientations: Array) -> tuple[Array, Array]:
    """What the slerp from each moment to the next needs, of (N, 6, 4) unit quaternions.

    The angles (N - 1, 6) of the shorter arcs, and (N - 1, 2, 6): by what the sines of the two shares of an angle
    are multiplied. Two equal ones get a tiny angle, whose sines are in proportion: no case of its own.
    """
    a, b = orientations[:-1].astype(float), orientations[1:].astype(float)
    # The chord's angle, not the cosine's: exact where the arc is short.
    side = np.where(np.einsum("npq,npq->np", a, b) < 0, -1.0, 1.0)
    apart = np.linalg.norm(b * side[..., None] - a, axis=-1)
    angles = np.maximum(2 * np.arcsin(np.minimum(apart / 2, 1)), 1e-6)
    over_sine = 1 / np.sin(angles)
    return angles.astype(np.float32), np.stack([over_sine, side * over_sine], axis=1).astype(np.float32)
