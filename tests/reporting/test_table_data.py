"""A table as data: the texts that the page shows, and what stands behind every cell."""

from __future__ import annotations

from typing import Any

from made_up_table import DECLARATION, paper_of

from avbalance.reporting.declared_tables import read_table
from avbalance.reporting.table_data import table_data
from avbalance.reporting.tables import build_table


def data(**changes: Any) -> dict[str, Any]:
    """The small table with some keys changed, as data."""
    paper, measured = paper_of()
    return table_data(build_table(paper, read_table({**DECLARATION, **changes}, (), "tables.yaml"), measured), measured)


def test_behind_a_number_stand_its_place_clips_and_the_value_of_each_seed() -> None:
    (overall, preferred), (extra, nothing) = data()["behind"]
    assert overall["place"] == {
        "dataset": "made-up", "run": "base_line", "subset": "overall", "split": "test", "condition": "both",
        "protocol": "estimated", "checkpoint": "selected", "metric": "accuracy",
    }  # fmt: skip
    assert (overall["n"], overall["values"]) == (200, [[0, 60.0], [1, 62.0]])
    assert (preferred["place"]["subset"], preferred["n"]) == ("audio_preferred", 40)
    assert extra["values"] == [[0, 70.0]] and nothing is None


def test_of_common_seeds_the_others_do_not_stand_behind() -> None:
    assert data(common_seeds=True)["behind"][0][0]["values"] == [[0, 60.0]]


def test_texts_are_those_of_the_table() -> None:
    shown = data()
    assert (shown["number"], shown["title"]) == ("Table 9", "Accuracy & more")
    (first, small), (second, nothing) = (row["cells"] for row in shown["rows"])
    assert first == {"mean": "61.00", "spread": "1.41", "marks": "", "published": "61.50"}
    assert (small["marks"], second["spread"], nothing["mean"]) == ("†", "", "–")
