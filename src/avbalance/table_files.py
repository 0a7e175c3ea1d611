"""Tables on disk: written whole or not at all, and the same bytes for the same content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flowkeeper.errors import UserError
from flowkeeper.files import atomic_path


def write_parquet(path: str | Path, frame: pd.DataFrame, schema: pa.Schema | None = None) -> None:
    """Write a frame as Parquet without its index, atomically."""
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_parquet(path: str | Path, columns: tuple[str, ...], maker: str) -> pd.DataFrame:
    """Read a Parquet file that must hold `columns`; `maker` says which step writes it. Raises UserError."""
    try:
        frame = pd.read_parquet(path)
    except (FileNotFoundError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable table ({error}); run the step that writes it: {maker}.") from error
    lacking = [column for column in columns if column not in frame.columns]
    if lacking:
        raise UserError(f"{path}: has no column {lacking[0]!r}; run the step that writes it again: {maker}.")
    return frame


def write_csv(path: str | Path, frame: pd.DataFrame) -> None:
    """Write a frame as CSV with Unix line ends and without its index, atomically."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def refuse_rows(where: str | Path, wrong: pd.Series | NDArray[np.bool_], problem: Callable[[int], str]) -> None:
    """Raise UserError for the first row that is wrong, counted from 1; problem: what to say of the row, from 0."""
    rows = np.flatnonzero(wrong)
    if rows.size:
        raise UserError(f"{where}, row {rows[0] + 1}: {problem(int(rows[0]))}.")
