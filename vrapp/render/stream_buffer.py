"""A GPU buffer that is written anew every frame."""

from __future__ import annotations

from typing import Any

import numpy as np


class StreamBuffer:
    """Grows to what is written into it; orphaned on each write, so that writing never waits for the GPU."""

    def __init__(self, ctx: Any, reserve: int = 1 << 14) -> None:
        self._buffer = ctx.buffer(reserve=reserve, dynamic=True)
        self._size = reserve

    def write(self, contents: np.ndarray) -> Any:
        """Upload a contiguous array; the GL buffer."""
        while self._size < contents.nbytes:
            self._size *= 2
        self._buffer.orphan(self._size)
        if contents.nbytes:
            self._buffer.write(contents)
        return self._buffer

    def release(self) -> None:
        """Delete the buffer."""
        self._buffer.release()
