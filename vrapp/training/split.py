"""80/20 split of the models by near-duplicate cluster, and a validation part of the train side.

Two models are near-duplicates when their normalised Chamfer distance, least over mirror images and
quarter turns about the vertical, is no more than `NEAR_DUPLICATE_CD` above what two samplings of one
surface differ by, or when their geometry hashes agree.  Kit variants, scaled and recoloured copies so
stay on one side.  A split file may list models that are "set_aside": neither trained on nor tested with.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vrapp.core.errors import InputFileError
from vrapp.training.bake import Baked
from vrapp.training.metrics import occupancy

NEAR_DUPLICATE_CD = 0.8e-3  # beyond what two samplings of the same surface differ by
_SAMPLING_FACTOR = 1.25  # samplings of one surface differ by 0.2e-3 (small) to 1.7e-3 (a full box)
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.06
_NEIGHBOURS = 8
_CANDIDATE_DISTANCE = 0.42  # of the descriptors; near-duplicates seen were below 0.41
_POINTS = 1024
_PARTS = ("train", "validation", "test")


def chamfer(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Sum of the two mean squared nearest-neighbour distances of point sets (N, 3) and (M, 3)."""
    there = cKDTree(second).query(first)[0]
    back = cKDTree(first).query(second)[0]
    return float(np.mean(there**2) + np.mean(back**2))


