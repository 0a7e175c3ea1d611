"""predictions.parquet: what goes in comes out, and broken files are told in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from avbalance.errors import UserError
from avbalance.evaluation.predictions import SCHEMA, read_predictions, write_predictions


def table(**changes: Any) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "id": ["a", "b"], "label": [0, 1], "split": "test", "condition": "both", "checkpoint": "selected",
        "logits": [[1.0, 2.0], [3.0, 4.0]],
    }  # fmt: skip
    return pd.DataFrame({**columns, **changes})


def test_round_trip_keeps_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, table(logits_audio=[[0.5, 0.5], [0.25, 0.75]]))
    assert pq.read_schema(path).remove_metadata().equals(SCHEMA)
    frame = read_predictions(path)
    assert frame["logits_audio"].iloc[1].tolist() == [0.25, 0.75]
    assert frame["logits_visual"].isna().all()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": ["a", "a"]}, "clip a is predicted twice"),
        ({"logits": [[1.0, 2.0], [np.nan, 1.0]]}, "logits of clip b are not finite"),
        ({"logits": [[1.0, 2.0], [1.0]]}, "logits must be equally long lists; delete"),
        ({"label": [0, 2]}, "clip b has label 2, but there are 2 classes"),
    ],
)
def test_bad_content_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        write_predictions(tmp_path / "predictions.parquet", table(**changes))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_gives_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    SCHEMA.empty_table().to_pandas().to_parquet(path)
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    assert str(caught.value) == f"{path}: holds no predictions; delete the run's folder and run it again."


def test_a_file_of_no_bytes_is_named(tmp_path: Path) -> None:
    (tmp_path / "predictions.parquet").touch()
    with pytest.raises(UserError, match=r"predictions\.parquet: not a readable table"):
        read_predictions(tmp_path / "predictions.parquet")
