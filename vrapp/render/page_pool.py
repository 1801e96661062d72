"""Pages of one growing GPU buffer, in size classes, so that freed space always fits a later mesh."""

from __future__ import annotations

from typing import Any


def size_class(items: int) -> int:
    """The page size in items that holds ``items``: 256, 384, 512, 768, 1024, … (at most a third is lost)."""
    page = 256
    while page < items:
        if page + page // 2 >= items:
            return page + page // 2
        page *= 2
    return page


class PagePool:
    """One GL buffer of fixed-stride items, handed out in pages. Grows by doubling; copies on the GPU.

    ``version`` rises when the buffer is replaced: vertex arrays that refer to it are then stale.
    """

    def __init__(self, ctx: Any, stride: int, capacity: int) -> None:
        self._ctx = ctx
        self._stride = stride
        self._capacity = capacity
        self._end = 0  # items handed out so far, freed ones included
        self._free: dict[int, list[int]] = {}
        self.buffer = ctx.buffer(reserve=capacity * stride)
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
        """First item of a page for ``items``."""
        page = size_class(items)
        self.used += page
        if free := self._free.get(page):
            return free.pop()
        if self._end + page > self._capacity:
            self._grow(self._end + page)
        first, self._end = self._end, self._end + page
        return first

    def give(self, first: int, items: int) -> None:
        """Take back the page that ``take(items)`` answered with ``first``."""
        page = size_class(items)
        self.used -= page
        self._free.setdefault(page, []).append(first)

    def write(self, first: int, contents: Any) -> None:
        """Fill a page from its first item; ``contents`` is any contiguous buffer."""
        self.buffer.write(contents, offset=first * self._stride)

    def _grow(self, at_least: int) -> None:
        while self._capacity < at_least:
            self._capacity *= 2
        larger = self._ctx.buffer(reserve=self.bytes_capacity)
        self._ctx.copy_buffer(larger, self.buffer, self._end * self._stride if self._end else -1)
        self.buffer.release()
        self.buffer = larger
        self.version += 1

    def release(self) -> None:
        """Delete the buffer."""
        self.buffer.release()
