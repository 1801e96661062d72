"""Hands made of capsules, and text on panels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.render.conftest import camera
from vrapp.app import hud
from vrapp.core.comfort import Comfort
from vrapp.core.pose import Pose
from vrapp.render import text
from vrapp.render.extras import HandLook, PanelText
from vrapp.render.frame_block import place_eyes
from vrapp.render.hands import hand_mesh, look_key
from vrapp.render.text import TextPanels, _quad, rasterise

HAND = HandLook("hand", Pose())


@pytest.mark.parametrize(
    "look", [HAND, replace(HAND, left=True), replace(HAND, squeeze=1.0), HandLook("controller", Pose())]
)
def test_triangles_face_outwards_and_agree_with_normals(look: HandLook) -> None:
    level = hand_mesh(look).levels[0]
    corners = level.vertices["position"][level.indices.reshape(-1, 3)].astype(float)  # (T, 3, 3)
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = level.vertices["normal"][level.indices.reshape(-1, 3), :3].astype(float).sum(axis=1)
    large = np.linalg.norm(faces, axis=1) > 1e-8
    assert ((faces * normals).sum(axis=1)[large] > 0).all()


def test_a_fist_is_shorter_than_an_open_hand_and_left_mirrors_right() -> None:
    fist, opened = hand_mesh(replace(HAND, squeeze=1.0)), hand_mesh(HAND)
    assert fist.box[0, 1] > opened.box[0, 1] + 0.02
    left = hand_mesh(replace(HAND, left=True))
    assert np.allclose(left.box[0, 0], -opened.box[1, 0])
    assert 0.1 < np.ptp(opened.box[:, 1]) < 0.25  # a hand's length in metres


def test_squeeze_is_rounded_to_few_meshes() -> None:
    assert len({look_key(replace(HAND, squeeze=s)) for s in np.linspace(-1, 2, 200)}) == 5


def test_text_is_premultiplied_and_as_wide_as_its_longest_line() -> None:
    short, wide = rasterise(("ab",), 20, False), rasterise(("ab", "a much longer line"), 20, True)
    assert wide.shape[1] > short.shape[1]
    assert wide.shape[0] > short.shape[0]
    assert (wide[..., :3].max(axis=-1) <= wide[..., 3]).all()
    assert wide[0, 0, 3] == 0  # rounded corner
    assert wide[..., :3].max() > 200  # bright letters


def test_any_text_makes_a_panel() -> None:
    for lines in ((), ("",), ("日本 ✓ émigré\ttab",), ("x" * 300,)):
        assert rasterise(lines, 18, True).shape[2] == 4


def test_anchored_panels_stay_on_the_screen() -> None:
    eyes = place_eyes((camera((640, 360)),), Pose())
    for place in ("top-left", "top", "right", "centre", "bottom-right"):
        corner, right, up = _quad(PanelText(("x",), place), (200, 80), eyes)  # type: ignore[arg-type]
        assert -1 <= corner[0] < corner[0] + right[0] <= 1
        assert -1 <= corner[1] < corner[1] + up[1] <= 1
        assert np.isclose(right[0] * 320, 200)  # one texel is one pixel


def test_in_a_headset_text_is_large_and_fine_enough_to_read() -> None:
    """An em of 24 mrad at least (Google's recommendation is 20 to 24 "dmm"), a texel for each pixel up to 40 ppd."""
    em_mrad = 0.78 * text._HEADSET_LINE_M / text._HEADSET_DISTANCE_M * 1e3
    assert em_mrad >= 24
    line_deg = np.degrees(text._HEADSET_LINE_M / text._HEADSET_DISTANCE_M)
    assert text._WORLD_LINE_PX / line_deg >= 36
    for lines in (hud._help_headset(Comfort()), hud._AWAY):
        pixels = text.rasterise(lines, text._WORLD_LINE_PX, True)
        width_m = pixels.shape[1] * text._HEADSET_LINE_M / text._WORLD_LINE_PX
        assert np.degrees(2 * np.arctan(width_m / 2 / text._HEADSET_DISTANCE_M)) < 40  # no need to turn the head


@pytest.mark.gl
def test_textures_are_kept_by_content_and_do_not_pile_up(ctx: Any) -> None:
    panels = TextPanels(ctx)
    first = panels._texture(("one",), 18, False)
    assert panels._texture(("one",), 18, False) is first
    for i in range(200):
        panels._texture((str(i),), 18, False)
    assert len(panels._textures) <= 32
    panels.release()
