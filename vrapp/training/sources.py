"""Which models there are to train on: a folder with a manifest.csv, or any folder of meshes."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vrapp.core.errors import InputFileError
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


def list_objects(
    data_dir: Path, everything: bool = False, say: Callable[[str], None] = lambda _: None
) -> list[ObjectSource]:
    """Models of a folder, in a fixed order.

    With a manifest (columns file and category, and name, kind, geom_hash, geom_dup_of where it has them): the rows
    whose kind is an object, building or creature and that are not a colour variant.  Without, or where it has neither
    column and so is about something else, which `say` is told: every mesh file; the category is the name of the first
    sub-folder, or "object".  Raises InputFileError for a manifest that cannot be read, or names no model to train on.
    """
    manifest = data_dir / "manifest.csv"
    if not manifest.is_file():
        return _scan(data_dir)
    columns, rows = _read_manifest(manifest)
    missing = [name for name in ("file", "category") if name not in columns]
    if len(missing) == 2:
        say(f"{manifest} has no columns file and category, so that it is no list of models: all of the folder is taken")
        return _scan(data_dir)
    if missing:
        raise InputFileError(f"{manifest} has no column {missing[0]!r}; add it, or move the file away.")
    listed = [_listed(manifest, line, row) for line, row in rows if "kind" not in columns or row["kind"] in MODEL_KINDS]
    chosen = [source for source in listed if source is not None and (everything or source.default)]
    if not chosen:
        raise InputFileError(
            f"None of the {len(rows)} rows of {manifest} is a model to train on (its kind, where that is told, is "
            f"{', '.join(MODEL_KINDS)}; its category is none that is left out); mend it, or move it away."
        )
    return chosen


def _read_manifest(manifest: Path) -> tuple[list[str], list[tuple[int, dict[str, str | None]]]]:
    """Its columns, and its rows with the numbers of their lines; what a short row lacks is None."""
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(f"{manifest} is not a table in UTF-8 ({error}); save it so, or move it away.") from error
    return columns, rows


def _listed(manifest: Path, line: int, row: dict[str, str | None]) -> ObjectSource | None:
    """The model of a row; None for a colour variant of another one."""
    if row.get("geom_dup_of"):
        return None
    file, category = row["file"], row["category"]
    if not file or not category:
        raise InputFileError(f"Line {line} of {manifest} names no file or no category; mend that line.")
    relative = file.removeprefix("objects/")
    return ObjectSource(relative, category, row.get("name") or Path(relative).stem, row.get("geom_hash") or "")


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
