"""Files of scores: SPEC section 8, step 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avbalance.balancing.scores import read_scores
from avbalance.errors import UserError

LABELS = ["barking", "meowing", "rain"]


def written(path: Path, rows: list[tuple[object, object, object]]) -> Path:
    pd.DataFrame(rows, columns=["id", "label", "probability"]).to_csv(path, index=False)
    return path


def test_scores_are_read_by_clip_and_label_and_the_most_probable_ones_are_enough(tmp_path: Path) -> None:
    rows = [
        ("b", "rain", 0.5),
        ("a", "barking", 0.7),
        ("a", "meowing", 0.2),
        ("a", "rain", 0.1),
        ("other", "rain", 1.0),
    ]
    scores = read_scores(written(tmp_path / "scores.csv", rows), ["a", "b"], LABELS)
    assert scores.tolist() == [[0.7, 0.2, 0.1], [0.0, 0.0, 0.5]]
    pd.DataFrame(rows, columns=["id", "label", "probability"]).to_parquet(tmp_path / "scores.parquet")
    assert np.array_equal(read_scores(tmp_path / "scores.parquet", ["a", "b"], LABELS), scores)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("a", "barkin", 0.5)], r"row 1: the network has no label 'barkin'; did you mean 'barking'\.$"),
        ([("a", "rain", 0.5), ("a", "barking", 1.5)], r"row 2: probability '1\.5' is none"),
        ([("a", "rain", "much")], r"row 1: probability 'much' is none"),
        ([("a", "rain", 0.5), ("a", "rain", 0.5)], r"row 2: clip a has the label 'rain' a second time"),
        ([("b", "rain", 0.5)], r"has no score for 1 of 1 clips, the first is a"),
        ([("a", "rain", 0.9), ("a", "barking", 0.9)], r"the probabilities of clip a sum to 1\.8000, not to one"),
        ([("a", name, 0.1) for name in LABELS], r"the probabilities of clip a sum to 0\.3000, not to one"),
    ],
)
def test_wrong_scores_are_told_with_file_and_row(
    tmp_path: Path, rows: list[tuple[object, object, object]], told: str
) -> None:
    with pytest.raises(UserError, match=told) as caught:
        read_scores(written(tmp_path / "scores.csv", rows), ["a"], LABELS)
    assert str(tmp_path / "scores.csv") in str(caught.value)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file of scores"):
        read_scores(tmp_path / "absent.csv", ["a"], LABELS)
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match="not readable as a table"):
        read_scores(tmp_path / "bad.parquet", ["a"], LABELS)
    (tmp_path / "short.csv").write_text("id,label\na,rain\n")
    with pytest.raises(UserError, match="no column 'probability'"):
        read_scores(tmp_path / "short.csv", ["a"], LABELS)
