"""How much a finished model uses each modality, from what it answers with one modality of other clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from avbalance.analysis.instruments import shapley
from avbalance.declared import Role, Run
from avbalance.evaluation.clip_scores import clip_scores
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.rows import ACCURACY, Coordinates
from avbalance.reporting.cells import CellValue
from avbalance.reporting.declared_tables import TableSource

QUANTITIES = ("audio", "visual", "interaction")
_ASKED = ("both", "given-audio", "given-visual", "additive")  # see training/interplay.py


class UtilisationSource(TableSource):
    """Shapley value of each modality and what rests on both together, in points of accuracy on the test part."""

    file: Literal["predictions.parquet"]
    """file that is read of every seed"""
    runs: list[Run]
    """runs whose file is read"""
    datasets: list[Role]
    """data sets on which it is read"""

    def names(self) -> dict[str, Sequence[str]]:
        return {"run": self.runs, "quantity": QUANTITIES}

    def numbers(self, paper: Paper, info: DatasetInfo) -> dict[tuple[str, ...], CellValue]:
        cells: dict[tuple[str, ...], CellValue] = {}
        for run in self.runs if info.role in self.datasets else ():
            told = [values for each in paper.run_files(info.role, run) if (values := _values(each))]
            for name in QUANTITIES if told else ():
                values = [each[name] for each in told]
                spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
                cells[run, name] = CellValue(None, float(np.mean(values)), spread, len(values), None, str(info.data))
        return cells


def _values(run: RunFile) -> dict[str, float]:
    """The quantities of one seed; nothing of a network that cannot be asked."""
    by_place = clip_scores(run)
    scores = [by_place.get(Coordinates(condition=name)) for name in _ASKED]
    known = [each for each in scores if each is not None]
    if len(known) < len(_ASKED):
        return {}
    both, audio, visual, additive = (each.of[ACCURACY] for each in known)
    values = shapley(both, audio, visual, known[0].guess[ACCURACY])
    return {**{name: float(own.mean()) for name, own in values.items()}, "interaction": float((both - additive).mean())}
