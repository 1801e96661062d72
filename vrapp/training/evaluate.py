"""`vrapp evaluate objects`: reconstruction and sample quality beside an oracle and baselines.

Every figure comes from the test part of the split, which nothing was trained on.  Samples, references
and training models go the same way: grid → marching cubes → points, longest side 1.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vrapp.core import resources
from vrapp.core.errors import InputFileError, OutputError, WeightsError
from vrapp.generation.components import is_closed
from vrapp.generation.surface import extract
from vrapp.generation.weights import ObjectModel, load_weights
from vrapp.training import contenders
from vrapp.training.baselines import fit_pca
from vrapp.training.contenders import Contender, Drawn, ShownObjects
from vrapp.training.export_model import piece_count
from vrapp.training.metrics import share_and_error
from vrapp.training.model_sheets import write_sheets
from vrapp.training.objects import ObjectTraining, bake_folder
from vrapp.training.recognition import ClassifierTraining, Recogniser
from vrapp.training.reconstruction import Code, Reconstruction, reconstruct, surfaces
from vrapp.training.set_figures import ComparedSet, SetComparison
from vrapp.training.shape_data import ShapeData, cached_shapes
from vrapp.training.split import split_of

MESHES = 60  # of a row, looked at for holes
OURS, SHOWN, UNLEARNED = "ours", "ours, as shown", "the same VAE, N(0, I)"
DRAFTS, FLOW = "its mixture, not denoised", "its denoiser, from noise"
ORACLE, PCA = "oracle (training models)", "PCA + mixture"


@dataclass(frozen=True)
class EvaluationData:
    """The sides of the split that evaluation needs."""

    train: ShapeData
    test: ShapeData
    work: Path  # where baked grids and the trained judge are kept


@dataclass(frozen=True)
class EvaluationPlan:
    """What is compared: `count` test models (or all) with as many samples, the further files `also`, one row each;
    `sheets` is the folder for pictures of `tiles` shapes each."""

    count: int = 10**9
    seed: int = 0
    also: tuple[Path, ...] = ()
    sheets: Path | None = None
    tiles: int = 50
    judge: ClassifierTraining | None = None


def run(
    data_dir: Path | None, weights: Path | None, json_path: Path | None, seed: int | None = None,
    also: Sequence[Path] = (), sheets: Path | None = None, split: Path | None = None, count: int | None = None,
) -> int:  # fmt: skip
    """The command: print the table, write the JSON and the pictures; 0."""
    # Thousands of small products: where another program has a core, two threads wait for each other at each of them
    # (measured: 252 s for the references, 55 s with one thread).
    torch.set_num_threads(1)
    plan = EvaluationPlan(count or EvaluationPlan.count, seed or 0, tuple(also), sheets)
    found = evaluate_objects(weights, data_dir, split_file=split, plan=plan)
    for row in found["rows"]:
        print(_line(row))
    print("\n".join(f"{name}: {_short(value)}" for name, value in found["summary"].items()))
    if json_path:
        try:
            json_path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"The table cannot be written to {json_path} ({error.strerror}).") from error
    return 0


def _line(row: dict[str, Any]) -> str:
    return "  ".join(f"{name} {_short(value)}" for name, value in row.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def evaluate_objects(
    weights: Path | None = None,
    data_dir: Path | None = None,
    work: Path | None = None,
    split_file: Path | None = None,
    plan: EvaluationPlan | None = None,
) -> dict[str, Any]:
    """All figures of a weights file as {"hardware", "command", "commit", "rows", "summary", "categories"}.

    `work` keeps the baked grids.  Raises InputFileError where the data are not there, WeightsError for bad
    weights or for those of a file in `plan.also`.
    """
    plan, weights = plan or EvaluationPlan(), weights or resources.assets() / "objects.safetensors"
    started, model = time.monotonic(), load_weights(weights)
    further = [contenders.from_file(path, model.categories) for path in plan.also]
    beside = weights.with_suffix(".training")  # where its own training has baked and split these models
    work = work or (beside if (beside / "sources.json").is_file() else None)
    data = evaluation_data(model, data_dir, work, split_file or _shipped_split(model))
    table, shown = Table(data, plan), ShownObjects(model)
    _tell(f"the {len(data.test)} test models and the judge", started)
    ours = contenders.from_model(OURS, model, weights)
    compared = [ours, Contender(SHOWN, shown.draw, None, None, ours.decode, ours.megabytes)]
    if model.denoiser is not None:
        compared += [contenders.without_denoiser(DRAFTS, model), contenders.denoiser_alone(FLOW, model)]
    compared += [
        contenders.unlearned(UNLEARNED, model), *further, contenders.oracle(ORACLE, data.train),
        contenders.pca_mixture(PCA, fit_pca(data.train, 512)),
    ]  # fmt: skip
    rows = []
    for contender in compared:
        rows.append(table.row(contender))
        _tell(_line(rows[-1]), started)
    if plan.sheets:
        write_sheets(plan.sheets, model, data.train, data.test, plan.seed, plan.tiles)
    summary = _summary({str(row["model"]): row for row in rows})
    summary |= {"gate_share": shown.share, "named_test": table.recogniser.on_test}
    summary |= {"seconds": time.monotonic() - started}
    return {
        **_header(), "weights": model.weights_hash, "rows": rows, "summary": summary,
        "categories": table.by_category,
    }  # fmt: skip


def _tell(what: str, started: float) -> None:
    """It takes minutes: a line for each part that is done, with its figures, should it be ended before."""
    print(f"{time.monotonic() - started:6.0f} s: {what}", file=sys.stderr, flush=True)


def _summary(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The named numbers of design.md §8 and what stands beside them."""
    found = {"iou": rows[OURS]["iou"], "iou_pca": rows[PCA]["iou"]}
    for name in ("one_nna", "cov", "novelty"):
        for suffix, row in (("", OURS), ("_shown", SHOWN), ("_oracle", ORACLE), ("_pca", PCA)):
            found[name + suffix] = rows[row][name]
    for name in ("closed_share", "one_piece_share", "named_ratio", "frechet_features"):
        found |= {name: rows[OURS][name], f"{name}_shown": rows[SHOWN][name]}
    return found | {"decode_ms": rows[OURS]["decode_ms"]}


