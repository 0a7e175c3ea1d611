"""The one file that a finished run leaves for everything after training: predictions.parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.table_files import read_parquet, write_parquet

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.int16()),
        ("split", pa.string()),
        ("condition", pa.string()),
        ("checkpoint", pa.string()),
        ("logits", pa.list_(pa.float32())),
        ("logits_audio", pa.list_(pa.float32())),
        ("logits_visual", pa.list_(pa.float32())),
    ]
)
KEY = ["id", "split", "condition", "checkpoint"]


def write_predictions(path: str | Path, frame: pd.DataFrame) -> None:
    """Validate and write predictions; logits_audio and logits_visual may be absent (written as null)."""
    whole = frame.copy()
    for column in ("logits_audio", "logits_visual"):
        if column not in whole.columns:
            whole[column] = None
    validate_predictions(whole, path)
    write_parquet(path, whole[SCHEMA.names], SCHEMA)


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read and validate predictions; raises UserError for files that are absent, broken or empty."""
    frame = read_parquet(path, tuple(SCHEMA.names), "train")
    validate_predictions(frame, path)
    return frame


def validate_predictions(frame: pd.DataFrame, path: str | Path) -> None:
    """Raise UserError for no rows, a clip twice, logits missing or not finite, labels out of range."""
    remedy = "delete the run's folder and run it again"
    lacking = [name for name in SCHEMA.names if name not in frame.columns]
    if lacking:
        raise UserError(f"{path}: has no column {lacking[0]!r}; {remedy}.")
    if frame.empty:
        raise UserError(f"{path}: holds no predictions; {remedy}.")
    twice = frame.duplicated(KEY)
    if twice.any():
        raise UserError(f"{path}: clip {frame.loc[twice, 'id'].iloc[0]} is predicted twice; {remedy}.")
    logits = logits_array(frame["logits"], path)
    broken = ~np.isfinite(logits).all(axis=1)
    if broken.any():
        raise UserError(f"{path}: clip {frame['id'].to_numpy()[broken][0]} has logits that are not finite; {remedy}.")
    labels = frame["label"].to_numpy()
    outside = (labels < 0) | (labels >= logits.shape[1])
    if outside.any():
        first = frame.loc[outside, ["id", "label"]].iloc[0]
        raise UserError(
            f"{path}: clip {first['id']} has label {first['label']}, but there are {logits.shape[1]} classes."
        )


def logits_array(column: pd.Series, path: str | Path = "predictions") -> NDArray[np.float64]:
    """A column of equally long lists as an array (N, C) in float64; raises UserError where they are not."""
    rows: list[Any] = column.to_list()
    if any(row is None or np.ndim(row) != 1 for row in rows) or len({len(row) for row in rows}) > 1:
        raise UserError(f"{path}: the logits are not equally long lists; delete the run's folder and run it again.")
    return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)
