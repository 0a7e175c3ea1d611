"""stability.json and stability.md: what differs between two result sets, see evaluation/stability.py."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from avbalance.evaluation.stability import CLAIM, COMPARISON, LEAST_EQUAL, Comparison
from avbalance.reporting.escape import escape_markdown, markdown_table
from avbalance.table_files import write_text
from flowkeeper.files import write_json


def write_stability(sets: Comparison, out: Path) -> str:
    """Write both files into the folder `out`; returns the page."""
    page = markdown(sets)
    write_json(out / "stability.json", as_json(sets))
    write_text(out / "stability.md", page)
    return page


def as_json(sets: Comparison) -> dict[str, Any]:
    """Shares, and everything that differs; a share or number that is absent is null."""
    return {
        "sets": sets.sets,
        "instruction_sets": sets.instructions,
        "stable": sets.stable,
        "compared": {kind: len(sets.of(kind)) for kind in (CLAIM, COMPARISON)},
        "share_equal": {kind: _number(sets.share_equal(kind)) for kind in (CLAIM, COMPARISON)},
        "verdicts": [{**vars(each), "flips": each.flips} for each in sets.verdicts if not each.equal],
        "cells": [
            {"name": each.name, "first": _number(each.first), "second": _number(each.second), "sd": each.sd}
            | {"apart": each.apart}
            for each in sets.differing_cells
        ],
        "cells_compared": len(sets.cells),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def markdown(sets: Comparison) -> str:
    """One page: the answer, the verdicts that differ, the numbers that differ."""
    lines = ["# Stability", "", *_answer(sets), ""]
    for kind, title in ((CLAIM, "Claims and checks"), (COMPARISON, "Single comparisons")):
        every = sets.of(kind)
        rows = [
            [each.paper, each.name, each.first, each.second, "yes" if each.flips else ""]
            for each in every
            if not each.equal
        ]
        lines += [f"## {title}: {len(every) - len(rows)} of {len(every)} verdicts are the same", ""]
        heads = ["Paper", "What", *sets.sets, "flips"]
        lines += [*markdown_table(heads, rows, len(heads)), ""] if rows else ["None differs.", ""]
    cells, apart = sets.differing_cells, sum(each.apart for each in sets.cells)
    lines += [
        f"## Numbers of the table: {len(cells)} of {len(sets.cells)} differ, {apart} by more than the printed standard "
        "deviation",
        "",
    ]
    if cells:
        heads = ["Cell", *sets.sets, "more than ±"]
        rows = [
            [each.name, f"{each.first:.2f} ± {each.sd:.2f}", f"{each.second:.2f}", "yes" if each.apart else ""]
            for each in cells
        ]
        lines += markdown_table(heads, rows, len(heads))
    return "\n".join(lines).rstrip("\n") + "\n"


def _answer(sets: Comparison) -> list[str]:
    first, second = (
        escape_markdown(f"{name} ({known})") for name, known in zip(sets.sets, sets.instructions, strict=True)
    )
    flips = f"{len(sets.flips)} flip" + ("s" if len(sets.flips) != 1 else "")
    lines = [
        f"{first} against {second}: **{'stable' if sets.stable else 'NOT stable'}**, {flips} (wanted: no verdict that "
        f"flips between as claimed and contrary, at least {LEAST_EQUAL:.0%} of the claims' verdicts the same)."
    ]
    if sets.instructions[0] == sets.instructions[1]:
        lines += ["", "Both were made under the same instruction set: this says nothing about another one."]
    return lines
