"""Weights of the object generator: one safetensors file, read and written without pickle.

Tensors: `vae.*`, `prior.*`, perhaps `denoiser.*` and `critic.*`, `latent_mean` (704,), `latent_basis` (6, 704).
Metadata (strings, as the format asks): `schema`, `sha256` of all tensors, and `description`, a JSON object with the
networks' settings, the categories, sampling defaults, the gate's thresholds and the card (training data, split,
figures).
`describe_weights` never imports torch.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vrapp.core.errors import OutputError, WeightsError
from vrapp.core.mesh import LATENT_DIM

if TYPE_CHECKING:
    from torch import Tensor

    from vrapp.models.denoiser import LatentDenoiser
    from vrapp.models.mixture import LatentMixture
    from vrapp.models.plausibility import PlausibilityCritic
    from vrapp.models.prior import LatentPrior
    from vrapp.models.vae import ShapeVAE

    Prior = LatentPrior | LatentMixture

SCHEMA = "vrapp-objects-3"
MAX_FILE_BYTES = 256 * 2**20
MAX_HEADER_BYTES = 4 * 2**20
_DTYPES = {"F32": np.float32, "F16": np.float16}
_REMEDY = "retrain with `vrapp train objects` or restore the shipped assets/objects.safetensors"


@dataclass(frozen=True)
class WeightsDescription:
    """What is known of a weights file without loading its networks."""

    categories: tuple[str, ...]
    weights_hash: str
    card: dict[str, Any]
    gate: dict[str, Any]
    latent_mean: NDArray[np.float32]  # (704,)
    latent_basis: NDArray[np.float32]  # (6, 704), rows scaled so that components have unit variance


@dataclass(frozen=True)
class ObjectModel:
    """The object generator, ready to use: networks in eval mode on the CPU, float32."""

    vae: ShapeVAE
    prior: Prior
    categories: tuple[str, ...]
    card: dict[str, Any]
    weights_hash: str
    latent_mean: NDArray[np.float32]  # (704,)
    latent_basis: NDArray[np.float32]  # (6, 704)
    gate: dict[str, Any]
    projections: int  # of a draw (`ShapeVAE.projected`) before it is decoded
    critic: PlausibilityCritic | None = None  # whose threshold is in `gate`
    denoiser: LatentDenoiser | None = None  # of what the prior draws, before the projections

    def draw(self, category: Tensor, uniforms: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        """Latents (B, 11, 4, 4, 4), as they are decoded, of category (B,) int64, uniforms (B, 64, 11) in [0, 1) for the
        prior, and standard normal noise like the latents for the denoiser."""
        latent = self.prior.sample(category, uniforms, temperature)
        if self.denoiser is not None:
            latent = self.denoiser.refined(latent, category, noise, self.denoiser.strength_at(temperature))
        return self.vae.projected(latent, self.projections)


@dataclass(frozen=True)
class _Entry:
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def save_weights(
    path: Path,
    vae: ShapeVAE,
    prior: Prior,
    categories: tuple[str, ...],
    latent_mean: NDArray[np.float32],
    latent_basis: NDArray[np.float32],
    card: Mapping[str, Any],
    gate: Mapping[str, Any],
    sampling: Mapping[str, float],
    critic: PlausibilityCritic | None = None,
    denoiser: LatentDenoiser | None = None,
) -> str:
    """Write everything, networks as float16; returns the file's ``weights_hash``.

    Raises OutputError where the file cannot be written.
    """
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {
        "latent_mean": np.ascontiguousarray(latent_mean, np.float32),
        "latent_basis": np.ascontiguousarray(latent_basis, np.float32),
    }
    networks: dict[str, Any] = {"vae": vae, "prior": prior}
    networks |= {name: part for name, part in (("critic", critic), ("denoiser", denoiser)) if part is not None}
    for prefix, network in networks.items():
        for name, value in network.state_dict().items():
            kind = np.float32 if name in ("edges", "centres") else np.float16
            tensors[f"{prefix}.{name}"] = np.ascontiguousarray(value.detach().cpu().float().numpy(), kind)
    digest = _digest({name: (array.shape, array.tobytes()) for name, array in tensors.items()})
    description = {
        **{name: network.config.as_dict() for name, network in networks.items()},
        "prior_kind": "mixture" if type(prior).__name__ == "LatentMixture" else "autoregressive",
        "categories": list(categories),
        "sampling": dict(sampling), "gate": dict(gate), "card": dict(card),
    }  # fmt: skip
    metadata = {"schema": SCHEMA, "sha256": digest, "description": json.dumps(description, sort_keys=True)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(save(tensors, metadata))
        fresh.replace(path)
    except OSError as error:
        raise OutputError(
            f"The weights cannot be written to {path} ({error.strerror}); choose another file."
        ) from error
    return _identity(metadata)


def describe_weights(path: Path) -> WeightsDescription:
    """Categories, hash, card and latent basis of a weights file, in some 20 ms and without torch.

    Raises WeightsError, one sentence, for anything wrong but networks that do not fit their settings.
    """
    return _verified(Path(path))[0]


def _verified(path: Path) -> tuple[WeightsDescription, dict[str, Any], dict[str, _Entry], bytes]:
    """What is known of the file, its settings, its tensors' entries and their bytes, the hash checked."""
    metadata, entries, offset = _read_header(path)
    description = _description(path, metadata)
    with path.open("rb") as file:
        file.seek(offset)
        raw = file.read()
    digest = _digest({n: (e.shape, raw[e.start : e.end]) for n, e in entries.items()})
    if digest != metadata["sha256"]:
        raise WeightsError(f"The weights {path} are damaged (their sha256 does not match); {_REMEDY}.")
    mean, basis = (_array(path, entries, raw, name) for name in ("latent_mean", "latent_basis"))
    if mean.shape != (LATENT_DIM,) or basis.ndim != 2 or basis.shape[1] != LATENT_DIM:
        raise WeightsError(f"The weights {path} have a latent basis of the wrong shape; {_REMEDY}.")
    known = WeightsDescription(
        tuple(description["categories"]), _identity(metadata), description["card"], description["gate"], mean, basis
    )
    return known, description, entries, raw


