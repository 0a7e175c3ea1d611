"""What differs between two result sets that should say the same: verdicts on claims, and the numbers of a table.

Made for one thing: the same plan, computed under two instruction sets of the processor. Bits of the networks differ
then, and with them every number a little; what a reader is told must not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from avbalance.errors import UserError
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, SHOWN
from avbalance.provenance.run_record import RECORD
from flowkeeper.files import read_json

UNTESTED = "not testable"  # how the verdict on what a set cannot test begins
LEAST_EQUAL = 0.95  # share of verdicts that must be the same
CLAIM, COMPARISON = "claim", "comparison"
_NUMBERS = ["ours_mean", "ours_sd", "seeds"]  # columns of a table's CSV that are compared
_PUBLISHED = "published"  # the column before them; what stands before it names the cell
_DECIMALS = 2  # as tables print them
Records = dict[str, dict[str, Any]]  # folder of a run below results/<name>/runs -> its record


@dataclass(frozen=True)
class VerdictPair:
    """One verdict in both sets; kind: of a whole claim or check, or of one of its comparisons."""

    kind: str
    paper: str
    name: str
    first: str
    second: str

    @property
    def equal(self) -> bool:
        return self.first == self.second

    @property
    def tested(self) -> bool:
        return not (self.first.startswith(UNTESTED) and self.second.startswith(UNTESTED))

    @property
    def flips(self) -> bool:
        """Whether one set says as claimed and the other contrary."""
        return {self.first, self.second} == {CLAIMED, CONTRARY}


@dataclass(frozen=True)
class TableCell:
    """A number of the table in both sets, and the standard deviation over seeds that the first prints beside it."""

    name: str
    first: float
    second: float
    sd: float

    @property
    def apart(self) -> bool:
        """Whether the numbers, as printed, lie further apart than the standard deviation; true where one is absent."""
        distance = abs(round(self.first, _DECIMALS) - round(self.second, _DECIMALS))
        return not distance <= round(self.sd, _DECIMALS) + 1e-9


@dataclass(frozen=True)
class Comparison:
    """Everything that was compared; `sets` and `instructions`: name and instruction sets of both."""

    sets: tuple[str, str]
    instructions: tuple[str, str]
    verdicts: tuple[VerdictPair, ...]
    cells: tuple[TableCell, ...]

    def of(self, kind: str) -> list[VerdictPair]:
        """Verdicts of a kind that at least one set could reach: of what none can test, both say the same."""
        return [each for each in self.verdicts if each.kind == kind and each.tested]

    @property
    def flips(self) -> list[VerdictPair]:
        return [each for each in self.verdicts if each.flips]

    def share_equal(self, kind: str) -> float:
        """Share of the verdicts that are the same; NaN where there is none."""
        verdicts = self.of(kind)
        return sum(each.equal for each in verdicts) / len(verdicts) if verdicts else math.nan

    @property
    def stable(self) -> bool:
        """No flip at all, and at least `LEAST_EQUAL` of the claims' verdicts the same; false where there is none."""
        return not self.flips and self.share_equal(CLAIM) >= LEAST_EQUAL

    @property
    def differing_cells(self) -> list[TableCell]:
        return [each for each in self.cells if round(each.first, _DECIMALS) != round(each.second, _DECIMALS)]


def compare(first: Path, second: Path, table: str) -> Comparison:
    """Compare two folders results/<name>; `table`: path of a table's CSV below them.

    Raises UserError for a missing file, and unless both are of the same runs, settings, data, code, claims and seeds.
    """
    records = (_records(first), _records(second))
    _check_runs(first, second, *records)
    return Comparison(
        sets=(str(first), str(second)),
        instructions=(_instructions(records[0]), _instructions(records[1])),
        verdicts=tuple(_verdicts(first, second)),
        cells=tuple(_cells(first / table, second / table)),
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
        facts = zip(_facts(record).items(), _facts(others[run]).values(), strict=True)
        for what in (what for (what, fact), other in facts if fact != other):
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


def _verdicts(first: Path, second: Path) -> Iterator[VerdictPair]:
    """Every verdict of every paper; raises UserError when the two sets do not judge the same."""
    papers = sorted({path.parent.name for folder in (first, second) for path in folder.glob("papers/*/claims.json")})
    if not papers:
        raise UserError(f"{first / 'papers'}: no claims.json of any paper; make this result set first.")
    for slug in papers:
        files = [folder / "papers" / slug / "claims.json" for folder in (first, second)]
        mine, others = (_judged(path) for path in files)
        for key in (key for key in (*mine, *others) if key not in mine or key not in others):
            has, lacks = files if key in mine else files[::-1]
            raise UserError(f"{lacks}: has no verdict on {key[1]}, which {has} has; make both by the same checkout.")
        for (kind, name), verdict in mine.items():
            yield VerdictPair(kind, slug, name, verdict, others[kind, name])


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


def _cells(first: Path, second: Path) -> Iterator[TableCell]:
    """Every number of a table; raises UserError unless both tables have the same cells over as many seeds."""
    mine, others = _table(first), _table(second)
    if list(mine.index) != list(others.index):
        raise UserError(f"{second}: has other rows or columns than {first}; make both by the same checkout.")
    for name, (mean, sd, seeds), (other, _, other_seeds) in zip(mine.index, mine.values, others.values, strict=True):
        if seeds != other_seeds:
            raise UserError(
                f"{second}, {name}: over {other_seeds:g} seeds, {first} has {seeds:g}; make both by the same checkout."
            )
        if not (math.isnan(mean) and math.isnan(other)):
            yield TableCell(name, float(mean), float(other), 0.0 if math.isnan(sd) else float(sd))


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