class Table:
    """The references, and a row for each contender that is compared with them."""

    def __init__(self, data: EvaluationData, plan: EvaluationPlan) -> None:
        self._data, self._plan, seed = data, plan, plan.seed
        picked = _stratified(data.test.category, min(plan.count, len(data.test)), seed)
        self._labels = data.test.category[picked]
        self._sets = SetComparison(data.test.distance[picked], self._labels, data.train.distance, seed)
        self._surfaces = surfaces(data.test, seed)
        self.recogniser = Recogniser(data.train, data.test, data.work, plan.judge)
        self.reconstructed: dict[str, Reconstruction] = {}
        self.by_category: dict[str, dict[str, dict[str, float]]] = {}  # by contender

    def row(self, contender: Contender) -> dict[str, Any]:
        """All figures of one contender; ``by_category`` gets those of each category."""
        drawn = contender.draw(self._labels, self._plan.seed)
        compared, whole = self._sets.compare(drawn.distance), one_piece(drawn)
        row = {"model": contender.name, **compared.figures()}
        row |= _share("one_piece_share", whole) | _share("closed_share", closed(drawn))
        named = None
        if drawn.look is not None:
            figures, named = self.recogniser.figures(drawn.distance, drawn.look, self._labels)
            row |= figures | _share("named", named)
        back = None
        if contender.code is not None:
            back = self._reconstructed(contender.code, contender.code_hash or contender.name)
            row |= back.figures()
        self.by_category[contender.name] = self._by_category(compared, whole, named, back)
        return row | {"decode_ms": contender.decode_ms(), "megabytes": contender.megabytes}

    def _by_category(
        self, compared: ComparedSet, whole: NDArray[np.bool_], named: NDArray[np.bool_] | None,
        back: Reconstruction | None,
    ) -> dict[str, dict[str, float]]:  # fmt: skip
        """Of each category with test models: how many of these were drawn beside, how many came back, and figures."""
        found: dict[str, dict[str, float]] = {}
        for number, name in enumerate(self._data.test.categories):
            chosen, test = (self._labels == number).numpy(), (self._data.test.category == number).numpy()
            if chosen.any():
                found[name] = {"samples": int(chosen.sum()), **compared.of_category(number)}
                found[name]["one_piece_share"] = float(whole[chosen].mean())
                if named is not None:
                    found[name]["named"] = float(named[chosen].mean())
            if back is not None and test.any():
                found.setdefault(name, {})["models"] = int(test.sum())
                found[name] |= back.figures(test)
        return found

    def _reconstructed(self, code: Code, key: str) -> Reconstruction:
        """Of all test models; the same for the same key."""
        if key not in self.reconstructed:
            self.reconstructed[key] = reconstruct(code, self._data.test, self._plan.seed, self._surfaces)
        return self.reconstructed[key]


