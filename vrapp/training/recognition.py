"""How often a classifier trained on the data names a sample as what it was asked to be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vrapp.models.classifier import ClassifierConfig, ShapeClassifier, classifier_input
from vrapp.models.vae import split_grid
from vrapp.training.augment import AugmentConfig
from vrapp.training.metrics import frechet_distance
from vrapp.training.shape_data import ShapeData
from vrapp.training.train_vae import balanced_weights

AUGMENT = AugmentConfig(quarter_turn=0.0, scale=0.15, jitter=0.0, recolour=0.4)


@dataclass(frozen=True)
class ClassifierTraining:
    """Settings of the judge's training."""

    steps: int = 500
    batch: int = 24
    rate: float = 1.5e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    seed: int = 0


def train_classifier(
    shapes: ShapeData, plan: ClassifierTraining, progress: Callable[[int, float], None] | None = None
) -> ShapeClassifier:
    """A classifier of the training models, in eval mode."""
    torch.manual_seed(plan.seed)
    rng = torch.Generator().manual_seed(plan.seed)
    model = ShapeClassifier(ClassifierConfig(len(shapes.categories)))
    optimiser = torch.optim.AdamW(model.parameters(), plan.rate, weight_decay=plan.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, plan.steps, pct_start=0.1)
    chances = balanced_weights(shapes.category, 0.5)
    for step in range(plan.steps):
        index = torch.multinomial(chances, plan.batch, replacement=True, generator=rng)
        grid = classifier_input(*shapes.batch(index, rng, AUGMENT))
        loss = functional.cross_entropy(model(grid), shapes.category[index], label_smoothing=plan.label_smoothing)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if progress and step % 50 == 0:
            progress(step, float(loss.detach()))
    return model.eval()


def judge(shapes: ShapeData, work: Path, plan: ClassifierTraining | None = None) -> ShapeClassifier:
    """The classifier of these training models, from `work` where it was trained before."""
    plan = plan or ClassifierTraining()
    key = hashlib.sha256(repr((shapes.files, shapes.categories, plan)).encode()).hexdigest()[:12]
    path = work / f"classifier-{key}.pt"
    if path.is_file():
        model = ShapeClassifier(ClassifierConfig(len(shapes.categories)))
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    model = train_classifier(shapes, plan)
    torch.save(model.state_dict(), path)
    return model


@torch.no_grad()
def scores(model: ShapeClassifier, distance: Tensor, look: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, categories) and features (B, 256) of distances (B, 1, 64³) and looks (B, 7, 32³)."""
    features = model.features(classifier_input(distance, look))
    return model.out(features), features


def recognition(
    train: ShapeData,
    test: ShapeData,
    sampled: Tensor,
    labels: Tensor,
    work: Path,
    plan: ClassifierTraining | None = None,
) -> dict[str, float]:
    """Accuracy on the test models and on sampled grids (B, 7, 64³) with labels (B,), their ratio, and
    the Fréchet distance of the judge's features (of this project: compare with nothing else).
    """
    return _recognised(judge(train, work, plan), test, sampled, labels)


@torch.no_grad()
def _recognised(model: ShapeClassifier, test: ShapeData, sampled: Tensor, labels: Tensor) -> dict[str, float]:
    rows = [scores(model, *test.batch(i, torch.Generator(), None)) for i in torch.split(torch.arange(len(test)), 16)]
    logits, features = (torch.cat(parts) for parts in zip(*rows, strict=True))
    made = [scores(model, *split_grid(grids)) for grids in torch.split(sampled, 16)]
    made_logits, made_features = (torch.cat(parts) for parts in zip(*made, strict=True))
    on_test = float((logits.argmax(1) == test.category).float().mean())
    on_samples = float((made_logits.argmax(1) == labels).float().mean())
    top5 = made_logits.topk(min(5, made_logits.shape[1]), 1).indices
    return {
        "classifier_test": on_test,
        "classifier_samples": on_samples,
        "classifier_ratio": on_samples / max(on_test, 1e-9),
        "classifier_samples_top5": float((top5 == labels[:, None]).any(1).float().mean()),
        "frechet_features": frechet_distance(
            features.double().numpy(), made_features.double().numpy()
        ) if min(len(features), len(made_features)) > 2 else float(np.nan),
    }  # fmt: skip
