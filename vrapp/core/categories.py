"""``assets/categories.toml``: real-world size, placement and group of each category of objects."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from vrapp.core import resources
from vrapp.core.errors import InputFileError


@dataclass(frozen=True)
class Category:
    """One row. ``size_m``: typical least and greatest longest dimension; ``placement``: ground, air or water."""

    name: str
    label: str
    default: bool
    size_m: tuple[float, float]
    placement: str
    graspable: bool
    group: str


def load_categories(path: Path | None = None) -> dict[str, Category]:
    """All categories by name. Raises InputFileError where the file is missing or a row is wrong."""
    path = path or resources.assets() / "categories.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise InputFileError(f"The category table {path} cannot be read ({e}); restore it from the project.") from e
    found: dict[str, Category] = {}
    for name, row in table.items():
        try:
            low, high = row["size_m"]
            found[name] = Category(
                name, row["label"], row["default"], (float(low), float(high)), row["placement"],
                row["graspable"], row["group"],
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as e:
            raise InputFileError(f"In {path} the category '{name}' lacks or has a wrong field: {e!r}.") from e
    return found


def category_or_default(table: dict[str, Category], name: str) -> Category:
    """The row of ``name``, or for a user's own category a plain object of half a metre to a metre."""
    return table.get(name) or Category(name, name.replace("_", " "), True, (0.4, 1.0), "ground", True, "own")
