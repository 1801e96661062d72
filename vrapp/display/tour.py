"""The tour: ten seconds of a real person, for a machine with no screen at all."""

from __future__ import annotations

from pathlib import Path

from vrapp.core import resources
from vrapp.display.trace import TraceInput


def tour_path() -> Path:
    """``assets/tour.mcap``; ``assets/tour.md`` says where it is from."""
    return resources.assets() / "tour.mcap"


def open_tour() -> TraceInput:
    """Looking around, reaching, grabbing and letting go; begins at the origin looking along -Z, and loops.

    Raises InputFileError where the asset is missing or damaged.
    """
    return TraceInput(tour_path())
