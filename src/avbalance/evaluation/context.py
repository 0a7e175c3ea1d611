"""Numbers that other papers print for methods on the same data: context, never the published numbers of this paper.

They come from other networks, schedules and selections. A table names them in its notes and a claim's published verdict
may use them where it says so; no cell holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avbalance.evaluation.published import Given, load_values, published_files


@dataclass(frozen=True)
class Elsewhere:
    """One number of another paper: data set and run in this paper's names, metric, value in percent, whose it is."""

    dataset: str
    run: str
    metric: str
    value: float
    source: str


def load_context(folder: str | Path, given: Given) -> list[Elsewhere]:
    """All numbers of the published files that say `context: <whose they are>`, in the order of the files.

    Raises UserError as `load_published` does.
    """
    return [
        Elsewhere(key[0], key[1], key[3], value, declared.context)
        for declared in published_files(given)
        if declared.context
        for key, value in load_values(folder, [declared]).items()
    ]


def context_value(numbers: Sequence[Elsewhere], dataset: str, run: str, metric: str) -> float | None:
    """The first number for a run on a data set; None when there is none."""
    matching = (each.value for each in numbers if (each.dataset, each.run, each.metric) == (dataset, run, metric))
    return next(matching, None)


def context_lines(numbers: Sequence[Elsewhere], datasets: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """A line per source, data set and metric, for the notes of a table."""
    lines = []
    for source in dict.fromkeys(each.source for each in numbers):
        for dataset in datasets:
            for metric in metrics:
                numbers_there = [
                    f"{each.run} {each.value:.2f}"
                    for each in numbers
                    if (each.source, each.dataset, each.metric) == (source, dataset, metric)
                ]
                if numbers_there:
                    lines.append(
                        f"Context, from another paper ({source}), not numbers of this one: {dataset}, "
                        f"{metric.replace('_', ' ')} (%): {'; '.join(numbers_there)}."
                    )
    return lines
