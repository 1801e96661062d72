"""Convex shapes of objects, with their polygons and inertia, as MuJoCo's own compiler makes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import mujoco
import numpy as np

from vrapp.core.maths import Array

MAX_VERTICES, MAX_POLYGONS, MAX_POLYGON_VERTICES, MAX_LARGEST = 48, 92, 276, 24
_LEAST_HALF_M = 0.004  # of the unit cube: flat things get at least this half thickness


@dataclass(frozen=True)
class Hull:
    """A convex polytope of density 1 in the object's unit cube, about its own inertial frame.

    ``vertices`` (V, 3) float32; polygons: ``normals`` (P, 3), ``lengths`` (P,) and ``corners`` (sum lengths,)
    vertex indices, counter-clockwise from outside; ``vertex_polygons``: (sum,) polygon indices by vertex, of
    ``vertex_counts`` (V,); ``corner_starts`` (P,) and ``polygon_starts`` (V,) tell where in these lists each polygon's
    and each vertex's begin. ``centre`` (3,) and ``frame`` (4,) wxyz: the inertial frame in the object's;
    ``inertia`` (3,), ``volume``, ``half`` (3,) and ``middle`` (3,) of its box in the inertial frame.
    """

    vertices: np.ndarray
    normals: np.ndarray
    lengths: np.ndarray
    corners: np.ndarray
    vertex_polygons: np.ndarray
    vertex_counts: np.ndarray
    corner_starts: np.ndarray
    polygon_starts: np.ndarray
    centre: np.ndarray
    frame: np.ndarray
    inertia: np.ndarray
    volume: float
    half: np.ndarray
    middle: np.ndarray


def hull_of(points: Array, box: Array) -> Hull:
    """The convex hull of (≤ 48, 3) support points (about 1 ms); their box where they span no volume."""
    points = np.asarray(points, float)
    if 4 <= len(points) <= MAX_VERTICES and np.isfinite(points).all():
        try:
            hull = _compiled(points)
        except ValueError:  # MuJoCo's compiler: points that coincide or lie in a plane
            return box_hull(box)
        fits = len(hull.lengths) <= MAX_POLYGONS and len(hull.corners) <= MAX_POLYGON_VERTICES
        if fits and hull.lengths.max() <= MAX_LARGEST and hull.volume > 1e-5:
            return hull
    return box_hull(box)


def box_hull(box: Array) -> Hull:
    """The hull of a box (2, 3) without compiling anything: a scaled copy of one cube."""
    cube = _cube()
    lower, upper = np.asarray(box[0], float), np.asarray(box[1], float)
    half = np.maximum((upper - lower) / 2, _LEAST_HALF_M)
    volume = float(8 * half.prod())
    squares = half**2
    # The cube's inertial frame may be any permutation of its axes; keep to the object's own.
    return Hull(
        (cube.vertices * half).astype(np.float32), cube.normals, cube.lengths, cube.corners, cube.vertex_polygons,
        cube.vertex_counts, cube.corner_starts, cube.polygon_starts, (lower + upper) / 2, np.array([1.0, 0, 0, 0]),
        volume / 3 * (squares.sum() - squares), volume, half, np.zeros(3),
    )  # fmt: skip


@cache
def _cube() -> Hull:
    corners = np.array([[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    cube = _compiled(corners)
    flat = np.zeros(9)
    mujoco.mju_quat2Mat(flat, cube.frame)
    turn = flat.reshape(3, 3)
    vertices, normals = cube.vertices @ turn.T, cube.normals @ turn.T
    return Hull(
        vertices, normals, cube.lengths, cube.corners, cube.vertex_polygons, cube.vertex_counts, cube.corner_starts,
        cube.polygon_starts, cube.centre, np.array([1.0, 0, 0, 0]), cube.inertia, cube.volume, np.ones(3), np.zeros(3),
    )  # fmt: skip


def _compiled(points: np.ndarray) -> Hull:
    spec = mujoco.MjSpec()
    spec.compiler.balanceinertia = True
    spec.compiler.usethread = False  # starting one costs more than so small a mesh
    spec.add_mesh(name="hull", uservert=points.ravel().tolist())
    body = spec.worldbody.add_body()
    body.add_freejoint()
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="hull", density=1.0)
    m = spec.compile()
    return Hull(
        m.mesh_vert.copy(), m.mesh_polynormal.copy(), m.mesh_polyvertnum.copy(), m.mesh_polyvert.copy(),
        m.mesh_polymap.copy(), m.mesh_polymapnum.copy(), _starts(m.mesh_polyvertnum), _starts(m.mesh_polymapnum),
        m.body_ipos[1].copy(), m.body_iquat[1].copy(),
        m.body_inertia[1].copy(), float(m.body_mass[1]), m.geom_aabb[0, 3:].copy(), m.geom_aabb[0, :3].copy(),
    )  # fmt: skip


def _starts(lengths: np.ndarray) -> np.ndarray:
    """Where each of several lists of these lengths begins, one after the other."""
    starts: np.ndarray = np.cumsum(lengths) - lengths
    return starts
