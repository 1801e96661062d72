"""`vrapp evaluate dense`: likelihoods of the dense VAEs, and how near what VAE and GAN draw is to the data.

ELBO and NLL are in nats a picture, negative as published (less is better).  Pictures with grey levels are
binarised once, with a fixed seed.  The NLL is importance-sampled (Burda et al. 2016) with 5,000 samples on
some test pictures; because the ELBO of all test pictures is cheap, the NLL of all is estimated as their
ELBO less the mean gap between the two on those some.  The gap varies far less than either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vrapp.core import resources
from vrapp.core.errors import InputFileError
from vrapp.generation.ground import draw_latents
from vrapp.generation.network_file import load_network
from vrapp.models.dense import PIXELS, DenseVAE
from vrapp.training.dense import DenseModel, import_dense
from vrapp.training.images import ImageSet, load_image_sets, relief_sets
from vrapp.training.metrics import frechet_distance

MNIST_ROW = "784-200-200-50"
_ROWS_AT_ONCE = 4000  # of the decoder: 13 MB of logits
_BOUND_SAMPLES = 16  # of the ELBO, a picture
_JUDGED = 2000  # pictures on each side of the comparison of samples

Values = NDArray[np.float64]


@dataclass(frozen=True)
class DenseEvaluation:
    """How much is looked at: test pictures for the NLL, importance samples for each of them."""

    images: int = 1000
    samples: int = 5000
    seed: int = 0


@torch.no_grad()
def importance_nll(model: DenseVAE, x: Tensor, samples: int, rng: torch.Generator) -> tuple[Values, Values]:
    """ELBO and log p(x) ≈ log 1/S Σ p(x, z) / q(z|x), (B,) each, of pictures x (B, 784), in nats.

    Both come from the same `samples` draws of z, taken in blocks that fit the cache.
    """
    bounds, likelihoods = [], []
    at_once = max(1, min(samples, _ROWS_AT_ONCE))
    for some in torch.split(x, max(1, _ROWS_AT_ONCE // at_once)):
        log_sum = torch.full((len(some),), -math.inf, dtype=torch.float64)
        total = torch.zeros(len(some), dtype=torch.float64)
        for start in range(0, samples, at_once):
            count = min(at_once, samples - start)
            noise = torch.randn(count, len(some), model.config.latent, generator=rng)
            log_weights = model.log_weights(some, noise).double()  # (S, B)
            log_sum = torch.logaddexp(log_sum, torch.logsumexp(log_weights, 0))
            total += log_weights.sum(0)
        bounds.append(total / samples)
        likelihoods.append(log_sum - math.log(samples))
    return torch.cat(bounds).numpy(), torch.cat(likelihoods).numpy()


def bootstrap_se(values: Values, draws: int = 1000, seed: int = 0) -> float:
    """Standard error of the mean of values (N,), by drawing them anew with replacement."""
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(draws)]
    return float(np.std(means))


def likelihood_row(model: DenseVAE, test: ImageSet, plan: DenseEvaluation) -> dict[str, Any]:
    """ELBO on all test pictures, NLL on `plan.images` of them and estimated for all, with standard errors.

    `nll_se` is the error as a sample of pictures; `nll_se_subset` how far the figure may be from what the
    same samples on every test picture would give.
    """
    rng = torch.Generator().manual_seed(plan.seed)
    x = test.batch(torch.arange(len(test)), rng)
    bound, _ = importance_nll(model, x, _BOUND_SAMPLES, rng)
    some = torch.randperm(len(test), generator=rng)[: plan.images]
    own_bound, likelihood = importance_nll(model, x[some], plan.samples, rng)
    gap = likelihood - own_bound
    gap_se = bootstrap_se(gap, seed=plan.seed)
    elbo_se = bootstrap_se(bound, seed=plan.seed + 1)
    left = 1 - len(some) / len(test)  # nothing is left to chance where every picture was looked at
    return {
        "elbo": -float(bound.mean()), "elbo_se": elbo_se,
        "nll": -float(bound.mean() + gap.mean()), "nll_se": math.hypot(elbo_se, gap_se),
        "nll_se_subset": gap_se * math.sqrt(left), "nll_of_subset": -float(likelihood.mean()),
        "active": _active_numbers(model, x), "test_pictures": len(test),
        "nll_pictures": len(some), "nll_samples": plan.samples,
    }  # fmt: skip


@torch.no_grad()
def _active_numbers(model: DenseVAE, x: Tensor) -> int:
    """Latent numbers whose mean depends on the picture (variance over 0.01, Burda et al. 2016)."""
    return int((model.encode(x[:5000])[0].var(0) > 0.01).sum())


class _Judge(nn.Module):
    """A small classifier; its 64 features are what Fréchet distance and 1-NNA are measured on."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(PIXELS, 128), nn.SiLU(), nn.Linear(128, 64), nn.SiLU())
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x))
        return out


def _pictures(images: ImageSet, rows: Tensor) -> Tensor:
    some = images.pixels[rows].float()
    return some / 255 if images.kind == "bernoulli" else some


