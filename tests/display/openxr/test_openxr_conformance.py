"""The headset passes what every display passes."""

from collections.abc import Iterator

import pytest
from sim_visit import Start
from test_display_conformance import (  # noqa: F401
    test_a_frame_ends_even_when_drawing_fails,
    test_boards_are_shown_or_left_to_the_picture,
    test_closing_twice_is_safe,
    test_frames_rise_strictly,
    test_it_is_a_display,
    test_no_index_restarts_a_primitive,
    test_views_match_size_and_count,
    test_what_is_drawn_can_be_read_back,
)
from test_source_conformance import test_snapshots_are_whole  # noqa: F401

from vrapp.core.display import Display
from vrapp.core.input import InputSource


@pytest.fixture
def display(context_kind: str, start: Start) -> Display:
    visit = start()
    visit.frames(4)
    return visit.display


@pytest.fixture
def source(context_kind: str, start: Start) -> Iterator[InputSource]:
    visit = start()
    visit.frames(4)
    visit.display.begin_frame()
    yield visit.display.input()
    visit.display.end_frame()
