"""The full preset's passes over the picture: ambient occlusion, bloom, tone mapping."""

from __future__ import annotations

from typing import Any

import moderngl

from vrapp.core.display import Target
from vrapp.core.pose import View
from vrapp.render.gl_native import NativeGL
from vrapp.render.shader_library import ShaderLibrary
from vrapp.render.targets import SceneTarget

_BLOOM_STEPS = 5


def add_programs(programs: ShaderLibrary) -> None:
    """Compile the passes."""
    programs.add("occlusion", "fullscreen.vert", "occlusion.frag")
    programs.add("occlusion_blur", "fullscreen.vert", "occlusion_blur.frag")
    programs.add("occlude", "fullscreen.vert", "occlude.frag")
    programs.add("bloom_down", "fullscreen.vert", "bloom.frag", "DOWN")
    programs.add("bloom_up", "fullscreen.vert", "bloom.frag")
    programs.add("tone", "fullscreen.vert", "tone.frag")


class Post:
    """Owner of the resolved picture and of the smaller ones that the passes need."""

    def __init__(self, ctx: Any, native: NativeGL) -> None:
        self._ctx = ctx
        self._native = native
        self._size = (0, 0)
        self._owned: list[Any] = []
        self._arrays: dict[str, Any] = {}

    def _fit(self, size: tuple[int, int]) -> None:
        if size == self._size:
            return
        self._release_pictures()
        self._size = size
        half = (max(size[0] // 2, 1), max(size[1] // 2, 1))
        self._colour, resolved = self._picture(size, 4, "f2", depth=True)
        self._resolved, self._depth = resolved
        self._occlusion, (self._occlusion_buffer, _) = self._picture(half, 1, "f1")
        self._blurred, (self._blurred_buffer, _) = self._picture(half, 1, "f1")
        self._bloom: list[tuple[Any, Any]] = []
        for _ in range(_BLOOM_STEPS):
            texture, (buffer, _) = self._picture(half, 3, "f2")
            self._bloom.append((texture, buffer))
            half = (max(half[0] // 2, 1), max(half[1] // 2, 1))

    def occlude(self, programs: ShaderLibrary, target: SceneTarget) -> None:
        """Darken the creases of the opaque picture, before anything is blended over it."""
        ctx = self._ctx
        self._fit(target.size)
        ctx.disable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        self._native.blit(target.framebuffer, (0, 0, *self._size), self._resolved, (0, 0), depth=True)
        self._depth.use(0)
        self._pass(programs, "occlusion", self._occlusion_buffer)
        self._occlusion.use(1)
        self._pass(programs, "occlusion_blur", self._blurred_buffer)
        self._blurred.use(1)
        ctx.enable(moderngl.BLEND)
        ctx.blend_func = moderngl.DST_COLOR, moderngl.ZERO
        self._pass(programs, "occlude", target.framebuffer)
        ctx.disable(moderngl.BLEND)
        ctx.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        target.framebuffer.use()

    def finish(self, programs: ShaderLibrary, source: SceneTarget, views: tuple[View, ...], target: Target) -> None:
        """Resolve, bloom, tone-map, and put each view into its place of the target."""
        ctx = self._ctx
        ctx.enable_only(moderngl.NOTHING)
        self._native.blit(source.framebuffer, (0, 0, *self._size), self._resolved, (0, 0))
        previous = self._colour
        for texture, buffer in self._bloom:
            previous.use(0)
            self._pass(programs, "bloom_down", buffer)
            previous = texture
        ctx.enable(moderngl.BLEND)
        ctx.blend_func = moderngl.ONE, moderngl.ONE
        for i in range(_BLOOM_STEPS - 1, 0, -1):
            self._bloom[i][0].use(0)
            self._pass(programs, "bloom_up", self._bloom[i - 1][1])
        ctx.disable(moderngl.BLEND)
        self._colour.use(0)
        self._bloom[0][0].use(1)
        programs["tone"]["linear_out"].value = not target.srgb_encode
        x = 0.0
        for i, view in enumerate(views):
            share = view.viewport[2] / self._size[0]
            programs["tone"]["window"].value = (x, share)
            into = target.framebuffers[min(i, len(target.framebuffers) - 1)]
            into.use()
            ctx.viewport = view.viewport
            self._array(programs, "tone").render(vertices=3)
            x += share

    def _pass(self, programs: ShaderLibrary, name: str, into: Any) -> None:
        into.use()
        self._ctx.viewport = (0, 0, *into.size)
        self._array(programs, name).render(vertices=3)

    def _array(self, programs: ShaderLibrary, name: str) -> Any:
        if name not in self._arrays:
            self._arrays[name] = self._ctx.vertex_array(programs[name], [])
        return self._arrays[name]

    def _picture(
        self, size: tuple[int, int], components: int, dtype: str, depth: bool = False
    ) -> tuple[Any, tuple[Any, Any]]:
        texture = self._ctx.texture(size, components, dtype=dtype)
        texture.repeat_x = texture.repeat_y = False
        depth_texture = self._native.depth_texture(self._ctx, size) if depth else None
        if depth_texture is not None:
            depth_texture.compare_func = ""  # read as numbers
            depth_texture.filter = moderngl.NEAREST, moderngl.NEAREST
        buffer = self._ctx.framebuffer([texture], depth_texture)
        self._owned += [buffer, texture, *([depth_texture] if depth else [])]
        return texture, (buffer, depth_texture)

    def forget_programs(self) -> None:
        """Drop the vertex arrays of programs that were replaced."""
        for array in self._arrays.values():
            array.release()
        self._arrays.clear()

    def _release_pictures(self) -> None:
        for owned in self._owned:
            owned.release()
        self._owned.clear()
        self._size = (0, 0)

    def release(self) -> None:
        """Delete all GL objects."""
        self.forget_programs()
        self._release_pictures()
