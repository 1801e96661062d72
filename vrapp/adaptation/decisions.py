"""Decisions as records: what a recording stores of every proposal, and what a yoked run reads back."""

from __future__ import annotations

from typing import Any

import numpy as np

from vrapp.core.errors import InputFileError
from vrapp.core.generation import Steering


def decision_record(request_id: int, steering: Steering) -> dict[str, Any]:
    """A JSON-ready record. Floats keep float32's precision; ``near`` is stored in full (512 numbers)."""

    def numbers(a: np.ndarray | None) -> list[float] | None:
        return None if a is None else [float(v) for v in np.asarray(a, np.float32)]

    return {
        "request_id": request_id,
        "category": steering.category,
        "temperature": steering.temperature,
        "candidates": steering.candidates,
        "utility": numbers(steering.utility),
        "near": numbers(steering.near),
        "nearness": steering.nearness,
    }


def steering_from_record(record: dict[str, Any]) -> Steering:
    """The inverse. Raises InputFileError where a field is missing or wrong."""
    try:
        utility, near = record.get("utility"), record.get("near")
        return Steering(
            int(record["category"]),
            float(record["temperature"]),
            int(record["candidates"]),
            None if utility is None else np.array(utility, np.float32),
            None if near is None else np.array(near, np.float32),
            float(record["nearness"]),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise InputFileError(f"A recorded decision lacks or has a wrong field: {e!r}; record the session again.") from e
