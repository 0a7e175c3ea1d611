"""stability.json and stability.md: what differs between two result sets, see evaluation/stability.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avbalance.evaluation.stability import CLAIM, COMPARISON, LEAST_EQUAL, Comparison, VerdictPair
from avbalance.files import write_json
from avbalance.frames import write_text
from avbalance.reporting.escape import escape_markdown


def write_stability(found: Comparison, out: Path) -> str:
    """Write both files into the folder `out`; returns the page."""
    page = markdown(found)
    write_json(out / "stability.json", as_json(found))
    write_text(out / "stability.md", page)
    return page


def as_json(found: Comparison) -> dict[str, Any]:
    """Shares, and everything that differs; a share or number that is absent is null."""
    return {
        "sets": found.sets,
        "instruction_sets": found.instructions,
        "stable": found.stable,
        "compared": {kind: len(found.of(kind)) for kind in (CLAIM, COMPARISON)},
        "share_equal": {kind: _number(found.share_equal(kind)) for kind in (CLAIM, COMPARISON)},
        "verdicts": [{**vars(each), "flips": each.flips} for each in found.verdicts if not each.equal],
        "cells": [
            {"name": each.name, "first": _number(each.first), "second": _number(each.second), "sd": each.sd}
            | {"apart": each.apart}
            for each in found.differing_cells
        ],
        "cells_compared": len(found.cells),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def markdown(found: Comparison) -> str:
    """One page: the answer, the verdicts that differ, the numbers that differ."""
    lines = ["# Stability", "", *_answer(found), ""]
    for kind, title in ((CLAIM, "Claims and checks"), (COMPARISON, "Single comparisons")):
        other = [each for each in found.of(kind) if not each.equal]
        lines += [f"## {title}: {len(found.of(kind)) - len(other)} of {len(found.of(kind))} verdicts are the same", ""]
        lines += _verdicts(found, other) if other else ["None differs.", ""]
    apart = sum(each.apart for each in found.cells)
    lines += [
        f"## Numbers of the table: {len(found.differing_cells)} of {len(found.cells)} differ, {apart} by more than the "
        "printed standard deviation",
        "",
    ]
    rows = [
        [each.name, f"{each.first:.2f} ± {each.sd:.2f}", f"{each.second:.2f}", "yes" if each.apart else ""]
        for each in found.differing_cells
    ]
    return "\n".join([*lines, *_table(["Cell", *found.sets, "more than ±"], rows)]).rstrip("\n") + "\n"


def _answer(found: Comparison) -> list[str]:
    first, second = (
        escape_markdown(f"{name} ({known})") for name, known in zip(found.sets, found.instructions, strict=True)
    )
    flips = f"{len(found.flips)} flip" + ("s" if len(found.flips) != 1 else "")
    lines = [
        f"{first} against {second}: **{'stable' if found.stable else 'NOT stable'}**, {flips} (wanted: no verdict that "
        f"flips between as claimed and contrary, at least {LEAST_EQUAL:.0%} of the claims' verdicts the same)."
    ]
    if found.instructions[0] == found.instructions[1]:
        lines += ["", "Both were made under the same instruction set: this says nothing about another one."]
    return lines


def _verdicts(found: Comparison, other: Sequence[VerdictPair]) -> list[str]:
    rows = [[each.paper, each.name, each.first, each.second, "yes" if each.flips else ""] for each in other]
    return _table(["Paper", "What", *found.sets, "flips"], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table, or none without rows."""
    if not rows:
        return []
    body = ["| " + " | ".join(escape_markdown(text) for text in row) + " |" for row in (heads, *rows)]
    return [body[0], "|" + " --- |" * len(heads), *body[1:], ""]
