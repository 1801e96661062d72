"""What differs between operating systems: priorities, interrupts, memory shared with a child process."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import signal
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_WINDOWS_IDLE, _WINDOWS_NORMAL = 0x40, 0x20  # IDLE_PRIORITY_CLASS, NORMAL_PRIORITY_CLASS
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE_BYTES = 256 << 10
_KEPT_BYTES = 64 << 20


def set_priority(idle: bool) -> bool:
    """Give every thread of this process idle time only, or its normal share. False where not permitted.

    Linux: SCHED_IDLE, which a normal thread pre-empts at once; Windows: the idle class; else nice 19.
    An unprivileged process on Linux may not be able to come back from idle.
    """
    try:
        if sys.platform == "win32":
            kernel = ctypes.windll.kernel32
            chosen = _WINDOWS_IDLE if idle else _WINDOWS_NORMAL
            return bool(kernel.SetPriorityClass(kernel.GetCurrentProcess(), chosen))
        if sys.platform == "linux":
            policy = os.SCHED_IDLE if idle else os.SCHED_OTHER
            for thread in Path("/proc/self/task").iterdir():  # a policy belongs to a thread, not to a process
                with suppress(ProcessLookupError):
                    os.sched_setscheduler(int(thread.name), policy, os.sched_param(0))
            return True
        os.setpriority(os.PRIO_PROCESS, 0, 19 if idle else 0)
        return True
    except PermissionError:
        return False


def usable_cores() -> int:
    """Processor cores that this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def tune_heap() -> None:
    """Have this process give freed memory of 256 KiB and more (meshes) back to the system at once, with glibc, and
    keep what is free at the heap's end.

    Left to itself, glibc raises the first limit to the largest block ever freed, and what comes and goes in all sizes
    then wears holes into its heap. The end it gives back from 128 KiB on: a software rasteriser, whose vertices come
    and go there, takes and returns it a hundred times a frame, and each page of it anew.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):  # another C library
            library = ctypes.CDLL(None)
            library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
            library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def return_free_memory(in_use: bool = False) -> None:
    """Give the free pages inside this process's heaps back to the system, with glibc: 0.5 to 2 ms.

    By itself it returns only what lies free at a heap's end, and long-lived blocks come to lie everywhere. ``in_use``:
    the end itself stays, as the next frame takes it again.
    """
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(_KEPT_BYTES if in_use else 0))


def limit_memory(most_bytes: int) -> None:
    """Let this process map no more memory: what asks for it gets MemoryError. Windows has no such limit."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, most_bytes))


def poller(connection: Connection) -> Callable[[], bool]:
    """A question to ask in every frame: has ``connection`` something to read, or ended? Never waits.

    ``Connection.poll`` makes a selector for every call: 60 µs in a frame, against 5.
    """
    if not hasattr(select, "poll"):
        return connection.poll
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    return lambda: bool(waiting.poll(0))


def die_with_parent() -> None:
    """Ask Linux to end this child process at once when the process that started it is gone.

    Elsewhere the child has to notice it by itself (its pipe ends).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def children_ignore_interrupts() -> Iterator[None]:
    """A process started inside never sees Ctrl-C, from its first instruction on: the parent ends it.

    On Windows the child has to ask for it itself (``ignore_interrupts``).
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class SharedBlock:
    """Zeroed memory shared with a child process. It has no name in any file system, so that nothing is
    left behind however the two processes end. Picklable only as an argument of a starting process."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._tag = f"vrapp-{uuid.uuid4()}"
        self._file: int | None = None
        if sys.platform == "win32":
            self.memory = mmap.mmap(-1, size, tagname=self._tag)  # gone with its last handle
            return
        if sys.platform == "linux":
            self._file = os.memfd_create("vrapp")
        else:
            with tempfile.TemporaryFile() as unlinked:
                self._file = os.dup(unlinked.fileno())
        os.ftruncate(self._file, size)
        self.memory = mmap.mmap(self._file, size)

    def __getstate__(self) -> dict[str, Any]:
        handle = None if self._file is None else reduction.DupFd(self._file)
        return {"size": self.size, "tag": self._tag, "handle": handle}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.size, self._tag, self._file = state["size"], state["tag"], None
        if sys.platform == "win32":
            self.memory = mmap.mmap(-1, self.size, tagname=self._tag)
            return
        file = state["handle"].detach()
        self.memory = mmap.mmap(file, self.size)
        os.close(file)

    def forget(self, start: int, stop: int) -> None:
        """Give the whole pages between two offsets back to the system, where it takes them: they read as zeros."""
        start = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        stop = stop // mmap.PAGESIZE * mmap.PAGESIZE
        if hasattr(mmap, "MADV_REMOVE") and stop > start:
            self.memory.madvise(mmap.MADV_REMOVE, start, stop - start)

    def close(self) -> None:
        """Unmap. Arrays that still look at the memory keep the mapping until they go."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        with suppress(BufferError):
            self.memory.close()
