"""`vrapp evaluate objects`: reconstruction and sample quality beside an oracle and a baseline.

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
from vrapp.generation.device import SurfacePipeline
from vrapp.generation.gate import GateLimits, Reason
from vrapp.generation.maker import ObjectMaker
from vrapp.generation.weights import ObjectModel, load_weights
from vrapp.training import metrics
from vrapp.training.baselines import fit_pca, sample_mixture
from vrapp.training.export_model import piece_count
from vrapp.training.metrics import Matrix, Points
from vrapp.training.objects import ObjectTraining, bake_folder
from vrapp.training.recognition import ClassifierTraining, recognition
from vrapp.training.reconstruction import Reconstruction, reconstruct, through_vae
from vrapp.training.shape_data import ShapeData, cached_shapes
from vrapp.training.split import load_or_make_split
from vrapp.training.surface_points import field_points

POINTS = 512
OURS, UNLEARNED, ORACLE, PCA = "ours", "the same VAE, N(0, I)", "oracle (training models)", "PCA + mixture"
TEMPERATURE = 0.9  # what the world asks for


@dataclass(frozen=True)
class EvaluationData:
    """The sides of the split that evaluation needs."""

    train: ShapeData
    test: ShapeData
    work: Path  # where baked grids and the trained judge are kept


def run(data_dir: Path | None, weights: Path | None, seed: int | None, json_path: Path | None) -> int:
    """The command: print the table, write the JSON; 0."""
    found = evaluate_objects(weights, data_dir, seed=seed or 0)
    for row in found["rows"]:
        print("  ".join(f"{name} {_short(value)}" for name, value in row.items()))
    print("\n".join(f"{name}: {_short(value)}" for name, value in found["summary"].items()))
    if json_path:
        try:
            json_path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"The table cannot be written to {json_path} ({error.strerror}).") from error
    return 0


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def evaluate_objects(
    weights: Path | None = None,
    data_dir: Path | None = None,
    work: Path | None = None,
    split_file: Path | None = None,
    count: int = 200,
    seed: int = 0,
    judge_plan: ClassifierTraining | None = None,
) -> dict[str, Any]:
    """All figures of a weights file as {"hardware", "command", "commit", "rows", "summary"}.

    `count` test models are compared with as many samples of the same categories.  `work` keeps the
    baked grids.  Raises InputFileError where the data are not there, WeightsError for bad weights.
    """
    model = load_weights(weights or resources.assets() / "objects.safetensors")
    split_file = split_file or _shipped_split(model)
    data = evaluation_data(model, data_dir, work, split_file)
    started = time.monotonic()
    picked = _stratified(data.test.category, min(count, len(data.test)), seed)
    labels = data.test.category[picked]
    references = _points(data.test.distance[picked], seed)
    between = metrics.chamfer_matrix(references, references)
    sampled, latents = sample_grids(model, labels, seed)
    rows = [_row(OURS, _points(sampled[:, 0], seed + 1), references, between)]
    rows.append(_row(UNLEARNED, _points(_plain_normal(model, len(labels), seed), seed + 7), references, between))
    alike = _same_categories(data.train.category, labels, seed)
    rows.append(_row(ORACLE, _points(data.train.distance[alike], seed + 2), references, between))
    pca = fit_pca(data.train, 512)
    mixture = sample_mixture(pca, labels.numpy(), 64, seed)
    rows.append(_row(PCA, _points(mixture, seed + 3), references, between))
    ours = reconstruct(through_vae(model.vae), data.test, seed)
    rows[0] |= ours.figures()
    rows[-1] |= reconstruct(lambda distance, _: (pca.reconstruct(distance), None), data.test, seed).figures()
    summary = _summary({str(row["model"]): row for row in rows}, model, latents, sampled, data, picked, seed)
    summary |= recognition(data.train, data.test, sampled, labels, data.work, judge_plan)
    summary["seconds"] = time.monotonic() - started
    return {
        **_header(), "weights": model.weights_hash, "rows": rows, "summary": summary,
        "categories": _by_category(ours, data.test),
    }  # fmt: skip


def evaluation_data(
    model: ObjectModel, data_dir: Path | None, work: Path | None, split_file: Path | None
) -> EvaluationData:
    """Baked train and test parts; the split must be the one that the weights were trained with."""
    if data_dir is None:
        raise InputFileError("Evaluation needs the models it compares with; name their folder with --data.")
    work = work or resources.cache_folder() / "objects-baked"
    baked = bake_folder(Path(data_dir), work, ObjectTraining(), lambda line: print(line, file=sys.stderr))
    split = load_or_make_split(split_file or work / "split.json", baked)
    trained = model.card.get("split_hash")
    if trained and trained != split["hash"]:
        raise WeightsError(
            "The weights were trained with another split of the data, so that their test models are unknown; "
            "evaluate them with the folder and the split they were trained on."
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


def _same_categories(pool: Tensor, labels: Tensor, seed: int) -> Tensor:
    """One row of `pool` for each label, of that category where there is one, without repeats if possible."""
    rng = np.random.default_rng(seed)
    chosen = []
    for number in torch.unique(labels).tolist():
        rows = np.nonzero((pool == number).numpy())[0]
        rows = rows if len(rows) else np.arange(len(pool))
        wanted = int((labels == number).sum())
        chosen.append(rng.choice(rows, wanted, replace=wanted > len(rows)))
    return torch.from_numpy(np.concatenate(chosen))


def _points(distance: Tensor, seed: int) -> Points:
    """(N, 512, 3) surface points of distance fields (N, [1,] 64³), uint8 or float."""
    fields = distance.reshape(-1, 64, 64, 64)
    found = []
    for number, field in enumerate(fields):
        values = field.float() / 127.5 - 1.0 if field.dtype == torch.uint8 else field.float()
        found.append(field_points(values.numpy(), POINTS, seed * 100_003 + number))
    return np.stack(found)


@torch.no_grad()
def sample_grids(model: ObjectModel, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Grids (B, 7, 64³) and latents (B, 11, 4, 4, 4) for labels, as the prior draws them.

    The world's gate has not looked at them.
    """
    rng = torch.Generator().manual_seed(seed)
    uniforms = torch.rand(len(labels), 64, model.vae.config.latent_channels, generator=rng)
    parts = zip(torch.split(labels, 16), torch.split(uniforms, 16), strict=True)
    latents = torch.cat([model.prior.sample(label, some, TEMPERATURE) for label, some in parts])
    return torch.cat([model.vae.decode(some) for some in torch.split(latents, 8)]), latents


