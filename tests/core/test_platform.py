"""``core.platform``: what can be seen of it from inside one process."""

import platform as python_platform
from pathlib import Path

import pytest

from vrapp.core.platform import return_free_memory

BLOCK_BYTES, BLOCKS, KEPT_ONE_IN = 2_000, 20_000, 100


def _resident_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(python_platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
def test_pages_between_blocks_that_stay_go_back_to_the_system() -> None:
    blocks = [bytes(BLOCK_BYTES + i % 7) for i in range(BLOCKS)]
    kept = blocks[::KEPT_ONE_IN]
    blocks.clear()
    before = _resident_bytes()
    return_free_memory()
    assert _resident_bytes() < before - BLOCK_BYTES * BLOCKS * 0.7
    assert len(kept) == BLOCKS // KEPT_ONE_IN
