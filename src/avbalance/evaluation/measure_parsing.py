"""Rows of measurements.parquet for runs that parse videos or locate events, from their predictions.

Parsing: the ten F-scores, "segment_mean" and "event_mean" (of five each) and "average" (of ten), on the test part;
protocol "none" is the first version of the audio truth, "repaired" the second, where the data have one. Protocol
"events" takes the first version's videos apart by the kinds of their events: more classes that are only heard than
only seen (audio_preferred), the reverse (visual_preferred), as many of both, mostly none (tie). A run that
gives every segment of one modality the probability 0 does not see it: it has the scores of the other modality alone.
The run "no-event" is what predicting nothing scores: a video without truth counts as 1, so that it is not 0.
Localisation: accuracy over all seconds, background included; "chance" is the share of the most frequent class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.parsing_scores import LEVELS, METRICS, ParsingScores, score_segments
from avbalance.analysis.subsets import OVERALL, SIDES, TIE, subset_mask
from avbalance.errors import UserError
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.parsing_predictions import (
    PARSING,
    LocalisationPredictions,
    ParsingPredictions,
    read_localisation,
    read_parsing,
)
from avbalance.evaluation.rows import ACCURACY, CHANCE, EVENTS, MAJORITY, NO_EVENT, NO_SUBSET, REPAIRED, Row

MEANS = {f"{level}_mean": tuple(name for name in METRICS if name.startswith(level)) for level in LEVELS} | {
    "average": METRICS
}
MODALITY_METRICS = tuple(tuple(f"{level}_{letter}" for level in LEVELS) for letter in "AV")


def rows(kind: str, runs: Sequence[RunFile]) -> Iterator[Row]:
    """Rows of the runs of one kind on one data set; raises UserError when two were scored on other videos or truth."""
    reference: tuple[str, dict[str, list[Any]]] | None = None
    for run in runs:
        predictions = read_parsing(run.predictions) if kind == PARSING else read_localisation(run.predictions)
        truth = _truth(predictions)
        if reference is None:
            reference = run.predictions, truth
            yield from _reference_rows(run, predictions)
        for split in truth.keys() & reference[1].keys():
            pairs = zip(truth[split], reference[1][split], strict=True)
            if not all(np.array_equal(one, another) for one, another in pairs):
                raise UserError(
                    f"{run.predictions}: {split} has other videos or another truth than {reference[0]}; run it again."
                )
        yield from _rows(run, predictions)


def _truth(predictions: ParsingPredictions | LocalisationPredictions) -> dict[str, list[Any]]:
    """Split -> ids and truth, in the order of the ids; raises UserError when two checkpoints differ in them."""
    found: dict[str, list[Any]] = {}
    for (split, _, checkpoint), chosen in predictions.groups():
        own = [predictions.id[chosen], *(each[chosen] for each in _versions(predictions))]
        if not all(
            np.array_equal(one, another) for one, another in zip(own, found.setdefault(split, own), strict=True)
        ):
            raise UserError(f"{predictions.path}: {split}, {checkpoint} has other videos or truth; run it again.")
    return found


def _versions(predictions: ParsingPredictions | LocalisationPredictions) -> list[Any]:
    """The arrays of truth, first axis rows; an empty one stands for an absent second version."""
    if isinstance(predictions, LocalisationPredictions):
        return [predictions.label]
    second = predictions.truth_audio_repaired
    return [
        predictions.truth_audio,
        predictions.truth_visual,
        np.empty((len(predictions.id), 0)) if second is None else second,
    ]


def _rows(run: RunFile, predictions: ParsingPredictions | LocalisationPredictions) -> Iterator[Row]:
    for (split, condition, checkpoint), chosen in predictions.groups():
        place = _place(run, split, condition, checkpoint)
        if isinstance(predictions, LocalisationPredictions):
            right = predictions.logits[chosen].argmax(axis=2) == predictions.label[chosen]
            yield {**place, "metric": ACCURACY, "value": 100.0 * int(right.sum()) / right.size, "n": right.size}
        else:
            unseen = [not predictions.frame_prob[chosen, :, modality].any() for modality in (0, 1)]
            for protocol in _protocols(predictions):
                scores = predictions.scores(chosen, repaired=protocol == REPAIRED)
                yield from _metric_rows({**place, "protocol": protocol}, scores, _seen(unseen))
                if protocol == NO_SUBSET:
                    yield from _kind_rows(place, scores, event_lead(predictions, chosen), _seen(unseen))


def event_lead(predictions: ParsingPredictions, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Classes that are heard and never seen less those that are seen and never heard, of the videos in `rows` (n,)."""
    heard, seen = (truth[rows].any(axis=2) for truth in (predictions.truth_audio, predictions.truth_visual))
    lead: NDArray[np.float64] = (heard & ~seen).sum(axis=1) - (seen & ~heard).sum(axis=1, dtype=np.float64)
    return lead


