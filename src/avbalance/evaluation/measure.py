"""Measurements of every run on every subset under every definition, as one tidy table.

Subset definitions (column protocol): "estimated" (the paper's own rule, subsets by the seed-0 unimodal
models), "cross-fitted" (subsets by unimodal models of one half of the training set, unimodal scores by
those of the other half, and the reverse, averaged), "planted" (by the generator's truth), "annotated" (by
what people heard and saw; overall is then of the clips that have an answer), "seed-matched" (each seed by
its own unimodal models), "none" (overall accuracy, no subset involved). Xia et al. 2023, sections 2.2 and
5.2.

Runs that classify clips have accuracies, and where a paper asks for them further metrics and those of the modalities'
own heads, by names such as accuracy_audio. Runs that locate events have accuracies over all seconds, background
included. Of both, metric "chance" holds what naming the most frequent label would score, for each labelling.

Runs that parse videos have the ten F-scores, "segment_mean" and "event_mean" (of five each), "average" (of ten), and
those of what is only heard or only seen ("segment_Ao", "event_Vo", ..., see analysis/parsing_scores.py). Protocol
"none" is the first version of the audio truth, "repaired" the second, where the data have one. Protocol "events" takes
the first version's videos apart by the kinds of their events: more classes that are only heard than only seen
(audio_preferred), the reverse (visual_preferred), as many of both, mostly none (tie). A run that gives every segment
of one modality the probability 0 does not see it: it has the scores of the other modality alone. The run "no-event" is
what predicting nothing scores: a video without truth counts as 1, so that it is not 0.

measure_learning.py adds whether each run has learned and converged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from avbalance.analysis import parsing_scores as parsing
from avbalance.analysis.learning import QUANTITIES, VERDICTS
from avbalance.analysis.parsing_scores import ParsingScores, score_segments
from avbalance.analysis.relevance import Metrics, metrics
from avbalance.analysis.subsets import ANNOTATIONS, OVERALL, SIDES, TIE, check_nested, subset_mask, subset_names
from avbalance.declared import Declared, Run, among, read
from avbalance.errors import UserError
from avbalance.evaluation import measure_learning, rows
from avbalance.evaluation.clip_scores import ClipScores, SameClips, clip_scores, read_discrepancies
from avbalance.evaluation.paper import Paper, RunFile
from avbalance.table_files import read_parquet, write_parquet

GROUP = ["dataset", "run", "seed", "split", "condition", "protocol", "checkpoint", "metric"]
COLUMNS = ("dataset", "run", "seed", "split", "subset", "condition", "protocol", "checkpoint", "metric", "value", "n")

METRICS = tuple(each.name for each in fields(Metrics))
FURTHER = tuple(name for name in METRICS if name != rows.ACCURACY)  # accuracy is always measured
OF_PARSING = (*parsing.METRICS, *parsing.MEANS)
OF_VIDEOS = (*OF_PARSING, *parsing.ALONE)  # what runs that parse have, and no other
COMPARED = (
    *METRICS, *(f"{name}_{head}" for name in METRICS for head in rows.HEADS), *OF_VIDEOS
)  # fmt: skip
MEASURED = (*COMPARED, rows.CHANCE, *VERDICTS, *QUANTITIES)  # every metric of measurements.parquet


class Halves(Declared):
    """The two models that stand in for one under cross-fitting."""

    a: Run
    """the run on half a of the training part"""
    b: Run
    """the run on half b"""


class Measures(Declared):
    """What is measured beside accuracies on all clips (`measures` of tables.yaml)."""

    thresholds: list[Annotated[float, Field(ge=0)]] = Field(default=[0.0])
    """thresholds T of the dominated subsets"""
    cross_fitted: dict[Run, Halves] = Field(default={})
    """run -> the two on half the training part that are scored in its place on subsets which the other half chose"""
    metrics: list[Annotated[str, among("metric", FURTHER)]] = Field(default=[])
    """further metrics of runs that classify"""
    heads: bool = False
    """whether the modalities' own heads are measured too, as accuracy_audio and so on"""

    def scorer(self, run: str, definition: str) -> str:
        """The run that is scored for `run` on the subsets of a definition; itself, unless these are cross-fitted.

        Subsets chosen by the unimodal models of one half of the training part are scored with those of the other, so
        that no model is scored on a subset that its own confidence chose.
        """
        pair = self.cross_fitted.get(run)
        return str(getattr(pair, rows.HALVES[definition])) if pair and definition in rows.HALVES else run


