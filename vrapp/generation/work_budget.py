"""How much of a frame the generator may take on the GPU that also draws."""

from __future__ import annotations

MOST_MS = 1.0  # a frame
IN_HANDS_MS = 3.0  # while somebody reshapes an object: it is what they look at
LOADING_MS = 8.0
_SHARE = 0.75  # of the period: over it nothing is begun
_DOUBT = 0.99  # of what a slice is thought to take, in each frame that it is too long for
_FORGET = 0.1  # of what a long frame says, per frame: a room that opens is trusted slowly


class WorkBudget:
    """Milliseconds of generation for the next frame, out of measured GPU frame times."""

    def __init__(self) -> None:
        self._busy_ms: float | None = None

    def measured(self, gpu_ms: float | None) -> None:
        """The picture's own time on the GPU in a recent frame; None where it is not known."""
        if gpu_ms is None:
            return
        before = gpu_ms if self._busy_ms is None else self._busy_ms
        self._busy_ms = max(gpu_ms, before + (gpu_ms - before) * _FORGET)

    def for_frame(self, period_ms: float, most_ms: float = MOST_MS) -> float:
        """At most ``most_ms``, and never so much that the frame's GPU time passes three quarters of ``period_ms``.

        0 until a frame was measured.
        """
        if self._busy_ms is None:
            return 0.0
        return max(0.0, min(most_ms, _SHARE * period_ms - self._busy_ms))


class SliceTimes:
    """What each slice of work takes, learnt from what it took (slowly, up quicker than down)."""

    def __init__(self, slices: int, first_guess_ms: float = 0.5) -> None:
        self._ms = [first_guess_ms] * slices

    def __getitem__(self, index: int) -> float:
        return self._ms[index]

    def took(self, index: int, ms: float) -> None:
        """One more measurement."""
        share = 0.5 if ms > self._ms[index] else 0.1
        self._ms[index] += (ms - self._ms[index]) * share

    def waits(self, index: int) -> None:
        """A frame with some room had too little for it. One that something else on the GPU once held up would
        otherwise never run again, and so never be measured again."""
        self._ms[index] *= _DOUBT


class Allowance:
    """Spends a frame's budget on whole slices. For a slice that is longer than the budget it saves up over frames
    that have some, so that work goes on, at its average share; but it waits for a frame that has room for the slice."""

    def __init__(self) -> None:
        self._saved_ms = self._room_ms = 0.0
        self._is_saving = False

    def begin(self, budget_ms: float, room_ms: float) -> None:
        """A frame begins that has ``room_ms`` left, of which ``budget_ms`` are meant for slices. Where it has no
        budget, what was saved is lost: the GPU is busy."""
        if budget_ms <= 0 or not self._is_saving:
            self._saved_ms = 0.0
        self._saved_ms += max(budget_ms, 0.0)
        self._room_ms = room_ms
        self._is_saving = False

    def takes(self, slice_ms: float) -> bool:
        """Whether a slice may run now; it is then paid for."""
        self._is_saving = slice_ms > min(self._saved_ms, self._room_ms)
        if self._is_saving:
            self._saved_ms = min(self._saved_ms, slice_ms)  # no burst when there is room again
            return False
        self._saved_ms -= slice_ms
        self._room_ms -= slice_ms
        return True
