"""The picture itself, on small targets: what is where, in front of what, in which light."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.render.conftest import box, camera, scene_of, sphere
from vrapp.core import maths, resources
from vrapp.core.display import Board, Target
from vrapp.core.errors import GraphicsError, UsageError
from vrapp.core.pose import Fov, Pose, View
from vrapp.core.scene import Mark, ObjectState, SceneArrays
from vrapp.render.extras import FrameExtras, GroundRing, HandLook, PanelText, RayLook
from vrapp.render.gl_native import NativeGL
from vrapp.render.pictures import text_picture
from vrapp.render.preset import preset_for
from vrapp.render.renderer import Renderer

pytestmark = pytest.mark.gl

SIZE = (160, 120)
NOTHING = FrameExtras()
EMPTY = scene_of([], [])
SRGB8_ALPHA8 = 0x8C43
CLIP_DEPTH_MODE, NEGATIVE_ONE_TO_ONE, ZERO_TO_ONE = 0x935D, 0x935E, 0x935F


@pytest.fixture(params=["light", "full"])
def renderer(renderers: Callable[[str], Renderer], request: pytest.FixtureRequest) -> Renderer:
    return renderers(request.param)


@pytest.fixture
def light(renderers: Callable[[str], Renderer]) -> Renderer:
    return renderers("light")


def picture(
    renderer: Renderer, scene: SceneArrays, target: Target, view: View | None = None, extras: FrameExtras = NOTHING
) -> np.ndarray:
    """(H, W, 3) int of a frame in which every mesh is resident."""
    for _ in range(2):  # hands are added by the first frame
        renderer.draw((view or camera(SIZE),), Pose(), scene, target, extras)
        renderer.arena.pump(1 << 30)
    renderer.draw((view or camera(SIZE),), Pose(), scene, target, extras)
    return renderer.read_pixels().astype(int)


def resident(renderer: Renderer, *meshes: Any) -> list[int]:
    ids = [renderer.arena.add(m) for m in meshes]
    renderer.arena.pump(1 << 30)
    return ids


def test_sky_is_above_and_grass_below(renderer: Renderer, target: Callable[..., Target]) -> None:
    pixels = picture(renderer, EMPTY, target(SIZE))
    assert pixels.shape == (120, 160, 3)
    above, below = pixels[:20].mean(axis=(0, 1)), pixels[-20:].mean(axis=(0, 1))
    assert above[2] > above[0] + 20  # blue
    assert below[1] > below[2] + 30  # green
    assert below[1] > below[0]
    assert pixels[-40:].std(axis=(0, 1)).min() > 3  # not one flat colour


def test_an_object_is_where_it_is(renderer: Renderer, target: Callable[..., Target]) -> None:
    [red] = resident(renderer, sphere((230, 30, 20)))
    pixels = picture(renderer, scene_of([red], [(0, 1.6, -3)]), target(SIZE))
    redness = pixels[..., 0] - pixels[..., 1:].max(axis=2)
    assert redness[60, 80] > 40
    rows, columns = np.nonzero(redness > 40)
    assert abs(rows.mean() - 60) < 4
    assert abs(columns.mean() - 80) < 3
    width = np.ptp(columns) / (120 / 2 / np.tan(0.5)) * 3  # metres
    assert 0.75 < width < 1.0


def test_the_nearer_object_hides_the_farther_one_in_any_order(
    renderer: Renderer, target: Callable[..., Target]
) -> None:
    red, blue = resident(renderer, sphere((230, 30, 20)), sphere((20, 30, 230)))
    to = target(SIZE)
    for ids, places in (([red, blue], [-3.0, -5.0]), ([blue, red], [-5.0, -3.0])):
        pixel = picture(renderer, scene_of(ids, [(0, 1.6, z) for z in places]), to)[60, 80]
        assert pixel[0] > pixel[2] + 40


def test_surfaces_a_centimetre_apart_do_not_fight_far_away(light: Renderer, target: Callable[..., Target]) -> None:
    red, blue = resident(light, box((4, 4, 0.001), (230, 30, 20)), box((4, 4, 0.001), (20, 30, 230)))
    scene = scene_of([red, blue], [(0, 1.6, -60), (0, 1.6, -60.02)])
    scene.radius[:] = 8
    size = (160, 120)
    narrow = View(Pose(maths.vec3(0, 1.6, 0)), Fov.symmetric(0.08, 4 / 3), (0, 0, *size))
    pixels = picture(light, scene, target(size), narrow)[45:75, 60:100]
    assert (pixels[..., 0] > pixels[..., 2]).all()


def test_what_is_not_there_yet_is_not_drawn(light: Renderer, target: Callable[..., Target]) -> None:
    to = target(SIZE)
    bare = picture(light, EMPTY, to)
    [red] = resident(light, sphere((230, 30, 20)))
    scene = scene_of([red, -1], [(0, 1.6, -3), (0, 1.6, -2)])
    scene.growth[:] = 0
    assert (picture(light, scene, to) == bare).all()
    queued = scene_of([light.arena.add(sphere())], [(0, 1.6, -3)])
    light.draw((camera(SIZE),), Pose(), queued, to, NOTHING)
    assert (light.read_pixels() == bare).all()
    assert light.objects_drawn == 0


def test_an_object_darkens_the_ground_it_shades(renderer: Renderer, target: Callable[..., Target]) -> None:
    [slab] = resident(renderer, box((0.5, 0.05, 0.5), (200, 200, 200)))
    down = camera(SIZE, (0, 6, 0), pitch=-np.pi / 2 + 0.01)
    to = target(SIZE)
    bare = picture(renderer, EMPTY, to, down).sum(axis=2)
    scene = scene_of([slab], [(0, 1.5, 0)], size=2.0)
    scene.radius[:] = 2
    shaded = picture(renderer, scene, to, down).sum(axis=2)
    sun = renderer.light.to_sun
    metre = 120 / 2 / np.tan(0.5) / 6  # pixels, on the ground
    x, z = -sun[0] / sun[1] * 1.5 * metre, -sun[2] / sun[1] * 1.5 * metre  # where the shadow's middle falls
    row, column = round(60 + z), round(80 + x)
    spot = (slice(row - 3, row + 4), slice(column - 3, column + 4))
    assert shaded[spot].mean() < 0.75 * bare[spot].mean()
    far_side = (slice(round(60 - z) - 3, round(60 - z) + 4), slice(round(80 - x) - 3, round(80 - x) + 4))
    assert abs(shaded[far_side].mean() - bare[far_side].mean()) < 0.12 * bare[far_side].mean()


def test_a_kept_shadow_follows_what_moves_again(light: Renderer, target: Callable[..., Target]) -> None:
    [slab] = resident(light, box((0.5, 0.05, 0.5), (200, 200, 200)))
    down, to = camera(SIZE, (0, 9, 0), pitch=-np.pi / 2 + 0.01), target(SIZE)
    scene = scene_of([slab], [(1.5, 1.0, 0)], size=2.0)
    scene.radius[:] = 2
    for _ in range(20):  # comes to rest
        light.draw((down,), Pose(), scene, to, NOTHING)
    scene.position[0], scene.state[0] = (-1.5, 1.0, 0), ObjectState.FLYING
    moved = picture(light, scene, to, down)
    fresh = Renderer(light._ctx, "light")
    scene.mesh_id[:] = resident(fresh, box((0.5, 0.05, 0.5), (200, 200, 200)))
    assert np.abs(moved - picture(fresh, scene, to, down)).max() <= 2
    fresh.release()


def test_both_eyes_of_one_draw_are_what_each_eye_sees_alone(renderer: Renderer, target: Callable[..., Target]) -> None:
    red, blue = resident(renderer, sphere((230, 30, 20)), box(colour=(20, 30, 230)))
    scene = scene_of([red, blue, red], [(0, 1.6, -3), (0.9, 1.2, -4), (-1.6, 0.5, -3)])
    w, h = SIZE
    fovs = (Fov(-0.9, 0.7, 0.6, -0.6), Fov(-0.7, 0.9, 0.6, -0.6))  # turned outwards, as in a headset
    heads = [Pose(maths.vec3(x, 1.6, 0)) for x in (-0.032, 0.032)]
    views = tuple(View(p, f, (i * w, 0, w, h)) for i, (p, f) in enumerate(zip(heads, fovs, strict=True)))
    to = target((2 * w, h))
    for _ in range(3):
        renderer.draw(views, Pose(), scene, to, NOTHING)
    both = np.frombuffer(to.framebuffers[0].read(components=3, alignment=1), np.uint8).reshape(h, 2 * w, 3).astype(int)
    single = target(SIZE)
    for i, view in enumerate(views):
        alone = picture(renderer, scene, single, View(view.pose, view.fov, (0, 0, w, h)))[::-1]
        difference = np.abs(both[:, i * w : (i + 1) * w] - alone).max(axis=2)
        inner = difference[2:-2, 2:-2]  # occlusion and antialiasing look a little over the edge
        assert (inner > 12).mean() < 0.02
    assert np.abs(both[:, :w] - both[:, w:]).max() > 50  # and the eyes do differ


def test_views_may_go_to_framebuffers_of_their_own(light: Renderer, target: Callable[..., Target]) -> None:
    first, second = target(SIZE), target(SIZE)
    both = Target((first.framebuffers[0], second.framebuffers[0]))
    left, right = camera(SIZE), camera(SIZE, yaw=1.5)
    light.draw((left, right), Pose(), EMPTY, both, NOTHING)
    pictures = [np.frombuffer(f.read(components=3), np.uint8).astype(int) for f in both.framebuffers]
    assert pictures[0].any()
    assert np.abs(pictures[0] - pictures[1]).max() > 30


def test_an_srgb_target_gets_the_same_bytes(renderer: Renderer, target: Callable[..., Target]) -> None:
    plain, srgb = target(SIZE), target(SIZE, SRGB8_ALPHA8)
    assert not srgb.srgb_encode
    renderer._ctx.enable_direct(0x8DB9)  # GL_FRAMEBUFFER_SRGB, as a display would have it
    read = []
    for to in (plain, srgb):
        renderer.draw((camera(SIZE),), Pose(), EMPTY, to, NOTHING)
        read.append(np.frombuffer(to.framebuffers[0].read(components=3), np.uint8).astype(int))
    renderer._ctx.disable_direct(0x8DB9)
    assert np.abs(read[0] - read[1]).max() <= 1


def test_without_clip_control_the_picture_is_the_same(
    checked_context: Any, target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = []
    for has in (True, False):
        monkeypatch.setattr(
            NativeGL, "clip_depth_zero_to_one", lambda self, on: None, raising=True
        ) if not has else None
        original = NativeGL.__init__

        def without(self: NativeGL, c: Any, has: bool = has, original: Any = original) -> None:
            original(self, c)
            self.has_clip_control = has

        monkeypatch.setattr(NativeGL, "__init__", without)
        renderer = Renderer(checked_context, "light")
        monkeypatch.setattr(NativeGL, "__init__", original)
        [red] = resident(renderer, sphere((230, 30, 20)))
        pixels.append(picture(renderer, scene_of([red], [(0, 0.5, -3)]), target(SIZE)))
        renderer.release()
    assert (np.abs(pixels[0] - pixels[1]).max(axis=2) > 12).mean() < 0.01


def test_a_released_renderer_leaves_opengl_s_own_range_of_depth(checked_context: Any) -> None:
    get = ctypes.CFUNCTYPE(None, ctypes.c_uint, ctypes.POINTER(ctypes.c_int))(
        checked_context.mglo._context.load("glGetIntegerv")
    )
    found = ctypes.c_int()
    renderer = Renderer(checked_context, "light")
    renderer._begin_state(1)
    get(CLIP_DEPTH_MODE, found)
    assert found.value == ZERO_TO_ONE
    renderer._end_state()
    renderer.release()
    get(CLIP_DEPTH_MODE, found)
    assert found.value == NEGATIVE_ONE_TO_ONE


def test_the_target_may_change_its_size(renderer: Renderer, target: Callable[..., Target]) -> None:
    for size in ((160, 120), (64, 96), (200, 40), (1, 1)):
        renderer.draw((camera(size),), Pose(), EMPTY, target(size), NOTHING)
        assert renderer.read_pixels().shape == (size[1], size[0], 3)


def test_a_window_without_pixels_is_left_alone(light: Renderer, target: Callable[..., Target]) -> None:
    minimised = View(Pose(), Fov.symmetric(1.0, 1.0), (0, 0, 0, 0))
    light.draw((minimised,), Pose(), EMPTY, target((4, 4)), NOTHING)
    assert picture(light, EMPTY, target(SIZE)).std() > 5  # and it comes back


def test_a_viewport_leaves_the_rest_of_the_target_alone(light: Renderer, target: Callable[..., Target]) -> None:
    to = target((100, 100))
    to.framebuffers[0].clear(1.0, 0.0, 1.0, 1.0)
    inside = View(Pose(maths.vec3(0, 1.6, 0)), Fov.symmetric(1.0, 1.0), (20, 30, 40, 50))
    light.draw((inside,), Pose(), EMPTY, to, NOTHING)
    pixels = np.frombuffer(to.framebuffers[0].read(components=3), np.uint8).reshape(100, 100, 3)
    outside = np.ones((100, 100), bool)
    outside[30:80, 20:60] = False
    assert (pixels[outside] == (255, 0, 255)).all()
    assert not (pixels[~outside] == (255, 0, 255)).all(axis=-1).any()


def test_marks_show(renderer: Renderer, target: Callable[..., Target]) -> None:
    [grey] = resident(renderer, sphere((120, 120, 120)))
    scene, to = scene_of([grey], [(0, 1.2, -3)]), target(SIZE)
    plain = picture(renderer, scene, to)
    for mark in (Mark.POINTED, Mark.KEPT):
        scene.mark[0] = mark
        assert (np.abs(picture(renderer, scene, to) - plain).max(axis=2) > 20).sum() > 20, mark


@pytest.mark.parametrize(
    "extras",
    [
        FrameExtras(hands=(HandLook("hand", Pose(maths.vec3(0.1, 1.5, -0.5))),)),
        FrameExtras(hands=(HandLook("controller", Pose(maths.vec3(0.1, 1.5, -0.5))),)),
        FrameExtras(rays=(RayLook(maths.vec3(0.2, 1.3, -0.3), maths.vec3(0, 1.6, -4)),)),
        FrameExtras(rings=(GroundRing(maths.vec3(0, 0, -4)),)),
        FrameExtras(panels=(PanelText(("hello",), "top"),)),
        FrameExtras(boards=(Board("sign", text_picture(("hello",), 40), Pose(maths.vec3(0, 1.6, -1)), 0.4),)),
        FrameExtras(vignette=1.0),
    ],
    ids=["hand", "controller", "ray", "ring", "screen text", "board", "vignette"],
)
def test_extras_show(light: Renderer, target: Callable[..., Target], extras: FrameExtras) -> None:
    to = target(SIZE)
    plain = picture(light, EMPTY, to)
    changed = np.abs(picture(light, EMPTY, to, extras=extras) - plain).max(axis=2) > 25
    assert changed.sum() > 30
    assert (np.abs(picture(light, EMPTY, to) - plain).max(axis=2) <= 2).all()  # and nothing of it stays


def test_interface_colours_are_seen_as_they_are(renderer: Renderer, target: Callable[..., Target]) -> None:
    to = target(SIZE)
    pixels = np.full((8, 8, 4), (200, 120, 40, 255), np.uint8)
    board = Board("sign", pixels, Pose(maths.vec3(0, 1.6, -0.5)), 0.3)
    pixel = picture(renderer, EMPTY, to, extras=FrameExtras(boards=(board,)))[60, 80]
    assert np.abs(pixel.astype(int) - (200, 120, 40)).max() <= (2 if renderer.preset == "light" else 40)  # tone-mapped


def test_a_height_field_lifts_the_ground(light: Renderer, target: Callable[..., Target]) -> None:
    to = target(SIZE)
    flat = picture(light, EMPTY, to)
    light.set_ground(np.full((64, 64), 50, np.float32), 8.0)
    raised = picture(light, EMPTY, to)
    assert np.abs(raised - flat).max() > 40
    assert (raised[SIZE[1] * 2 // 3 :] == flat[SIZE[1] * 2 // 3 :]).all()  # level where people are
    heights = light._scenery.height_at(np.array([[0, 0, 0], [0, 0, -74], [500, 0, 0]], np.float32))
    assert heights.tolist() == pytest.approx([0, 0, 92])


def test_ten_thousand_objects_are_drawn_by_one_list(light: Renderer, target: Callable[..., Target]) -> None:
    [ball] = resident(light, sphere())
    rng = np.random.default_rng(1)
    places = rng.uniform((-300, 0.5, -300), (300, 0.5, 300), (10_000, 3))
    scene, to = scene_of([ball] * 10_000, [tuple(p) for p in places]), target((64, 48))
    light.draw((camera((64, 48)),), Pose(), scene, to, NOTHING)
    assert 500 < light.objects_drawn < 5000
    first = light.triangles_drawn
    for _ in range(8):
        light.draw((camera((64, 48)),), Pose(), scene, to, NOTHING)
    assert light.triangles_drawn <= first


def test_figures_of_a_frame(light: Renderer, target: Callable[..., Target]) -> None:
    [ball] = resident(light, sphere())
    to = target(SIZE)
    for _ in range(6):
        light.draw((camera(SIZE),), Pose(), scene_of([ball], [(0, 1, -3)]), to, NOTHING)
    assert {"shadow", "objects", "ground", "sky", "overlay", "present"} <= light.stage_ms().keys()
    assert all(ms >= 0 for ms in light.stage_ms().values())
    assert light.draw_cpu_s > 0
    assert light.triangles_drawn > 0


def test_the_preset_suits_the_renderer() -> None:
    assert preset_for(None, "llvmpipe (LLVM 15.0.6, 256 bits)").name == "light"
    assert preset_for(None, "NVIDIA GeForce RTX 4090/PCIe/SSE2").name == "full"
    assert preset_for("full", "llvmpipe").name == "full"
    with pytest.raises(UsageError, match="ultra"):
        preset_for("ultra", "llvmpipe")


def test_a_shader_folder_without_shaders_is_named(ctx: Any, tmp_path: Any) -> None:
    with pytest.raises(GraphicsError, match=tmp_path.name):
        Renderer(ctx, "light", tmp_path)


def test_a_saved_shader_shows_in_the_next_picture(
    checked_context: Any, target: Callable[..., Target], tmp_path: Path
) -> None:
    folder = shutil.copytree(resources.shaders(), tmp_path / "shaders")
    renderer = Renderer(checked_context, "light", folder)
    to = target(SIZE)
    picture(renderer, EMPTY, to)
    source = (
        (folder / "sky.frag")
        .read_text()
        .replace("void main() {", "void main() {\n    pixel = vec4(1, 0, 1, 1);\n    return;")
    )
    (folder / "sky.frag").write_text(source)
    renderer._programs._next_check_s = 0.0
    assert renderer.reload_if_changed() == "shader 'sky' reloaded"
    assert tuple(picture(renderer, EMPTY, to)[5, 80]) == (255, 0, 255)
    renderer.release()


def test_reading_before_drawing_is_refused(ctx: Any) -> None:
    renderer = Renderer(ctx, "light")
    with pytest.raises(RuntimeError, match="before"):
        renderer.read_pixels()
    renderer.release()


def test_a_reshaped_object_is_drawn_old_until_the_new_shape_is_there(
    light: Renderer, target: Callable[..., Target]
) -> None:
    [shape] = resident(light, sphere((230, 30, 20)))
    scene, into = scene_of([shape], [(0, 1.6, -3)]), target(SIZE)
    scene.state[0] = ObjectState.HELD
    before = picture(light, scene, into)
    assert before[60, 80, 0] > before[60, 80, 2] + 40
    light.arena.replace(shape, box((0.45, 0.1, 0.1), (20, 30, 230)))  # one level, as while it is in the hand
    light.draw((camera(SIZE),), Pose(), scene, into, NOTHING)
    np.testing.assert_array_equal(light.read_pixels(), before)
    after = picture(light, scene, into)
    assert after[60, 80, 2] > after[60, 80, 0] + 40
    redness = [(p[..., 0] - p[..., 1:].max(axis=2) > 40).sum() for p in (before, after)]
    assert redness[0] > 500
    assert redness[1] == 0
    light.arena.release(shape)
