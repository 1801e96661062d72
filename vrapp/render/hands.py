"""The user's hands and controllers as meshes made of capsules, in OpenXR's grip space.

Grip space of a right hand (the left one is mirrored in x): +X comes out of the back of the hand, -Z
runs along a held rod from the little finger to the thumb, and open fingers point along -Y.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from vrapp.core import maths
from vrapp.core.maths import Array
from vrapp.core.mesh import VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.core.pose import Pose
from vrapp.render.arena import MeshArena
from vrapp.render.extras import Colour, HandLook

SQUEEZE_STEPS = 5
_SIDES, _CAP_RINGS = 12, 4


class Capsule(NamedTuple):
    """A rounded stick between two points (3,) in metres, with a radius at each."""

    start: Array
    end: Array
    start_radius: float
    end_radius: float


def look_key(look: HandLook) -> tuple[str, bool, int, Colour]:
    """Looks with equal keys share a mesh."""
    step = round(min(max(look.squeeze, 0), 1) * (SQUEEZE_STEPS - 1)) if look.kind == "hand" else 0
    return look.kind, look.left, step, look.colour


def hand_mesh(look: HandLook) -> Mesh:
    """The mesh of a look, one level, in metres about the grip pose."""
    squeeze = look_key(look)[2] / (SQUEEZE_STEPS - 1)
    parts = _hand(squeeze) if look.kind == "hand" else _controller()
    colours = (
        [look.colour] * len(parts) if look.kind == "hand" else [(0.16, 0.17, 0.19), look.colour, (0.12, 0.12, 0.13)]
    )
    vertices, indices, base = [], [], 0
    for part, colour in zip(parts, colours, strict=False):
        positions, normals, triangles = _capsule(part)
        vertices.append(_vertices(positions, normals, colour))
        indices.append(triangles + base)
        base += len(positions)
    v, i = np.concatenate(vertices), np.concatenate(indices).astype(np.uint32)
    if look.left:
        v["position"][:, 0] *= -1
        v["normal"][:, 0] *= -1
        i = i[:, ::-1]
    box = np.stack([v["position"].min(axis=0), v["position"].max(axis=0)])
    return Mesh((MeshLevel(v, np.ascontiguousarray(i).reshape(-1)),), box, v["position"][:48].copy())


def _hand(squeeze: float) -> list[Capsule]:
    parts = [
        Capsule(maths.vec3(0.010, 0.030, z), maths.vec3(0.012, -0.038, 1.15 * z), 0.017, 0.0135)
        for z in (-0.024, -0.008, 0.008, 0.024)
    ]
    parts.append(Capsule(maths.vec3(0.010, 0.040, 0.0), maths.vec3(0.012, 0.085, 0.0), 0.026, 0.024))  # wrist
    for z, length in ((-0.0285, 0.93), (-0.0095, 1.0), (0.0095, 0.94), (0.0285, 0.76)):
        parts += _finger(maths.vec3(0.012, -0.040, z), length, 0.18 + 1.35 * squeeze)
    root = maths.vec3(0.004, 0.012, -0.030)
    bend = 0.35 + 0.75 * squeeze
    middle = root + maths.vec3(-0.030 * math.sin(bend), -0.014, -0.030 * math.cos(bend))
    tip = middle + maths.vec3(-0.028 * math.sin(bend * 1.5), -0.014, -0.020 * math.cos(bend * 1.5))
    return [*parts, Capsule(root, middle, 0.0155, 0.0125), Capsule(middle, tip, 0.0125, 0.0105)]


def _finger(root: Array, length: float, curl: float) -> list[Capsule]:
    """Three bones that bend towards the palm (-X) by ``curl`` radians at each joint."""
    parts, angle = [], 0.25 * curl
    for bone, radius in ((0.040, 0.0115), (0.025, 0.0105), (0.020, 0.0098)):
        end = root + maths.vec3(-math.sin(angle), -math.cos(angle), 0) * (bone * length)
        parts.append(Capsule(root, end, radius, radius * 0.92))
        root, angle = end, angle + curl
    return parts


def _controller() -> list[Capsule]:
    """Grip, head, and trigger."""
    return [
        Capsule(maths.vec3(0, -0.012, 0.055), maths.vec3(0, 0.004, -0.030), 0.0185, 0.021),
        Capsule(maths.vec3(0, 0.014, -0.032), maths.vec3(0, 0.018, -0.062), 0.031, 0.027),
        Capsule(maths.vec3(0, -0.016, -0.036), maths.vec3(0, -0.022, -0.050), 0.010, 0.008),
    ]


@cache
def _rounded() -> tuple[Array, np.ndarray, np.ndarray]:
    """What all capsules share: unit normals (V, 3) about +Z, who is at the end (V,) bool, triangles (T, 3)."""
    latitudes = np.linspace(-np.pi / 2, np.pi / 2, 2 * _CAP_RINGS)
    around = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
    lat, lon = (a.ravel() for a in np.meshgrid(latitudes, around, indexing="ij"))
    normal = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    r, s = np.meshgrid(np.arange(len(latitudes) - 1), np.arange(_SIDES), indexing="ij")
    a, b = r * _SIDES + s, r * _SIDES + (s + 1) % _SIDES
    c, d = a + _SIDES, b + _SIDES
    return normal, lat > 0, np.stack([a, b, d, a, d, c], axis=-1).reshape(-1, 3)


def _capsule(part: Capsule) -> tuple[Array, Array, np.ndarray]:
    """Positions and normals (V, 3), triangles (T, 3) counter-clockwise from outside."""
    normal, at_end, triangles = _rounded()
    axis = part.end - part.start
    length = float(np.linalg.norm(axis))
    axis = axis / length
    side = maths.normalise(np.cross(axis, (0, 0, 1) if abs(axis[2]) < 0.9 else (1, 0, 0)))
    frame = np.stack([side, np.cross(axis, side), axis])  # rows: two across, one along
    local = normal * np.where(at_end, part.end_radius, part.start_radius)[:, None]
    local[:, 2] += at_end * length
    return (local @ frame + part.start).astype(np.float32), (normal @ frame).astype(np.float32), triangles


def _vertices(positions: Array, normals: Array, colour: Colour) -> np.ndarray:
    out = np.zeros(len(positions), VERTEX_DTYPE)
    out["position"] = positions
    out["normal"][:, :3] = np.round(normals * 127)
    encoded = [1.055 * max(c, 0.0) ** (1 / 2.4) - 0.055 for c in colour]
    out["colour"][:, :3] = np.clip(np.round(np.array(encoded) * 255), 0, 255)
    out["colour"][:, 3] = 140
    out["material"][:, 2] = 255
    return out


_PLAIN = (0.0, 0.0, 0.0, 0.0, 0.06, 0.06, 0.06, 0.0)  # no highlight, half extent, ground


class HandMeshes:
    """The hands' meshes in the arena. Those of a plain hand are made at once (4 ms each, which no frame has to
    spare), others when a look is first seen."""

    def __init__(self, arena: MeshArena) -> None:
        self._arena = arena
        self._ids: dict[tuple[str, bool, int, Colour], int] = {}
        for step in range(SQUEEZE_STEPS):
            for left in (False, True):
                self._mesh_id(HandLook("hand", Pose(), squeeze=step / (SQUEEZE_STEPS - 1), left=left))

    def place(self, hands: tuple[HandLook, ...]) -> tuple[list[tuple[float, ...]], list[int]]:
        """Of the hands that are resident already: rows, as the 16 numbers of an OBJECT_DTYPE, and mesh ids."""
        rows, mesh_ids = [], []
        for hand in hands:
            mesh_id = self._mesh_id(hand)
            if self._arena.resident(mesh_id):
                rows.append((*hand.pose.position.tolist(), 1.0, *hand.pose.orientation.tolist(), *_PLAIN))
                mesh_ids.append(mesh_id)
        return rows, mesh_ids

    def _mesh_id(self, hand: HandLook) -> int:
        key = look_key(hand)
        if key not in self._ids:
            self._ids[key] = self._arena.add(hand_mesh(hand))
        return self._ids[key]
