"""What the page says of every run: how it came to be, how it learned, and what makes it again."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from avbalance.errors import UserError
from avbalance.evaluation.histories import HISTORY
from avbalance.provenance.show import Run, commands, find_run
from avbalance.reporting.page.compact import UniqueValues
from flowkeeper.files import canonical_json

POINTS = 60  # of a learning curve at the most
DIGITS = 3  # of its numbers
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
POOLED = (
    "papers", "datasets", "runs", "methods", "codes", "data", "machines", "versions", "settings", "options", "metrics",
    "reasons", "commands",
)  # fmt: skip


class Runs:
    """All runs as columns of plain values; what many share stands in pools, and the columns hold its place there."""

    def __init__(self) -> None:
        self.pools = {name: UniqueValues() for name in POOLED}
        self.columns: dict[str, list[Any]] = defaultdict(list)
        self.records: list[dict[str, Any]] = []  # as they were read, in the same order

    def read(self, folders: Iterable[str], runs: str) -> None:
        """Add the runs in some folders below `runs`, results/<name>/runs; raises UserError for one without record."""
        for folder in folders:
            run = find_run(f"{runs}/{folder}")
            self.records.append(run.record)
            for name, value in {**self._origin(run), **self._outcome(run), **_curves(run)}.items():
                self.columns[name].append(value)

    def _place(self, pool: str, value: Any) -> int:
        return self.pools[pool].place(value)

    def _origin(self, run: Run) -> dict[str, Any]:
        """Who made a run of what, where."""
        record, job = run.record, run.record["job"]
        paper, dataset, name, _ = run.folder.parts[-4:]
        code, device = record["code"], record["device"]
        machine = {key: device.get(key) for key in ("kind", "threads", "cores", "processor", "system")}
        # With names in place of its folders, all runs of a sheet share one text in the pool.
        again = "\n".join(commands(run)).replace(str(run.folder), "{run}").replace(job["folder"], "{job}")
        return {
            "paper": self._place("papers", paper),
            "dataset": self._place("datasets", dataset),
            "run": self._place("runs", name),
            "seed": job["seed"],
            "method": self._place("methods", job["method"]),
            "code": self._place("codes", {key: code[key] for key in ("commit", "digest", "dirty")}),
            "data": self._place("data", _data(run)),
            "machine": self._place("machines", {**machine, **run.instruction_set}),
            "versions": self._place("versions", record["versions"]),
            "settings": self._place("settings", [self._place("options", option) for option in _options(record)]),
            "command": self._place("commands", again),
        }

    def _outcome(self, run: Run) -> dict[str, Any]:
        """What came of a run."""
        record = run.record
        learning = record.get("learning") or {}
        reason = str(learning.get("reason", ""))
        return {
            "learned": learning.get("learned"),
            "converged": learning.get("converged"),
            "metric": self._place("metrics", learning.get("metric", "")),
            "value": learning.get("value") and round(learning["value"], 2),
            "chance": learning.get("chance") and round(learning["chance"], 2),
            "selected": record.get("selected_epoch"),
            "epochs": record.get("epochs_run"),
            "parameters": record.get("parameters"),
            # The reasons of runs differ in their numbers alone; kept apart, a few sentences serve thousands of runs.
            "reason": self._place("reasons", _NUMBER.sub("#", reason)),
            "numbers": " ".join(_NUMBER.findall(reason)),
        }

    def as_json(self) -> dict[str, Any]:
        """Columns and pools."""
        return {"columns": dict(self.columns), "pools": {name: pool.values for name, pool in self.pools.items()}}


def _data(run: Run) -> dict[str, Any]:
    """The data that a run was trained on, or the predictions that it joins."""
    if not run.trained:
        return {"joins": sorted(run.record["job"]["predictions"])}
    data = run.record["data"]
    known = {name: data[name] for name in ("digest", "manifest_sha256", "clips", "losses")}
    return {"manifest": run.record["paths"]["manifest"], **known}


def _options(record: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}.{name} = {canonical_json(value)}"
        for part, values in sorted(record["settings"].items())
        for name, value in sorted(values.items())
    ]


def _short(value: float | None) -> float | int | None:
    """A number with few digits; whole ones without a point."""
    # NaN, the only number that differs from itself: nothing was logged in this epoch.
    if value is None or value != value:
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short


def _curves(run: Run) -> dict[str, Any]:
    """Training loss and validation metric of the epochs, at most POINTS of them; None where nothing was logged."""
    path = run.folder / HISTORY
    if not path.is_file():
        return {"loss": None, "validation": None}
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    if len(lines) < 2:
        raise UserError(f"{path}: holds no epochs; delete the run's folder and run it again.")
    metric = (run.record.get("learning") or {}).get("metric")
    heads, *rows = lines
    last = len(rows) - 1
    shown = range(len(rows)) if len(rows) <= POINTS else [round(k * last / (POINTS - 1)) for k in range(POINTS)]

    def column(name: str) -> list[float | int | None] | None:
        if name not in heads:
            return None
        place = heads.index(name)
        return [_short(float(rows[number][place] or "nan")) for number in shown]

    return {"loss": column("train_loss"), "validation": column(f"val_{metric}")}
