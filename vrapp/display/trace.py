"""A recorded or scripted person as an input source, for replays, tests and machines without a screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vrapp.core import maths
from vrapp.core.input import Button, InputSnapshot, SourceKind, unpack_snapshot
from vrapp.core.pose import Pose
from vrapp.display.trace_file import read_recording
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
        return replace(snapshot, time_ns=predicted_time_ns, buttons=buttons, source=SourceKind.TRACE)

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
        before = unpack_snapshot(self._records[index])
        since_ns = at_ns - int(self._times_ns[index])
        if since_ns == 0 or index + 1 == len(self._times_ns):
            return before
        gap_ns = int(self._times_ns[index + 1] - self._times_ns[index])
        after = unpack_snapshot(self._records[index + 1])
        if gap_ns > _LONGEST_GAP_NS or after.valid != before.valid:
            return before
        return _blend(before, after, since_ns / gap_ns)

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


def _blend(a: InputSnapshot, b: InputSnapshot, t: float) -> InputSnapshot:
    """Poses between ``a`` and ``b``; buttons, triggers and sticks of ``a``."""
    left, right = (
        replace(x, grip=_mix(x.grip, y.grip, t), aim=_mix(x.aim, y.aim, t))
        for x, y in zip(a.hands, b.hands, strict=True)
    )
    return replace(a, head=_mix(a.head, b.head, t), hands=(left, right), gaze=_mix(a.gaze, b.gaze, t))


def _mix(a: Pose, b: Pose, t: float) -> Pose:
    position = a.position + (b.position - a.position) * np.float32(t)
    return Pose(position, maths.normalise(maths.quat_slerp(a.orientation, b.orientation, t)))
