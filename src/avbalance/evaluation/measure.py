"""Accuracies of every run on every subset under every definition, as one tidy table.

Subset definitions (column protocol): "estimated" (the paper's own rule, subsets by the seed-0 unimodal
models), "cross-fitted" (subsets by unimodal models of one half of the training set, unimodal scores by
those of the other half, and the reverse, averaged), "planted" (by the generator's truth), "annotated" (by
what people heard and saw; overall is then of the clips that have an answer), "seed-matched" (each seed by
its own unimodal models), "none" (overall accuracy, no subset involved). Xia et al. 2023, sections 2.2 and
5.2.

Runs of the tasks parsing and localisation have rows of their own, see measure_parsing.py. Where a paper asks for more
than accuracies, measure_metrics.py adds them; measure_learning.py, whether each run has learned and converged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.subsets import (
    ANNOTATIONS,
    OVERALL,
    TIE,
    check_nested,
    read_subsets,
    subset_mask,
    subset_names,
)
from avbalance.errors import UserError
from avbalance.evaluation import measure_learning, measure_metrics, measure_parsing
from avbalance.evaluation.paper import Paper, RunFile
from avbalance.evaluation.parsing_predictions import CLASSIFICATION, kind_of
from avbalance.evaluation.rows import ACCURACY, CHANCE, NO_SUBSET, Row, majority
from avbalance.evaluation.scores import (
    CROSS_FITTED,
    HALVES,
    SEED_MATCHED,
    Key,
    Scores,
    auxiliary_runs,
    load_scores,
    scorer,
)
from avbalance.frames import read_parquet, write_parquet

GROUP = ["dataset", "run", "seed", "split", "condition", "protocol", "checkpoint", "metric"]
COLUMNS = (
    "dataset", "run", "seed", "split", "subset", "condition", "protocol", "checkpoint", "metric", "value", "n"
)  # fmt: skip


def measure(paper: Paper, measures: Mapping[str, Any], out: str | Path) -> None:
    """Write measurements.parquet of a paper (columns COLUMNS; value in percent, n = clips in the cell).

    measures: thresholds (list of T), cross_fitted (run -> {a: run, b: run}), ensembles (name -> member
    runs), metrics and heads (see measure_metrics.py). A subset without clips has no row. For cross-fitted
    rows n is the smaller of the two subsets. One row per data set, labelling and split, metric "chance",
    holds the share of its most frequent label. The accuracy identity (overall = sum over subsets) is
    asserted on integer counts before anything is written.
    """
    subsets = paper.subsets()
    rows: list[Row] = []
    for data in dict.fromkeys(run.dataset for run in paper.runs):
        runs: dict[str, list[RunFile]] = {}
        for run in paper.runs_on(data):
            runs.setdefault(kind_of(run.predictions), []).append(run)
        if classified := runs.pop(CLASSIFICATION, []):
            rows.extend(_classification_rows(classified, subsets.get(data), measures))
        for kind, own in runs.items():
            rows.extend(measure_parsing.rows(kind, own))
        rows.extend(measure_learning.rows(paper.runs_on(data), measures))
    if not rows:
        raise UserError(f"{paper.slug}: no run has predictions to measure; train first.")
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame = pd.concat([frame, _cross_fitted_means(frame)], ignore_index=True)
    frame = frame.sort_values(["dataset", "run", "seed", *COLUMNS[3:9]], ignore_index=True)
    assert_identity(frame)
    write_parquet(out, frame.astype({"seed": "int64", "value": "float64", "n": "int64"}))


def read_measurements(path: str | Path) -> pd.DataFrame:
    """Read measurements.parquet and assert the accuracy identity again."""
    frame = read_parquet(path, COLUMNS, "measure")
    assert_identity(frame)
    return frame


def _classification_rows(runs: list[RunFile], subsets: str | None, measures: Mapping[str, Any]) -> Iterable[Row]:
    """Rows of the runs on one data set, on its subsets too where it has a file of them."""
    scores = load_scores(runs, ("val", "test"))
    for split in ("val", "test"):
        yield from _chance_rows(scores[split])
        yield from _overall_rows(scores[split])
    if subsets is not None:
        yield from _subset_rows(scores["test"], subsets, measures)
    yield from measure_metrics.rows(runs, measures)


def _chance_rows(scores: Scores) -> Iterable[Row]:
    """What naming the most frequent label alone would score, in percent; nothing for a split without clips."""
    for labelling, labels in scores.labels.items():
        n = len(labels)
        value = 100.0 * int(np.unique(labels, return_counts=True)[1].max()) / n
        yield {
            "dataset": scores.dataset, "run": majority(labelling), "seed": 0, "split": scores.split,
            "subset": OVERALL, "condition": "none", "protocol": NO_SUBSET, "checkpoint": "none",
            "metric": CHANCE, "value": value, "n": n,
        }  # fmt: skip


def _overall_rows(scores: Scores) -> Iterable[Row]:
    everything = np.ones(len(scores.ids), dtype=bool)
    for key, correct in scores.correct.items():
        yield _row(scores, key, key.run, NO_SUBSET, OVERALL, correct, everything)


def _subset_rows(scores: Scores, path: str, measures: Mapping[str, Any]) -> Iterable[Row]:
    thresholds = [float(value) for value in measures.get("thresholds", (0.0,))]
    skipped = auxiliary_runs(measures)
    for definition, frame in read_subsets(path).items():
        discrepancy = aligned_discrepancy(scores, definition, frame, path)
        check_nested(discrepancy, thresholds)
        names = subset_names([] if definition == ANNOTATIONS else thresholds)
        masks = {name: subset_mask(discrepancy, name) for name in names}
        for run in (run for run in scores.runs() if run not in skipped):
            for key in _keys(scores, scorer(run, definition, measures), definition):
                for name, mask in masks.items():
                    if mask.any():
                        yield _row(scores, key, run, protocol_of(definition), name, scores.correct[key], mask)


def aligned_discrepancy(scores: Scores, definition: str, frame: pd.DataFrame, path: str) -> NDArray[np.float64]:
    """Discrepancies (N,) in the order of the scores' ids; raises UserError when they cover other clips."""
    if not np.array_equal(frame["id"].to_numpy().astype(str), scores.ids):
        raise UserError(f"{path}: {definition} covers other test clips than the predictions; make the subsets again.")
    return frame["discrepancy"].to_numpy(dtype=np.float64)


