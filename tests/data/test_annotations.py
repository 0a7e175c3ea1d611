"""What readers of published lists share: oddities told and counted, events as text."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from avbalance.data import annotations
from avbalance.data.annotations import Oddity


def test_runs_of_active_seconds_become_events() -> None:
    active = np.array([[0, 1, 1, 0, 0, 0, 0, 0, 0, 1], [1] * 10, [0] * 10], dtype=bool)
    events = json.loads(annotations.events_text(active, ["x", "y", "z"]))
    assert events == [["x", 1, 3], ["x", 9, 10], ["y", 0, 10]]


def test_oddities_are_logged_with_their_rows_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    odd = [Oddity("f.csv", row, "duplicate", f"row {row} again") for row in range(2, 32)]
    with caplog.at_level(logging.WARNING):
        counts = annotations.tell_oddities(
            [*odd, Oddity("g.csv", 7, "duplicate", "w"), Oddity("g.csv", 9, "empty", "e")]
        )
    assert counts == {"duplicate": 31, "empty": 1}
    assert len(caplog.messages) == 3
    assert caplog.messages[0].startswith("f.csv: duplicate in 30 rows (2, 3,") and "..." in caplog.messages[0]
    assert "g.csv: empty in 1 rows (9)" in caplog.messages[2]
