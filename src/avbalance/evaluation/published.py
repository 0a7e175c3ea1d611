"""Published numbers, read from a paper's CSV files and keyed like our measurements; none stands in code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.analysis.subsets import canonical_subset
from avbalance.errors import UserError

KEYS = ("dataset", "run", "subset", "metric")
READING_ERROR = 0.03
SEPARATOR = ", "


def load_published(folder: str | Path, specs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ...], float]:
    """(dataset, run, subset, metric) -> published value, all in the paper's own names.

    Each spec names a file and, per key, a template over its columns, for example {file: figure2.csv,
    dataset: Balanced, run: "{method}", subset: "{subset}@{threshold_T}", value: accuracy}; metric is
    "accuracy" unless given. A file with a column per metric has values, {column: metric}, in place of value
    and metric; an empty cell is a number that the paper does not print. names: {run as the template gives
    it: our label}; a separator before an empty last column is dropped from a run. Where two files give one
    cell the earlier file counts. Raises UserError when they differ by more than the reading error of a
    drawing.
    """
    values: dict[tuple[str, ...], float] = {}
    for spec in specs:
        path = Path(folder) / str(spec["file"])
        for number, row in enumerate(_read(path).to_dict("records"), start=2):
            for key, value in _entries(path, number, {str(k): str(v) for k, v in row.items()}, spec):
                if abs(values.setdefault(key, value) - value) > READING_ERROR:
                    raise UserError(
                        f"{path}, line {number}: {value} for {key}, but an earlier file says {values[key]}."
                    )
    return values


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, comment="#", keep_default_na=False)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"{path}: not a readable table of published numbers ({error}).") from error


def _entries(
    path: Path, number: int, row: dict[str, str], spec: Mapping[str, Any]
) -> list[tuple[tuple[str, ...], float]]:
    try:
        dataset, run, subset, metric = (str(spec.get(key, default)).format(**row) for key, default in _DEFAULTS.items())
        run = run.removesuffix(SEPARATOR)
        key = (dataset, str(spec.get("names", {}).get(run, run)), canonical_subset(subset))
        if "values" not in spec:
            return [((*key, metric), float(row[str(spec["value"])]))]
        cells = {str(metric): row[str(column)] for column, metric in spec["values"].items()}
        return [((*key, metric), float(text)) for metric, text in cells.items() if text]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path}, line {number}: does not fit its declaration in tables.yaml ({error}).") from error


_DEFAULTS = {"dataset": "{dataset}", "run": "{method}", "subset": "{subset}", "metric": "accuracy"}


def implied_share(values: Mapping[tuple[str, ...], float], dataset: str) -> list[float]:
    """Audio-preferred share r that each published row implies: overall = r * audio + (1 - r) * visual.

    One value per run that has all three accuracies, in the order of the file. Rows that disagree come from
    different subsets, splits or checkpoints in the paper.
    """
    runs = dict.fromkeys(run for data, run, _, metric in values if data == dataset and metric == "accuracy")
    shares = []
    for run in runs:
        cells = [
            values.get((dataset, run, subset, "accuracy"))
            for subset in ("overall", "audio_preferred", "visual_preferred")
        ]
        overall, audio, visual = cells
        if overall is not None and audio is not None and visual is not None and audio != visual:
            shares.append((overall - visual) / (audio - visual))
    return shares
