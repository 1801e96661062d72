"""A recorded or scripted person as an input source, for replays, tests and machines without a screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vrapp.core import maths
from vrapp.core.input import Button, HandState, InputSnapshot, SourceKind, Valid
from vrapp.core.maths import Array
from vrapp.core.pose import Pose
from vrapp.display.trace_file import Records, read_recording
from vrapp.display.trace_script import read_script

SCRIPT_SUFFIXES = (".toml", ".json")

#: Poses hold rather than glide over a longer silence: the recording was paused there.
_LONGEST_GAP_NS = 250_000_000


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
            self._records, self.notice = read_script(path), ""
        else:
            self._records, self.notice = read_recording(path)
        self.finished = False
        self._loop = loop
        self._times_ns = self._records["time_ns"] - self._records["time_ns"][0]
        self._positions = _stacked(self._records, "position")
        self._orientations = _stacked(self._records, "orientation")
        self._glides = _glides(self._times_ns, self._records["valid"])
        self._start_ns: int | None = None
        self._last_index = -1

    @property
    def duration_s(self) -> float:
        """From the first moment to the last."""
        return int(self._times_ns[-1]) / 1e9

    def poll(self, predicted_time_ns: int) -> InputSnapshot:
        """The person at this time of the trace, stamped with ``predicted_time_ns``."""
        if self._start_ns is None:
            self._start_ns = predicted_time_ns
        at_ns = self._place(max(predicted_time_ns - self._start_ns, 0))
        index = int(np.searchsorted(self._times_ns, at_ns, "right")) - 1
        snapshot = self._between(index, at_ns)
        if index > self._last_index + 1:
            snapshot = self._with_skipped(snapshot, self._last_index + 1, index)
        self._last_index = index
        buttons = snapshot.buttons & ~Button.QUIT if self._loop else snapshot.buttons
        return replace(snapshot, time_ns=predicted_time_ns, buttons=buttons)

    def vibrate(self, hand: int, amplitude: float, duration_s: float) -> None:
        """Nobody feels it."""

    def close(self) -> None:
        """Nothing is held open."""

    def _place(self, elapsed_ns: int) -> int:
        """Where in the trace this is; in a loop the last moment leads to the first after one more step."""
        end_ns = int(self._times_ns[-1])
        if elapsed_ns <= end_ns:
            return elapsed_ns
        if not self._loop:
            self.finished = True
            return end_ns
        step_ns = int(np.median(np.diff(self._times_ns))) if len(self._times_ns) > 1 else 1
        at_ns = elapsed_ns % (end_ns + max(step_ns, 1))
        if at_ns < self._times_ns[self._last_index]:
            self._last_index = -1
        return min(at_ns, end_ns)

    def _between(self, index: int, at_ns: int) -> InputSnapshot:
        """Poses at the time; buttons, triggers and sticks as they were in the record before it."""
        positions, orientations = self._positions[index], self._orientations[index]
        since_ns = at_ns - int(self._times_ns[index])
        if since_ns > 0 and self._glides[index]:
            share = np.float32(since_ns / int(self._times_ns[index + 1] - self._times_ns[index]))
            positions = positions + (self._positions[index + 1] - positions) * share
            orientations = _slerp(orientations, self._orientations[index + 1], share)
        record = self._records[index]
        head, gaze, *of_hands = (Pose(p, q) for p, q in zip(positions, orientations, strict=True))
        left, right = (
            HandState(of_hands[2 * k], of_hands[2 * k + 1], float(r["trigger"]), float(r["squeeze"]), _pair(r["stick"]))
            for k, r in enumerate((record["left"], record["right"]))
        )
        buttons, valid = Button(int(record["buttons"])), Valid(int(record["valid"]))
        return InputSnapshot(at_ns, head, (left, right), buttons, valid, SourceKind.TRACE, gaze)

    def _with_skipped(self, snapshot: InputSnapshot, first: int, last: int) -> InputSnapshot:
        """Add what was pressed in the records that no poll fell on."""
        skipped = self._records[first : last + 1]
        buttons = snapshot.buttons | Button(int(np.bitwise_or.reduce(skipped["buttons"])))
        left, right = (
            replace(
                hand,
                trigger=max(hand.trigger, float(r["trigger"].max())),
                squeeze=max(hand.squeeze, float(r["squeeze"].max())),
            )
            for hand, r in zip(snapshot.hands, (skipped["left"], skipped["right"]), strict=True)
        )
        return replace(snapshot, buttons=buttons, hands=(left, right))


def _stacked(records: Records, field: str) -> Array:
    """(N, 6, 3 or 4) float32: head, gaze, left grip and aim, right grip and aim."""
    parts = [records[f"head_{field}"], records[f"gaze_{field}"]]
    parts += [records[hand][f"{pose}_{field}"] for hand in ("left", "right") for pose in ("grip", "aim")]
    return np.stack(parts, axis=1).astype(np.float32)


def _glides(times_ns: npt.NDArray[np.int64], valid: npt.NDArray[np.uint32]) -> list[bool]:
    """For each record, whether poses glide from it to the next: no pause between, and the same things tracked."""
    soon, alike = np.diff(times_ns) <= _LONGEST_GAP_NS, valid[1:] == valid[:-1]
    return [*(soon & alike).tolist(), False]


def _slerp(a: Array, b: Array, share: np.float32) -> Array:
    """Shortest-arc interpolation of rows of unit quaternions (N, 4): maths.quat_slerp, all at once."""
    cosine = np.sum(a * b, axis=1, keepdims=True)
    b = np.where(cosine < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(cosine), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-4
    safe = np.where(near, 1, sine)
    from_a = np.where(near, 1 - share, np.sin((1 - share) * angle) / safe)
    from_b = np.where(near, share, np.sin(share * angle) / safe)
    return maths.normalise(from_a * a + from_b * b)


def _pair(values: Array) -> tuple[float, float]:
    return float(values[0]), float(values[1])
