"""Use of each modality from predictions that were made up, and choices as tables print them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.predictions import write_predictions
from avbalance.papers.comparison.sources.choices import _texts
from avbalance.papers.comparison.sources.utilisation import _values

# of four clips of two classes, how many are told right under each condition; chance is 50 %
RIGHT = {"both": 4, "given-audio": 3, "given-visual": 2, "additive": 3}


def predicted(folder: Path, right: dict[str, int]) -> RunFile:
    frames = [
        pd.DataFrame(
            {
                "id": list("abcd"), "label": [0, 1, 0, 1], "split": "test", "condition": condition,
                "checkpoint": "selected",
                "logits": [[1.0, 0.0] if (label == 0) == (place < count) else [0.0, 1.0]
                           for place, label in enumerate([0, 1, 0, 1])],
            }
        )
        for condition, count in right.items()
    ]  # fmt: skip
    path = folder / "predictions.parquet"
    write_predictions(path, pd.concat(frames, ignore_index=True))
    return RunFile("run", "Run", "d", 0, str(path))


def test_use_of_modalities_by_hand(tmp_path: Path) -> None:
    # sound: ((75 - 50) + (100 - 50)) / 2, pictures: ((50 - 50) + (100 - 75)) / 2; their sum is 100 - 50
    found = _values(predicted(tmp_path, RIGHT))
    assert found == pytest.approx({"audio": 37.5, "visual": 12.5, "interaction": 25.0})


def test_a_network_that_was_not_asked_has_no_numbers(tmp_path: Path) -> None:
    assert _values(predicted(tmp_path, {"both": 4})) == {}


def test_choices_as_they_are_printed() -> None:
    tried = [
        {"run": name, "seed": 100, "tried": {"method.lambda_gap": gap, "protocol.learning_rate": rate}, "score": score}
        for name, gap, rate, score in (("a", 0.1, 0.05, 61.25), ("b", 1.0, 0.02, 70.0))
    ]
    assert _texts({"metric": "accuracy", "candidates": tried, "chosen": "b"}) == {
        "trials": "2", "trial 1": "rate 0.05, lambda gap 0.1: 61.2", "trial 2": "rate 0.02, lambda gap 1.0: 70.0",
        "chosen": "rate 0.02, lambda gap 1.0",
    }  # fmt: skip
