"""Numbers that other papers print for methods on the same data: context, never the published numbers of this paper.

They come from other networks, schedules and selections. A table names them in its notes and a claim's published verdict
may use them where it says so; no cell holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avbalance.evaluation.published import load_published

CONTEXT = "context"


@dataclass(frozen=True)
class Elsewhere:
    """One number of another paper: data set and run in this paper's names, metric, value in percent, whose it is."""

    dataset: str
    run: str
    metric: str
    value: float
    source: str


def load_context(folder: str | Path, specs: Sequence[Mapping[str, Any]]) -> list[Elsewhere]:
    """All numbers of the published files that say `context: <whose they are>`, in the order of the files.

    Raises UserError as `load_published` does.
    """
    return [
        Elsewhere(key[0], key[1], key[3], value, str(spec[CONTEXT]))
        for spec in specs
        if CONTEXT in spec
        for key, value in load_published(
            folder, [{name: entry for name, entry in spec.items() if name != CONTEXT}]
        ).items()
    ]


def context_value(numbers: Sequence[Elsewhere], dataset: str, run: str, metric: str) -> float | None:
    """The first number for a run on a data set; None when there is none."""
    found = [each.value for each in numbers if (each.dataset, each.run, each.metric) == (dataset, run, metric)]
    return found[0] if found else None


def context_lines(numbers: Sequence[Elsewhere], datasets: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """A line per source, data set and metric, for the notes of a table."""
    lines = []
    for source in dict.fromkeys(each.source for each in numbers):
        for dataset in datasets:
            for metric in metrics:
                found = [
                    f"{each.run} {each.value:.2f}"
                    for each in numbers
                    if (each.source, each.dataset, each.metric) == (source, dataset, metric)
                ]
                if found:
                    lines.append(
                        f"Context, from another paper ({source}), not numbers of this one: {dataset}, "
                        f"{metric.replace('_', ' ')} (%): {'; '.join(found)}."
                    )
    return lines
