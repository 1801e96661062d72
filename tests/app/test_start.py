"""A world that nothing can populate says so."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from vrapp.app.start import Start


class Refusing:
    """A start set of which the gate lets nothing through."""

    is_done = True

    def __init__(self, *_: object) -> None:
        self.asked = 0

    def update(self, frame_index: int) -> list[object]:
        return []


@pytest.mark.parametrize("fixed", [True, False])
def test_weights_whose_draws_are_all_refused_are_told(
    fixed: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vrapp.app.start.startset.StartSetBuilder", Refusing)
    manager: Any = SimpleNamespace(start_requests=list, populate_from=lambda objects, *_, **__: None)
    start = Start(SimpleNamespace(weights_hash="0"), manager, 7)  # type: ignore[arg-type]
    monkeypatch.setattr(logging.getLogger("vrapp"), "handlers", [])  # those of runs in other tests
    with caplog.at_level(logging.WARNING):
        if fixed:
            start.complete(lambda made, total: None)
        else:
            start.update(0, 0)
    assert start.done
    assert [record.message for record in caplog.records] == [
        "The quality gate lets nothing through of what these weights draw, so the world is empty: train longer."
    ]