def measure(paper: Paper, measures: Mapping[str, Any], out: str | Path) -> None:
    """Write measurements.parquet of a paper (columns COLUMNS; value in percent, n = clips, or seconds, in the cell).

    measures: as in tables.yaml, see `Measures`. A subset without clips has no row. For cross-fitted rows n is the
    smaller of the two subsets. The accuracy identity (overall = sum over subsets) is asserted on integer counts before
    anything is written. Raises UserError for runs that were scored on different clips or labels.
    """
    declared = read(Measures, measures, "tables.yaml, measures")
    subsets = paper.subsets()
    table: list[rows.Row] = []
    for data in dict.fromkeys(run.dataset for run in paper.runs):
        runs = paper.runs_on(data)
        if len({(run.run, run.seed) for run in runs}) < len(runs):
            raise UserError(f"{data}: a run is listed twice with one seed; fix the run sheet.")
        table += _DataSet(runs, subsets.get(data), declared).measured()
        table += measure_learning.rows(runs, declared)
    if not table:
        raise UserError(f"{paper.slug}: no run has predictions to measure; train first.")
    frame = pd.DataFrame(table, columns=list(COLUMNS))
    frame = pd.concat([frame, _cross_fitted_means(frame)], ignore_index=True)
    frame = frame.sort_values(["dataset", "run", "seed", *COLUMNS[3:9]], ignore_index=True)
    assert_identity(frame)
    write_parquet(out, frame.astype({"seed": "int64", "value": "float64", "n": "int64"}))


def read_measurements(path: str | Path) -> pd.DataFrame:
    """Read measurements.parquet and assert the accuracy identity again."""
    frame = read_parquet(path, COLUMNS, "measure")
    assert_identity(frame)
    return frame


class _DataSet:
    """The runs on one data set, and its file of subsets where it has one."""

    def __init__(self, runs: list[RunFile], subsets: str | None, measures: Measures) -> None:
        self.runs, self.subsets, self.measures = runs, subsets, measures
        self._same = SameClips()
        self._masks: dict[str, dict[str, NDArray[np.bool_]]] = {}  # definition -> subset -> test clips
        self._references: set[tuple[str, str, str, int]] = set()  # whose rows are there

    def measured(self) -> Iterator[rows.Row]:
        for run in self.runs:
            for place, scores in clip_scores(run).items():
                task = scores.truth.ndim
                self._same.check(run, place, (task,), scores.ids)
                self._same.check(run, place, (task, run.labelling), scores.truth)
                yield from self._reference_rows(run, place, scores)
                if scores.parsing is None:
                    yield from self._accuracy_rows(run, place, scores)
                else:
                    yield from _parsing_rows(_row(run, place), scores, scores.parsing)

    def _reference_rows(self, run: RunFile, place: rows.Coordinates, scores: ClipScores) -> Iterator[rows.Row]:
        """What needs no model, once for each part: the most frequent label, or no event at all."""
        name = rows.majority(run.labelling) if scores.parsing is None else rows.NO_EVENT
        key = (name, place.split, place.protocol, scores.truth.ndim)
        if key in self._references:
            return
        self._references.add(key)
        base = {**_row(run, place._replace(condition="none", checkpoint="none")), "run": name, "seed": 0}
        if scores.parsing is None:
            count = int(np.unique(scores.truth, return_counts=True)[1].max())
            yield {**base, "metric": rows.CHANCE, "value": 100.0 * count / scores.truth.size, "n": scores.truth.size}
        else:
            nothing = np.zeros_like(scores.truth[:, 0])
            none = score_segments(nothing, nothing, scores.truth[:, 0], scores.truth[:, 1])
            yield from _score_rows(base, none, OF_PARSING)
            yield from _alone_rows(base, scores.guess)

    def _accuracy_rows(self, run: RunFile, place: rows.Coordinates, scores: ClipScores) -> Iterator[rows.Row]:
        """Accuracies of a run that classifies or locates, on all clips and on subsets, and further metrics."""
        correct = scores.answers[""] == scores.truth
        base = _row(run, place)
        # From a whole number: assert_identity gets the count of right answers back from it.
        yield {**base, "metric": rows.ACCURACY, "value": 100.0 * int(correct.sum()) / correct.size, "n": correct.size}
        if scores.classes and self.subsets is not None and place.split == "test":
            self._masks = self._masks or self._read_masks(scores.ids)
            yield from self._subset_rows(run, base, correct)
        for head, answers in scores.answers.items():
            wanted = self.measures.metrics if not head else [rows.ACCURACY, *self.measures.metrics]
            if scores.classes and wanted and (not head or self.measures.heads):
                whole = metrics(scores.truth, answers)
                for name in wanted:
                    metric = f"{name}_{head}" if head else name
                    yield {**base, "metric": metric, "value": getattr(whole, name), "n": correct.size}

    def _subset_rows(self, run: RunFile, base: rows.Row, correct: NDArray[np.bool_]) -> Iterator[rows.Row]:
        """Rows of a run, and of the run in whose place it is scored under cross-fitting."""
        halves = {run for pair in self.measures.cross_fitted.values() for run in (pair.a, pair.b)}
        names = dict.fromkeys(each.run for each in self.runs if each.run not in halves)
        for definition, masks in self._masks.items():
            prefix, _, seed = definition.rpartition("-")
            matched = prefix == rows.SEED_MATCHED
            # Subsets of seed 3's unimodal models are for the runs of seed 3 alone.
            if matched and run.seed != int(seed):
                continue
            for name in (name for name in names if self.measures.scorer(name, definition) == run.run):
                protocol = rows.SEED_MATCHED if matched else definition
                own = {**base, "run": name, "protocol": protocol, "metric": rows.ACCURACY}
                for subset, mask in masks.items():
                    if n := int(mask.sum()):
                        yield {**own, "subset": subset, "value": 100.0 * int(correct[mask].sum()) / n, "n": n}

    def _read_masks(self, ids: NDArray[np.str_]) -> dict[str, dict[str, NDArray[np.bool_]]]:
        """Definition -> subset -> test clips (N,); raises UserError when the file covers others than `ids`."""
        masks = {}
        for definition, discrepancy in read_discrepancies(str(self.subsets), ids).items():
            check_nested(discrepancy, self.measures.thresholds)
            names = subset_names([] if definition == ANNOTATIONS else self.measures.thresholds)
            masks[definition] = {name: subset_mask(discrepancy, name) for name in names}
        return masks