def _keys(scores: Scores, run: str, definition: str) -> list[Key]:
    keys = [key for key in scores.correct if key.run == run]
    prefix, _, seed = definition.rpartition("-")
    return [key for key in keys if key.seed == int(seed)] if prefix == SEED_MATCHED else keys


def protocol_of(definition: str) -> str:
    """The protocol under which a definition is reported: seed-matched-<k> all share one."""
    return SEED_MATCHED if definition.startswith(f"{SEED_MATCHED}-") else definition


def _row(
    scores: Scores,
    key: Key,
    run: str,
    protocol: str,
    subset: str,
    correct: NDArray[np.bool_],
    mask: NDArray[np.bool_],
) -> Row:
    n = int(mask.sum())
    return {
        "dataset": scores.dataset, "run": run, "seed": key.seed, "split": scores.split, "subset": subset,
        "condition": key.condition, "protocol": protocol, "checkpoint": key.checkpoint, "metric": ACCURACY,
        "value": 100.0 * int(correct[mask].sum()) / n, "n": n,
    }  # fmt: skip


def _cross_fitted_means(frame: pd.DataFrame) -> pd.DataFrame:
    halves = frame[frame["protocol"].isin(list(HALVES))]
    keys = [name for name in COLUMNS if name not in ("protocol", "value", "n")]
    grouped = halves.groupby(keys, sort=True).agg(value=("value", "mean"), n=("n", "min"), parts=("value", "size"))
    whole = grouped[grouped["parts"] == len(HALVES)].reset_index()
    return whole.assign(protocol=CROSS_FITTED)[list(COLUMNS)]


def assert_identity(frame: pd.DataFrame) -> None:
    """Assert correct(overall) = correct(audio) + correct(visual) + correct(ties), exactly, in integers.

    Holds for every run, seed and definition with subsets; the averaged cross-fitted rows are left to their
    two parts. Raises UserError naming the first group where it fails.
    """
    chosen = frame[(frame["metric"] == ACCURACY) & ~frame["protocol"].isin([NO_SUBSET, CROSS_FITTED])]
    parts = ("audio_preferred", "visual_preferred", TIE)
    for group, rows in chosen.groupby(GROUP, sort=True):
        cells = {
            row.subset: np.array([round(float(str(row.value)) * int(str(row.n)) / 100), int(str(row.n))])
            for row in rows.itertuples()
        }
        total = sum((cells[name] for name in parts if name in cells), start=np.zeros(2, dtype=np.int64))
        if OVERALL not in cells or not np.array_equal(total, cells[OVERALL]):
            raise UserError(f"measurements: the subsets of {group} do not add up to overall; measure again.")
