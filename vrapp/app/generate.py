"""``vrapp generate``: objects as GLB files, with a contact sheet and a list of what is what."""

from __future__ import annotations

import difflib
import time
from contextlib import ExitStack
from pathlib import Path

from vrapp.app import hardware
from vrapp.app.contact_sheet import contact_sheet
from vrapp.app.world import default_weights
from vrapp.core import rng
from vrapp.core.categories import Category, category_or_default, load_categories
from vrapp.core.errors import UsageError
from vrapp.core.generation import GeneratedObject, Steering
from vrapp.generation.export import write_glb
from vrapp.generation.service import WorkerGenerator
from vrapp.generation.wishes import generate_objects

SHEET_OBJECTS = 64
_TEMPERATURE = 0.85
_KEY_SIZE = 0x6C


def run(count: int, out: Path, category: str | None, seed: int, weights: Path | None) -> int:
    """Make ``count`` objects into the folder ``out``; returns the exit code.

    Raises UsageError for an unknown category, WeightsError, OutputError.
    """
    table = load_categories()
    shown: list[GeneratedObject] = []
    rows = []
    with ExitStack() as owned:
        generator = WorkerGenerator(weights or default_weights())
        owned.callback(generator.close)
        wanted = _categories(generator.categories, category)
        began = time.perf_counter()
        wishes = [Steering(wanted[i % len(wanted)], _TEMPERATURE) for i in range(count)]
        for number, made in generate_objects(generator, seed, wishes):
            row = category_or_default(table, generator.categories[made.category])
            name = f"{number:04d}_{row.name}"
            size_m = _size_m(row, seed, number)
            longest = float((made.mesh.box[1] - made.mesh.box[0]).max())
            write_glb(out / f"{name}.glb", made.mesh, name, size_m / longest)
            rows.append({"file": f"{name}.glb", "category": row.name, "size_m": round(size_m, 3), **_facts(made)})
            if len(shown) < SHEET_OBJECTS:
                shown.append(made)
            print(f"{len(rows)} of {count}: {name}.glb", flush=True)
        seconds = time.perf_counter() - began
        labels = [generator.categories[made.category].replace("_", " ") for made in shown]
        listed = {"seed": seed, "weights": generator.weights_hash, "objects": rows}
    hardware.write_json(out / "objects.json", {**listed, "seconds": round(seconds, 2)})
    hardware.write_png(out / "contact_sheet.png", contact_sheet(shown, labels))
    print(f"{len(rows)} objects, contact_sheet.png and objects.json are in {out}")
    return 0


def _categories(known: tuple[str, ...], asked: str | None) -> list[int]:
    if asked is None:
        return list(range(len(known)))
    if asked in known:
        return [known.index(asked)]
    near = difflib.get_close_matches(asked, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}."
    raise UsageError(f"These weights know no category '{asked}'; {hint}")


def _size_m(row: Category, seed: int, number: int) -> float:
    low, high = row.size_m
    return low + (high - low) * float(rng.generator(seed, _KEY_SIZE, number).beta(2, 2))


def _facts(made: GeneratedObject) -> dict[str, object]:
    return {
        "triangles": [level.triangles for level in made.mesh.levels],
        "mesh_sha256": made.mesh_hash,
        "attempts": made.attempts,
    }