def _row(name: str, samples: Points, references: Points, between: Matrix) -> dict[str, Any]:
    """One row of the table."""
    across = metrics.chamfer_matrix(samples, references)
    within = metrics.chamfer_matrix(samples, samples)
    scores = metrics.set_scores(across, within, between)
    low, high = metrics.one_nna_interval(*metrics.one_nn_told(across, within, between))
    return {
        "model": name, "mmd": scores.mmd, "cov": scores.cov, "one_nna": scores.one_nna,
        "one_nna_low": low, "one_nna_high": high,
        "one_nna_samples": scores.one_nna_samples, "one_nna_references": scores.one_nna_references,
    }  # fmt: skip


@torch.no_grad()
def _plain_normal(model: ObjectModel, count: int, seed: int) -> Tensor:
    """Distances (N, 64³) of latents that no prior has chosen."""
    latents = torch.randn(
        count, model.vae.config.latent_channels, 4, 4, 4, generator=torch.Generator().manual_seed(seed)
    )
    return torch.cat([model.vae.decode(some)[:, 0] for some in torch.split(latents, 8)])


def _by_category(found: Reconstruction, test: ShapeData) -> dict[str, dict[str, float]]:
    """Reconstruction figures of each category, and how many test models they are of."""
    told = {}
    for number, name in enumerate(test.categories):
        chosen = (test.category == number).numpy()
        if chosen.any():
            told[name] = {"models": int(chosen.sum()), **found.figures(chosen)}
    return told


def _summary(
    rows: dict[str, dict[str, Any]], model: ObjectModel, latents: Tensor, sampled: Tensor,
    data: EvaluationData, picked: Tensor, seed: int,
) -> dict[str, Any]:  # fmt: skip
    """The named numbers of design.md §8 and what stands beside them."""
    few = min(60, len(picked))
    some = torch.linspace(0, len(picked) - 1, few).long()
    pool = _points(data.train.distance, seed + 4)
    near_samples = metrics.nearest_distance(_points(sampled[some, 0], seed + 5), pool)
    near_test = metrics.nearest_distance(_points(data.test.distance[picked[some]], seed + 6), pool)
    ours, oracle, pca = (rows[name] for name in (OURS, ORACLE, PCA))
    return {
        "iou": ours["iou"], "iou_pca": pca["iou"],
        "one_nna": ours["one_nna"], "one_nna_oracle": oracle["one_nna"], "one_nna_pca": pca["one_nna"],
        "cov": ours["cov"], "cov_oracle": oracle["cov"], "cov_pca": pca["cov"],
        "novelty": metrics.novelty(near_samples, near_test),
        "closed_share": _closed_share(model, latents[:few]),
        "gate_share": _gate_share(model, latents[:few], data.test.category[picked][:few]),
        "one_piece_share": float(np.mean([piece_count(grid) == 1 for grid in sampled[:, 0].numpy()])),
        "one_piece_share_test": float(np.mean([piece_count(grid) == 1 for grid in _floats(data.test, picked)])),
        "decode_ms": _decode_ms(model),
    }  # fmt: skip


def _floats(shapes: ShapeData, rows: Tensor) -> NDArray[np.float32]:
    fields: NDArray[np.float32] = (shapes.distance[rows, 0].float() / 127.5 - 1.0).numpy()
    return fields


def _closed_share(model: ObjectModel, latents: Tensor) -> float:
    """Share of closed meshes as the world extracts them, before any gate."""
    pipeline = SurfacePipeline(model.vae, torch.device("cpu"))
    return float(np.mean([is_closed(pipeline.run(latent[None]).level(0).indices) for latent in latents]))


def _gate_share(model: ObjectModel, latents: Tensor, labels: Tensor) -> float:
    """Share of draws that the quality gate lets into the world."""
    maker = ObjectMaker(model, torch.device("cpu"))
    limits = [GateLimits.from_card(model.gate, model.categories[int(label)]) for label in labels]
    judged = [maker.mesh(one.flatten().numpy(), limit) for one, limit in zip(latents, limits, strict=True)]
    return float(np.mean([not isinstance(found, Reason) for found in judged]))


@torch.no_grad()
def _decode_ms(model: ObjectModel) -> float:
    """Median milliseconds of one decode."""
    latent = torch.zeros(1, model.vae.config.latent_channels, 4, 4, 4)
    times = []
    for _ in range(9):
        begun = time.perf_counter()
        model.vae.decode(latent)
        times.append(1e3 * (time.perf_counter() - begun))
    return float(np.median(times))


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