def _kind_rows(
    place: Row, scores: ParsingScores, lead: NDArray[np.float64], only: Iterable[str] | None
) -> Iterator[Row]:
    """Rows of the videos on each side of `lead` (n,), and of those on neither; none for a side without videos."""
    for subset in (*(f"{side}_preferred" for side in SIDES), TIE):
        mask = subset_mask(lead, subset)
        if mask.any():
            own = {**place, "protocol": EVENTS, "subset": subset}
            yield from _metric_rows(own, ParsingScores(scores.per_video[mask]), only)


def _seen(unseen: Sequence[bool]) -> tuple[str, ...] | None:
    """The metrics of a run that sees one modality; None for all, also where it sees neither."""
    if unseen[0] == unseen[1]:
        return None
    return MODALITY_METRICS[0 if unseen[1] else 1]


def _metric_rows(place: Row, scores: ParsingScores, only: Iterable[str] | None = None) -> Iterator[Row]:
    found = scores.dataset()
    values = {name: found[name] for name in only} if only else found | _means(found)
    for metric, value in values.items():
        yield {**place, "metric": metric, "value": value, "n": len(scores.per_video)}


def _means(values: dict[str, float]) -> dict[str, float]:
    return {name: float(np.mean([values[metric] for metric in metrics])) for name, metrics in MEANS.items()}


def _protocols(predictions: ParsingPredictions) -> tuple[str, ...]:
    return (NO_SUBSET,) if predictions.truth_audio_repaired is None else (NO_SUBSET, REPAIRED)


def _place(run: RunFile, split: str, condition: str, checkpoint: str) -> Row:
    return {
        "dataset": run.dataset, "run": run.run, "seed": run.seed, "split": split, "subset": OVERALL,
        "condition": condition, "protocol": NO_SUBSET, "checkpoint": checkpoint,
    }  # fmt: skip


def _reference_rows(run: RunFile, predictions: ParsingPredictions | LocalisationPredictions) -> Iterator[Row]:
    """What needs no model: no event at all, or the most frequent class in every second."""
    groups: dict[str, Any] = {}
    for (split, _, _), chosen in predictions.groups():
        groups.setdefault(split, chosen)
    for split, chosen in groups.items():
        place = {**_place(run, split, "none", "none"), "seed": 0}
        if isinstance(predictions, LocalisationPredictions):
            counts = np.bincount(predictions.label[chosen].ravel())
            n = int(counts.sum())
            yield {**place, "run": MAJORITY, "metric": CHANCE, "value": 100.0 * int(counts.max()) / n, "n": n}
            continue
        none = np.zeros_like(predictions.truth_visual[chosen])
        for protocol in _protocols(predictions):
            audio = predictions.truth_audio if protocol == NO_SUBSET else predictions.truth_audio_repaired
            assert audio is not None
            scores = score_segments(none, none, audio[chosen], predictions.truth_visual[chosen])
            yield from _metric_rows({**place, "run": NO_EVENT, "protocol": protocol}, scores)