def schema_of(path: Path) -> str:
    """The schema that a safetensors file states, "" where it states none. Raises WeightsError."""
    metadata = _read_header(Path(path))[0]
    return str(metadata.get("schema", "")) if isinstance(metadata, dict) else ""


def load_weights(path: Path) -> ObjectModel:
    """Read, verify and build the networks.  Raises WeightsError, one sentence, for anything wrong."""
    path = Path(path)
    known, description, entries, raw = _verified(path)
    try:
        vae, prior, critic, denoiser = _networks(description, entries, raw)
        projections = max(0, int(description["sampling"].get("projections", 0)))
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:120]
        raise WeightsError(f"The weights {path} do not fit their networks ({reason}); {_REMEDY}.") from error
    return ObjectModel(
        vae, prior, known.categories, known.card, known.weights_hash, known.latent_mean, known.latent_basis,
        known.gate, projections, critic, denoiser,
    )  # fmt: skip


def _networks(
    description: dict[str, Any], entries: dict[str, _Entry], raw: bytes
) -> tuple[ShapeVAE, Prior, PlausibilityCritic | None, LatentDenoiser | None]:
    import torch

    from vrapp.models.denoiser import DenoiserConfig, LatentDenoiser
    from vrapp.models.mixture import LatentMixture, MixtureConfig
    from vrapp.models.plausibility import PlausibilityConfig, PlausibilityCritic
    from vrapp.models.prior import LatentPrior, PriorConfig
    from vrapp.models.vae import ShapeVAE, VaeConfig

    settings = {key: tuple(v) if isinstance(v, list) else v for key, v in description["vae"].items()}
    vae = ShapeVAE(VaeConfig(**settings))  # type: ignore[arg-type]
    prior: Prior
    if description.get("prior_kind") == "mixture":
        prior = LatentMixture(MixtureConfig(**description["prior"]))
    else:
        prior = LatentPrior(PriorConfig(**description["prior"]))
    if prior.config.categories != len(description["categories"]):
        raise ValueError("the prior's number of categories differs")
    critic = PlausibilityCritic(PlausibilityConfig(**description["critic"])) if "critic" in description else None
    denoiser = LatentDenoiser(DenoiserConfig(**description["denoiser"])) if "denoiser" in description else None
    if critic is not None and critic.config.categories != prior.config.categories:
        raise ValueError("the critic's number of categories differs")
    if denoiser is not None and denoiser.config.categories != prior.config.categories:
        raise ValueError("the denoiser's number of categories differs")
    for prefix, network in (("vae.", vae), ("prior.", prior), ("critic.", critic), ("denoiser.", denoiser)):
        if network is None:
            continue
        state = {}
        for name, entry in entries.items():
            if name.startswith(prefix):
                array = np.frombuffer(raw[entry.start : entry.end], _DTYPES[entry.dtype])
                state[name.removeprefix(prefix)] = torch.from_numpy(array.reshape(entry.shape).astype(np.float32))
        network.load_state_dict(state)
        network.eval().requires_grad_(False)
    if isinstance(prior, LatentMixture):
        prior.prepare()
    vae.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    sampling = {key: float(value) for key, value in description["sampling"].items() if key != "projections"}
    prior.set_sampling(**sampling)
    return vae, prior, critic, denoiser


