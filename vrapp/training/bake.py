"""Models → grids and surface points on disk, on all cores, resumable, with a report.

A baked folder holds `grids.u8` (N, 7, 64, 64, 64) uint8 (see grids.py), `points.f32` (N, 2048, 3)
float32 surface points with the longest side 1, `status.u8` (N,) 0 to do, 1 baked, 2 left out, 3 left out for good,
`sources.json` (whose rows these are, with size and time of each file), and `left_out.jsonl` (file, reason).
Rows are only ever added: when models come, go or change, the others stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrapp.core.errors import InputFileError, OutputError
from vrapp.core.platform import usable_cores
from vrapp.training.readers import SURFACE_POINTS, BakedModel, Job, LeftOut, read_here, read_models
from vrapp.training.sources import ObjectSource

Stamp = list[int | str]  # size, time in nanoseconds, and perhaps a hash
TO_DO, BAKED, LEFT_OUT, FOR_GOOD = 0, 1, 2, 3
GRID_SHAPE = (7, 64, 64, 64)
_ROW_BYTES = {"grids.u8": 7 * 64**3, "points.f32": SURFACE_POINTS * 12, "status.u8": 1}
_CACHED_BYTES = 64**3 + 7 * 32**3  # a model's share of what `cached_shapes` writes afterwards
_WHOLE = {".glb", ".ply"}
_READING = 2  # goes up when files are read otherwise than before


@dataclass(frozen=True)
class Baked:
    """A baked folder, memory-mapped.  Rows follow `sources`; only rows of `rows` are good."""

    sources: list[ObjectSource]
    grids: NDArray[np.uint8]
    points: NDArray[np.float32]
    rows: NDArray[np.int64]
    left_out: dict[str, str]
    stamps: Sequence[Stamp | None]  # size, time and content's hash of each source's file

    def category_of(self) -> dict[str, str]:
        """File → category of the good rows."""
        return {self.sources[int(row)].file: self.sources[int(row)].category for row in self.rows}


@dataclass
class _Listing:
    """What the rows are: their sources, the stamps (size, time, content's hash) of the files, and who is not in the
    data now.

    A stamp is None in folders of earlier versions, which are believed, and without a hash in those of later ones.
    """

    sources: list[ObjectSource]
    stamps: list[Stamp | None]
    absent: list[int]

    @classmethod
    def read(cls, folder: Path) -> _Listing:
        """Of a folder that may not have one yet. Raises InputFileError where it is damaged."""
        try:
            stored: dict[str, Any] = json.loads((folder / "sources.json").read_text(encoding="utf-8"))
            sources = [ObjectSource(**entry) for entry in stored["sources"]]
            stamps = stored.get("stamps", [None] * len(sources))
            if stored.get("reading", _READING) != _READING:
                stamps = [[] for _ in sources]  # as if every file had changed
            return cls(sources, stamps, stored.get("absent", []))
        except FileNotFoundError:
            return cls([], [], [])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputFileError(f"The baked models in {folder} are damaged; move that folder away.") from error

    def write(self, folder: Path) -> None:
        """Whole or not at all."""
        fresh = folder / "sources.new"
        sources = [asdict(source) for source in self.sources]
        stored = {"reading": _READING, "sources": sources, "stamps": self.stamps, "absent": self.absent}
        fresh.write_text(json.dumps(stored), encoding="utf-8")
        fresh.replace(folder / "sources.json")


def bake(
    data_dir: Path,
    sources: list[ObjectSource],
    folder: Path,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Baked:
    """Bake what is not baked yet, or has changed, and return everything.  Safe to kill and call again.

    What was left out is tried again, as the files beside it may have been mended, unless it took too much.
    `processes` (default: one a core) read within limits of time and memory; 0 reads in this very process, without.
    Raises OutputError where `folder` cannot be written, InputFileError where it is damaged.
    """
    try:
        rows = _prepare(data_dir, sources, folder)
        status = np.fromfile(folder / "status.u8", np.uint8)
        todo = set(np.nonzero((status == TO_DO) | (status == LEFT_OUT))[0].tolist())
        jobs = [_job(data_dir, s.file, row) for row, s in zip(rows, sources, strict=True) if row in todo]
        _check_space(folder, len(jobs), len(rows))
        with _Store(folder) as store:
            for done, (job, found) in enumerate(_read(jobs, processes), len(rows) - len(jobs) + 1):
                store.keep(job, found)
                if progress:
                    progress(done, len(rows))
    except OSError as error:
        raise OutputError(
            f"The models cannot be baked into {folder} ({error.strerror}); make room there or name another --out, "
            "and start again: what is baked is kept."
        ) from error
    return open_baked(folder)


def open_baked(folder: Path) -> Baked:
    """A folder that `bake` has (perhaps only partly) filled. Raises InputFileError where it is damaged."""
    listing = _Listing.read(folder)
    count = len(listing.sources)
    try:
        status = np.fromfile(folder / "status.u8", np.uint8)[:count]
        grids = np.memmap(folder / "grids.u8", np.uint8, "r", shape=(count, *GRID_SHAPE))
        points = np.memmap(folder / "points.f32", np.float32, "r", shape=(count, SURFACE_POINTS, 3))
    except (OSError, ValueError) as error:
        raise InputFileError(f"The baked models in {folder} are damaged; move that folder away.") from error
    status[listing.absent] = TO_DO
    reasons = _reasons(folder / "left_out.jsonl")
    left_out = [listing.sources[int(row)].file for row in np.nonzero(status >= LEFT_OUT)[0]]
    told = {file: reasons.get(file, "unknown") for file in left_out}
    return Baked(listing.sources, grids, points, np.nonzero(status == BAKED)[0], told, listing.stamps)


def all_baked(data_dir: Path, sources: list[ObjectSource], folder: Path) -> bool:
    """Whether nothing of these sources is left to do."""
    listing = _Listing.read(folder)
    row_of = {source.file: row for row, source in enumerate(listing.sources) if row not in {*listing.absent}}
    if set(row_of) != {source.file for source in sources}:
        return False
    status = np.fromfile(folder / "status.u8", np.uint8)
    return all(
        status[row] != TO_DO and not _is_other(listing.stamps[row], _stamp(data_dir / file, listing.stamps[row]))
        for file, row in row_of.items()
    )


def _prepare(data_dir: Path, sources: list[ObjectSource], folder: Path) -> list[int]:
    """Give every source a row of its own in the (sparse) files, the one it had if there is one; returns the rows."""
    folder.mkdir(parents=True, exist_ok=True)
    listing = _Listing.read(folder)
    row_of = {source.file: row for row, source in enumerate(listing.sources)}
    changed = []
    for source in sources:
        row = row_of.setdefault(source.file, len(listing.sources))
        known = listing.stamps[row] if row < len(listing.sources) else None
        stamp = _stamp(data_dir / source.file, known)
        if row == len(listing.sources):
            listing.sources.append(source)
            listing.stamps.append(stamp)
        elif _is_other(known, stamp):
            changed.append(row)
        listing.sources[row], listing.stamps[row] = source, stamp
    rows = [row_of[source.file] for source in sources]
    listing.absent = sorted({*range(len(listing.sources))} - {*rows})
    for name, size in _ROW_BYTES.items():
        with (folder / name).open("r+b" if (folder / name).exists() else "w+b") as file:
            if file.seek(0, os.SEEK_END) < len(listing.sources) * size:
                file.truncate(len(listing.sources) * size)  # zeros: to do
            if name == "status.u8":
                for row in changed:  # before the new stamps are written: a kill between costs only time
                    file.seek(row)
                    file.write(bytes([TO_DO]))
    listing.write(folder)
    return rows


def _stamp(path: Path, known: Stamp | None) -> Stamp:
    """What shows that a file is another than it was: its size and time, and of those that hold all of a model a hash,
    since unpacked or checked out again all files have another time. The others may be as they were and the materials
    and textures beside them not."""
    try:
        found = path.stat()
        stamp: Stamp = [found.st_size, found.st_mtime_ns]
        if known and known[:2] == stamp and known[2:]:
            return known
        if path.suffix.lower() in _WHOLE:
            with path.open("rb") as file:
                stamp.append(hashlib.file_digest(file, "sha256").hexdigest()[:16])
    except OSError:
        return [-1, 0]
    return stamp


def _is_other(known: Stamp | None, stamp: Stamp) -> bool:
    """Whether the file is another than it was when it was read."""
    return known is not None and known[:2] != stamp[:2] and not (stamp[2:] and known[2:] == stamp[2:])


def _check_space(folder: Path, count: int, total: int) -> None:
    """Raises OutputError where the disk cannot hold `count` further models, and what `cached_shapes` then writes of
    all `total`: it gives back the room of what it wrote before."""
    cached = sum(path.stat().st_size for path in folder.glob("shapes-*.pt"))
    needed = count * sum(_ROW_BYTES.values()) + max(0, total * _CACHED_BYTES - cached)
    free = shutil.disk_usage(folder).free
    if count and needed > free:
        raise OutputError(
            f"Baking {count} models takes {needed / 2**20:,.0f} MiB in {folder}, where {free / 2**20:,.0f} are free; "
            "make room there or name another --out."
        )


def _job(data_dir: Path, file: str, row: int) -> Job:
    return Job(str(data_dir), file, row, zlib.crc32(file.encode("utf-8", "surrogatepass")))


def _read(jobs: list[Job], processes: int | None) -> Iterator[tuple[Job, BakedModel | LeftOut]]:
    for name in ("IGL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # one process a core, not one thread a core in each
    if processes == 0:
        return ((job, read_here(job)) for job in jobs)
    return read_models(jobs, min(len(jobs), processes or usable_cores()))


class _Store:
    """The files of a baked folder, open to be filled. Plain writes: into a mapped file, a full disk kills."""

    def __init__(self, folder: Path) -> None:
        self._files = {name: (folder / name).open("r+b", buffering=0) for name in _ROW_BYTES}
        self._report = (folder / "left_out.jsonl").open("ab", buffering=0)

    def __enter__(self) -> _Store:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (*self._files.values(), self._report):
            file.close()

    def keep(self, job: Job, found: BakedModel | LeftOut) -> None:
        """Write what came of a job, its status last."""
        if isinstance(found, LeftOut):
            # A line of its own, whatever a kill has left of the one before.
            _write(self._report, b"\n" + json.dumps({"file": job.file, "reason": found.reason}).encode() + b"\n")
            status = FOR_GOOD if found.costly else LEFT_OUT
        else:
            status = BAKED
            self._put("grids.u8", job.row, found.grid.tobytes())
            self._put("points.f32", job.row, found.points.tobytes())
        self._put("status.u8", job.row, bytes([status]))

    def _put(self, name: str, row: int, raw: bytes) -> None:
        self._files[name].seek(row * _ROW_BYTES[name])
        _write(self._files[name], raw)


def _write(file: Any, raw: bytes) -> None:
    """All of it: an unbuffered write may take only a part."""
    left = memoryview(raw)
    while left:
        left = left[file.write(left) :]


def _reasons(report: Path) -> dict[str, str]:
    """The last reason told of each file; a line that a kill cut off tells nothing."""
    found: dict[str, str] = {}
    for line in report.read_text(encoding="utf-8", errors="replace").splitlines() if report.is_file() else []:
        try:
            entry = json.loads(line)
            found[entry["file"]] = entry["reason"]
        except (ValueError, KeyError, TypeError):
            continue
    return found
