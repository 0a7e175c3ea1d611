"""Published numbers, read from a paper's CSV files and keyed like our measurements; none stands in code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.analysis.subsets import canonical_subset
from avbalance.errors import UserError
from avbalance.evaluation.rows import ACCURACY, BOTH

READING_ERROR = 0.03
SEPARATOR = ", "


def load_published(folder: str | Path, specs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], float]:
    """(dataset, run, subset, metric) -> published value, all in the paper's own names; see `published_key`.

    Each spec names a file and, per key, a template over its columns, for example {file: figure2.csv,
    dataset: Balanced, run: "{method}", subset: "{subset}@{threshold_T}", value: accuracy}; metric is
    "accuracy" unless given, condition "both". A file with a column per metric has values, {column: metric},
    in place of value and metric; an empty cell is a number that the paper does not print. names: {run as
    the template gives it: our label}; a separator before an empty last column is dropped from a run. Where
    two files give one cell the earlier file counts. Files of other
    papers' numbers (context, see context.py) are left out. Raises UserError when they differ by more than
    the reading error of a drawing.
    """
    values: dict[tuple[str, ...], float] = {}
    for spec in (each for each in specs if "context" not in each):
        path = Path(folder) / str(spec["file"])
        for number, row in enumerate(_read(path).to_dict("records"), start=2):
            for key, value in _entries(path, number, {str(k): str(v) for k, v in row.items()}, spec):
                if abs(values.setdefault(key, value) - value) > READING_ERROR:
                    raise UserError(
                        f"{path}, line {number}: {value} for {key}, but an earlier file says {values[key]}."
                    )
    return values


def published_key(dataset: str, run: str, subset: str, metric: str, condition: str = BOTH) -> tuple[str, ...]:
    """Key of a published number; a condition in which a modality is missing is a fifth item."""
    key = (dataset, run, canonical_subset(subset), metric)
    return key if condition == BOTH else (*key, condition)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, comment="#", keep_default_na=False)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{path}: not a readable table of published numbers ({error}).") from error


def _entries(
    path: Path, number: int, row: dict[str, str], spec: Mapping[str, Any]
) -> list[tuple[tuple[str, ...], float]]:
    try:
        told = {key: str(spec.get(key, default)).format(**row) for key, default in _DEFAULTS.items()}
        run = told["run"].removesuffix(SEPARATOR)
        told["run"] = str(spec.get("names", {}).get(run, run))
        if "values" not in spec:
            return [(published_key(**told), float(row[str(spec["value"])]))]
        cells = {str(metric): row[str(column)] for column, metric in spec["values"].items()}
        return [(published_key(**{**told, "metric": metric}), float(text)) for metric, text in cells.items() if text]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}, line {number}: does not fit its declaration in tables.yaml ({error}).") from error


_DEFAULTS = {"dataset": "{dataset}", "run": "{method}", "subset": "{subset}", "metric": ACCURACY, "condition": BOTH}


def implied_share(values: Mapping[tuple[str, ...], float], dataset: str) -> list[float]:
    """Audio-preferred share r that each published row implies: overall = r * audio + (1 - r) * visual.

    One value per run that has all three accuracies, in the order of the file. Rows that disagree come from
    different subsets, splits or checkpoints in the paper.
    """
    runs = dict.fromkeys(key[1] for key in values if key[0] == dataset and key[3:] == (ACCURACY,))
    shares = []
    for run in runs:
        cells = [
            values.get((dataset, run, subset, ACCURACY))
            for subset in ("overall", "audio_preferred", "visual_preferred")
        ]
        overall, audio, visual = cells
        if overall is not None and audio is not None and visual is not None and audio != visual:
            shares.append((overall - visual) / (audio - visual))
    return shares