def one_piece(drawn: Drawn) -> NDArray[np.bool_]:
    """(B,) which shapes are in one piece."""
    return np.array([piece_count(field) == 1 for field in drawn.distance[:, 0].numpy()])


@torch.no_grad()
def closed(drawn: Drawn) -> NDArray[np.bool_]:
    """Of some, which meshes are closed as the world extracts them before any gate."""
    some = torch.linspace(0, len(drawn.distance) - 1, min(MESHES, len(drawn.distance))).long()
    grids = contenders.with_looks(Drawn(drawn.distance[some], None))
    return np.array([is_closed(extract([grid[0]], grid[1:])[0].level().indices) for grid in grids])


def _share(name: str, those: NDArray[np.bool_]) -> dict[str, float]:
    """A share and its standard error."""
    share, error = share_and_error(those)
    return {name: share, f"{name}_error": error}


def evaluation_data(
    model: ObjectModel, data_dir: Path | None, work: Path | None, split_file: Path | None
) -> EvaluationData:
    """Baked train and test parts; the split must be the one that the weights were trained with."""
    if data_dir is None:
        raise InputFileError("Evaluation needs the models it compares with; name their folder with --data.")
    work = work or resources.cache_folder() / "objects-baked"
    baked = bake_folder(Path(data_dir), work, ObjectTraining(), lambda line: print(line, file=sys.stderr))
    split = split_of(baked, work, split_file)
    trained = model.card.get("split_hash")
    if trained and trained != split["hash"]:
        raise WeightsError(
            "The weights were trained with another split of the data, so that their test models are unknown; "
            "name the folder they were trained on with --data, and its split with --split if that was given."
        )
    train = cached_shapes(work, baked, split["train"], model.categories)
    test = cached_shapes(work, baked, split["test"], model.categories)
    if len(test) < 2:
        raise InputFileError(f"The split keeps only {len(test)} models for tests; add models to the folder.")
    return EvaluationData(train, test, work)


def _shipped_split(model: ObjectModel) -> Path | None:
    path = resources.assets() / "split.json"
    if not path.is_file():
        return None
    known = json.loads(path.read_text(encoding="utf-8")).get("hash")
    return path if known == model.card.get("split_hash") else None


def _stratified(category: Tensor, count: int, seed: int) -> Tensor:
    """`count` row numbers, spread evenly over the rows ordered by category."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(category)), category.numpy()))
    return torch.from_numpy(np.sort(order[np.linspace(0, len(order) - 1, count).round().astype(int)]))


def _header() -> dict[str, Any]:
    here = Path(__file__).resolve().parents[2]
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return {
        "hardware": {
            "system": platform.platform(), "cores": os.cpu_count(), "torch": torch.__version__,
            "threads": torch.get_num_threads(), "cpu": torch.backends.cpu.get_cpu_capability(),
        },
        "command": "vrapp " + " ".join(sys.argv[1:]),
        "commit": done.stdout.strip() or None,
    }  # fmt: skip
