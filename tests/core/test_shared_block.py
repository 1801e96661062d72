"""Memory shared with the worker: what is given back is gone, and nothing beside it."""

from __future__ import annotations

import mmap
import os
import sys

import pytest

from vrapp.core.platform import SharedBlock

PAGE = mmap.PAGESIZE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes pages out of a mapping")
@pytest.mark.parametrize(("start", "stop", "pages"), [(0, 4 * PAGE, 0), (1, 3 * PAGE, 2), (PAGE + 1, PAGE + 9, 4)])
def test_whole_pages_go_back_to_the_system(start: int, stop: int, pages: int) -> None:
    block = SharedBlock(4 * PAGE)
    try:
        block.memory[:] = b"x" * (4 * PAGE)
        block.forget(start, stop)
        assert os.fstat(block._file).st_blocks * 512 == pages * PAGE
        assert bytes(block.memory).count(b"x") == pages * PAGE
    finally:
        block.close()
