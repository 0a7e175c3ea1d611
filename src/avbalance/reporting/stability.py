"""What differs between two result sets that should say the same: verdicts on claims, and the numbers of a table.

Made for one thing: the same plan, computed under two instruction sets of the processor. Bits of the networks differ
then, and with them every number a little; what a reader is told must not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.errors import UserError
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, SHOWN, UNTESTABLE
from avbalance.provenance.run_record import RECORD
from avbalance.reporting.escape import escape_markdown, markdown_table
from avbalance.table_files import write_text
from flowkeeper.files import read_json, write_json

LEAST_EQUAL = 0.95  # share of verdicts that must be the same
CLAIM, COMPARISON = "claim", "comparison"
_NUMBERS = ["ours_mean", "ours_sd", "seeds"]  # columns of a table's CSV that are compared
_PUBLISHED = "published"  # the column before them; what stands before it names the cell
_DECIMALS = 2  # as tables print them
Records = dict[str, dict[str, Any]]  # folder of a run below results/<name>/runs -> its record


@dataclass(frozen=True)
class Differences:
    """Everything that was compared; `sets` and `instructions`: name and instruction sets of both.

    verdicts: kind (of a whole claim or check, or of one of its comparisons), paper, name, first, second (the verdict in
    each set) and flips (from as claimed to contrary, or back), without those that no set can reach. cells: name, first,
    second, sd, which the first set prints beside its number, differs and apart (by more than sd), both as printed.
    """

    sets: tuple[str, ...]
    instructions: tuple[str, ...]
    verdicts: pd.DataFrame
    cells: pd.DataFrame

    def share_equal(self, kind: str) -> float:
        """Share of the verdicts of a kind that are the same; NaN where there is none."""
        own = self.verdicts[self.verdicts["kind"] == kind]
        return float((own["first"] == own["second"]).mean())

    @property
    def stable(self) -> bool:
        """No flip at all, and at least `LEAST_EQUAL` of the claims' verdicts the same; false where there is none."""
        return not self.verdicts["flips"].any() and self.share_equal(CLAIM) >= LEAST_EQUAL


def compare(first: Path, second: Path, table: str) -> Differences:
    """Compare two folders results/<name>; `table`: path of a table's CSV below them.

    Raises UserError for a missing file, and unless both are of the same runs, settings, data, code, claims and seeds.
    """
    mine, others = _records(first), _records(second)
    _check_runs(first, second, mine, others)
    return Differences(
        sets=(str(first), str(second)),
        instructions=(_instructions(mine), _instructions(others)),
        verdicts=_verdicts(first, second),
        cells=_cells(first / table, second / table),
    )


def _records(folder: Path) -> Records:
    root = folder / "runs"
    records = {str(path.parent.relative_to(root)): read_json(path) for path in sorted(root.glob(f"**/{RECORD}"))}
    if not records:
        raise UserError(f"{root}: no finished runs; make this result set first.")
    return records


def _check_runs(first: Path, second: Path, mine: Records, others: Records) -> None:
    """Raise UserError unless both sets have the same runs, made with the same settings, data and code."""
    for run in sorted(set(mine) ^ set(others)):
        has, lacks = (first, second) if run in mine else (second, first)
        raise UserError(
            f"{has / 'runs' / run}: {lacks} has no such run, so the two are not of one plan; make both from the same "
            "configuration, and remove what an earlier one left (avbalance clean --stale)."
        )
    for run, record in mine.items():
        own, other = _facts(record), _facts(others[run])
        for what in (what for what in own if own[what] != other[what]):
            raise UserError(
                f"{second / 'runs' / run}: made with {what} other than in {first}, so differences would have "
                "another cause; make both from the same configuration and checkout."
            )


def _facts(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "settings": record["settings_digest"],
        "data": record.get("data", {}).get("manifest_sha256"),
        "code": record["code"]["digest"],
    }


def _instructions(records: Records) -> str:
    """The instruction sets under which the runs were trained, as their records say."""
    devices = (record["device"].get("instruction_set", {}) for record in records.values())
    return ", ".join(sorted({str(device.get("torch", "not recorded")) for device in devices}))


def _verdicts(first: Path, second: Path) -> pd.DataFrame:
    """Every verdict of every paper; raises UserError when the two sets do not judge the same."""
    papers = sorted({path.parent.name for folder in (first, second) for path in folder.glob("papers/*/claims.json")})
    if not papers:
        raise UserError(f"{first / 'papers'}: no claims.json of any paper; make this result set first.")
    rows = []
    for slug in papers:
        files = [folder / "papers" / slug / "claims.json" for folder in (first, second)]
        mine, others = (_judged(path) for path in files)
        for key in (key for key in (*mine, *others) if key not in mine or key not in others):
            has, lacks = files if key in mine else files[::-1]
            raise UserError(f"{lacks}: has no verdict on {key[1]}, which {has} has; make both by the same checkout.")
        rows += [(kind, slug, name, verdict, others[kind, name]) for (kind, name), verdict in mine.items()]
    frame = pd.DataFrame(rows, columns=["kind", "paper", "name", "first", "second"])
    frame["flips"] = [set(pair) == {CLAIMED, CONTRARY} for pair in zip(frame["first"], frame["second"], strict=True)]
    # What neither set can test agrees for free and would raise the share of equal verdicts.
    return frame[(frame["first"] != UNTESTABLE) | (frame["second"] != UNTESTABLE)]


