"""Further metrics of runs that classify clips, where a paper asks for them: macro averages, scores of each modality.

Keys of a paper's `measures`: metrics, of METRICS; heads: true, for the same metrics, and the accuracy, of the
modalities' own logits, by the names <metric>_audio and <metric>_visual. Rows are about all clips (subset overall,
protocol none), one per run, seed, split, condition, checkpoint and metric.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from avbalance.analysis.relevance import Metrics, metrics
from avbalance.analysis.subsets import OVERALL
from avbalance.errors import UserError
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.predictions import logits_array, read_predictions
from avbalance.evaluation.rows import ACCURACY, NO_SUBSET, Row

METRICS = tuple(each.name for each in fields(Metrics) if each.name != ACCURACY)  # accuracy is always measured
HEADS = ("audio", "visual")
KEYS = ["split", "condition", "checkpoint"]


def rows(runs: Iterable[RunFile], measures: Mapping[str, Any]) -> Iterator[Row]:
    """Rows of what `measures` asks for; none if it asks for nothing. Raises UserError for an unknown metric."""
    wanted, heads = [str(name) for name in measures.get("metrics", ())], bool(measures.get("heads", False))
    unknown = sorted(set(wanted) - set(METRICS))
    if unknown:
        raise UserError(f"tables.yaml: measures has no metric {unknown[0]!r}; known are {', '.join(METRICS)}.")
    if wanted or heads:
        for run in runs:
            yield from _run_rows(run, wanted, heads)


def _run_rows(run: RunFile, wanted: Sequence[str], heads: bool) -> Iterator[Row]:
    frame = read_predictions(run.predictions)
    for key, part in frame.groupby(KEYS, sort=True):
        place = {
            "dataset": run.dataset, "run": run.run, "seed": run.seed, **dict(zip(KEYS, key, strict=True)),
            "subset": OVERALL, "protocol": NO_SUBSET, "n": len(part),
        }  # fmt: skip
        for metric, value in _values(part, run.predictions, wanted, heads):
            yield {**place, "metric": metric, "value": value}


def _values(part: pd.DataFrame, path: str, wanted: Sequence[str], heads: bool) -> Iterator[tuple[str, float]]:
    """Metric and value of the prediction and, if asked for, of each head that made one."""
    label = part["label"].to_numpy()
    if wanted:
        whole = metrics(label, logits_array(part["logits"], path).argmax(axis=1))
        yield from ((name, getattr(whole, name)) for name in wanted)
    made = [head for head in HEADS if heads and part[f"logits_{head}"].notna().all()]
    for head in made:
        own = metrics(label, logits_array(part[f"logits_{head}"], path).argmax(axis=1))
        yield from ((f"{name}_{head}", getattr(own, name)) for name in (ACCURACY, *wanted))
