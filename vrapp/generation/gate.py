"""The quality gate: what fails here is drawn again, counted, and never shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np

from vrapp.core.errors import WeightsError
from vrapp.core.mesh import MeshLevel
from vrapp.generation.components import Pieces, handles, is_closed


class Reason(StrEnum):
    """Why a draw is not shown."""

    NOT_FINITE = "not finite"
    EMPTY = "empty"
    TOO_COMPLEX = "too complex"  # more surface than the buffers hold
    TOO_FEW_TRIANGLES = "too few triangles"
    TOO_MANY_TRIANGLES = "too many triangles"
    NOT_CLOSED = "not closed"
    CUT_BY_ITS_BOX = "cut by its box"
    IN_PIECES = "in pieces"
    TORN = "torn"  # more holes through it than its kind has
    TOO_SMALL = "too small"
    TOO_THIN = "too thin"
    IMPLAUSIBLE = "implausible"  # the critic takes it for a draw


@dataclass(frozen=True)
class GateLimits:
    """What is plausible for a category. Lengths in edges of the object's cube, shares 0…1."""

    pieces: int = 6  # after debris is gone
    handles: int = 1_000  # through-holes of all pieces: what a torn wall has more of than its category
    debris_share: float = 0.015  # of the surface: smaller pieces are taken away
    triangles_least: int = 60
    triangles_most: int = 60_000
    border_share: float = 0.02  # of the grid's outermost voxels that are inside
    longest_side_least: float = 0.35
    thickness_least: float = 0.004  # volume over half the area
    plausibility_least: float = -math.inf  # of the critic's logit

    def mild(self) -> GateLimits:
        """For what somebody shapes with their own hands: it may be odd, but not in pieces."""
        return replace(
            self, border_share=2 * self.border_share, longest_side_least=self.longest_side_least / 2,
            thickness_least=self.thickness_least / 2, handles=GateLimits().handles, plausibility_least=-math.inf,
        )  # fmt: skip

    @staticmethod
    def from_card(gate: Mapping[str, Any], category: str) -> GateLimits:
        """The weights' own limits: ``gate["default"]``, then ``gate["categories"][category]``, over ours.

        Names that this version does not know are passed over. Raises WeightsError for wrong values.
        """
        limits = GateLimits()
        known = {f.name: type(getattr(limits, f.name)) for f in fields(GateLimits)}
        for layer in (gate.get("default", {}), gate.get("categories", {}).get(category, {})):
            try:
                limits = replace(limits, **{k: known[k](v) for k, v in dict(layer).items() if k in known})
            except (TypeError, ValueError) as e:
                raise WeightsError(f"The weights' gate for '{category}' holds a wrong value ({e}).") from e
        return limits


@dataclass(frozen=True)
class GridFacts:
    """What is asked of a field: ``inside`` voxels, the share of the outermost ones that are, the critic's logit."""

    finite: bool
    inside: int
    border_share: float
    plausibility: float = math.inf

    def wrong(self, limits: GateLimits) -> Reason | None:
        """The first reason against it."""
        checks = {
            Reason.NOT_FINITE: not self.finite,
            Reason.EMPTY: self.inside == 0,
            Reason.CUT_BY_ITS_BOX: self.border_share > limits.border_share,
            Reason.IMPLAUSIBLE: self.plausibility < limits.plausibility_least,
        }
        return next((reason for reason, failed in checks.items() if failed), None)


@dataclass(frozen=True)
class MeshFacts:
    """What is asked of the finest level without its debris; lengths in edges of the object's cube."""

    pieces: int
    vertices: int
    triangles: int
    finite: bool
    longest_side: float
    area: float
    volume: float
    closed: bool

    def wrong(self, limits: GateLimits) -> Reason | None:
        """The first reason against it."""
        checks = {
            Reason.TOO_FEW_TRIANGLES: self.pieces == 0 or self.triangles < limits.triangles_least,
            Reason.NOT_FINITE: not self.finite,
            Reason.TOO_MANY_TRIANGLES: self.triangles > limits.triangles_most,
            Reason.IN_PIECES: self.pieces > limits.pieces,
            Reason.TOO_SMALL: self.longest_side < limits.longest_side_least,
            Reason.TOO_THIN: self.volume < limits.thickness_least * self.area / 2,
            Reason.NOT_CLOSED: not self.closed,
            Reason.TORN: handles(self.pieces, self.vertices, self.triangles) > limits.handles,
        }
        return next((reason for reason, failed in checks.items() if failed), None)


def judge_grid(tsdf: np.ndarray, limits: GateLimits, plausibility: float = math.inf) -> Reason | None:
    """What can be told from the field (R, R, R) before any mesh is made. None: nothing is wrong."""
    inside = tsdf < 0
    faces = [inside[0], inside[-1], inside[:, 0], inside[:, -1], inside[:, :, 0], inside[:, :, -1]]
    border_share = float(np.mean([face.mean() for face in faces]))
    return GridFacts(bool(np.isfinite(tsdf).all()), int(inside.sum()), border_share, plausibility).wrong(limits)


def judge_mesh(level: MeshLevel, pieces: Pieces, limits: GateLimits) -> Reason | None:
    """What can be told from the finest level without its debris. None: it may be shown."""
    if pieces.count == 0:
        return Reason.TOO_FEW_TRIANGLES
    position = np.ascontiguousarray(level.vertices["position"].T)  # its reductions are far quicker along rows
    longest = float(np.ptp(position, axis=1).max())
    area, volume = float(pieces.area.sum()), float(pieces.volume.sum())
    finite, closed = bool(np.isfinite(position).all()), is_closed(level.indices)
    return MeshFacts(pieces.count, level.vertex_count, level.triangles, finite, longest, area, volume, closed).wrong(
        limits
    )
