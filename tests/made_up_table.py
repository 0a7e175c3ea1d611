"""A small table of a made-up paper, and its measurements."""

from __future__ import annotations

from typing import Any

import pandas as pd

from avbalance.evaluation.paper import DatasetInfo, Paper
from avbalance.reporting.cells import MeasuredCells

DECLARATION: dict[str, Any] = {
    "id": "table9",
    "title": "Table 9. Accuracy & more",
    "rows": [{"key": "run", "name": "method", "title": "Method", "values": ["base_line", "extra"]}],
    "columns": [
        {"key": "dataset", "values": ["set"]},
        {"key": "subset", "values": [{"value": "overall", "label": "Overall"}, "audio_preferred"]},
    ],
}


def measurement(run: str, subset: str, seed: int, value: float, n: int) -> dict[str, Any]:
    fixed = {"split": "test", "condition": "both", "protocol": "estimated", "checkpoint": "selected"}
    own = {"run": run, "seed": seed, "subset": subset, "value": value, "n": n}
    return {"dataset": "made-up", "metric": "accuracy", **fixed, **own}


def paper_of() -> tuple[Paper, MeasuredCells]:
    """A paper with one data set and two runs, of which one has a published number."""
    paper = Paper(
        "slug", "title", "", {"set": DatasetInfo("set", "A<B>", "made-up", "stand-in for A|B")},
        {"base_line": "Base_line", "extra": "50% more"}, (),
        ({"what": "all cut", "reason": "no time"}, {"what": "elsewhere", "reason": "-", "tables": ["table1"]}),
    )  # fmt: skip
    rows = [
        measurement("base_line", "overall", 0, 60.0, 200),
        measurement("base_line", "overall", 1, 62.0, 200),
        measurement("base_line", "audio_preferred", 0, 50.0, 40),
        measurement("extra", "overall", 0, 70.0, 200),
    ]
    return paper, MeasuredCells(paper, pd.DataFrame(rows), {("A<B>", "Base_line", "overall", "accuracy"): 61.5})
