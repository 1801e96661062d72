"""One network, one safetensors file: the dense networks and the pure GAN. Read without torch and without pickle.

Tensors are float16 under their names in the network.  Metadata (strings, as the format asks): `schema`,
`sha256` of all tensors, and `description`, JSON with the kind, the settings and the card.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrapp.core.errors import OutputError, WeightsError

SCHEMA = "vrapp-network-1"
MOST_BYTES = 64 * 2**20
_REMEDY = "train it again with `vrapp train` or restore the shipped file"

Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class NetworkFile:
    """What a file holds: `kind` names the network, `config` its settings (vae, gan: `models.dense.DenseConfig`)."""

    kind: str
    config: dict[str, Any]
    card: dict[str, Any]
    tensors: Tensors
    weights_hash: str


def save_network(
    path: Path, kind: str, config: Mapping[str, Any], card: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]
) -> str:
    """Write the file whole or not at all; returns the sha256 of its tensors. Raises OutputError."""
    from safetensors.numpy import save

    halves = {name: np.ascontiguousarray(array, np.float16) for name, array in tensors.items()}
    digest = _digest(halves)
    description = json.dumps({"kind": kind, "config": dict(config), "card": dict(card)}, sort_keys=True)
    raw = save(halves, {"schema": SCHEMA, "sha256": digest, "description": description})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(raw)
        fresh.replace(path)
    except OSError as error:
        raise OutputError(f"The weights cannot be written to {path} ({error.strerror}); choose another.") from error
    return digest


def load_network(path: Path, only: tuple[str, ...] = ("",)) -> NetworkFile:
    """Read and verify a file; of its tensors those whose names begin with one of `only`. Raises WeightsError."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise WeightsError(f"The weights {path} are larger than {MOST_BYTES >> 20} MiB; {_REMEDY}.")
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            halves = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise WeightsError(f"The weights {path} do not exist; {_REMEDY}.") from error
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is not a safetensors file, or is damaged; {_REMEDY}.") from error
    if metadata.get("schema") != SCHEMA:
        found = str(metadata.get("schema"))[:40]
        raise WeightsError(f"{path} has the schema {found!r} where {SCHEMA!r} is expected; {_REMEDY}.")
    if any(array.dtype != np.float16 for array in halves.values()) or _digest(halves) != metadata.get("sha256"):
        raise WeightsError(f"The weights {path} are damaged (their sha256 does not match); {_REMEDY}.")
    try:
        described = json.loads(metadata["description"])
        kind, config, card = str(described["kind"]), dict(described["config"]), dict(described["card"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"The metadata of the weights {path} are damaged; {_REMEDY}.") from error
    tensors = {name: array.astype(np.float32) for name, array in halves.items() if name.startswith(only)}
    return NetworkFile(kind, config, card, tensors, metadata["sha256"])


def decode_dense(tensors: Tensors, latent: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run the decoder in numpy: latent (B, latent) → what its last layer says, (B, 784).

    Linear layers with SiLU between them, as `models.dense` has it: 64 tiles take less than a
    millisecond, where importing torch takes seconds.  Raises WeightsError where the layers do not fit.
    """
    numbers = sorted(int(name.split(".")[1]) for name in tensors if name.startswith("decoder.") and "weight" in name)
    x = latent
    try:
        for number in numbers:
            x = _product(x, tensors[f"decoder.{number}.weight"]) + tensors[f"decoder.{number}.bias"]
            if number != numbers[-1]:
                x = x / (1 + np.exp(-x))
    except (KeyError, ValueError) as error:
        raise WeightsError(f"The decoder's layers do not fit each other ({error}); {_REMEDY}.") from error
    return x


def _product(x: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """x @ weight.T in blocks so small that BLAS does not start its threads.

    On a busy machine those wait for one another: 92 ms were measured for what takes half a millisecond.
    """
    block = max(1, 400_000 // max(1, x.size))
    parts = [x @ weight[start : start + block].T for start in range(0, len(weight), block)]
    return np.concatenate(parts, axis=1)


def _digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """sha256 over names, shapes and bytes of all tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{list(tensors[name].shape)}".encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()
