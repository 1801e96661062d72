"""Models → grids and surface points on disk, on all cores, resumable, with a report.

A baked folder holds `grids.u8` (N, 7, 64, 64, 64) uint8 (see grids.py), `points.f32` (N, 2048, 3)
float32 surface points with the longest side 1, `status.u8` (N,) 0 to do, 1 baked, 2 left out,
`sources.json`, and `left_out.jsonl` (file, reason).
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vrapp.training.sources import ObjectSource, sources_hash

SURFACE_POINTS = 2048
TO_DO, BAKED, LEFT_OUT = 0, 1, 2
GRID_SHAPE = (7, 64, 64, 64)


@dataclass(frozen=True)
class Baked:
    """A baked folder, memory-mapped.  Rows follow `sources`; only rows of `rows` are good."""

    sources: list[ObjectSource]
    grids: NDArray[np.uint8]
    points: NDArray[np.float32]
    rows: NDArray[np.int64]
    left_out: dict[str, str]


def bake(
    data_dir: Path,
    sources: list[ObjectSource],
    folder: Path,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Baked:
    """Bake what is not baked yet and return everything.  Safe to kill and call again."""
    folder.mkdir(parents=True, exist_ok=True)
    _prepare(folder, sources)
    status = np.memmap(folder / "status.u8", np.uint8, "r+", shape=(len(sources),))
    waiting = [int(row) for row in np.nonzero(status == TO_DO)[0]]
    done = len(sources) - len(waiting)
    os.environ.setdefault("IGL_NUM_THREADS", "1")  # one process a core, not one thread a core in each
    jobs = [(str(data_dir), str(folder), len(sources), row, sources[row]) for row in waiting]
    with (folder / "left_out.jsonl").open("a", encoding="utf-8") as report:
        for row, reason in _run(jobs, processes or os.cpu_count() or 1):
            if reason:
                report.write(json.dumps({"file": sources[row].file, "reason": reason}) + "\n")
                report.flush()
            status[row] = LEFT_OUT if reason else BAKED
            done += 1
            if progress:
                progress(done, len(sources))
    status.flush()
    return open_baked(folder)


def open_baked(folder: Path) -> Baked:
    """A folder that `bake` has (perhaps only partly) filled."""
    stored = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
    sources = [ObjectSource(**entry) for entry in stored["sources"]]
    count = len(sources)
    status = np.fromfile(folder / "status.u8", np.uint8)
    report = folder / "left_out.jsonl"
    lines = report.read_text(encoding="utf-8").splitlines() if report.is_file() else []
    left_out = {entry["file"]: entry["reason"] for entry in map(json.loads, lines)}
    return Baked(
        sources,
        np.memmap(folder / "grids.u8", np.uint8, "r", shape=(count, *GRID_SHAPE)),
        np.memmap(folder / "points.f32", np.float32, "r", shape=(count, SURFACE_POINTS, 3)),
        np.nonzero(status == BAKED)[0],
        left_out,
    )


def all_baked(folder: Path, sources: list[ObjectSource]) -> bool:
    """Whether a folder holds just these sources and nothing of it is left to do."""
    listing = folder / "sources.json"
    if not listing.is_file() or json.loads(listing.read_text(encoding="utf-8"))["hash"] != sources_hash(sources):
        return False
    return bool((np.fromfile(folder / "status.u8", np.uint8) != TO_DO).all())


def _prepare(folder: Path, sources: list[ObjectSource]) -> None:
    """Make the (sparse) files, or keep them where they are for the very same sources."""
    wanted = {"hash": sources_hash(sources), "sources": [asdict(source) for source in sources]}
    listing = folder / "sources.json"
    if listing.is_file() and json.loads(listing.read_text(encoding="utf-8")) == wanted:
        return
    count = len(sources)
    for name, kind, shape in (
        ("grids.u8", np.uint8, (count, *GRID_SHAPE)),
        ("points.f32", np.float32, (count, SURFACE_POINTS, 3)),
        ("status.u8", np.uint8, (count,)),
    ):
        np.memmap(folder / name, kind, "w+", shape=shape)
    (folder / "left_out.jsonl").unlink(missing_ok=True)
    listing.write_text(json.dumps(wanted), encoding="utf-8")


def _run(jobs: list[tuple[str, str, int, int, ObjectSource]], processes: int) -> Iterator[tuple[int, str]]:
    if processes == 1 or len(jobs) < 2 * processes:
        yield from map(_bake_one, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=400) as pool:
        yield from pool.imap_unordered(_bake_one, jobs)


def _bake_one(job: tuple[str, str, int, int, ObjectSource]) -> tuple[int, str]:
    """Bake one row; returns the row and, when it was left out, why."""
    from vrapp.training.grids import grid_from_mesh
    from vrapp.training.meshes import MeshRejected, load_mesh
    from vrapp.training.surface_points import sample_surface

    data_dir, folder, count, row, source = job
    root = Path(data_dir)
    try:
        mesh = load_mesh(root / source.file, root)
        grid = grid_from_mesh(mesh)
        if not (grid[0] < 127).any():
            return row, "nothing of it is thick enough for the grid"
        points = sample_surface(mesh.vertices, mesh.faces, SURFACE_POINTS, seed=row)
    except MeshRejected as error:
        return row, str(error)
    except (ValueError, OSError, MemoryError) as error:
        return row, f"{type(error).__name__}: {str(error)[:80]}"
    np.memmap(Path(folder) / "grids.u8", np.uint8, "r+", shape=(count, *GRID_SHAPE))[row] = grid
    stored = np.memmap(Path(folder) / "points.f32", np.float32, "r+", shape=(count, SURFACE_POINTS, 3))
    stored[row] = points
    return row, ""
