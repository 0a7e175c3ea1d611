"""Single videos: which to show, and what two runs say of them, seed by seed. Illustrations, not tests.

Kinds, with the keys of their declaration:

- by_seed_clips: dataset, clips (ids), metrics, left, right (runs): mean score over the shown videos, left - right
- clip_segments: dataset, clip (id), class, modality (audio or visual), left, right (runs): seconds of that video in
  which the class is found, left - right
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.parsing_scores import METRICS
from avbalance.evaluation.comparisons import Block
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.outcomes import Outcome, Trial, trial_of
from avbalance.evaluation.paper import RunFile
from avbalance.evaluation.parsing_predictions import PARSING, ParsingPredictions, kind_of, read_parsing

SHOWN = 3
NAMED_RULE = "the paper's own videos"
OWN_RULE = "first test videos, by id, with at least two classes and events in both modalities that differ"
MODALITIES = ("audio", "visual")


@dataclass(frozen=True)
class Shown:
    """Rows of predictions under the selected checkpoint of the test part, and the rule by which they were chosen."""

    rows: NDArray[np.intp]
    rule: str


def selected_rows(predictions: ParsingPredictions) -> NDArray[np.intp]:
    """Rows of the test part under the selected checkpoint, in the order of the ids."""
    found = dict(predictions.groups())
    return found.get(("test", "both", "selected"), np.empty(0, dtype=np.intp))


def is_named(video: str, name: str) -> bool:
    """Whether a video has the id `name`, alone or followed by its start and end second."""
    return video == name or video.startswith(f"{name}_")


def shown_clips(predictions: ParsingPredictions, names: Sequence[str]) -> Shown:
    """The named videos, in that order, where the data hold any of them; else the first three by OWN_RULE."""
    rows = selected_rows(predictions)
    own = [row for name in names for row in rows if is_named(str(predictions.id[row]), name)]
    if own:
        return Shown(np.array(own, dtype=np.intp), NAMED_RULE)
    audio, visual = predictions.truth_audio[rows], predictions.truth_visual[rows]
    several = (audio | visual).any(axis=2).sum(axis=1) >= 2
    both = audio.any(axis=(1, 2)) & visual.any(axis=(1, 2)) & (audio != visual).any(axis=(1, 2))
    return Shown(rows[several & both][:SHOWN], OWN_RULE)


def parsing_runs(evidence: Evidence, role: str, run: str) -> list[RunFile]:
    """Seeds of a run that parses videos; raises NotTestable when the tier has none."""
    runs = [each for each in evidence.runs(role, run) if kind_of(each.predictions) == PARSING]
    if not runs:
        raise NotTestable(f"{run} does not parse videos")
    return runs


def by_seed_clips(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """One comparison per metric, over the shown videos."""
    role, label = str(block["dataset"]), evidence.paper.dataset(str(block["dataset"])).label
    names = [evidence.paper.label(str(block[side])) for side in ("left", "right")]
    texts = {metric: f"{metric.replace('_', ' ')}: {names[0]} >= {names[1]}" for metric in block["metrics"]}
    try:
        left, right = (_clip_scores(evidence, role, str(block[side]), block["clips"]) for side in ("left", "right"))
        found = []
        for metric, text in texts.items():
            place = METRICS.index(metric)
            effects = {
                seed: 100 * (left[0][seed][[place]] - right[0][seed][[place]])
                for seed in left[0].keys() & right[0].keys()
            }
            shown = trial_of(Outcome(f"{label}, {left[1]}, {text}"), effects)
            found.append(replace(shown, outcome=replace(shown.outcome, n=left[2])))
        return found
    except NotTestable as error:
        return [Trial(Outcome(f"{label}, {text}", reason=str(error))) for text in texts.values()]


def _clip_scores(
    evidence: Evidence, role: str, run: str, names: Sequence[str]
) -> tuple[dict[int, NDArray[np.float64]], str, int]:
    """Seed -> mean of the ten scores over the shown videos; the videos in words; their number."""
    found, words, n = {}, "", 0
    for each in parsing_runs(evidence, role, run):
        predictions = read_parsing(each.predictions)
        shown = shown_clips(predictions, names)
        if not len(shown.rows):
            raise NotTestable(f"no video to show: {shown.rule}")
        found[each.seed] = predictions.scores(shown.rows).per_video.mean(axis=0)
        words, n = f"{', '.join(predictions.id[shown.rows])} ({shown.rule})", len(shown.rows)
    return found, words, n


def clip_segments(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """One comparison of the seconds in which a class is found in one video."""
    role, names = str(block["dataset"]), [evidence.paper.label(str(block[side])) for side in ("left", "right")]
    what = f"{block['clip']}, seconds of {block['class']} in the {block['modality']} track"
    text = f"{evidence.paper.dataset(role).label}, {what}: {names[0]} > {names[1]}"
    try:
        left, right = (_seconds(evidence, role, str(block[side]), block) for side in ("left", "right"))
        effects = {seed: np.array([float(left[seed] - right[seed])]) for seed in left.keys() & right.keys()}
        return [trial_of(Outcome(text, unit="seconds"), effects)]
    except NotTestable as error:
        return [Trial(Outcome(text, unit="seconds", reason=str(error)))]


def _seconds(evidence: Evidence, role: str, run: str, block: Block) -> dict[int, int]:
    found = {}
    for each in parsing_runs(evidence, role, run):
        predictions = read_parsing(each.predictions)
        rows = [row for row in selected_rows(predictions) if is_named(str(predictions.id[row]), str(block["clip"]))]
        if not rows or block["class"] not in predictions.classes:
            raise NotTestable(f"the data hold no video {block['clip']} with {block['class']}")
        active = predictions.segments(np.array(rows[:1], dtype=np.intp))[0, MODALITIES.index(block["modality"])]
        found[each.seed] = int(active[predictions.classes.index(str(block["class"]))].sum())
    return found
