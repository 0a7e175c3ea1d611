"""Comparisons of what trainings logged: kind by_seed_history. No test clip enters, so that only seeds vary.

Keys: dataset, file (history.csv), runs (two: before and after), columns (two columns of history.csv, one per modality),
last (epochs at the end that are averaged; all, where a training has fewer), measure, text (optional). measure:

- gap: the mean distance of the two columns is smaller after than before
- larger: the column that is larger before, on the mean over seeds, is smaller after
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.errors import UserError
from avbalance.evaluation.comparisons import Block
from avbalance.evaluation.evidence import Evidence, NotTestable
from avbalance.evaluation.outcomes import Outcome, Trial, trial_of
from avbalance.evaluation.paper import RunFile

HISTORY = "history.csv"
UNIT = "nats"


def read_history(run: RunFile) -> pd.DataFrame:
    """What a run logged, one row per epoch; raises UserError when the file is absent, empty or malformed."""
    path = run.beside(HISTORY)
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable table ({error}); delete the run's folder and run it again.") from error
    if frame.empty or "epoch" not in frame.columns:
        raise UserError(f"{path}: holds no epochs; delete the run's folder and run it again.")
    return frame


def by_seed_history(evidence: Evidence, block: Block, protocol: str) -> list[Trial]:
    """The one comparison of a block of kind by_seed_history."""
    role, columns, last = str(block["dataset"]), [str(name) for name in block["columns"]], int(block["last"])
    runs = [str(run) for run in block["runs"]]
    names = [evidence.paper.label(run) for run in runs]
    where = f"{evidence.paper.dataset(role).label}, end of training"
    try:
        before, after = (_ends(evidence, role, run, columns, last) for run in runs)
        lengths = sorted({len(values) for values in (*before.values(), *after.values())})
        where = f"{evidence.paper.dataset(role).label}, last {'-'.join(map(str, lengths))} epochs"
        common = sorted(before.keys() & after.keys())
        if not common:
            raise NotTestable("its runs have no seed in common")
        evidence.refuse_unfit(role, runs, common)
        if block["measure"] == "gap":
            text = f"distance of {columns[0]} and {columns[1]}: {names[0]} > {names[1]}"
            effects = {seed: np.array([_gap(before[seed]) - _gap(after[seed])]) for seed in common}
        elif block["measure"] == "larger":
            which = int(np.mean([before[seed].mean(axis=0) for seed in common], axis=0).argmax())
            text = f"{columns[which]}, the larger one before: {names[0]} > {names[1]}"
            effects = {seed: (before[seed] - after[seed])[:, which].mean(keepdims=True) for seed in common}
        else:
            raise UserError(f"claims.yaml: measure is {block['measure']!r} in by_seed_history; use gap or larger.")
        return [trial_of(Outcome(f"{where}, {block.get('text') or text}", unit=UNIT), effects)]
    except NotTestable as error:
        return [Trial(Outcome(f"{where}: {' and '.join(names)}", unit=UNIT, reason=str(error)))]


def _gap(values: NDArray[np.float64]) -> float:
    return float(np.abs(values[:, 0] - values[:, 1]).mean())


def _ends(evidence: Evidence, role: str, run: str, columns: Sequence[str], last: int) -> dict[int, NDArray[np.float64]]:
    """Seed -> the last values (epochs, columns), at most `last` epochs; raises UserError for one that is no number."""
    found = {}
    for each in evidence.runs(role, run):
        history = read_history(each)
        lacking = [name for name in columns if name not in history.columns]
        if lacking:
            raise NotTestable(f"{run} did not log {lacking[0]}")
        values = history[list(columns)].to_numpy(dtype=np.float64)[-last:]
        if not np.isfinite(values).all():
            epoch, column = np.argwhere(~np.isfinite(values))[0]
            raise UserError(
                f"{each.beside(HISTORY)}: {columns[column]} is no number in epoch "
                f"{history['epoch'].iloc[epoch - len(values)]}; the training diverged, run it again."
            )
        found[each.seed] = values
    return found
