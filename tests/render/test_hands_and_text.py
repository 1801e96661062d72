"""Hands made of capsules, and text on panels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.render.conftest import camera
from vrapp.core.display import Board
from vrapp.core.pose import Pose
from vrapp.render.extras import HandLook, PanelText
from vrapp.render.frame_block import place_eyes
from vrapp.render.hands import hand_mesh, look_key
from vrapp.render.pictures import BACKGROUND, Tile, sheet_picture, text_picture
from vrapp.render.text import TextPanels, _on_screen

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


def test_text_is_as_wide_as_its_longest_line_and_keeps_its_colour_where_it_is_clear() -> None:
    short, wide = text_picture(("ab",), 20), text_picture(("ab", "a much longer line"), 20, True)
    assert wide.shape[1] > short.shape[1]
    assert wide.shape[0] > short.shape[0]
    assert wide[0, 0].tolist() == [*BACKGROUND, 0]  # rounded corner
    assert wide[..., :3].max() > 200  # bright letters
    assert text_picture(("ab", "a much longer line"), 20, True, step_px=128).shape[1] % 128 == 0


def test_any_text_makes_a_picture() -> None:
    for lines in ((), ("",), ("日本 ✓ émigré\ttab",), ("x" * 300,)):
        assert text_picture(lines, 18, True).shape[2] == 4
        assert sheet_picture((200, 60), [Tile(10, 10, 180, 40, " ".join(lines), "button")]).shape == (60, 200, 4)


def test_a_sheet_shows_what_is_chosen_and_how_much() -> None:
    plain, chosen = (sheet_picture((100, 60), [Tile(10, 10, 80, 40, "", look)]) for look in ("button", "chosen"))
    assert (plain != chosen).any(axis=-1)[10:50, 10:90].mean() > 0.9
    assert (plain == chosen).all(axis=-1)[:9].all()
    bars = [sheet_picture((100, 60), [Tile(10, 20, 80, 20, "", "bar", share)]) for share in (0.25, 0.75)]
    assert ((bars[0] != bars[1]).any(axis=-1)[30]).sum() == pytest.approx(40, abs=4)


def test_anchored_panels_stay_on_the_screen() -> None:
    eyes = place_eyes((camera((640, 360)),), Pose())
    for place in ("top-left", "top", "right", "centre", "bottom-right"):
        corner, right, up = _on_screen(PanelText(("x",), place), (200, 80), eyes[0])  # type: ignore[arg-type]
        assert -1 <= corner[0] < corner[0] + right[0] <= 1
        assert -1 <= corner[1] < corner[1] + up[1] <= 1
        assert np.isclose(right[0] * 320, 200)  # one texel is one pixel


@pytest.mark.gl
def test_textures_are_kept_by_content_and_do_not_pile_up(ctx: Any) -> None:
    panels = TextPanels(ctx)
    first = panels._texture(("one",), 18, False)
    assert panels._texture(("one",), 18, False) is first
    for i in range(200):
        panels._texture((str(i),), 18, False)
    assert len(panels._textures) <= 32
    panels.release()


@pytest.mark.gl
def test_a_board_s_texture_is_made_again_when_its_picture_changes(ctx: Any) -> None:
    panels = TextPanels(ctx)
    board = Board("menu", text_picture(("one",), 20), Pose(), 0.5)
    first = panels._board_texture(board)
    assert panels._board_texture(replace(board, pose=Pose(np.ones(3, np.float32)))) is first
    second = panels._board_texture(replace(board, pixels=text_picture(("longer",), 20)))
    assert second.size != first.size
    assert board.size_m[1] == pytest.approx(0.5 * board.pixels.shape[0] / board.pixels.shape[1])
    panels.release()
