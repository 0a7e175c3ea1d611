"""What networks trained elsewhere say of the clips of a pool, and the categories that two of them have in common.

A network's answers are read from a file, whatever made it: a row per clip and label with the columns COLUMNS, of all
labels or of the most probable ones. Xia et al. 2023, section 4.1 ask SlowFast (Kinetics-400) about pictures and a
VGGish network (VGG-Sound) about sound, and join the labels of both to 30 categories.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from avbalance.errors import UserError

COLUMNS = ("id", "label", "probability")
MODALITIES = ("audio", "visual")
SLACK = 1e-3  # by which probabilities may miss a sum of one: files hold a few digits

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Categories:
    """names (C,); members: modality -> (L, C), 1 where a label of that modality's network belongs to a category."""

    names: list[str]
    members: dict[str, Floats]

    def integrated(self, scores: Mapping[str, Floats]) -> dict[str, Floats]:
        """Modality -> (N, C) from (N, L): the probability of a category is the sum over its labels."""
        return {modality: values @ self.members[modality] for modality, values in scores.items()}


def read_categories(path: str | Path, labels: Mapping[str, Sequence[str]]) -> Categories:
    """Read a table of categories: category -> {audio: [label, ...], visual: [label, ...]}.

    labels: modality -> all labels of its network; a label of the table that ends in * stands for all that begin so.
    Raises UserError, naming the category, for a label that the network lacks or that belongs to two categories, and for
    a category without a label in one of the modalities.
    """
    path = Path(path)
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such table of categories; copy the one of balanced-audiovisual.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML ({error}); mend the file.") from error
    if not isinstance(table, dict) or not table:
        raise UserError(f"{path}: holds no categories; write category: {{audio: [...], visual: [...]}}.")
    members = {modality: np.zeros((len(labels[modality]), len(table))) for modality in MODALITIES}
    for column, (category, entry) in enumerate(table.items()):
        for modality in MODALITIES:
            named = entry.get(modality) if isinstance(entry, dict) else None
            if not isinstance(named, list) or not named:
                raise UserError(f"{path}: {category} names no label of {modality}; list at least one.")
            rows = [row for name in named for row in _rows(name, labels[modality], f"{path}: {category}, {modality}")]
            members[modality][rows, column] = 1.0
    for modality, matrix in members.items():
        twice = np.flatnonzero(matrix.sum(axis=1) > 1)
        if twice.size:
            raise UserError(
                f"{path}: {labels[modality][twice[0]]!r} of {modality} belongs to two categories; keep it in one."
            )
    return Categories(list(table), members)


def _rows(name: Any, labels: Sequence[str], where: str) -> list[int]:
    """Places of one label, or of all that begin as it says."""
    text = str(name)
    found = [
        row for row, each in enumerate(labels) if each == text or (text.endswith("*") and each.startswith(text[:-1]))
    ]
    if not found:
        raise UserError(f"{where}: the network has no label {text!r}{_nearest(text, labels)}.")
    return found


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}" if near else ""


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
        lambda row: f"the network has no label {frame['label'][row]!r}{_nearest(str(frame['label'][row]), labels)}",
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
