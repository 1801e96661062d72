"""Where slices of work run: in order, on the CPU at once, or on the GPU beside the picture, captured as graphs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

Work = Callable[[], None]
_WARM_UPS = 3  # cuDNN chooses, the allocator fills, constants are made


class Mark(Protocol):
    """A place in the order of work."""

    def done(self) -> bool:
        """Whether everything before it has finished. Never waits."""

    def wait(self) -> None:
        """Return when it has."""

    def ms_since(self, earlier: Mark) -> float:
        """Time between two places that are done."""


class Lane(Protocol):
    """One order of work on one device."""

    device: torch.device

    def captured(self, work: Work) -> Work:
        """``work`` in the form in which it is cheapest to repeat; its shapes and tensors stay the same."""

    def run(self, work: Work) -> None:
        """Put it at the end of the order. Returns before it has finished where the device works by itself."""

    def mark(self) -> Mark:
        """The end of the order as it is now."""

    def flush(self) -> None:
        """Have the device begin on what it was told."""

    def run_aside(self, work: Work) -> None:
        """At once, with what is known to be finished; what is put in the order afterwards comes after it."""

    def host_buffer(self, size: int) -> Tensor:
        """(size,) uint8 in main memory that the device can write to while the program goes on."""


class HostMark:
    """On the CPU everything before has finished."""

    def __init__(self) -> None:
        self._s = time.perf_counter()

    def done(self) -> bool:
        """Always."""
        return True

    def wait(self) -> None:
        """At once."""

    def ms_since(self, earlier: Mark) -> float:
        """By the machine's clock."""
        assert isinstance(earlier, HostMark)
        return 1e3 * (self._s - earlier._s)


class HostLane:
    """The CPU: work is done when ``run`` returns."""

    device = torch.device("cpu")

    def captured(self, work: Work) -> Work:
        """As it is."""
        return work

    def run(self, work: Work) -> None:
        """Now."""
        with torch.inference_mode():
            work()

    def mark(self) -> HostMark:
        """Now."""
        return HostMark()

    def flush(self) -> None:
        """It has begun."""

    def run_aside(self, work: Work) -> None:
        """Now."""
        self.run(work)

    def host_buffer(self, size: int) -> Tensor:
        """Plain memory."""
        return torch.zeros(size, dtype=torch.uint8)


class CudaMark:
    """An event of the lane's stream."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._event.record(stream)

    def done(self) -> bool:
        """Asked of the driver."""
        return bool(self._event.query())  # type: ignore[no-untyped-call]

    def wait(self) -> None:
        """Blocks the thread: benches alone."""
        self._event.synchronize()

    def ms_since(self, earlier: Mark) -> float:
        """On the device's clock."""
        assert isinstance(earlier, CudaMark)
        return float(earlier._event.elapsed_time(self._event))


class CudaLane:
    """A stream of the lowest priority, and one ``aside``. No call here waits for the device, but ``captured``, which
    loads."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # Negative priorities come first; there is none below 0.
        self.stream = torch.cuda.Stream(device, priority=0)  # type: ignore[no-untyped-call]
        self.aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def captured(self, work: Work) -> Work:
        """A CUDA graph of it, replayed once so that what it gives is there for what comes next."""
        self.stream.wait_stream(torch.cuda.current_stream(self.device))  # what it reads was made there
        with torch.inference_mode(), torch.cuda.stream(self.stream):
            for _ in range(_WARM_UPS):
                work()
            self.stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            # Other threads may use CUDA meanwhile: only this one's mistakes break the capture.
            with torch.cuda.graph(graph, pool=self._pool, stream=self.stream, capture_error_mode="thread_local"):
                work()
            graph.replay()
            self.stream.synchronize()
        return graph.replay

    def run(self, work: Work) -> None:
        """Enqueued."""
        with torch.inference_mode(), torch.cuda.stream(self.stream):
            work()

    def mark(self) -> CudaMark:
        """An event at the end of the stream."""
        return CudaMark(self.stream)

    def flush(self) -> None:
        """By a question: Windows' drivers keep what is launched until somebody asks, or enough has come together."""
        self.stream.query()

    def run_aside(self, work: Work) -> None:
        """Beside the slices that are under way: who draws what comes of it does not wait for them."""
        with torch.inference_mode(), torch.cuda.stream(self.aside):
            work()
        self.stream.wait_stream(self.aside)

    def host_buffer(self, size: int) -> Tensor:
        """Pinned."""
        return torch.zeros(size, dtype=torch.uint8, pin_memory=True)
