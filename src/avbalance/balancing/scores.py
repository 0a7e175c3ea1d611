"""What networks trained elsewhere say of the clips of a pool.

A network's answers are read from a file, whatever made it: a row per clip and label with the columns COLUMNS, of all
labels or of the most probable ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avbalance.data.categories import Floats
from avbalance.declared import nearest
from avbalance.errors import UserError

COLUMNS = ("id", "label", "probability")
SLACK = 1e-3  # by which probabilities may miss a sum of one: files hold a few digits


def read_scores(path: str | Path, ids: Sequence[str], labels: Sequence[str]) -> Floats:
    """Probabilities (N, L) of the labels for the clips `ids`; 0 for labels that a file of the most probable ones omits.

    Rows of other clips are passed over. Raises UserError, naming file, row (counted from 1) and fix, for a file that
    cannot be read, an unknown label, a clip and label that stand twice, a probability that is none, a clip without
    scores, and probabilities whose sum is above one, or, of all labels, not one.
    """
    path = Path(path)
    frame = _read(path)
    place = {label: position for position, label in enumerate(labels)}
    columns = frame["label"].map(place)
    _refuse(
        path,
        columns.isna(),
        lambda row: f"the network has no label {frame['label'][row]!r}{nearest(str(frame['label'][row]), labels)}",
    )
    values = pd.to_numeric(frame["probability"], errors="coerce")
    _refuse(
        path,
        ~values.between(0, 1),
        lambda row: f"probability {str(frame['probability'][row])!r} is none; write softmax values within 0 and 1",
    )
    _refuse(
        path,
        frame.duplicated(["id", "label"]),
        lambda row: f"clip {frame['id'][row]} has the label {frame['label'][row]!r} a second time; remove one row",
    )
    rows = frame["id"].map({clip: position for position, clip in enumerate(ids)})
    wanted = rows.notna().to_numpy()
    scores = np.zeros((len(ids), len(labels)))
    scores[rows[wanted].astype(int), columns[wanted].astype(int)] = values[wanted]
    counts = np.bincount(rows[wanted].astype(int), minlength=len(ids))
    if (counts == 0).any():
        lost = np.flatnonzero(counts == 0)
        raise UserError(
            f"{path}: has no score for {len(lost)} of {len(ids)} clips, the first is {ids[lost[0]]}; score them, or "
            "leave them out of the pool."
        )
    sums = scores.sum(axis=1)
    wrong = np.flatnonzero((sums > 1 + SLACK) | ((counts == len(labels)) & (sums < 1 - SLACK)))
    if wrong.size:
        raise UserError(
            f"{path}: the probabilities of clip {ids[wrong[0]]} sum to {sums[wrong[0]]:.4f}, not to one; write what "
            "comes after the softmax over all labels."
        )
    return scores


def _read(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path, dtype={"id": str, "label": str}) if path.suffix == ".csv" else pd.read_parquet(path)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file of scores; let the network score the clips, or mend the path."
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as a table ({error}); write it as csv or Parquet.") from error
    lacking = [name for name in COLUMNS if name not in frame]
    if lacking:
        raise UserError(f"{path}: has no column {lacking[0]!r}; scores have {', '.join(COLUMNS)}.")
    return frame.reset_index(drop=True)


def _refuse(path: Path, wrong: pd.Series, told: Any) -> None:
    """Raise UserError for the first row that is wrong."""
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise UserError(f"{path}, row {row + 1}: {told(row)}.")
