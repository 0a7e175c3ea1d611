"""Rows of measurements.parquet that say whether each run has learned and converged, from the records of the runs.

Metrics: learned and converged (1 or 0), late_rise (points), final_loss and guess_loss (nats), margin and margin_error
(points over guessing), selected_share (of the schedule). They are of the validation part: split "val", condition,
protocol and checkpoint "none". A run whose record does not tell has no such rows. Runs that are scored by others under
cross-fitting rest on these: protocol "cross-fitted" has the worse verdict of the two halves. See analysis/learning.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from avbalance.analysis.learning import QUANTITIES, VERDICTS
from avbalance.analysis.subsets import OVERALL
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.rows import CROSS_FITTED, NO_SUBSET, Row
from avbalance.provenance.run_record import RECORD
from flowkeeper.files import read_json

if TYPE_CHECKING:
    from avbalance.evaluation.measure import Measures


def rows(runs: Iterable[RunFile], measures: Measures) -> Iterator[Row]:
    """Rows of the runs on one data set."""
    own = [row for run in runs for row in _run_rows(run)]
    yield from own
    yield from _cross_fitted(own, measures)


def _run_rows(run: RunFile) -> Iterator[Row]:
    path = run.beside(RECORD)
    block: dict[str, Any] = (read_json(path).get("learning") if path.is_file() else None) or {}
    for metric in (*VERDICTS, *QUANTITIES):
        value = block.get(metric)
        if value is not None:
            yield {
                "dataset": run.dataset, "run": run.run, "seed": run.seed, "split": "val", "subset": OVERALL,
                "condition": "none", "protocol": NO_SUBSET, "checkpoint": "none", "metric": metric,
                "value": float(value), "n": int(block.get("validation_clips", 0)),
            }  # fmt: skip


def _cross_fitted(own: Sequence[Row], measures: Measures) -> Iterator[Row]:
    """The worse verdict of the two runs that stand in for another, seed by seed."""
    verdicts = {(row["run"], row["seed"], row["metric"]): row for row in own if row["metric"] in VERDICTS}
    for run, pair in measures.cross_fitted.items():
        for (name, seed, metric), row in verdicts.items():
            other = verdicts.get((pair.b, seed, metric))
            if name == pair.a and other is not None:
                yield {**row, "run": run, "protocol": CROSS_FITTED, "value": min(row["value"], other["value"])}