def _judged(path: Path) -> dict[tuple[str, str], str]:
    """(kind, name) -> verdict, for the claims and checks of a paper and each of their comparisons."""
    verdicts: dict[tuple[str, str], str] = {}
    report = read_json(path)
    try:
        for entry in (*report["checks"], *report["claims"]):
            for protocol, result in entry["results"].items():
                name = f"{entry['id']}, {protocol}" if len(entry["results"]) > 1 else str(entry["id"])
                verdicts[CLAIM, name] = result["verdict"]
                for number, outcome in enumerate(result["outcomes"], start=1):
                    asked = outcome["text"].partition(SHOWN)[0]  # which alternative decides is part of the answer
                    verdicts[COMPARISON, f"{name}, {number}: {asked}"] = outcome["verdict"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: holds no claims of a paper ({error}); delete it to have it made again.") from error
    return verdicts


def _cells(first: Path, second: Path) -> pd.DataFrame:
    """Every number of a table; raises UserError unless both tables have the same cells over as many seeds."""
    mine, others = _table(first), _table(second)
    if list(mine.index) != list(others.index):
        raise UserError(f"{second}: has other rows or columns than {first}; make both by the same checkout.")
    rows = []
    for name, (one, sd, seeds), (other, _, other_seeds) in zip(mine.index, mine.values, others.values, strict=True):
        if seeds != other_seeds:
            raise UserError(
                f"{second}, {name}: over {other_seeds:g} seeds, {first} has {seeds:g}; make both by the same checkout."
            )
        if not (math.isnan(one) and math.isnan(other)):
            spread = 0.0 if math.isnan(sd) else float(sd)
            # Rounded first: readers compare what is printed.
            distance = abs(round(float(one), _DECIMALS) - round(float(other), _DECIMALS))  # NaN where one is absent
            # Negated so that NaN, a number that only one set has, counts as apart; 1e-9 allows for binary fractions.
            apart = not distance <= round(spread, _DECIMALS) + 1e-9
            rows.append((name, one, other, spread, distance != 0, apart))
    return pd.DataFrame(rows, columns=["name", "first", "second", "sd", "differs", "apart"])


def _table(path: Path) -> pd.DataFrame:
    """_NUMBERS by what names a cell, NaN where there is none."""
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable table ({error}); make this result set first.") from error
    for name in (_PUBLISHED, *_NUMBERS):
        if name not in frame.columns:
            raise UserError(f"{path}: has no column {name!r}; give the CSV of a table, see docs/reference/files.md.")
    names = list(frame.columns)[: list(frame.columns).index(_PUBLISHED)]
    cells = frame[names].astype(str).agg(", ".join, axis=1)
    return frame[_NUMBERS].fillna({"seeds": 0}).astype(float).set_axis(cells)


# Files


def write_stability(sets: Differences, out: Path) -> str:
    """Write stability.json and stability.md into the folder `out`; returns the page."""
    page = markdown(sets)
    write_json(out / "stability.json", as_json(sets))
    write_text(out / "stability.md", page)
    return page


def as_json(sets: Differences) -> dict[str, Any]:
    """Shares, and everything that differs; a share or number that is absent is null."""
    shares = {kind: sets.share_equal(kind) for kind in (CLAIM, COMPARISON)}
    cells = sets.cells[sets.cells["differs"]].drop(columns="differs").astype(object)
    return {
        "sets": sets.sets,
        "instruction_sets": sets.instructions,
        "stable": sets.stable,
        "compared": {kind: int((sets.verdicts["kind"] == kind).sum()) for kind in shares},
        "share_equal": {kind: None if math.isnan(share) else share for kind, share in shares.items()},
        "verdicts": sets.verdicts[sets.verdicts["first"] != sets.verdicts["second"]].to_dict("records"),
        "cells": cells.where(cells.notna(), None).to_dict("records"),
        "cells_compared": len(sets.cells),
    }


def markdown(sets: Differences) -> str:
    """One page: the answer, the verdicts that differ, the numbers that differ."""
    lines = ["# Stability", "", *_answer(sets), ""]
    for kind, title in ((CLAIM, "Claims and checks"), (COMPARISON, "Single comparisons")):
        own = sets.verdicts[sets.verdicts["kind"] == kind]
        other = own[own["first"] != own["second"]].drop(columns="kind")
        lines += [f"## {title}: {len(own) - len(other)} of {len(own)} verdicts are the same", ""]
        rows = [[*map(str, words), "yes" if flips else ""] for *words, flips in other.itertuples(index=False)]
        lines += _table_lines(["Paper", "What", *sets.sets, "flips"], rows) or ["None differs.", ""]
    cells = sets.cells[sets.cells["differs"]]
    lines += [
        f"## Numbers of the table: {len(cells)} of {len(sets.cells)} differ, {sets.cells['apart'].sum()} by more than "
        "the printed standard deviation",
        "",
    ]
    rows = [
        [str(name), f"{first:.2f} ± {sd:.2f}", f"{second:.2f}", "yes" if apart else ""]
        for name, first, second, sd, _, apart in cells.itertuples(index=False)
    ]
    lines += _table_lines(["Cell", *sets.sets, "more than ±"], rows)
    return "\n".join(lines).rstrip("\n") + "\n"


def _table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [*markdown_table(heads, rows, len(heads)), ""] if rows else []


def _answer(sets: Differences) -> list[str]:
    first, second = (
        escape_markdown(f"{name} ({known})") for name, known in zip(sets.sets, sets.instructions, strict=True)
    )
    flips = int(sets.verdicts["flips"].sum())
    lines = [
        f"{first} against {second}: **{'stable' if sets.stable else 'NOT stable'}**, {flips} flip{'s' * (flips != 1)} "
        "(wanted: no verdict that flips between as claimed and contrary, at least "
        f"{LEAST_EQUAL:.0%} of the claims' verdicts the same)."
    ]
    if sets.instructions[0] == sets.instructions[1]:
        lines += ["", "Both were made under the same instruction set: this says nothing about another one."]
    return lines
