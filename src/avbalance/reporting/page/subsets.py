"""The definitions of the subsets side by side: clips on each side, and agreement with the paper's own definition."""

from __future__ import annotations

from typing import Any

from avbalance.analysis.subsets import ANNOTATIONS, OUTSIDE, SIDES, TIE, agreement, read_subsets
from avbalance.evaluation.paper import Paper
from avbalance.evaluation.rows import ESTIMATED, HALVES, PLANTED

DEFINITIONS = (ESTIMATED, *HALVES, PLANTED, ANNOTATIONS)


def definitions(paper: Paper) -> list[dict[str, Any]]:
    """Data set, definition, test clips that prefer sound, pictures, neither, are outside; kappa with the estimate."""
    rows = []
    for info in paper.datasets.values():
        frames = read_subsets(info.subsets) if info.data and info.subsets else {}
        for name in (name for name in DEFINITIONS if name in frames):
            own = frames[name]["preferred"]
            kappa = agreement(own, frames[ESTIMATED]["preferred"])["kappa"] if name != ESTIMATED else None
            counts = [int((own == side).sum()) for side in (*SIDES, TIE, OUTSIDE)]
            told = "" if kappa is None or kappa != kappa else f"{kappa:.2f}"
            rows.append({"data": info.label, "definition": name, "counts": counts, "kappa": told})
    return rows
