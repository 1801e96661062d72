"""What a run leaves behind: the last picture, and its figures as JSON."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import numpy as np

from vrapp.app import hardware
from vrapp.app.timers import STAGES, FrameTimers, percentiles
from vrapp.core.generation import GeneratorFigures
from vrapp.core.scene import ObjectState
from vrapp.scene.store import SceneStore


def timing_figures(timers: FrameTimers) -> dict[str, Any]:
    """Frame, main-thread and stage times in ms of the frames since the timers were restarted."""
    stages = timers.stages.values()
    return {
        "frames": timers.frame_ms.total,
        "frame_ms": percentiles(timers.frame_ms.values()),
        "late_frames": timers.late,
        "main_ms": percentiles(timers.main_ms.values()),
        "hitches": [asdict(hitch) for hitch in timers.hitches],
        "cpu_ms": {name: percentiles(stages[:, i]) for i, name in enumerate(STAGES)} if len(stages) else {},
    }


def generator_figures(figures: GeneratorFigures) -> dict[str, Any]:
    """Counts of the generator, and latency from request to ready in ms."""
    return {
        "device": figures.device,
        "requested": figures.requested,
        "shown": figures.shown,
        "rejected": figures.rejected,
        "rejected_why": {str(why): count for why, count in figures.rejected_why.items()},
        "latency_ms": percentiles(1e3 * np.asarray(figures.latency_s, np.float64)),
        "reshaped": figures.reshape_made,
        "reshape_ms": percentiles(1e3 * np.asarray(figures.reshape_latency_s, np.float64)),
    }


def world_figures(store: SceneStore, categories: tuple[str, ...]) -> dict[str, Any]:
    """What stands there, and one hash over all of it: equal seeds give equal hashes."""
    alive = np.flatnonzero(store.arrays().state != ObjectState.FREE)
    by_request = alive[np.argsort(store.request_id[alive], kind="stable")]
    digest = hashlib.sha256()
    for column in (store.request_id, store.category, store.latent):
        digest.update(np.ascontiguousarray(column[by_request]).tobytes())
    found, counts = np.unique(store.category[alive], return_counts=True)
    return {
        "objects": len(alive),
        "categories": {categories[c]: int(n) for c, n in zip(found, counts, strict=True)},
        "objects_sha256": digest.hexdigest(),
    }


def machine_figures(renderer_name: str) -> dict[str, Any]:
    """Hardware, command and commit."""
    return {
        "hardware": hardware.describe_hardware(renderer_name),
        "command": hardware.command_line(),
        "commit": hardware.commit(),
        "resident_mb": hardware.resident_mb(),
    }
