from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from avbalance.declared import Run
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.kinds import OnOneSet
from avbalance.evaluation.outcomes import NotTestable, Outcome, Trial, attempt, trial_of
from avbalance.papers.avvp_gradient_modulation.videos import MODALITIES, is_named, parsing_predictions, selected_rows


class ClipSegments(OnOneSet):
    """Seconds of a video in which a class is found in one modality: an illustration, no test."""

    kind: Literal["clip_segments"]
    """seconds, left - right"""
    clip: str
    """id of the video"""
    event: str = Field(alias="class")
    """class that is found"""
    modality: Literal["audio", "visual"]
    """track in which it is found"""
    left: Run
    """run that is claimed to find more"""
    right: Run
    """run that it is compared with"""

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        names = [evidence.paper.label(run) for run in (self.left, self.right)]
        what = f"{self.clip}, seconds of {self.event} in the {self.modality} track"
        bare = Outcome(f"{evidence.label(self.dataset)}, {what}: {names[0]} > {names[1]}", unit="seconds")

        def trial() -> Trial:
            left, right = (self._seconds(evidence, run) for run in (self.left, self.right))
            effects = {seed: np.array([float(left[seed] - right[seed])]) for seed in left.keys() & right.keys()}
            return trial_of(bare, effects)

        return [attempt(bare, trial)]

    def _seconds(self, evidence: Evidence, run: str) -> dict[int, int]:
        seconds = {}
        for seed, predictions in parsing_predictions(evidence, self.dataset, run).items():
            rows = [row for row in selected_rows(predictions) if is_named(str(predictions.id[row]), self.clip)]
            if not rows or self.event not in predictions.classes:
                raise NotTestable(f"the data hold no video {self.clip} with {self.event}")
            # Several rows may bear the name, each of other seconds of the video; the first one is shown.
            active = predictions.segments(np.array(rows[:1], dtype=np.intp))[0, MODALITIES.index(self.modality)]
            seconds[seed] = int(active[predictions.classes.index(self.event)].sum())
        return seconds
