"""Which generator runs: on the GPU where there is one that CUDA knows, else in the worker process."""

from __future__ import annotations

import copy
import ctypes
import ctypes.util
import importlib.util
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vrapp.core.errors import VrappError
from vrapp.core.generation import GeneratedObject, GenerationRequest, Generator, GeneratorFigures
from vrapp.generation.service import WorkerGenerator

if TYPE_CHECKING:
    from vrapp.generation.gate import GateLimits
    from vrapp.generation.lane import CudaLane
    from vrapp.generation.shaping import Shaper
    from vrapp.generation.weights import ObjectModel

_LEAVE_S = 10.0  # for a load that is under way to notice that the program ends
_LOAD_LIMIT_S = 120.0
_ALL_NAMES = 0x102  # RTLD_NOW | RTLD_GLOBAL

log = logging.getLogger(__name__)


def open_generator(weights: Path, ctx: Any, fixed_latency_frames: int | None = None) -> Generator:
    """The generator for a run that draws into ``ctx`` (moderngl.Context), current on this thread.

    Under a fixed clock it is the worker: its objects are the same on every machine. Raises WeightsError.
    """
    if fixed_latency_frames is not None or not driver_there():
        return WorkerGenerator(weights, fixed_latency_frames=fixed_latency_frames)
    if not torch_has_cuda():
        log.info("There is an NVIDIA driver, but this torch has no CUDA; objects are made on the CPU.")
        return WorkerGenerator(weights)
    return OpeningGenerator(weights, ctx)


def _torch_folder() -> Path | None:
    found = importlib.util.find_spec("torch")
    places = found.submodule_search_locations if found is not None else None
    return Path(next(iter(places))) if places else None


def torch_has_cuda() -> bool:
    """Whether torch was built with CUDA, read off its version file: to import it takes seconds."""
    folder = _torch_folder()
    try:
        told = (folder / "version.py").read_text(encoding="utf-8") if folder else ""
    except OSError:
        return True  # a torch of another kind: it is asked itself
    return re.search(r"^cuda\b[^=]*= *None", told, re.MULTILINE) is None


def driver_there() -> bool:
    """Whether CUDA's driver is installed, asked without loading torch."""
    return ctypes.util.find_library("nvcuda" if sys.platform == "win32" else "cuda") is not None


class NoDevice(Exception):
    """Why the graphics card cannot make objects, as the end of a sentence."""


@dataclass(frozen=True)
class OnDevice:
    """What was loaded: the shapes' maker on its lane, and what its ``DeviceGenerator`` is told of the networks."""

    shaper: Shaper
    lane: CudaLane
    limits: list[GateLimits]
    latent_mean: np.ndarray
    name: str


