"""``vrapp generate``: objects as GLB files, with a contact sheet and a list of what is what."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from vrapp.app import hardware
from vrapp.app.contact_sheet import contact_sheet
from vrapp.app.world import default_weights
from vrapp.core import rng
from vrapp.core.categories import Category, category_or_default, load_categories
from vrapp.core.errors import OutputError, UsageError
from vrapp.core.generation import GeneratedObject, GenerationRequest, Steering
from vrapp.generation.export import write_glb
from vrapp.generation.service import WorkerGenerator

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
        for made in objects(generator, wanted, count, seed):
            row = category_or_default(table, generator.categories[made.category])
            name = f"{made.request_id:04d}_{row.name}"
            size_m = _size_m(row, seed, made.request_id)
            _write(out / f"{name}.glb", made, name, size_m)
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


def objects(generator: WorkerGenerator, categories: list[int], count: int, seed: int) -> Iterator[GeneratedObject]:
    """``count`` objects in the order of their numbers, the categories in turn; object ``i`` is the same
    in every run of the same seed. One that the gate never lets through is drawn again under a later id."""
    waiting: dict[int, GeneratedObject] = {}
    asked: list[int] = []
    to_ask = list(range(count))
    turn = 0
    while turn < count:
        while to_ask and generator.submit(
            GenerationRequest(to_ask[0], seed, Steering(categories[to_ask[0] % count % len(categories)], _TEMPERATURE))
        ):
            asked.append(to_ask.pop(0))
        for made in generator.collect(0):
            waiting[made.request_id % count] = made
            asked.remove(made.request_id)
        if asked and generator.figures.in_flight == 0:
            to_ask = [number + count for number in asked] + to_ask
            asked.clear()
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1
        time.sleep(0.005)


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


def _write(path: Path, made: GeneratedObject, name: str, size_m: float) -> None:
    longest = float((made.mesh.box[1] - made.mesh.box[0]).max())
    try:
        write_glb(path, made.mesh, name, scale=size_m / longest)
    except OSError as e:
        raise OutputError(f"The object {path} cannot be written ({e.strerror}); choose another --out.") from e
