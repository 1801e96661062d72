"""A compiled MuJoCo model whose bodies are rewritten: recompiling costs 15–90 ms, writing arrays costs none.

Each of ``moving`` bodies has a free joint, each of ``fixed`` ones is a mocap body (no degrees of freedom);
all have one convex mesh geom of their own. A body not in use is parked out of everyone's way.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import mujoco
import numpy as np

from vrapp.core import floats, maths
from vrapp.core.maths import Array
from vrapp.physics.hull import MAX_LARGEST, MAX_POLYGON_VERTICES, MAX_POLYGONS, Hull

DENSITY_KG_M3 = 180.0  # of the hull, which is mostly air
_MASS_KG = (0.15, 80.0)
_PARKED_M = -1000.0
MAX_M_S, MAX_RAD_S = 15.0, 25.0
_TURN_DAMPING = 1.2  # 1/s
_GROUND, _MOVING, _FIXED = 1, 2, 4

_log = logging.getLogger(__name__)


class BodyPool:
    """MuJoCo's arrays behind object poses. World frame: +Y up, quaternions xyzw outside, wxyz inside."""

    def __init__(self, moving: int, fixed: int) -> None:
        mujoco.set_mju_user_warning(_log.debug)  # else MuJoCo leaves a MUJOCO_LOG.TXT where the user is
        self.moving, self.fixed = moving, fixed
        self.model = _compile(moving, fixed)
        self.data = mujoco.MjData(self.model)
        self.mass = [1.0] * moving
        bodies = moving + fixed
        self._corner_start = [i * (len(self.model.mesh_polyvert) // bodies) for i in range(bodies)]
        self._link_start = [i * (len(self.model.mesh_polymap) // bodies) for i in range(bodies)]
        # Views into MuJoCo's own memory:
        self.qpos = self.data.qpos.reshape(moving, 7)
        self.qvel = self.data.qvel.reshape(moving, 6)
        self._force = self.data.xfrc_applied
        self._damping = self.model.dof_damping
        self._inertia = self.model.body_inertia
        # The inertial frame in the object's: turn (xyzw), and place in metres.
        self._frame: list[Sequence[float]] = [maths.IDENTITY_QUATERNION.tolist()] * (moving + fixed)
        self._centre: list[Sequence[float]] = [(0.0, 0.0, 0.0)] * (moving + fixed)
        for body in range(moving + fixed):
            self.park(body)

    def park(self, body: int) -> None:
        """Take a body out of the world: it collides with nothing, and lies still."""
        geom = body + 1
        self.model.geom_contype[geom] = self.model.geom_conaffinity[geom] = 0
        spot = 10.0 * body, _PARKED_M, 0.0
        if body < self.moving:
            self.qpos[body], self.qvel[body] = (*spot, 1, 0, 0, 0), 0
            self.model.body_gravcomp[body + 1] = 1.0
            self._force[body + 1] = 0
        else:
            self.data.mocap_pos[body - self.moving] = spot

    def put(self, body: int, hull: Hull, size: float, position: Array, orientation: Array) -> None:
        """Give a body the shape ``hull`` at ``size`` metres a unit, and the pose of the object's cube."""
        # In Python's floats, but for the shape: numpy takes several times as long over three numbers.
        m, geom, mesh = self.model, body + 1, body
        self._write_shape(mesh, hull, size)
        middle, half = hull.middle.tolist(), hull.half.tolist()
        m.geom_aabb[geom] = [x * size for x in (*middle, *half)]
        m.geom_rbound[geom] = math.hypot(*(abs(x) + far for x, far in zip(middle, half, strict=True))) * size
        w, *xyz = hull.frame.tolist()
        self._frame[body] = (*xyz, w)
        self._centre[body] = [x * size for x in hull.centre.tolist()]
        if body < self.moving:
            mass = min(max(hull.volume * size**3 * DENSITY_KG_M3, _MASS_KG[0]), _MASS_KG[1])
            inertia = [max(x / hull.volume * size**2 * mass, 1e-5) for x in hull.inertia.tolist()]
            self._write_inertia(body, mass, inertia)
            m.geom_contype[geom], m.geom_conaffinity[geom] = _MOVING, _GROUND | _MOVING | _FIXED
            m.body_gravcomp[geom] = 0.0
        else:
            m.geom_contype[geom], m.geom_conaffinity[geom] = _FIXED, _MOVING
        self.place(body, position, orientation)

    def place(self, body: int, position: Array, orientation: Array) -> None:
        """Move a body so that its object has this pose; velocities stay."""
        at, turn = self.inertial(body, position.tolist(), orientation.tolist())
        self._write(body, at, turn)

    def move(self, body: int, at: Sequence[float], turn: Sequence[float], velocity: Sequence[float]) -> None:
        """Put a moving body's inertial frame (xyzw) here, with this velocity (6,) as in ``qvel``."""
        self._write(body, at, turn)
        self.qvel[body] = velocity

    def inertial(
        self, body: int, position: Sequence[float], orientation: Sequence[float]
    ) -> tuple[floats.Vector, floats.Quaternion]:
        """Where the body's inertial frame is (xyzw) when its object has this pose."""
        x, y, z = position
        a, b, c = floats.rotate(orientation, self._centre[body])
        return (x + a, y + b, z + c), floats.multiply(orientation, self._frame[body])

    def pose(self, body: int) -> tuple[floats.Vector, floats.Quaternion]:
        """Position and orientation (xyzw) of a moving body's object."""
        x, y, z, w, *xyz = self.qpos[body].tolist()
        turn = floats.normalise(floats.multiply((*xyz, w), floats.conjugate(self._frame[body])))
        a, b, c = floats.rotate(turn, self._centre[body])
        return (x - a, y - b, z - c), turn

    def turn(self, body: int, torque: Sequence[float], damping: float) -> None:
        """Apply a torque (3,) N·m in the world until told otherwise, with damping N·m·s beside the body's own.

        The damping is integrated implicitly: speed tends to torque ÷ damping however light the body is.
        """
        self._force[body + 1, 3:] = torque
        self._damping[6 * body + 3 : 6 * body + 6] = _TURN_DAMPING * self._inertia[body + 1] + damping

    def step(self, dt_s: float) -> bool:
        """One step of MuJoCo; False where it gave up, and the loose bodies' poses mean nothing any more."""
        self.model.opt.timestep = dt_s
        try:
            mujoco.mj_step(self.model, self.data)
        except mujoco.FatalError:
            _log.exception("MuJoCo gave up; what it moved is put down")
            self.data.qacc_warmstart[:] = 0
            return False
        return True

    def touching(self) -> set[int]:
        """The moving bodies that are in contact with anything."""
        geoms: list[int] = self.data.contact.geom.ravel().tolist() if self.data.ncon else []
        return {geom - 1 for geom in geoms if 0 < geom <= self.moving}

    def _write(self, body: int, at: Sequence[float], turn: Sequence[float]) -> None:
        x, y, z, w = turn
        if body < self.moving:
            self.qpos[body] = (*at, w, x, y, z)
        else:
            self.data.mocap_pos[body - self.moving], self.data.mocap_quat[body - self.moving] = at, (w, x, y, z)

    def _write_shape(self, mesh: int, hull: Hull, size: float) -> None:
        m = self.model
        v, p = int(m.mesh_vertadr[mesh]), int(m.mesh_polyadr[mesh])
        nv, np_ = len(hull.vertices), len(hull.lengths)
        m.mesh_vertnum[mesh], m.mesh_polynum[mesh] = nv, np_
        m.mesh_vert[v : v + nv] = hull.vertices * size
        m.mesh_polynormal[p : p + np_] = hull.normals
        corner, link = self._corner_start[mesh], self._link_start[mesh]
        m.mesh_polyvertnum[p : p + np_] = hull.lengths
        m.mesh_polyvertadr[p : p + np_] = hull.corner_starts + corner
        m.mesh_polyvert[corner : corner + len(hull.corners)] = hull.corners
        m.mesh_polymapnum[v : v + nv] = hull.vertex_counts
        m.mesh_polymapadr[v : v + nv] = hull.polygon_starts + link
        m.mesh_polymap[link : link + len(hull.vertex_polygons)] = hull.vertex_polygons

    def _write_inertia(self, body: int, mass: float, inertia: Sequence[float]) -> None:
        m, dof = self.model, 6 * body
        self.mass[body] = mass
        m.body_mass[body + 1] = m.body_subtreemass[body + 1] = mass
        m.body_inertia[body + 1] = inertia
        light = sum(1 / x for x in inertia) / 3
        m.body_invweight0[body + 1] = (1 / mass, light)
        m.dof_invweight0[dof : dof + 6] = (*(1 / mass,) * 3, *(light,) * 3)
        # Air and grass: things neither slide nor roll for ever.
        self._damping[dof : dof + 6] = (*(0.08 * mass,) * 3, *(_TURN_DAMPING * x for x in inertia))


def _seed_shape() -> np.ndarray:
    """64 vertices: MuJoCo sizes a mesh's tables, and the room for clipping polygons, by what it compiles.

    So the seed needs as many polygons as any hull of 48 vertices, and one as large as ``MAX_LARGEST``: a
    dome of triangles on a 24-gon.
    """
    top = np.arange(40) + 0.5
    tilt, turn = np.arccos(1 - top / 40 * 0.98), math.pi * (1 + 5**0.5) * top
    dome = np.stack([np.cos(turn) * np.sin(tilt), np.cos(tilt), np.sin(turn) * np.sin(tilt)], 1)
    a = np.arange(MAX_LARGEST) / MAX_LARGEST * 2 * math.pi
    return np.concatenate([np.stack([np.cos(a), 0 * a, np.sin(a)], 1), dome]) * 0.2


def _compile(moving: int, fixed: int) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    spec.option.gravity = [0, -9.81, 0]
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.iterations, spec.option.ls_iterations, spec.option.tolerance = 10, 8, 1e-6
    spec.option.ccd_iterations, spec.option.ccd_tolerance = 16, 1e-5
    # One bad body must not reset all the others; the world looks for bad ones itself.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    # The midphase walks trees of boxes made when compiling: they do not fit rewritten shapes.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_MIDPHASE
    contact = {"friction": [0.8, 0.02, 0.002], "solref": [0.014, 0.55], "condim": 4}
    ground = spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1], **contact)
    ground.quat = [math.sqrt(0.5), -math.sqrt(0.5), 0, 0]  # a plane's normal is its z: turn it to +Y
    ground.contype, ground.conaffinity = _GROUND, _MOVING
    seed = _seed_shape().ravel().tolist()
    for i in range(moving + fixed):
        spec.add_mesh(name=f"hull{i}", uservert=seed)
        body = spec.worldbody.add_body(pos=[10.0 * i, _PARKED_M, 0])
        if i < moving:
            body.gravcomp = 1.0  # parked; MuJoCo looks at gravcomp at all only where it compiled some
            body.add_freejoint()
        else:
            body.mocap = True
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=f"hull{i}", **contact)
    m = spec.compile()
    assert int(m.mesh_polynum.min()) >= MAX_POLYGONS
    assert len(m.mesh_polyvert) // (moving + fixed) >= MAX_POLYGON_VERTICES
    # Bodies turn about their centre of mass here: geoms and inertias sit at the origin.
    m.geom_pos[1:], m.geom_quat[1:], m.geom_sameframe[:] = 0, [1, 0, 0, 0], 0
    m.body_ipos[1:], m.body_iquat[1:], m.body_sameframe[:] = 0, [1, 0, 0, 0], 0
    m.mesh_graphadr[:] = -1  # at most 48 vertices: looking through all of them is as quick as the graph
    return m


def limited(velocity: Sequence[float]) -> list[float]:
    """A velocity (6,) as in qvel, with the linear and the angular speed held within bounds."""
    within: list[float] = []
    for part, most in ((velocity[:3], MAX_M_S), (velocity[3:], MAX_RAD_S)):
        share = min(1.0, most / max(math.hypot(*part), 1e-9))
        within += [x * share for x in part]
    return within