class OpeningGenerator:
    """``core.generation.Generator`` on the first CUDA device, which loads beside the frames.

    Importing torch, moving the networks and capturing graphs takes seconds; a thread does it, so that the user stands
    in a tracked picture meanwhile, though a frame may take longer now and then, and ``figures.loading`` tells. Until
    then ``submit`` answers that the queue is full. Where the device cannot run the networks, or is not ready after two
    minutes, one line tells why, and the worker makes the objects. ``load`` is given by tests. Raises WeightsError.
    """

    def __init__(
        self, weights: Path, ctx: Any, load: Callable[[Path, Callable[[], None]], OnDevice] | None = None
    ) -> None:
        self._weights, self._ctx, self._load = weights, ctx, load or on_device
        self._drawing: WorkerGenerator | None = WorkerGenerator(weights, draws_only=True)  # loads while this does
        self.categories, self.weights_hash = self._drawing.categories, self._drawing.weights_hash
        self.latent_basis = self._drawing.latent_basis
        self.figures = GeneratorFigures(device="loading", loading=True)
        self._pace = "load"
        self._opened: Generator | None = None
        self._closed = False
        self._loaded: OnDevice | Exception | None = None
        self._give_up_s = time.monotonic() + _LOAD_LIMIT_S
        self._thread = threading.Thread(target=self._run, name="vrapp-opening", daemon=True)
        self._thread.start()

    def submit(self, request: GenerationRequest) -> bool:
        """See ``core.generation.Generator``."""
        return self._opened is not None and self._opened.submit(request)

    def collect(self, frame_index: int) -> list[GeneratedObject]:
        """See ``core.generation.Generator``. Raises what loading raised, where the user's file is the reason."""
        if self._opened is None and not self._closed:
            if not self._thread.is_alive():
                self._open(self._loaded)
            elif time.monotonic() > self._give_up_s:
                self._open(NoDevice(f"it was not ready after {_LOAD_LIMIT_S:.0f} s"))
        return [] if self._opened is None else self._opened.collect(frame_index)

    def decoded(self) -> dict[int, GeneratedObject | None]:
        """See ``core.generation.Generator``."""
        return {} if self._opened is None else self._opened.decoded()

    def work(self, gpu_ms: float | None, period_ms: float) -> None:
        """See ``core.generation.Generator``."""
        if self._opened is not None:
            self._opened.work(gpu_ms, period_ms)

    def set_pace(self, pace: str) -> None:
        """See ``core.generation.Generator``."""
        self._pace = pace
        if self._opened is not None:
            self._opened.set_pace(pace)

    def close(self) -> None:
        """See ``core.generation.Generator``."""
        self._closed = True
        if self._opened is None:  # else it has ended, or will never
            self._thread.join(_LEAVE_S)
        for part in (self._opened, self._drawing):
            if part is not None:
                part.close()

    def _run(self) -> None:
        try:
            self._loaded = self._load(self._weights, self._check_wanted)
        except Exception as e:
            self._loaded = e

    def _check_wanted(self) -> None:
        if self._closed:
            raise NoDevice("the program ends")

    def _open(self, loaded: OnDevice | Exception | None) -> None:
        """On the GL thread, when everything is loaded."""
        drawing, self._loaded = self._drawing, None  # what failed holds on to what it had on the card
        assert drawing is not None
        if isinstance(loaded, OnDevice):
            try:
                connect(loaded.shaper, loaded.lane, self._ctx)
            except RuntimeError as e:
                loaded = e
        if isinstance(loaded, OnDevice):
            from vrapp.generation.device_service import DeviceGenerator

            opened: Generator = DeviceGenerator(drawing, loaded.shaper, loaded.limits, loaded.latent_mean, loaded.name)
            self._drawing = None  # it is the other's now
        elif isinstance(loaded, VrappError):
            raise loaded
        else:
            why = (str(loaded).splitlines() or [""])[0] or type(loaded).__name__
            log.warning("The graphics card cannot make objects (%s); they are made on the CPU.", why)
            log.debug("what happened on the graphics card", exc_info=loaded)
            drawing.close()
            self._drawing = None
            opened = WorkerGenerator(self._weights)
        self.figures.device, opened.figures = opened.figures.device, self.figures
        self.figures.loading = False
        opened.set_pace(self._pace)
        self._opened = opened


def on_device(weights: Path, check_wanted: Callable[[], None]) -> OnDevice:
    """Everything that needs no OpenGL, seconds long. ``check_wanted`` raises where nobody waits for it any more.

    Raises WeightsError, NoDevice, and what torch raises for a GPU that it does not support, or that is full.
    """
    _load_libraries()
    import torch

    from vrapp.generation.gate import GateLimits
    from vrapp.generation.weights import load_weights

    check_wanted()
    if not torch.cuda.is_available():
        raise NoDevice("torch finds no CUDA device; the driver may be older than it wants")
    model = load_weights(weights)
    check_wanted()
    shaper, lane = cuda_shaper(model, check_wanted)
    limits = [GateLimits.from_card(model.gate, category) for category in model.categories]
    return OnDevice(shaper, lane, limits, model.latent_mean, torch.cuda.get_device_name(0))


def _load_libraries() -> None:
    """torch's libraries, by a call that lets other threads go on: Python itself loads a module's with all threads
    held up, for most of a second. Where that is not possible, ``import`` does it."""
    folder = _torch_folder()
    if sys.platform != "linux" or folder is None:
        return
    load = ctypes.CDLL(None).dlopen
    load.restype, load.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for name in ("libtorch_global_deps.so", "libtorch_python.so"):
        load(os.fsencode(folder / "lib" / name), _ALL_NAMES)


def cuda_shaper(model: ObjectModel, check_wanted: Callable[[], None] = lambda: None) -> tuple[Shaper, CudaLane]:
    """Captured graphs over ``model``'s decoder; ``connect`` leads from there into OpenGL's buffers."""
    import torch

    from vrapp.generation.lane import CudaLane
    from vrapp.generation.shaping import Shaper

    lane = CudaLane(torch.device("cuda", 0))
    # Copies: whoever draws with ``model`` goes on doing so on the CPU.
    decoder = copy.deepcopy(model.vae).to(lane.device).eval()
    critic = copy.deepcopy(model.critic).to(lane.device) if model.critic else None
    return Shaper(decoder, lane, critic=critic, check_wanted=check_wanted), lane


def connect(shaper: Shaper, lane: CudaLane, ctx: Any) -> None:
    """On the GL thread: the quickest way into ``ctx``'s buffers that works."""
    from vrapp.generation.interop import CopyStream, open_copier

    shaper.connect(open_copier(ctx, CopyStream(lane.aside)))
