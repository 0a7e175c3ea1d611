"""Categories that the labels of two data sets, or of networks trained on them, have in common.

Xia et al. 2023, section 4.1 join labels of VGG-Sound (sound) and of Kinetics-400 (pictures) to 30 categories. A table
of them is YAML: category -> {audio: [label, ...], visual: [label, ...]}; a label that ends in * stands for all that
begin so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from avbalance.data import MODALITIES
from avbalance.declared import nearest
from avbalance.errors import UserError

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
    """Read a table of categories; labels: modality -> all labels of its network.

    Raises UserError, naming the category, for a label that the network lacks or that belongs to two categories, and for
    a category without a label in one of the modalities.
    """
    path = Path(path)
    table = _read_table(path)
    members = {modality: np.zeros((len(labels[modality]), len(table))) for modality in MODALITIES}
    for column, category in enumerate(table):
        for modality in MODALITIES:
            members[modality][_rows(path, table, category, modality, labels[modality]), column] = 1.0
    for modality, matrix in members.items():
        twice = np.flatnonzero(matrix.sum(axis=1) > 1)
        if twice.size:
            raise UserError(
                f"{path}: {labels[modality][twice[0]]!r} of {modality} belongs to two categories; keep it in one."
            )
    return Categories(list(table), members)


def labels_of_categories(path: str | Path, modality: str, labels: Sequence[str]) -> list[str]:
    """Those of a modality's `labels` that belong to a category, in their own order; raises as `read_categories`."""
    path = Path(path)
    table = _read_table(path)
    chosen = {row for category in table for row in _rows(path, table, category, modality, labels)}
    return [labels[row] for row in sorted(chosen)]


def _read_table(path: Path) -> dict[str, Any]:
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such table of categories; copy the one of balanced-audiovisual.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML ({error}); fix the file.") from error
    if not isinstance(table, dict) or not table:
        raise UserError(f"{path}: holds no categories; write category: {{audio: [...], visual: [...]}}.")
    return table


def _rows(path: Path, table: Mapping[str, Any], category: str, modality: str, labels: Sequence[str]) -> list[int]:
    """Places of a category's labels among those of the modality's network."""
    entry = table[category]
    named = entry.get(modality) if isinstance(entry, dict) else None
    if not isinstance(named, list) or not named:
        raise UserError(f"{path}: {category} names no label of {modality}; list at least one.")
    rows: list[int] = []
    for text in map(str, named):
        start = text[:-1] if text.endswith("*") else None
        matching = [
            row for row, each in enumerate(labels) if each == text or (start is not None and each.startswith(start))
        ]
        if not matching:
            raise UserError(
                f"{path}: {category}, {modality}: the network has no label {text!r}{nearest(text, labels)}."
            )
        rows += matching
    return rows
