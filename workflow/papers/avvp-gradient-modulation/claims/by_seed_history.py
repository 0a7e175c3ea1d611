from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from avbalance.declared import Run
from avbalance.errors import UserError
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.histories import HISTORY, read_history
from avbalance.evaluation.kinds import OnOneSet, Pair
from avbalance.evaluation.outcomes import NotTestable, Outcome, Trial, trial_of

UNIT = "nats"
Column = Literal[  # what methods of parsing log of each modality, see methods/parts/parsing.py
    "loss_audio", "loss_visual", "loss_audio_target", "loss_visual_target", "loss_audio_msdu", "loss_visual_msdu"
]


class BySeedHistory(OnOneSet):
    """Losses of both modalities over the last epochs, before and after. No test clip enters: only seeds vary."""

    kind: Literal["by_seed_history"]
    """mean over the last epochs, before - after"""
    file: Literal["history.csv"]
    """file of the runs that is read"""
    runs: Pair[Run]
    """the run before, the run after"""
    columns: Pair[Column]
    """columns of the file, one for each modality"""
    last: Annotated[int, Field(ge=1)]
    """epochs at the end that are averaged; all, where a training has fewer"""
    measure: Literal["gap", "larger"]
    """gap: the distance of the columns; larger: the column that is larger before, on the mean over seeds"""
    text: str = ""
    """what is said of it in reports, in place of a made sentence"""

    def run_files(self, estimators: Sequence[str]) -> list[tuple[str, str, str]]:
        return [(self.dataset, run, self.file) for run in self.runs]

    def trials(self, evidence: Evidence, protocol: str) -> list[Trial]:
        names = [evidence.paper.label(run) for run in self.runs]
        where = f"{evidence.label(self.dataset)}, end of training"
        try:
            before, after = (self._ends(evidence, run) for run in self.runs)
            lengths = sorted({len(values) for values in (*before.values(), *after.values())})
            where = f"{evidence.label(self.dataset)}, last {'-'.join(map(str, lengths))} epochs"
            common = sorted(before.keys() & after.keys())
            if not common:
                raise NotTestable("its runs have no seed in common")
            evidence.failed.check(self.dataset, self.runs, common)
            if self.measure == "gap":
                text = f"distance of {self.columns[0]} and {self.columns[1]}: {names[0]} > {names[1]}"
                effects = {seed: np.array([_gap(before[seed]) - _gap(after[seed])]) for seed in common}
            else:
                # One modality for all seeds: chosen seed by seed, seeds would compare different losses.
                which = int(np.mean([before[seed].mean(axis=0) for seed in common], axis=0).argmax())
                text = f"{self.columns[which]}, the larger one before: {names[0]} > {names[1]}"
                effects = {seed: (before[seed] - after[seed])[:, which].mean(keepdims=True) for seed in common}
            return [trial_of(Outcome(f"{where}, {self.text or text}", unit=UNIT), effects)]
        except NotTestable as error:
            return [Trial(Outcome(f"{where}: {' and '.join(names)}", unit=UNIT, reason=str(error)))]

    def _ends(self, evidence: Evidence, run: str) -> dict[int, NDArray[np.float64]]:
        """Seed -> the last values (epochs, columns); raises UserError for one that is no number."""
        ends = {}
        for each in evidence.runs(self.dataset, run):
            history = read_history(each)
            lacking = [name for name in self.columns if name not in history.columns]
            if lacking:
                raise NotTestable(f"{run} did not log {lacking[0]}")
            values = history[list(self.columns)].to_numpy(dtype=np.float64)[-self.last :]
            if not np.isfinite(values).all():
                epoch, column = np.argwhere(~np.isfinite(values))[0]
                raise UserError(
                    f"{each.beside(HISTORY)}: {self.columns[column]} is no number in epoch "
                    f"{history['epoch'].iloc[epoch - len(values)]}; the training diverged, run it again."
                )
            ends[each.seed] = values
        return ends


def _gap(values: NDArray[np.float64]) -> float:
    return float(np.abs(values[:, 0] - values[:, 1]).mean())