def _poses(points: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The point set and its mirror image, each in four quarter turns about y."""
    poses = []
    for mirror in (1.0, -1.0):
        turned = points * np.array([mirror, 1, 1], np.float32)
        for _ in range(4):
            poses.append(turned)
            turned = np.stack([turned[:, 2], turned[:, 1], -turned[:, 0]], 1)
    return poses


def near_duplicate_clusters(points: NDArray[np.float32], hashes: list[str]) -> NDArray[np.int64]:
    """(N,) cluster numbers of N point sets (N, P, 3); transitive."""
    count = len(points)
    parent = np.arange(count)

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    seen: dict[str, int] = {}
    for row, name in enumerate(hashes):
        if name:
            parent[find(row)] = find(seen.setdefault(name, row))
    few = points[:, :: max(1, points.shape[1] // _POINTS)]
    trees = [cKDTree(sample) for sample in few]
    limits = [near_duplicate_limit(cloud) for cloud in points]
    described = cKDTree(np.stack([occupancy(sample) for sample in few]))
    for row in range(count):
        for pose in _poses(few[row]):
            near, candidates = described.query(
                occupancy(pose), k=min(_NEIGHBOURS, count), distance_upper_bound=_CANDIDATE_DISTANCE
            )
            for other in np.atleast_1d(candidates)[np.isfinite(np.atleast_1d(near))].tolist():
                if find(row) != find(other) and _near_duplicate(pose, few[other], trees[other], limits[other]):
                    parent[find(row)] = find(other)
    return np.array([find(row) for row in range(count)], np.int64)


def near_duplicate_limit(cloud: NDArray[np.float32]) -> float:
    """Greatest Chamfer distance at which a shape counts as the same as the one of `cloud` (P, 3)."""
    return NEAR_DUPLICATE_CD + _SAMPLING_FACTOR * chamfer(cloud[::2], cloud[1::2])


def _near_duplicate(pose: NDArray[np.float32], other: NDArray[np.float32], tree: cKDTree, limit: float) -> bool:
    """A few points decide most cases before the full distance is asked for."""
    some = tree.query(pose[:: max(1, len(pose) // 100)])[0]
    return bool(np.mean(some**2) < limit) and chamfer(pose, other) < limit


def make_split(baked: Baked, seed: int = 0) -> dict[str, Any]:
    """{"test": [files], "validation": [files], "train": [files], "clusters": n, "hash": …}.

    Clusters are drawn within each category, so that every category keeps its share.
    """
    rows, clusters = _clusters(baked)
    members: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    home: dict[int, str] = {}
    for row, cluster in zip(rows, clusters, strict=True):
        category = home.setdefault(int(cluster), baked.sources[row].category)
        members[category][int(cluster)].append(row)
    rng = np.random.default_rng(seed)
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for category in sorted(members):
        groups = [members[category][cluster] for cluster in sorted(members[category])]
        total = sum(map(len, groups))
        taken = {"test": 0, "validation": 0}
        for number in rng.permutation(len(groups)):
            group, part = groups[int(number)], "train"
            if len(group) <= 0.3 * total + 1:  # a kit that is most of a category stays in training
                for name, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
                    if taken[name] + len(group) <= share * total + 0.5:
                        part = name
                        taken[name] += len(group)
                        break
            parts[part] += [baked.sources[row].file for row in group]
    split: dict[str, Any] = {name: sorted(files) for name, files in parts.items()}
    split["clusters"] = len(set(clusters.tolist()))
    split["hash"] = split_hash(split)
    return split


def _clusters(baked: Baked) -> tuple[list[int], NDArray[np.int64]]:
    """The good rows in the order of their files' names, and the cluster of each."""
    rows = sorted(map(int, baked.rows), key=lambda row: baked.sources[row].file)
    return rows, near_duplicate_clusters(baked.points[rows], [baked.sources[row].geom_hash for row in rows])


def split_hash(split: dict[str, Any]) -> str:
    """sha256 (16 hex digits) of who is in which part."""
    text = json.dumps({part: split[part] for part in _PARTS}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def split_of(baked: Baked, work: Path, given: Path | None = None) -> dict[str, Any]:
    """The split that is kept in `work`, or the one in the file `given`, which is taken as it stands and never written:
    models that it does not list are set aside.  Raises InputFileError where it is damaged or of other models."""
    if given is None:
        return load_or_make_split(work / "split.json", baked)
    split = _stored(given)
    files = {baked.sources[int(row)].file for row in baked.rows}
    for part in ("train", "test"):
        if not files & {*split[part]}:
            raise InputFileError(
                f"None of the models are in the {part} part of {given}: it is the split of other models."
            )
    return split


def load_or_make_split(path: Path, baked: Baked) -> dict[str, Any]:
    """The split in `path`, models that it does not know added to it; a new one where there is none.

    What was trained on is never tested with: a model that is known stays where it is, and a new one goes with its
    near-duplicates, else to the training side.  Raises InputFileError for a file that is no split.
    """
    files = {baked.sources[int(row)].file for row in baked.rows}
    if not path.is_file():
        split = make_split(baked)
    else:
        split = _stored(path)
        known = {*split["train"], *split["validation"], *split["test"], *split.get("set_aside", [])}
        if files <= known:
            return split
        split = _extended(split, files - known, baked)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(json.dumps(split, indent=0) + "\n", encoding="utf-8")
    fresh.replace(path)
    return split


def _stored(path: Path) -> dict[str, Any]:
    try:
        split: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        names = [name for part in _PARTS for name in split[part]] + split.get("set_aside", [])
        if not all(isinstance(name, str) for name in names):
            raise TypeError("names that are no text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputFileError(f"{path} is not a split of models, or is damaged; restore it, or move it away.") from error
    return {**split, "hash": split_hash(split)}


def _extended(split: dict[str, Any], fresh: set[str], baked: Baked) -> dict[str, Any]:
    """`split` with the models `fresh`; those beside models of two sides are set aside."""
    rows, clusters = _clusters(baked)
    side_of = {name: part for part in (*_PARTS, "set_aside") for name in split.get(part, [])}
    sides: dict[int, set[str]] = defaultdict(set)
    for row, cluster in zip(rows, clusters, strict=True):
        if (side := side_of.get(baked.sources[row].file)) is not None:
            sides[int(cluster)].add(side)
    found = {part: [*split.get(part, [])] for part in (*_PARTS, "set_aside")}
    for row, cluster in zip(rows, clusters, strict=True):
        if (name := baked.sources[row].file) in fresh:
            beside = sides[int(cluster)] or {"train"}
            found[next(iter(beside)) if len(beside) == 1 else "set_aside"].append(name)
    split = {name: sorted(names) for name, names in found.items()}
    return {**split, "clusters": len(set(clusters.tolist())), "hash": split_hash(split)}
