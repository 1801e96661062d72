"""The part of each eye's picture that a headset's lenses hide (XR_KHR_visibility_mask): not worth shading."""

from __future__ import annotations

from typing import Any

import moderngl

from vrapp.core.maths import Array
from vrapp.render.frame_block import Eye
from vrapp.render.shader_library import ShaderLibrary


class HiddenArea:
    """Fills depth at the near plane there; uploads an eye's triangles where they are new (``Eye.hidden``)."""

    def __init__(self, ctx: Any) -> None:
        self._ctx = ctx
        self._sources: dict[int, Array] = {}
        self._buffers: dict[int, Any] = {}
        self._arrays: dict[int, Any] = {}

    def draw(self, programs: ShaderLibrary, eyes: tuple[Eye, ...]) -> None:
        """Into cleared depth; culling is off meanwhile, as runtimes wind their triangles either way."""
        hidden = [(i, eye) for i, eye in enumerate(eyes) if eye.hidden is not None and len(eye.hidden)]
        if not hidden:
            return
        self._ctx.disable(moderngl.CULL_FACE)
        program = programs["hidden"]
        for i, eye in hidden:
            fov = eye.fov
            width, height = fov.tan_right - fov.tan_left, fov.tan_up - fov.tan_down
            middle = (-(fov.tan_right + fov.tan_left) / width, -(fov.tan_up + fov.tan_down) / height)
            program["eye"].value = i
            program["ndc_from_tangent"].value = (2 / width, 2 / height, *middle)
            self._array(programs, i, eye).render(moderngl.TRIANGLES)
        self._ctx.enable(moderngl.CULL_FACE)

    def _array(self, programs: ShaderLibrary, i: int, eye: Eye) -> Any:
        assert eye.hidden is not None
        if self._sources.get(i) is not eye.hidden:
            self._release_eye(i)
            self._sources[i], self._buffers[i] = eye.hidden, self._ctx.buffer(eye.hidden)
        if i not in self._arrays:
            self._arrays[i] = self._ctx.vertex_array(programs["hidden"], [(self._buffers[i], "2f4", "in_tangent")])
        return self._arrays[i]

    def _release_eye(self, i: int) -> None:
        for owner in (self._arrays, self._buffers):
            if i in owner:
                owner.pop(i).release()
        self._sources.pop(i, None)

    def forget_programs(self) -> None:
        """Drop the vertex arrays of programs that were replaced."""
        for array in self._arrays.values():
            array.release()
        self._arrays.clear()

    def release(self) -> None:
        """Delete all GL objects."""
        for i in list(self._sources):
            self._release_eye(i)
