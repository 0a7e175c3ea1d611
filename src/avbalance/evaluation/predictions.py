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

PREDICTIONS = "predictions.parquet"
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
KEY = ["id", "split", "condition", "checkpoint"]  # of every task


def write_predictions(path: str | Path, frame: pd.DataFrame) -> None:
    """Validate and write predictions; logits_audio and logits_visual may be absent (written as null)."""
    absent = [name for name in ("logits_audio", "logits_visual") if name not in frame.columns]
    whole = frame.assign(**dict.fromkeys(absent))
    _validate(whole, path)
    write_parquet(path, whole[SCHEMA.names], SCHEMA)


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read and validate predictions; raises UserError for files that are absent, broken or empty."""
    frame = read_parquet(path, tuple(SCHEMA.names), "train")
    _validate(frame, path)
    return frame


def _validate(frame: pd.DataFrame, path: str | Path) -> None:
    """Raise UserError for no rows, a clip twice, logits missing or not finite, labels out of range."""
    check_rows(frame, path)
    classes, labels = matrix(frame, "logits", path).shape[1], frame["label"].to_numpy()
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        first = frame.loc[outside, ["id", "label"]].iloc[0]
        raise UserError(f"{path}: clip {first['id']} has label {first['label']}, but there are {classes} classes.")


def check_rows(frame: pd.DataFrame, path: str | Path) -> None:
    """Raise UserError unless there are rows, each of another clip, part, condition or checkpoint."""
    if frame.empty:
        raise malformed(path, "holds no predictions")
    for name in KEY:
        if frame[name].isna().any():
            raise malformed(path, f"the column {name} is not whole")
    twice = frame.duplicated(KEY)
    if twice.any():
        raise malformed(path, f"clip {frame.loc[twice, 'id'].iloc[0]} is predicted twice")


def matrix(frame: pd.DataFrame, name: str, path: str | Path, width: int | None = None) -> NDArray[Any]:
    """A column of equally long lists (of `width` numbers) as an array (N, width); raises UserError where they are not.

    And, naming the first clip, for numbers that are not finite.
    """
    rows: list[Any] = frame[name].to_list()
    lengths = {len(row) if np.ndim(row) == 1 else None for row in rows}
    if None in lengths or len(lengths) > 1 or (width is not None and lengths != {width}):
        raise malformed(path, f"{name} must be equally long lists" + (f" of {width} numbers" if width else ""))
    values = np.array(rows).reshape(len(rows), -1)
    broken = ~np.isfinite(values).all(axis=1)
    if broken.any():
        raise malformed(path, f"{name} of clip {frame['id'].to_numpy()[broken][0]} are not finite")
    return values


def malformed(path: str | Path, what: str) -> UserError:
    """What is wrong with a file of predictions, and what helps."""
    return UserError(f"{path}: {what}; delete the run's folder and run it again.")
