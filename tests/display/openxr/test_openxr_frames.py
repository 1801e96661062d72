"""Frames on the simulated headset: what is submitted is what was meant, in the right space."""

import numpy as np
import pytest
import xr
from sim_runtime import SimulatedRuntime
from sim_space import EYE_OFFSET_M, FOVS
from sim_visit import Start, Visit

from vrapp.core.errors import DisplayUnavailable, GraphicsError
from vrapp.core.maths import quat_from_yaw_pitch, vec3, view_matrix
from vrapp.core.pose import Pose

S = xr.ReferenceSpaceType
pytestmark = [pytest.mark.gl, pytest.mark.usefixtures("no_screen")]


def stage_from_head(runtime: SimulatedRuntime, kind: xr.ReferenceSpaceType) -> Pose:
    return runtime.bases[kind].inverse() @ runtime.head(runtime.now)


def test_each_eye_gets_its_own_picture_with_its_bytes_unchanged(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.capture = True
    visit = start()
    visit.frames(6)
    left, right = runtime.frames[-1].eyes
    np.testing.assert_allclose(left.pixels[..., :3].mean((0, 1)), (64, 128, 191), atol=1)
    np.testing.assert_allclose(right.pixels[..., :3].mean((0, 1)), (191, 128, 64), atol=1)
    assert visit.display.target is not None
    assert visit.display.size == runtime.size


def test_the_first_frame_is_not_rendered_but_ended(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    while not runtime.frames:
        visit.frame()
    assert runtime.frames[0].eyes == []
    visit.frame()
    assert len(runtime.frames[1].eyes) == 2


def test_views_are_where_the_eyes_are_in_the_stage(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    head = stage_from_head(runtime, S.LOCAL_FLOOR)
    np.testing.assert_allclose(head.position, (0, 1.6, 0), atol=1e-5)
    np.testing.assert_allclose(visit.snapshot.head.position, head.position, atol=1e-5)
    display = visit.display
    display.begin_frame()
    views = display.views(visit.snapshot)
    display.end_frame()
    for k, view in enumerate(views):
        expected = head @ Pose(vec3(EYE_OFFSET_M * (2 * k - 1), 0, 0))
        np.testing.assert_allclose(view.pose.position, expected.position, atol=1e-5)
        np.testing.assert_allclose(view.fov.tan_left, np.tan(FOVS[k][0]), rtol=1e-5)
        np.testing.assert_allclose(view.fov.tan_down, np.tan(FOVS[k][3]), rtol=1e-5)
        assert view.viewport == (0, 0, *runtime.size)


POINT_IN_STAGE = vec3(0.15, 1.5, -2.0)
_DOT = (
    "#version 450\nuniform mat4 m; uniform vec3 p; void main() { gl_Position = m * vec4(p, 1); gl_PointSize = 3; }",
    "#version 450\nout vec4 c; void main() { c = vec4(1); }",
)


def draw_point(visit: Visit) -> None:
    """One white dot at a known place, drawn with the views as a renderer would."""
    display = visit.display
    ctx = display.ctx
    program = ctx.program(*_DOT)
    dots = ctx.vertex_array(program, [])
    ctx.enable(ctx.PROGRAM_POINT_SIZE)
    timing = display.begin_frame()
    snapshot = display.input().poll(timing.predicted_time_ns)
    views, target = display.views(snapshot), display.target()
    for view, framebuffer in zip(views, target.framebuffers, strict=True):
        framebuffer.clear(viewport=view.viewport)
        framebuffer.use()
        ctx.viewport = view.viewport
        matrix = view.projection(0.05) @ view_matrix(view.pose.position, view.pose.orientation)
        program["m"].write(np.ascontiguousarray(matrix.T).tobytes())
        program["p"] = tuple(float(v) for v in POINT_IN_STAGE)
        dots.render(ctx.POINTS, vertices=1)
    display.end_frame()
    dots.release()
    program.release()


def test_a_point_at_a_known_place_lands_on_the_right_pixel_in_both_eyes(
    runtime: SimulatedRuntime, start: Start
) -> None:
    """Checked against the *submitted* pose and angles with a formula of its own."""
    runtime.capture, runtime.size = True, (160, 120)
    tilted = quat_from_yaw_pitch(0.9, 0.1)
    runtime.head = lambda time: Pose(vec3(1.02, 1.6, 2.1), tilted)
    visit = start()
    visit.frames(4)
    draw_point(visit)
    columns = []
    for eye in runtime.frames[-1].eyes:
        p = eye.pose.inverse().apply(POINT_IN_STAGE)
        left, right, up, down = np.tan(eye.fov)
        u = (p[0] / -p[2] - left) / (right - left)
        v = (p[1] / -p[2] - down) / (up - down)
        rows, found = np.nonzero(eye.pixels[..., 0] > 128)
        assert len(found) > 0
        np.testing.assert_allclose((found.mean() + 0.5, rows.mean() + 0.5), (u * 160, v * 120), atol=1.0)
        columns.append(found.mean() + 0.5 - (0 - left) / (right - left) * 160)
    assert columns[0] > columns[1]  # nearer than infinity: the left eye sees it farther to the right


@pytest.mark.parametrize(
    ("offered", "kind", "eye_height_m"),
    [
        ([S.VIEW, S.LOCAL, S.STAGE, S.LOCAL_FLOOR], "LOCAL_FLOOR", 1.6),
        ([S.VIEW, S.LOCAL, S.STAGE], "STAGE", 1.6),
        ([S.VIEW, S.LOCAL], "LOCAL", 1.65),  # wherever LOCAL's origin is
    ],
)
def test_the_floor_is_found_in_the_best_space_there_is(
    runtime: SimulatedRuntime, start: Start, offered: list[S], kind: str, eye_height_m: float
) -> None:
    runtime.reference_spaces = offered
    visit = start()
    snapshot = visit.frames(4)
    assert f"floor by {kind}" in visit.display.describe()
    assert snapshot.head.position[1] == pytest.approx(eye_height_m, abs=1e-4)


def test_predicted_times_are_on_the_programs_clock(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(3)
    first, second = visit.display.begin_frame(), None
    visit.display.end_frame()
    second = visit.display.begin_frame()
    visit.display.end_frame()
    assert second.predicted_time_ns - first.predicted_time_ns == runtime.period_ns
    assert second.period_ns == runtime.period_ns
    # The simulated XrTime is 1.000000007 s ahead of the program's clock.
    assert second.predicted_time_ns == runtime.now - 1_000_000_007


def test_without_time_conversion_the_prediction_is_a_period_ahead(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.extensions.remove("XR_KHR_convert_timespec_time")
    visit = start()
    while visit.display.view_count == 1:
        timing = visit.display.begin_frame()
        visit.display.end_frame()
    assert timing.predicted_time_ns == visit.clock.now_ns() + runtime.period_ns


@pytest.mark.parametrize(
    ("formats", "chosen", "shader_encodes"),
    [([0x8058, 0x8C43], 0x8C43, True), ([0x8058, 0x881A], 0x881A, False), ([0x8058], 0x8058, False)],
)
def test_the_best_format_is_taken_and_who_encodes_is_told(
    runtime: SimulatedRuntime, start: Start, formats: list[int], chosen: int, shader_encodes: bool
) -> None:
    runtime.formats = formats
    visit = start()
    visit.frames(3)
    visit.display.begin_frame()
    target = visit.display.target()
    visit.display.end_frame()
    assert target.srgb_encode is shader_encodes
    assert chosen in formats


def test_the_resolution_is_scaled_within_limits(runtime: SimulatedRuntime, start: Start) -> None:
    from vrapp.display.openxr.views import recommended_size

    visit = start()
    instance = visit.display._link._instance
    assert recommended_size(instance.handle, instance.system_id, 1.5) == (96, 72)
    assert recommended_size(instance.handle, instance.system_id, 1000) == (4096, 4096)
    assert recommended_size(instance.handle, instance.system_id, 0.0001) == (16, 16)


def test_a_see_through_headset_gets_a_mode_that_it_has(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.blend_modes = [xr.EnvironmentBlendMode.ADDITIVE]
    start().frames(4)
    assert len(runtime.frames) >= 3


def test_an_older_runtime_is_taken_at_1_0(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.api_versions = ((1, 0),)
    runtime.extensions = ["XR_KHR_opengl_enable", "XR_MNDX_egl_enable"]
    visit = start()
    visit.frames(4)
    assert visit.counts[-1] == 2


def test_a_runtime_without_opengl_is_explained(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.extensions.remove("XR_KHR_opengl_enable")
    with pytest.raises(DisplayUnavailable, match="no OpenGL support"):
        start()


def test_a_runtime_that_wants_newer_opengl_is_explained(runtime: SimulatedRuntime, start: Start) -> None:
    runtime.least_gl = (4, 6)
    with pytest.raises(GraphicsError, match=r"needs OpenGL 4\.6"):
        start()


def test_untracked_eyes_submit_nothing_and_the_frame_goes_on(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(5)
    seen = visit.snapshot.head
    runtime.head = lambda time: None
    visit.frames(2)
    assert runtime.frames[-1].eyes == []
    np.testing.assert_array_equal(visit.snapshot.head.position, seen.position)


def test_a_frame_without_drawing_is_ended_without_a_layer(runtime: SimulatedRuntime, start: Start) -> None:
    visit = start()
    visit.frames(4)
    for _ in range(3):
        visit.display.begin_frame()
        visit.display.end_frame()
    assert runtime.frames[-1].eyes == []
    visit.frame()
    assert len(runtime.frames[-1].eyes) == 2


def test_images_that_were_acquired_are_released_even_if_nothing_was_located(
    runtime: SimulatedRuntime, start: Start
) -> None:
    visit = start()
    visit.frames(4)
    visit.display.begin_frame()
    visit.display.target()
    visit.display.end_frame()
    assert runtime.frames[-1].eyes == []
    visit.frames(5)
    assert len(runtime.frames[-1].eyes) == 2