def _read_header(path: Path) -> tuple[dict[str, str], dict[str, _Entry], int]:
    """Metadata, tensor entries and the offset of the tensor bytes, every claim checked."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise WeightsError(f"The weights {path} are larger than {MAX_FILE_BYTES >> 20} MiB; {_REMEDY}.")
        with path.open("rb") as file:
            head = file.read(8)
            length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise WeightsError(f"{path} is not a safetensors file of this program, or is cut off; {_REMEDY}.")
            text = file.read(length)
    except FileNotFoundError as error:
        raise WeightsError(f"The weights {path} do not exist; {_REMEDY}.") from error
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read ({error.strerror}); {_REMEDY}.") from error
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__")
        entries = {name: _entry(value, size - 8 - length) for name, value in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is not a weights file of this program, or is damaged; {_REMEDY}.") from error
    return metadata, entries, 8 + length


def _entry(value: dict[str, Any], available: int) -> _Entry:
    shape, (start, end) = tuple(int(n) for n in value["shape"]), value["data_offsets"]
    width = np.dtype(_DTYPES[value["dtype"]]).itemsize
    count = int(np.prod([*shape, 1], dtype=object))
    if min([*shape, 1]) < 0 or not 0 <= start <= end <= available or end - start != count * width:
        raise ValueError("a tensor's offsets do not fit")
    return _Entry(value["dtype"], shape, start, end)


def _description(path: Path, metadata: Any) -> dict[str, Any]:
    """The JSON in the metadata, its outline checked."""
    found = metadata.get("schema") if isinstance(metadata, dict) else None
    if found != SCHEMA:
        raise WeightsError(f"{path} has the schema {str(found)[:40]!r} where {SCHEMA!r} is expected; {_REMEDY}.")
    try:
        description: dict[str, Any] = json.loads(metadata["description"])
        names = description["categories"]
        kinds = [type(description[key]) for key in ("vae", "prior", "sampling", "gate", "card")]
        if set(kinds) != {dict} or not names or not all(isinstance(name, str) for name in names):
            raise ValueError("wrong types")
        if not isinstance(metadata["sha256"], str):
            raise ValueError("no hash")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"The metadata of the weights {path} are damaged; {_REMEDY}.") from error
    return description


def _array(path: Path, entries: dict[str, _Entry], raw: bytes, name: str) -> NDArray[np.float32]:
    entry = entries.get(name)
    if entry is None:
        raise WeightsError(f"The weights {path} lack the tensor {name!r}; {_REMEDY}.")
    return np.frombuffer(raw[entry.start : entry.end], _DTYPES[entry.dtype]).reshape(entry.shape).astype(np.float32)


def _identity(metadata: Mapping[str, str]) -> str:
    """sha256 over the tensors' and their description: the same tensors sampled otherwise make other objects."""
    return hashlib.sha256(f"{metadata['sha256']} {metadata['description']}".encode()).hexdigest()


def _digest(tensors: Mapping[str, tuple[tuple[int, ...], bytes]]) -> str:
    """sha256 over names, shapes and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        shape, raw = tensors[name]
        digest.update(f"{name}{list(shape)}".encode())
        digest.update(raw)
    return digest.hexdigest()
