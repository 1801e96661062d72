"""Which models there are to train on: a folder with a manifest.csv, or any folder of meshes."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from vrapp.training.meshes import MESH_SUFFIXES

MODEL_KINDS = ("object", "building", "creature")

# What does not belong in a study by default, or has no shape of its own to learn.
LEFT_OUT_CATEGORIES = (
    "bow_arrow", "shield_armor", "grave_statue_bones", "tool_axe_staff",
    "other", "vehicle_other", "machine_part", "structure_part", "door_window",
)  # fmt: skip
_LEFT_OUT_NAMES = re.compile(
    r"skull|skelet|bone|zombie|bullet|_gun|gun_|rifle|pistol|cannon|bomb|sword(?!fish)|dagger|coffin"
    r"|grave|crypt|military|spitfire|barracks|archery|catapult|weapon|bucket_arrows|executioner"
    r"|blaster|turret|missile|thunder|^tank\d?$|cookingknife|skull|devil|reaper|enemy",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ObjectSource:
    """One model file: `file` relative to the data folder, its category, and the manifest's hash."""

    file: str
    category: str
    name: str
    geom_hash: str

    @property
    def default(self) -> bool:
        """Whether the model may be trained on by default (no weapons, no graves, no scrap)."""
        return self.category not in LEFT_OUT_CATEGORIES and not _LEFT_OUT_NAMES.search(self.name)


def list_objects(data_dir: Path, everything: bool = False) -> list[ObjectSource]:
    """Models of a folder, in a fixed order.

    With a manifest: the rows whose kind is an object, building or creature and that are not a colour
    variant.  Without: every mesh file; the category is the name of the first sub-folder, or "object".
    """
    manifest = data_dir / "manifest.csv"
    if not manifest.is_file():
        return _scan(data_dir)
    chosen = []
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row.get("kind") not in MODEL_KINDS or row.get("geom_dup_of"):
                continue
            relative = row["file"].removeprefix("objects/")
            chosen.append(ObjectSource(relative, row["category"], row["name"], row.get("geom_hash", "")))
    return [source for source in chosen if everything or source.default]


def _scan(data_dir: Path) -> list[ObjectSource]:
    found = []
    for path in sorted(data_dir.rglob("*")):
        relative = path.relative_to(data_dir)
        hidden = any(part.startswith((".", "__MACOSX")) for part in relative.parts)
        if hidden or path.suffix.lower() not in MESH_SUFFIXES or path.is_dir():
            continue
        category = relative.parts[0] if len(relative.parts) > 1 else "object"
        found.append(ObjectSource(relative.as_posix(), category, path.stem, ""))
    return found


def sources_hash(sources: list[ObjectSource]) -> str:
    """sha256 (16 hex digits) of the file names and categories: names the training data."""
    text = "\n".join(f"{source.file}\t{source.category}\t{source.geom_hash}" for source in sources)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
