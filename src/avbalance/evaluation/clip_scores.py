"""What a run scores on every single clip, whatever its task: what statistics over clips are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.parsing_scores import METRICS, ParsingScores, score_segments
from avbalance.evaluation.measure_metrics import HEADS, KEYS
from avbalance.evaluation.measure_parsing import MEANS, MODALITY_METRICS
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.parsing_predictions import (
    CLASSIFICATION,
    PARSING,
    ParsingPredictions,
    kind_of,
    read_localisation,
    read_parsing,
)
from avbalance.evaluation.predictions import logits_array, read_predictions
from avbalance.evaluation.rows import ACCURACY, NO_SUBSET, REPAIRED

Floats = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]


class Place(NamedTuple):
    """Where something is measured, in the words of measurements.parquet."""

    split: str = "test"
    subset: str = "overall"
    condition: str = "both"
    protocol: str = NO_SUBSET
    checkpoint: str = "selected"


USUAL = Place()


@dataclass(frozen=True)
class ClipScores:
    """Scores of N clips in one place, in percent: metric -> (N,), for metrics that are means over clips.

    ids (N,) sorted; truth: what is to be named, first axis N; guess: the scores of what looks at nothing, the most
    frequent class or no event. Of classification also: the number of classes, and head ("" the prediction itself,
    audio, visual) -> class indices (N,), from which the other metrics follow; there truth is the true class.
    """

    ids: NDArray[np.str_]
    truth: NDArray[Any]
    of: dict[str, Floats]
    guess: dict[str, Floats]
    classes: int = 0
    answers: dict[str, Labels] = field(default_factory=dict)


def clip_scores(run: RunFile) -> dict[Place, ClipScores]:
    """Everything that a run predicted; raises UserError for a file that is absent or malformed."""
    kind = kind_of(run.predictions)
    if kind == CLASSIFICATION:
        return dict(_classified(run))
    return dict(_parsed(run) if kind == PARSING else _located(run))


def _classified(run: RunFile) -> Iterator[tuple[Place, ClipScores]]:
    frame = read_predictions(run.predictions)
    heads = {"": "logits"} | {head: f"logits_{head}" for head in HEADS}
    for (split, condition, checkpoint), part in frame.groupby(KEYS, sort=True):
        part = part.sort_values("id", ignore_index=True)
        truth = part["label"].to_numpy()
        answers, classes = {}, 0
        for head, column in heads.items():
            if part[column].notna().all():
                logits = logits_array(part[column], run.predictions)
                answers[head], classes = logits.argmax(axis=1), max(classes, logits.shape[1])
        scores = {f"{ACCURACY}_{head}" if head else ACCURACY: 100.0 * (own == truth) for head, own in answers.items()}
        guess = {ACCURACY: 100.0 * (truth == np.bincount(truth).argmax())}
        place = Place(str(split), condition=str(condition), checkpoint=str(checkpoint))
        yield place, ClipScores(_strings(part["id"]), truth, scores, guess, classes, answers)


def _parsed(run: RunFile) -> Iterator[tuple[Place, ClipScores]]:
    predictions = read_parsing(run.predictions)
    for (split, condition, checkpoint), rows in predictions.groups():
        unseen = [not predictions.frame_prob[rows, :, modality].any() for modality in (0, 1)]
        seen = METRICS if unseen[0] == unseen[1] else MODALITY_METRICS[0 if unseen[1] else 1]
        for protocol in (NO_SUBSET, REPAIRED):
            truth = _truth(predictions, rows, protocol)
            if truth is None:
                continue
            nothing = np.zeros_like(truth[:, 0])
            guess = score_segments(nothing, nothing, truth[:, 0], truth[:, 1])
            place = Place(split, condition=condition, protocol=protocol, checkpoint=checkpoint)
            found = _columns(predictions.scores(rows, repaired=protocol == REPAIRED))
            scores = {name: found[name] for name in (found if seen is METRICS else seen)}
            yield place, ClipScores(predictions.id[rows], truth, scores, _columns(guess))


def _truth(predictions: ParsingPredictions, rows: NDArray[np.intp], protocol: str) -> NDArray[np.bool_] | None:
    """Truth (N, 2, C, T) under a protocol; None where there is no second version."""
    audio = predictions.truth_audio if protocol == NO_SUBSET else predictions.truth_audio_repaired
    return None if audio is None else np.stack([audio[rows], predictions.truth_visual[rows]], axis=1)


def _columns(scores: ParsingScores) -> dict[str, Floats]:
    """The ten metrics and their means, in percent."""
    single = {name: 100 * scores.of(name) for name in METRICS}
    return single | {mean: np.mean([single[name] for name in names], axis=0) for mean, names in MEANS.items()}


def _located(run: RunFile) -> Iterator[tuple[Place, ClipScores]]:
    predictions = read_localisation(run.predictions)
    for (split, condition, checkpoint), rows in predictions.groups():
        truth = predictions.label[rows]
        right = predictions.logits[rows].argmax(axis=2) == truth
        guess = truth == np.bincount(truth.ravel()).argmax()
        scores, guesses = ({ACCURACY: 100 * each.mean(axis=1)} for each in (right, guess))
        place = Place(split, condition=condition, checkpoint=checkpoint)
        yield place, ClipScores(predictions.id[rows], truth, scores, guesses)


def _strings(column: pd.Series) -> NDArray[np.str_]:
    return column.to_numpy().astype(str)
