"""Which generator runs: on the GPU where there is one that CUDA knows, else in the worker process."""

from __future__ import annotations

import copy
import ctypes.util
import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrapp.core.generation import Generator
from vrapp.generation.service import WorkerGenerator

if TYPE_CHECKING:
    from vrapp.generation.shaping import Shaper
    from vrapp.generation.weights import ObjectModel

log = logging.getLogger(__name__)


def open_generator(weights: Path, ctx: Any, fixed_latency_frames: int | None = None) -> Generator:
    """The generator for a run that draws into ``ctx`` (moderngl.Context), current on this thread.

    Under a fixed clock it is the worker: its objects are the same on every machine. On CUDA this loads torch and
    captures graphs, some seconds. Raises WeightsError.
    """
    if fixed_latency_frames is not None or not driver_there():
        return WorkerGenerator(weights, fixed_latency_frames=fixed_latency_frames)
    import torch

    if not torch.cuda.is_available():
        log.info("There is an NVIDIA driver, but this torch has no CUDA; objects are made on the CPU.")
        return WorkerGenerator(weights)
    return on_device(weights, ctx)


def driver_there() -> bool:
    """Whether CUDA's driver is installed, asked without loading torch."""
    return ctypes.util.find_library("nvcuda" if sys.platform == "win32" else "cuda") is not None


def on_device(weights: Path, ctx: Any) -> Generator:
    """The generator on the first CUDA device; in the worker where that cannot run the networks. Raises WeightsError."""
    import torch

    from vrapp.generation.device_service import DeviceGenerator
    from vrapp.generation.gate import GateLimits
    from vrapp.generation.weights import load_weights

    with ExitStack() as unless_opened:
        drawing = WorkerGenerator(weights, draws_only=True)  # loads while this process loads
        unless_opened.callback(drawing.close)
        model = load_weights(weights)
        try:
            shaper = cuda_shaper(model, ctx)
        except RuntimeError as e:  # what torch raises for a GPU that it does not support, or that has no memory left
            why = (str(e).splitlines() or [type(e).__name__])[0]
            log.warning("The graphics card cannot make objects (%s); they are made on the CPU.", why)
            return WorkerGenerator(weights)
        unless_opened.pop_all()
    limits = [GateLimits.from_card(model.gate, category) for category in model.categories]
    return DeviceGenerator(drawing, shaper, limits, model.latent_mean, torch.cuda.get_device_name(0))


def cuda_shaper(model: ObjectModel, ctx: Any) -> Shaper:
    """Captured graphs over ``model``'s decoder, and the quickest way into ``ctx``'s buffers."""
    import torch

    from vrapp.generation.interop import open_copier
    from vrapp.generation.lane import CudaLane
    from vrapp.generation.shaping import Shaper

    lane = CudaLane(torch.device("cuda", 0))
    copier = open_copier(ctx, lane.stream.cuda_stream)
    # Copies: whoever draws with ``model`` goes on doing so on the CPU.
    decoder = copy.deepcopy(model.vae).to(lane.device).eval()
    critic = copy.deepcopy(model.critic).to(lane.device) if model.critic else None
    return Shaper(decoder, lane, copier, critic=critic)
