"""Shapes made by code, small scenes, and a context that fails a test on GL errors and leaked objects."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from vrapp.core import maths
from vrapp.core.display import Target
from vrapp.core.errors import VrappError
from vrapp.core.mesh import VERTEX_DTYPE, Mesh, MeshLevel
from vrapp.core.pose import Fov, Pose, View
from vrapp.core.scene import SceneArrays
from vrapp.render.renderer import Renderer

_KINDS = ("Buffer", "Texture", "Framebuffer", "VertexArray", "Program", "Renderbuffer")


def living(ctx: Any) -> dict[str, int]:
    """How many GL objects of each kind exist, asked of the driver itself."""
    ctypes.CFUNCTYPE(None, ctypes.c_uint)(ctx.mglo._context.load("glUseProgram"))(0)  # one in use outlives its deletion
    counts = {}
    for kind in _KINDS:
        exists = ctypes.CFUNCTYPE(ctypes.c_ubyte, ctypes.c_uint)(ctx.mglo._context.load(f"glIs{kind}"))
        counts[kind] = sum(exists(name) for name in range(1, 3000))
    return counts


@pytest.fixture(scope="module")
def shared_context() -> Iterator[Any]:
    from vrapp.display.context import headless_context, release_headless_context

    try:
        ctx = headless_context()
    except VrappError as e:
        pytest.skip(f"no OpenGL: {e}")
    ctx.extra = ctx.simple_framebuffer((4, 4))  # in use between the tests
    ctx.extra.use()
    yield ctx
    release_headless_context(ctx)


@pytest.fixture(scope="module")
def renderers(shared_context: Any) -> Iterator[Callable[[str], Renderer]]:
    """One renderer of each preset for the module; whatever they made has to be gone after them."""
    before = living(shared_context)
    made: dict[str, Renderer] = {}

    def of_preset(name: str) -> Renderer:
        if name not in made:
            made[name] = Renderer(shared_context, name)
        made[name].set_ground(np.zeros((1, 1), np.float32), 0.0)
        return made[name]

    yield of_preset
    for renderer in made.values():
        renderer.release()
    after = living(shared_context)
    assert after == before, f"GL objects were left behind: {before} before, {after} after"


@pytest.fixture
def checked_context(shared_context: Any) -> Iterator[Any]:
    """The module's context; a test must not leave a GL error."""
    shared_context.clear_errors()
    yield shared_context
    assert shared_context.error == "GL_NO_ERROR"


@pytest.fixture
def ctx(shared_context: Any) -> Iterator[Any]:
    """The module's context; what a test makes in it, it has to release."""
    shared_context.clear_errors()
    before = living(shared_context)
    yield shared_context
    assert shared_context.error == "GL_NO_ERROR"
    assert living(shared_context) == before, "GL objects were left behind"


def vertices(positions: np.ndarray, normals: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    out = np.zeros(len(positions), VERTEX_DTYPE)
    out["position"] = positions
    out["normal"][:, :3] = np.round(normals * 127)
    out["colour"][:] = (*colour, 180)
    out["material"][:, 2] = 255
    return out


def sphere_level(rings: int, colour: tuple[int, int, int], radius: float = 0.45) -> MeshLevel:
    """A latitude-longitude sphere with 2 · rings segments."""
    lat = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    lon = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    la, lo = np.meshgrid(lat, lon, indexing="ij")
    normal = np.stack([np.cos(la) * np.cos(lo), np.sin(la), np.cos(la) * np.sin(lo)], axis=-1).reshape(-1, 3)
    n = 2 * rings
    r, s = np.meshgrid(np.arange(rings), np.arange(n), indexing="ij")
    a, b = r * n + s, r * n + (s + 1) % n
    triangles = np.stack([a, a + n, b, b, a + n, b + n], axis=-1).reshape(-1)
    return MeshLevel(vertices(normal * radius, normal, colour), triangles.astype(np.uint32))


def box_level(half: tuple[float, float, float], colour: tuple[int, int, int]) -> MeshLevel:
    """A box with its own corners on each side."""
    positions, normals, triangles = [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            n = np.zeros(3)
            n[axis] = sign
            u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            corners = [n + a * u + b * v for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            base = len(positions)
            positions += [c * np.array(half) for c in corners]
            normals += [n] * 4
            order = (0, 1, 2, 0, 2, 3) if sign > 0 else (0, 2, 1, 0, 3, 2)
            triangles += [base + i for i in order]
    return MeshLevel(vertices(np.array(positions), np.array(normals), colour), np.array(triangles, np.uint32))


def mesh_of(*levels: MeshLevel) -> Mesh:
    p = levels[0].vertices["position"]
    return Mesh(levels, np.stack([p.min(axis=0), p.max(axis=0)]), p[:48].copy())


def sphere(colour: tuple[int, int, int] = (220, 60, 50)) -> Mesh:
    return mesh_of(*(sphere_level(rings, colour) for rings in (24, 12, 6)))


def box(half: tuple[float, float, float] = (0.4, 0.4, 0.4), colour: tuple[int, int, int] = (60, 80, 220)) -> Mesh:
    return mesh_of(box_level(half, colour))


def scene_of(mesh_ids: list[int], positions: list[tuple[float, float, float]], size: float = 1.0) -> SceneArrays:
    """Resting, full-grown, upright objects."""
    n = len(mesh_ids)
    return SceneArrays(
        count=n,
        state=np.full(n, 2, np.int8),
        generation=np.zeros(n, np.int32),
        position=np.array(positions, np.float32).reshape(n, 3),
        orientation=np.tile(maths.IDENTITY_QUATERNION, (n, 1)),
        size=np.full(n, size, np.float32),
        growth=np.ones(n, np.float32),
        mesh_id=np.array(mesh_ids, np.int32),
        mark=np.zeros(n, np.uint8),
        category=np.zeros(n, np.int16),
        radius=np.full(n, 0.8 * size, np.float32),
        box=np.tile(np.array([[-0.45] * 3, [0.45] * 3], np.float32), (n, 1, 1)),
    )


def camera(
    size: tuple[int, int], position: tuple[float, float, float] = (0, 1.6, 0), pitch: float = 0.0, yaw: float = 0.0
) -> View:
    pose = Pose(np.array(position, np.float32), maths.quat_from_yaw_pitch(yaw, pitch))
    return View(pose, Fov.symmetric(1.0, size[0] / size[1]), (0, 0, *size))


@pytest.fixture
def target(checked_context: Any) -> Iterator[Callable[..., Target]]:
    """Makes targets of one RGBA8 framebuffer."""
    made: list[Any] = []

    def make(size: tuple[int, int], internal_format: int | None = None) -> Target:
        colour = checked_context.texture(size, 4, internal_format=internal_format)
        made.extend((checked_context.framebuffer([colour]), colour))
        return Target((made[-2],), srgb_encode=internal_format is None)

    yield make
    checked_context.extra.use()  # ModernGL returns to the framebuffer in use, which must not be a deleted one
    for owned in made:
        owned.release()
