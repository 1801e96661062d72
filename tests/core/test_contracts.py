"""The records and tables that several processes and files agree on."""

import numpy as np
import pytest

from vrapp.core import maths, rng
from vrapp.core.categories import category_or_default, load_categories
from vrapp.core.clock import FixedClock
from vrapp.core.errors import InputFileError
from vrapp.core.input import (
    INPUT_DTYPE,
    Button,
    HandState,
    InputSnapshot,
    SourceKind,
    Valid,
    pack_snapshot,
    unpack_snapshot,
)
from vrapp.core.mesh import VERTEX_DTYPE
from vrapp.core.pose import Pose


def some_pose(seed: int) -> Pose:
    g = np.random.default_rng(seed)
    return Pose(g.normal(size=3).astype(np.float32), maths.normalise(g.normal(size=4)))


def test_a_snapshot_survives_its_record() -> None:
    hands = (
        HandState(some_pose(1), some_pose(2), 0.25, 0.5, (0.1, -0.2)),
        HandState(some_pose(3), some_pose(4), 1.0, 0.0, (0.0, 1.0)),
    )
    s = InputSnapshot(
        123_456_789_012, some_pose(5), hands, Button.KEEP | Button.QUIT, Valid.HEAD | Valid.RIGHT_HAND,
        SourceKind.DESKTOP, some_pose(6),
    )  # fmt: skip
    record = pack_snapshot(s)
    assert len(record) == INPUT_DTYPE.itemsize == 224
    back = unpack_snapshot(record)
    assert (back.time_ns, back.buttons, back.valid, back.source) == (s.time_ns, s.buttons, s.valid, s.source)
    np.testing.assert_array_equal(back.head.orientation, s.head.orientation)
    np.testing.assert_array_equal(back.gaze.position, s.gaze.position)
    for a, b in zip(back.hands, hands, strict=True):
        np.testing.assert_array_equal(a.aim.position, b.aim.position)
        assert (a.trigger, a.squeeze) == (b.trigger, b.squeeze)
        assert a.stick == pytest.approx(b.stick)


def test_a_short_record_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer"):
        unpack_snapshot(b"\0" * 100)


def test_the_vertex_is_24_bytes_without_padding() -> None:
    assert VERTEX_DTYPE.itemsize == 24
    assert [VERTEX_DTYPE.fields[n][1] for n in VERTEX_DTYPE.names] == [0, 12, 16, 20]


def test_random_draws_depend_on_their_key_alone() -> None:
    first = rng.generator(7, 3).random(4)
    rng.generator(7, 2).random(100)
    np.testing.assert_array_equal(first, rng.generator(7, 3).random(4))
    assert not np.array_equal(first, rng.generator(7, 4).random(4))
    assert not np.array_equal(first, rng.generator(8, 3).random(4))


def test_virtual_time_never_goes_back() -> None:
    clock = FixedClock(100)
    clock.sleep_until_ns(300)
    clock.sleep_until_ns(200)
    assert clock.now_ns() == 300


def test_a_category_of_the_users_own_has_a_size() -> None:
    own = category_or_default({}, "my_thing")
    assert own.label == "my thing"
    assert own.default


def test_a_broken_category_table_is_told(tmp_path) -> None:
    bad = tmp_path / "c.toml"
    bad.write_text('[chair]\nlabel = "chair"\n')
    with pytest.raises(InputFileError, match="chair"):
        load_categories(bad)
    with pytest.raises(InputFileError, match="cannot be read"):
        load_categories(tmp_path / "none.toml")
