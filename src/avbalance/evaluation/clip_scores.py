"""What a run scores on every single clip, whatever its task: what measurements and statistics are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.parsing_scores import MEANS, METRICS, ParsingScores, score_alone, score_segments
from avbalance.analysis.subsets import read_subsets
from avbalance.errors import UserError
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.parsing_predictions import CLASSIFICATION, PARSING, kind_of, read_localisation, read_parsing
from avbalance.evaluation.predictions import matrix, read_predictions
from avbalance.evaluation.rows import ACCURACY, HEADS, Coordinates

Floats = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]
UNKNOWN = -1  # the answer of a head that was not asked


@dataclass(frozen=True)
class ClipScores:
    """Scores of N clips in one place, in percent: metric -> (N,), for metrics that are means over clips.

    ids (N,) sorted; truth: what is to be named, first axis N; guess: the scores of what looks at nothing, the most
    frequent class or no event. answers: head ("" the prediction itself, audio, visual) -> what is named, of
    classification (N,) and of localisation (N, T); classes: their number, of classification alone, where the other
    metrics follow from the answers; parsing: the scores of videos that are parsed.
    """

    ids: NDArray[np.str_]
    truth: NDArray[Any]
    of: dict[str, Floats]
    guess: dict[str, Floats]
    classes: int = 0
    answers: dict[str, Labels] = field(default_factory=dict)
    parsing: ParsingScores | None = None


class SameClips:
    """Refuses runs on other clips, or with another truth, than those before them."""

    def __init__(self) -> None:
        self.first: dict[tuple[Any, ...], tuple[str, NDArray[Any]]] = {}

    def check(self, run: RunFile, place: Coordinates, key: tuple[Any, ...], values: NDArray[Any]) -> None:
        """Raise UserError unless values are those that came first under the same data set, part, version and key."""
        whole = (run.dataset, place.split, place.protocol, *key)
        path, first = self.first.setdefault(whole, (run.predictions, values))
        if not np.array_equal(first, values):
            raise UserError(
                f"{run.predictions}: {place.split} has other clips or labels than {path}; a comparison needs the same "
                "data: run one of them again."
            )


def read_discrepancies(path: str, ids: NDArray[np.str_] | None) -> dict[str, Floats]:
    """Definition -> discrepancies (N,) of a subsets file; raises UserError for other clips than `ids`, if known."""
    frames = read_subsets(path)
    for name, frame in frames.items():
        if ids is not None and not np.array_equal(frame["id"].to_numpy().astype(str), ids):
            raise UserError(f"{path}: {name} covers other test clips than the predictions; make it again.")
    return {name: frame["discrepancy"].to_numpy(dtype=np.float64) for name, frame in frames.items()}


def clip_scores(run: RunFile) -> dict[Coordinates, ClipScores]:
    """Everything that a run predicted; raises UserError for a file that is absent or malformed."""
    kind = kind_of(run.predictions)
    if kind == CLASSIFICATION:
        return dict(_classified(run))
    return dict(_parsed(run) if kind == PARSING else _located(run))


def _classified(run: RunFile) -> Iterator[tuple[Coordinates, ClipScores]]:
    keys = ["split", "condition", "checkpoint"]
    frame = read_predictions(run.predictions).sort_values([*keys, "id"], ignore_index=True)
    ids, truth = frame["id"].to_numpy().astype(str), frame["label"].to_numpy()
    answers, classes = {}, 0
    for head, column in {"": "logits", **{head: f"logits_{head}" for head in HEADS}}.items():
        known = frame[column].notna().to_numpy()  # a head that a model has not is a column of nulls
        if known.any():
            logits = matrix(frame[known], column, run.predictions)
            answers[head], classes = np.full(len(frame), UNKNOWN), max(classes, logits.shape[1])
            answers[head][known] = logits.argmax(axis=1)
    places = frame[keys].drop_duplicates()
    starts = places.index.to_numpy()
    for place, first, end in zip(places.itertuples(index=False), starts, [*starts[1:], len(frame)], strict=True):
        own = {head: named[first:end] for head, named in answers.items() if (named[first:end] != UNKNOWN).all()}
        right = truth[first:end]
        scores = {f"{ACCURACY}_{head}" if head else ACCURACY: 100.0 * (named == right) for head, named in own.items()}
        guess = {ACCURACY: 100.0 * (right == np.bincount(right).argmax())}
        at = Coordinates(str(place.split), condition=str(place.condition), checkpoint=str(place.checkpoint))
        yield at, ClipScores(ids[first:end], right, scores, guess, classes, own)


def _parsed(run: RunFile) -> Iterator[tuple[Coordinates, ClipScores]]:
    predictions = read_parsing(run.predictions)
    for place, rows in predictions.places():
        truth = predictions.truth(rows, place.protocol)
        nothing = np.zeros_like(truth[:, 0])
        guess = _columns(score_segments(nothing, nothing, truth[:, 0], truth[:, 1]))
        guess |= _alone(np.zeros_like(truth), truth)
        scores, seen = predictions.scores(rows, place.protocol), predictions.seen(rows)
        columns = _columns(scores) | _alone(predictions.segments(rows), truth)
        values = {name: column for name, column in columns.items() if name in seen}
        yield place, ClipScores(predictions.id[rows], truth, values, guess, parsing=scores)


def _columns(scores: ParsingScores) -> dict[str, Floats]:
    """The ten metrics and their means, in percent."""
    single = {name: 100 * scores.of(name) for name in METRICS}
    return single | {mean: np.mean([single[name] for name in names], axis=0) for mean, names in MEANS.items()}


def _alone(segments: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, Floats]:
    """The metrics of what one modality alone has, in percent, of segments (N, 2, C, T)."""
    return {name: 100 * column for name, column in score_alone(segments, truth).items()}


def _located(run: RunFile) -> Iterator[tuple[Coordinates, ClipScores]]:
    predictions = read_localisation(run.predictions)
    for place, rows in predictions.places():
        truth = predictions.label[rows]
        answers = predictions.logits[rows].argmax(axis=2)
        right, guess = answers == truth, truth == np.bincount(truth.ravel()).argmax()
        scores, guesses = ({ACCURACY: 100 * each.mean(axis=1)} for each in (right, guess))
        yield place, ClipScores(predictions.id[rows], truth, scores, guesses, answers={"": answers})
