from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from avbalance.analysis.parsing_scores import METRICS
from avbalance.declared import Run
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import AtLeastOne, OnOneSet
from avbalance.evaluation.outcomes import NotTestable, Outcome, Trial, trial_of
from avbalance.papers.avvp_gradient_modulation.videos import parsing_predictions, shown_clips

Score = Literal[
    "segment_A", "segment_V", "segment_AV", "segment_Type", "segment_Event",
    "event_A", "event_V", "event_AV", "event_Type", "event_Event",
]  # fmt: skip


class BySeedClips(OnOneSet):
    """Scores of the named videos, or of chosen ones where the data hold none of these: an illustration, no test."""

    kind: Literal["by_seed_clips"]
    """mean score over the shown videos, left - right"""
    clips: AtLeastOne[str]
    """ids of the videos"""
    metrics: AtLeastOne[Score]
    """scores, of which each is one comparison"""
    left: Run
    """run that is claimed to be better"""
    right: Run
    """run that it is compared with"""

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        label, names = evidence.label(self.dataset), [evidence.paper.label(run) for run in (self.left, self.right)]
        texts = {metric: f"{metric.replace('_', ' ')}: {names[0]} >= {names[1]}" for metric in self.metrics}
        trials = []
        try:
            (left, words, n), (right, _, _) = (self._scores(evidence, run) for run in (self.left, self.right))
            for metric, text in texts.items():
                place = METRICS.index(metric)
                effects = {
                    seed: 100 * (left[seed][[place]] - right[seed][[place]]) for seed in left.keys() & right.keys()
                }
                trial = trial_of(Outcome(f"{label}, {words}, {text}"), effects)
                trials.append(replace(trial, outcome=replace(trial.outcome, n=n)))
        except NotTestable as error:
            return [Trial(Outcome(f"{label}, {text}", reason=str(error))) for text in texts.values()]
        return trials

    def _scores(self, evidence: Evidence, run: str) -> tuple[dict[int, NDArray[np.float64]], str, int]:
        """Seed -> mean of the ten scores over the shown videos; the videos in words; their number."""
        scores, words, n = {}, "", 0
        for seed, predictions in parsing_predictions(evidence, self.dataset, run).items():
            shown = shown_clips(predictions, self.clips)
            if not len(shown.rows):
                raise NotTestable(f"no video to show: {shown.rule}")
            scores[seed] = predictions.scores(shown.rows).per_video.mean(axis=0)
            words, n = f"{', '.join(predictions.id[shown.rows])} ({shown.rule})", len(shown.rows)
        return scores, words, n