def _judge(train: ImageSet, seed: int, steps: int) -> _Judge:
    """Trained on the labels of the training pictures, 200 at a time: some ten seconds."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    model = _Judge(int(train.label.max()) + 1)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps)
    for _ in range(steps):
        rows = torch.randint(len(train), (200,), generator=rng)
        loss = functional.cross_entropy(model(_pictures(train, rows)), train.label[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return model.eval()


class SampleJudge:
    """Compares drawn pictures with test pictures on the features of a classifier of this project.

    The figures can be compared with one another and with nothing else.
    """

    def __init__(self, train: ImageSet, test: ImageSet, seed: int, steps: int = 1500) -> None:
        self._model = _judge(train, seed, steps)
        rng = torch.Generator().manual_seed(seed)
        self.count = min(_JUDGED, len(test), len(train))
        held_out = torch.randperm(len(test), generator=rng)[: self.count]
        self._reference = _pictures(test, held_out)
        self._label = test.label[held_out]
        self._train = _pictures(train, torch.randperm(len(train), generator=rng)[: self.count])
        self._seed = seed

    @torch.no_grad()
    def row(self, model: DenseModel | None, latents: Tensor | None = None) -> dict[str, float]:
        """Fréchet distance, 1-NNA (½ is ideal) and the entropy of the labels given, of what a model draws.

        Without `latents` (B, latent) it draws from N(0, I); without a model the training pictures are judged.
        """
        rng = torch.Generator().manual_seed(self._seed + 1)
        if model is None:
            made = self._train
        else:
            drawn = torch.randn(self.count, model.config.latent, generator=rng)
            made = model.sample(drawn if latents is None else latents)
        features, reference = self._model.body(made).double(), self._model.body(self._reference).double()
        shares = torch.softmax(self._model(made), 1).mean(0)
        return {
            "frechet_features": frechet_distance(features.numpy(), reference.numpy()),
            "one_nna_features": _one_nna(features, reference),
            "label_entropy": float(-(shares * shares.clamp(min=1e-12).log()).sum() / math.log(len(shares))),
        }

    @torch.no_grad()
    def accuracy(self) -> float:
        """Share of the test pictures that the classifier names rightly."""
        return float((self._model(self._reference).argmax(1) == self._label).float().mean())


def _one_nna(samples: Tensor, references: Tensor) -> float:
    both = torch.cat([samples, references])
    distance = torch.cdist(both, both)
    distance.fill_diagonal_(math.inf)
    own = torch.arange(len(both)) < len(samples)
    return float((own[distance.argmin(1)] == own).float().mean())


def evaluate_dense(
    weights: Path | None = None,
    data_dir: Path | None = None,
    plan: DenseEvaluation | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """{"rows", "summary"} of one weights file, or of all that ship; what needs data that are not there is
    left out, and its figures are null.

    Raises WeightsError, and InputFileError where `data_dir` has no pictures.
    """
    plan = plan or DenseEvaluation()
    sets = {"relief": relief_sets()}
    if data_dir is not None:
        own = load_image_sets(data_dir)
        sets[own[0].name] = own
    judges: dict[str, SampleJudge] = {}
    rows: list[dict[str, Any]] = []
    for path in [weights] if weights else shipped_weights():
        model, card = import_dense(path)
        name = str(card.get("data"))
        if name not in sets:
            if weights:
                raise InputFileError(f"{path} was trained on other pictures ({name}); name their folder with --data.")
            say(f"{path.name}: needs the pictures it was trained on ({name}); name their folder with --data")
            continue
        train, test = sets[name]
        if name not in judges and int(train.label.min()) >= 0:
            judges[name] = SampleJudge(train, test, plan.seed)
            rows.append({"model": "oracle (training pictures)", "data": name, **judges[name].row(None)})
            rows[-1]["classifier_accuracy"] = judges[name].accuracy()
        row: dict[str, Any] = {"model": _title(model), "data": name, "file": path.name}
        if isinstance(model, DenseVAE):
            row |= likelihood_row(model, test, plan)
        if name in judges:
            row |= judges[name].row(model)
        rows.append(row)
        latents = _fitted_latents(path, judges[name].count, plan.seed) if name in judges else None
        if latents is not None:
            again = judges[name].row(model, latents)
            rows.append({"model": f"{_title(model)}, fitted density", "data": name, "file": path.name, **again})
        say(
            f"{path.name}: "
            + " ".join(f"{key} {value:.4g}" for key, value in row.items() if not isinstance(value, str))
        )
    return {"rows": rows, "summary": _summary(rows)}


def _fitted_latents(path: Path, count: int, seed: int) -> Tensor | None:
    """(count, latent) from the density that goes with a VAE's file, None where there is none."""
    network = load_network(path, ("prior.",))
    if "prior.anchors" not in network.tensors:
        return None
    return torch.from_numpy(draw_latents(network, count, np.random.default_rng(seed)))


def _title(model: DenseModel) -> str:
    return f"{'VAE' if isinstance(model, DenseVAE) else 'GAN'} {model.config.name}"


def shipped_weights() -> list[Path]:
    """The dense networks that come with the program."""
    return [resources.assets() / "ground.safetensors", *sorted((resources.assets() / "dense").glob("*.safetensors"))]


def _summary(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """The named numbers of the MNIST row, the small network beside it, and the samples of the relief."""

    def of(title: str, data: str, figure: str) -> float | None:
        found = [row[figure] for row in rows if (row["model"], row["data"]) == (title, data) and figure in row]
        return found[0] if found else None

    summary: dict[str, float | None] = {}
    for ending, title in (("", MNIST_ROW), ("_128", "784-128-128")):
        for figure in ("elbo", "elbo_se", "nll", "nll_se", "nll_se_subset"):
            summary[figure.replace("elbo", f"elbo{ending}").replace("nll", f"nll{ending}")] = of(
                f"VAE {title}", "mnist", figure
            )
    for data in ("mnist", "relief"):
        titles = {
            "vae": "VAE 784-128-128", "vae_fitted": "VAE 784-128-128, fitted density",
            "gan": "GAN 784-128-128", "oracle": "oracle (training pictures)",
        }  # fmt: skip
        for word, title in titles.items():
            summary[f"{data}_frechet_{word}"] = of(title, data, "frechet_features")
    return summary
