"""Draws a frame: shadows, objects, ground, sky, then what floats in the air, for one or two eyes.

Both eyes are drawn by the same instanced calls into one target, side by side. Depth is reversed
(1 near, 0 far, 32-bit float). The light preset tone-maps in the surface shaders and only antialiases
after them; the full preset draws linear light and finishes it in ``post``.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import moderngl
import numpy as np

from vrapp.core import floats, resources
from vrapp.core.display import Target
from vrapp.core.errors import GraphicsError
from vrapp.core.maths import Array
from vrapp.core.pose import Fov, Pose, View
from vrapp.core.scene import SceneArrays
from vrapp.render import antialias, post, scenery
from vrapp.render.arena import MeshArena
from vrapp.render.culling import DetailChooser, DrawList, NearestFirst, RowCommands, frustum_planes, inside
from vrapp.render.daylight import Daylight
from vrapp.render.extras import FrameExtras
from vrapp.render.frame_block import Eye, FrameBlock, place_eyes
from vrapp.render.gl_native import GL_CLIP_DISTANCE0, GL_FRAMEBUFFER_SRGB, NativeGL
from vrapp.render.hands import HandMeshes
from vrapp.render.hidden_area import HiddenArea
from vrapp.render.overlay import Overlay, glyphs_of
from vrapp.render.preset import LIGHT, preset_for
from vrapp.render.scenery import Scenery
from vrapp.render.shader_library import ShaderLibrary
from vrapp.render.stage_clock import StageClock
from vrapp.render.stream_buffer import StreamBuffer
from vrapp.render.sun_shadow import SunShadow
from vrapp.render.targets import SceneTarget
from vrapp.render.text import TextPanels


class Renderer:
    """Owner of everything GL but the context. ``arena`` holds the meshes that ``mesh_id`` names.

    ``preset`` is "full", "light", or None for what suits the context's renderer.
    Raises GraphicsError where a shader does not compile, UsageError for an unknown preset.
    """

    def __init__(
        self, ctx: Any, preset: str | None = None, shader_folder: Path | None = None, light: Daylight | None = None
    ) -> None:
        self._ctx = ctx
        self.renderer_name: str = ctx.info["GL_RENDERER"]
        self._preset = preset_for(preset, self.renderer_name)
        self.preset = self._preset.name
        self.light = light or Daylight()
        self._native = NativeGL(ctx)
        self._programs = self._compile(shader_folder or resources.shaders())
        self._programs_version = 0
        self._clock = StageClock(ctx)
        self._draws = DrawList()
        self._frame = FrameBlock(ctx)
        self._frame.set_daylight(self.light)
        self._rows, self._commands = StreamBuffer(ctx), StreamBuffer(ctx)
        self.arena = MeshArena(ctx)
        self._make_parts()
        self._eyes: tuple[Eye, ...] = ()
        self.triangles_drawn = 0
        self.objects_drawn = 0

    def _make_parts(self) -> None:
        ctx, preset = self._ctx, self._preset
        self._detail = DetailChooser(preset.fine_pixels, preset.coarse_ratio, preset.triangle_budget)
        self._order, self._row_commands = NearestFirst(), RowCommands()
        self._hands = HandMeshes(self.arena)
        self._hidden = HiddenArea(ctx)
        self._overlay = Overlay(ctx)
        self._text = TextPanels(ctx)
        self._scenery = Scenery(ctx, preset is LIGHT)
        self._shadow = SunShadow(ctx, self._native, preset.shadow, self.light.to_sun)
        self._target = SceneTarget(ctx, self._native, preset.samples, preset.colour_dtype)
        self._post = antialias.Antialias(ctx) if preset is LIGHT else post.Post(ctx, self._native)

    def _compile(self, folder: Path) -> ShaderLibrary:
        defines = self._preset.defines
        if not self._native.has_clip_control:
            defines += ("DEPTH_MINUS_ONE_TO_ONE",)
        programs = ShaderLibrary(self._ctx, folder, defines)
        try:
            programs.add("objects", "objects.vert", "objects.frag")
            programs.add("outline", "objects.vert", "objects.frag", "OUTLINE")
            programs.add("cast_shadow", "cast_shadow.vert", None)
            programs.add("hidden", "hidden.vert", "hidden.frag")
            programs.add("blobs", "blobs.vert", "blobs.frag")
            programs.add("glyphs", "glyphs.vert", "glyphs.frag")
            programs.add("vignette", "vignette.vert", "vignette.frag")
            programs.add("panels", "panels.vert", "panels.frag")
            scenery.add_programs(programs, self._preset is LIGHT)
            (antialias if self._preset is LIGHT else post).add_programs(programs)
        except GraphicsError:
            programs.release()
            raise
        return programs

    def set_ground(self, heights: Array, cell_m: float) -> None:
        """Give the ground a shape: (N, N) float32 metres around the origin, ``cell_m`` metres a cell."""
        self._scenery.set_heights(heights, cell_m)
        self._draws.forget()

    def draw(
        self, views: tuple[View, ...], world_from_stage: Pose, scene: SceneArrays, target: Target, extras: FrameExtras
    ) -> None:
        """Draw ``views`` (one or two) of the scene into ``target``. A view without pixels draws nothing."""
        self._clock.begin_frame()
        if not all(min(view.viewport[2:]) > 0 for view in views):
            return  # a minimised window
        # All is worked out before anything is drawn: a software rasteriser leaves nothing of it in the caches.
        eyes = self._eyes = place_eyes(views, world_from_stage)
        self._frame.set_eyes(eyes, extras.time_s)
        self._scenery.place(self._frame)
        draws = self._draws
        draws.update(scene, self.arena, self._scenery.height_at, *self._hands.place(extras.hands))
        viewer = self._frame.viewer
        level = self._detail.choose(scene, draws, viewer, eyes[0].pixels_per_radian)
        self._shadow.place(self._frame, viewer, _ahead(eyes))
        self._shadow.work_out(self.arena, draws, level)
        drawn = self._commands_for(eyes, draws, viewer, level)
        glyphs = glyphs_of(extras, draws.rows.take(draws.kept))
        self._frame.upload()
        rows, buffer = self._rows.write(draws.rows[: draws.count]), self._commands.write(drawn)
        self._target.fit((sum(e.size[0] for e in eyes), eyes[0].size[1]))
        self._scenery.bake(self._programs, self._target.framebuffer)
        self._begin_state(len(eyes))
        with self._clock.stage("shadow"):
            self._shadow.draw(self.arena.vertex_array(self._programs["cast_shadow"], rows))
        self._draw_world(rows, buffer, len(drawn) - self.objects_drawn, draws.objects)
        self._draw_over(eyes, extras, glyphs)
        self._end_state()
        with self._clock.stage("present"):
            self._present(views, target)

    def _commands_for(self, eyes: tuple[Eye, ...], draws: DrawList, viewer: Array, level: np.ndarray) -> np.ndarray:
        """Of COMMAND_DTYPE: what any eye sees, nearest first, then what is outlined."""
        spheres = draws.spheres[: draws.count]
        seen = inside(frustum_planes(eyes[0].clip_from_world), spheres)
        for eye in eyes[1:]:
            seen |= inside(frustum_planes(eye.clip_from_world), spheres)
        seen &= draws.shown[: draws.count]
        chosen = self._order.of(seen, draws, viewer)
        of_all = self._row_commands.of(self.arena, draws, level, len(eyes))
        out: np.ndarray = of_all.take(
            np.concatenate((chosen, draws.outlined))
        )  # an index takes numpy eight times as long
        self.objects_drawn = len(chosen)
        self.triangles_drawn = int(np.add.reduce(out["count"][: len(chosen)])) // 3
        self._detail.drawn(self.triangles_drawn)
        return out

    def _draw_world(self, rows: Any, buffer: Any, outlined: int, objects: int) -> None:
        """Objects nearest first, then what they hide part of: grass, ground, sky."""
        programs, clock, n, solid = self._programs, self._clock, len(self._eyes), self.objects_drawn
        self._target.framebuffer.use()
        self._shadow.use(0)
        with clock.stage("objects"):
            self._target.framebuffer.clear(depth=0.0)
            self._hidden.draw(programs, self._eyes)
            self._draw_commands("objects", rows, buffer, 0, solid)
            self._ctx.cull_face = "front"
            self._draw_commands("outline", rows, buffer, solid, outlined)
            self._ctx.cull_face = "back"
            clock.next("grass")
            self._ctx.disable(moderngl.CULL_FACE)
            self._scenery.draw_grass(programs, n)
            self._ctx.enable(moderngl.CULL_FACE)
            clock.next("ground")
            self._scenery.draw_ground(programs, n)
            clock.next("blobs")
            self._draw_blobs(rows, objects, n)
            clock.next("sky")
            self._scenery.draw_sky(programs, n)
            clock.next("occlusion")
            self._post.occlude(programs, self._target)

    def _draw_commands(self, program: str, rows: Any, buffer: Any, first: int, count: int) -> None:
        if count:
            array = self.arena.vertex_array(self._programs[program], rows)
            array.render_indirect(buffer, moderngl.TRIANGLES, count, first=first)

    def _draw_over(self, eyes: tuple[Eye, ...], extras: FrameExtras, glyphs: np.ndarray) -> None:
        """What is blended over the world: rays, rings, marks, text, the vignette."""
        ctx = self._ctx
        ctx.enable(moderngl.BLEND)
        ctx.disable(moderngl.CULL_FACE)
        ctx.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA  # premultiplied alpha
        self._target.framebuffer.depth_mask = False
        with self._clock.stage("overlay"):
            self._overlay.draw(self._programs, glyphs, len(eyes))
            self._overlay.draw_vignette(self._programs, extras.vignette, len(eyes))
            self._text.draw(self._programs, extras.panels, extras.boards, eyes)
        self._target.framebuffer.depth_mask = True

    def _draw_blobs(self, rows: Any, objects: int, eyes: int) -> None:
        """Contact shadows: multiply the ground under every object."""
        if not objects:
            return
        ctx = self._ctx
        ctx.enable(moderngl.BLEND)
        ctx.disable(moderngl.CULL_FACE)
        ctx.blend_func = moderngl.DST_COLOR, moderngl.ZERO
        self._target.framebuffer.depth_mask = False
        self._scenery.blobs(self._programs, rows).render(vertices=6 * eyes, instances=objects)
        self._target.framebuffer.depth_mask = True
        ctx.enable(moderngl.CULL_FACE)
        ctx.disable(moderngl.BLEND)

    def _present(self, views: tuple[View, ...], target: Target) -> None:
        """Resolve the picture, and the depth where it is wanted, into each view's place in the target."""
        if not target.srgb_encode:
            self._ctx.enable_direct(GL_FRAMEBUFFER_SRGB)
        self._post.finish(self._programs, self._target, views, target)
        if not target.srgb_encode:
            self._ctx.disable_direct(GL_FRAMEBUFFER_SRGB)
        x = 0
        for view, texture in zip(views, target.depth_textures, strict=False):
            width, height = view.viewport[2:]
            self._native.resolve_depth(self._target.framebuffer, (x, 0, width, height), texture)
            x += width

    def _begin_state(self, eyes: int) -> None:
        ctx = self._ctx
        if eyes == 2:
            ctx.enable_direct(GL_CLIP_DISTANCE0)
        ctx.enable_only(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        ctx.depth_func = ">="
        self._native.clip_depth_zero_to_one(True)

    def _end_state(self) -> None:
        """Leave the context as others expect to find it. (Who draws flat things does not mind the range of depth.)"""
        if len(self._eyes) == 2:
            self._ctx.disable_direct(GL_CLIP_DISTANCE0)
        self._ctx.enable_only(moderngl.NOTHING)
        self._ctx.blend_func = moderngl.DEFAULT_BLENDING
        self._ctx.depth_func = "<="

    def read_pixels(self) -> np.ndarray:
        """The last picture of the first view: (H, W, 3) uint8, sRGB, top row first. Waits for the GPU."""
        if not self._eyes:
            raise RuntimeError("read_pixels before the first draw.")
        size = self._eyes[0].size
        before = self._ctx.fbo
        colour = self._ctx.texture(size, 4)
        picture = self._ctx.framebuffer([colour])
        try:
            view = View(Pose(), Fov(-1, 1, 1, -1), (0, 0, *size))
            self._present((view,), Target((picture,)))
            rows = np.frombuffer(picture.read(components=3, alignment=1), np.uint8)
            return np.ascontiguousarray(rows.reshape(size[1], size[0], 3)[::-1])
        finally:
            before.use()  # ModernGL returns to the framebuffer in use, which must not be a deleted one
            picture.release()
            colour.release()

    @property
    def draw_cpu_s(self) -> float:
        """Main-thread CPU seconds inside GL calls of the last frame (llvmpipe works inside them)."""
        return self._clock.gl_cpu_s

    @property
    def gpu_ms(self) -> float:
        """GPU milliseconds of a frame, a few frames old; 0 where they are not known."""
        return self._clock.gpu_ms

    def stage_ms(self) -> dict[str, float]:
        """The same of each stage."""
        return self._clock.stage_ms()

    def reload_if_changed(self) -> str | None:
        """Compile shaders that were saved since; one line to show, or None. Cheap: call every frame."""
        told = self._programs.reload_if_changed()
        if self._programs.version != self._programs_version:
            self._programs_version = self._programs.version
            for part in (self.arena, self._scenery, self._hidden, self._overlay, self._text, self._post):
                part.forget_programs()
            self._programs.drop_replaced()
        return told

    def release(self) -> None:
        """Delete every GL object of the renderer, the arena's included."""
        self._native.clip_depth_zero_to_one(False)
        self.arena.close()
        world = (self._scenery, self._hidden, self._shadow, self._overlay, self._text, self._post)
        for part in (*world, self._target, self._rows, self._commands, self._frame, self._programs, self._native):
            part.release()


def _ahead(eyes: tuple[Eye, ...]) -> tuple[float, float]:
    """Unit vector along the ground, x and z, in which the viewer looks."""
    x, _, z = floats.forward(eyes[0].orientation.tolist())
    length = math.hypot(x, z)
    return (x / length, z / length) if length > 1e-3 else (x, z)
