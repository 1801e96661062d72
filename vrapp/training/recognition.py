"""How often a classifier trained on the data names a sample as what it was asked to be."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vrapp.core.errors import InputFileError
from vrapp.models.classifier import DESCRIPTOR, ClassifierConfig, ShapeClassifier, descriptor
from vrapp.training.augment import AugmentConfig
from vrapp.training.checkpoint import load_checkpoint, restoring, save_checkpoint
from vrapp.training.metrics import frechet_distance
from vrapp.training.shape_data import ShapeData
from vrapp.training.train_vae import balanced_weights

AUGMENT = AugmentConfig(resize=0.8, quarter_turn=0.0, scale=0.15, jitter=0.0, recolour=0.3)


@dataclass(frozen=True)
class ClassifierTraining:
    """Settings of the judge's training: ``variants`` augmented copies of each model beside the model itself."""

    epochs: int = 60
    variants: int = 3
    batch: int = 256
    rate: float = 2e-3
    weight_decay: float = 0.05
    noise: float = 0.1
    label_smoothing: float = 0.1
    seed: int = 0


@torch.no_grad()
def descriptors(shapes: ShapeData, augmentation: AugmentConfig | None, seed: int) -> Tensor:
    """(N, 8704) of all models."""
    rng = torch.Generator().manual_seed(seed)
    parts = torch.split(torch.arange(len(shapes)), 32)
    return torch.cat([descriptor(*shapes.batch(index, rng, augmentation)) for index in parts])


def train_classifier(shapes: ShapeData, plan: ClassifierTraining) -> ShapeClassifier:
    """A classifier of the training models, in eval mode."""
    told = [descriptors(shapes, None, 0)]
    told += [descriptors(shapes, AUGMENT, plan.seed * 1000 + variant) for variant in range(plan.variants)]
    torch.manual_seed(plan.seed)
    model = ShapeClassifier(ClassifierConfig(len(shapes.categories)))
    model.fit_basis(torch.cat(told))
    known, category = model.components(torch.cat(told)), shapes.category.repeat(1 + plan.variants)
    rng = torch.Generator().manual_seed(plan.seed)
    optimiser = torch.optim.AdamW(model.parameters(), plan.rate, weight_decay=plan.weight_decay)
    steps = max(1, plan.epochs * len(known) // plan.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.rate, steps)
    chances = balanced_weights(category, 0.5)
    for _ in range(steps):
        index = torch.multinomial(chances, plan.batch, replacement=True, generator=rng)
        blurred = known[index] + plan.noise * torch.randn(plan.batch, known.shape[1], generator=rng)
        loss = functional.cross_entropy(model(blurred), category[index], label_smoothing=plan.label_smoothing)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return model.eval()


def judge(shapes: ShapeData, work: Path, plan: ClassifierTraining | None = None) -> ShapeClassifier:
    """The classifier of these training models, from `work` where it was trained before.  A damaged file is written
    anew.  Raises OutputError where it cannot be."""
    plan = plan or ClassifierTraining()
    # By what the models are, not by what their files are called: several folders may share `work`.
    digest = hashlib.sha256(repr((shapes.categories, plan, DESCRIPTOR)).encode())
    for part in (shapes.category, shapes.distance, shapes.look):
        digest.update(part.contiguous().numpy().data)
    path = work / f"classifier-{digest.hexdigest()[:12]}.pt"
    model = ShapeClassifier(ClassifierConfig(len(shapes.categories)))
    with suppress(InputFileError), restoring(path):
        if (state := load_checkpoint(path)) is not None:
            model.load_state_dict(state)
            return model.eval()
    model = train_classifier(shapes, plan)
    save_checkpoint(path, model.state_dict())
    return model


@torch.no_grad()
def scores(model: ShapeClassifier, described: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, categories) and features (B, hidden) of descriptors (B, 8704)."""
    features = model.features(model.components(described))
    return model.out(features), features


class Recogniser:
    """The judge of these training models, and what it makes of the test models."""

    def __init__(self, train: ShapeData, test: ShapeData, work: Path, plan: ClassifierTraining | None = None) -> None:
        self._model = judge(train, work, plan)
        logits, self._features = scores(self._model, descriptors(test, None, 0))
        self.on_test = float((logits.argmax(1) == test.category).float().mean())

    @torch.no_grad()
    def named(self, distance: Tensor, look: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and features (see `scores`) of distance (B, 1, 64³) and look (B, 7, 32³)."""
        parts = zip(torch.split(distance, 16), torch.split(look, 16), strict=True)
        return scores(self._model, torch.cat([descriptor(*part) for part in parts]))

    def figures(self, distance: Tensor, look: Tensor, labels: Tensor) -> tuple[dict[str, float], NDArray[np.bool_]]:
        """Share named as their labels (B,), its ratio to that of test models, the share among the five likeliest,
        and the Fréchet distance of features to the test models' (of this project: compare with nothing else); and
        which (B,) were named so."""
        logits, features = self.named(distance, look)
        named: NDArray[np.bool_] = (logits.argmax(1) == labels).numpy()
        right = float(named.mean())
        top5 = logits.topk(min(5, logits.shape[1]), 1).indices
        apart = np.nan
        if min(len(features), len(self._features)) > 2:
            apart = frechet_distance(self._features.double().numpy(), features.double().numpy())
        told = {
            "named": right, "named_ratio": right / max(self.on_test, 1e-9),
            "named_top5": float((top5 == labels[:, None]).any(1).float().mean()), "frechet_features": apart,
        }  # fmt: skip
        return told, named