def _row(run: RunFile, place: rows.Coordinates) -> rows.Row:
    return {"dataset": run.dataset, "run": run.run, "seed": run.seed, **place._asdict()}


def _parsing_rows(base: rows.Row, scores: ClipScores, whole: ParsingScores) -> Iterator[rows.Row]:
    """Scores of all videos and, against the first version of the truth, of those on each side of their event lead."""
    wanted = [name for name in OF_PARSING if name in scores.of]
    yield from _score_rows(base, whole, wanted)
    yield from _alone_rows(base, scores.of)
    if base["protocol"] == rows.NO_SUBSET:
        lead = event_lead(scores.truth)
        for subset in (*(f"{side}_preferred" for side in SIDES), TIE):
            mask = subset_mask(lead, subset)
            if mask.any():
                own = {**base, "protocol": rows.EVENTS, "subset": subset}
                yield from _score_rows(own, ParsingScores(whole.per_video[mask]), wanted)


def event_lead(truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Classes only heard less those only seen, of each video (N,) with truth (N, 2, C, T)."""
    heard, seen = (truth[:, modality].any(axis=2) for modality in (0, 1))
    lead: NDArray[np.float64] = (heard & ~seen).sum(axis=1) - (seen & ~heard).sum(axis=1, dtype=np.float64)
    return lead


def _score_rows(base: rows.Row, scores: ParsingScores, wanted: Iterable[str]) -> Iterator[rows.Row]:
    values = scores.dataset()
    values |= {name: float(np.mean([values[metric] for metric in members])) for name, members in parsing.MEANS.items()}
    for metric in wanted:
        yield {**base, "metric": metric, "value": values[metric], "n": len(scores.per_video)}


def _alone_rows(base: rows.Row, of: Mapping[str, NDArray[np.float64]]) -> Iterator[rows.Row]:
    for metric in parsing.ALONE:
        if metric in of:
            yield {**base, "metric": metric, "value": float(of[metric].mean()), "n": len(of[metric])}


def _cross_fitted_means(frame: pd.DataFrame) -> pd.DataFrame:
    halves = frame[frame["protocol"].isin(list(rows.HALVES))]
    keys = [name for name in COLUMNS if name not in ("protocol", "value", "n")]
    grouped = halves.groupby(keys, sort=True).agg(value=("value", "mean"), n=("n", "min"), parts=("value", "size"))
    # A mean of one half would be of one model's choice alone, which is what cross-fitting is to avoid.
    whole = grouped[grouped["parts"] == len(rows.HALVES)].reset_index()
    return whole.assign(protocol=rows.CROSS_FITTED)[list(COLUMNS)]


def assert_identity(frame: pd.DataFrame) -> None:
    """Assert correct(overall) = correct(audio) + correct(visual) + correct(ties), exactly, in integers.

    Holds for every run, seed and definition with subsets; the averaged cross-fitted rows are left to their
    two parts. Raises UserError naming the first group where it fails.
    """
    chosen = frame[(frame["metric"] == rows.ACCURACY) & ~frame["protocol"].isin([rows.NO_SUBSET, rows.CROSS_FITTED])]
    # Rounded: value was made of a count, and floats bring it back to within 1e-12.
    counts = chosen.assign(right=(chosen["value"] * chosen["n"] / 100).round())
    overall, parts = (
        counts[counts["subset"].isin(names)].groupby(GROUP)[["right", "n"]].sum()
        for names in ([OVERALL], ["audio_preferred", "visual_preferred", TIE])
    )
    # A union: a group that is only on one side is wrong as well.
    groups = overall.index.union(parts.index)
    wrong = (overall.reindex(groups) != parts.reindex(groups, fill_value=0)).any(axis=1)
    if wrong.any():
        raise UserError(f"measurements: the subsets of {wrong.idxmax()} do not add up to overall; measure again.")
