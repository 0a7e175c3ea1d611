"""What trainings cost, as multiples of what others cost on the same machine: seconds and megabytes mean little alone.

Time is that of the processor, or of the clock where a GPU computes, from the start of a run to its last file: probes
and tests of the finished model are part of it, the same for all. Memory is the peak of the run, on the device that
computes; on a processor the libraries and the clips are part of it. Trials are not counted: all methods have as many.
What a run needs of other runs (teachers, frozen encoders) is: it could not be trained without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from avbalance.evaluation.paper import Paper, RunFile
from avbalance.provenance.run_record import RECORD
from flowkeeper.files import read_json

QUANTITIES = ("time", "memory", "parameters")
_TRIAL = "candidate "  # begins the names of a run's own trials among what it reads (plan/cells.py)


class Cost(NamedTuple):
    """Quantity -> multiple of the same of another run, by medians over so many seeds."""

    ratios: dict[str, float]
    seeds: int


def relative_costs(paper: Paper, role: str, runs: Iterable[str], against: str) -> dict[str, Cost]:
    """Run -> its cost, of those that were made on a data set; none where `against` was not.

    A run that joins the predictions of others costs their time and parameters together, and the larger of their peaks.
    The time of runs whose models a run needs comes on top of its own, too; its parameters are those that it trains.
    """
    known = {run: _medians(paper.run_files(role, run)) for run in {*runs, against}}
    base = known[against]
    return {
        run: Cost({name: own[name] / base[name] for name in QUANTITIES if base.get(name) and name in own}, seeds)
        for run in runs
        if base and (own := known[run]) and (seeds := len(paper.run_files(role, run)))
    }


def _medians(files: Iterable[RunFile]) -> dict[str, float]:
    told = [_quantities(each.beside(RECORD)) for each in files]
    return {name: median(each[name] for each in told) for name in QUANTITIES} if told else {}


def _quantities(path: Path) -> dict[str, float]:
    record: dict[str, Any] = read_json(path)
    if joined := record["job"].get("predictions"):
        parts = [_quantities(Path(part).with_name(RECORD)) for part in joined.values()]
        # Parts run one after the other: their times add up, their peaks do not.
        return {name: (max if name == "memory" else sum)(each[name] for each in parts) for name in QUANTITIES}
    on_gpu = record["device"]["kind"] == "cuda"
    # On a GPU its own memory is what runs out; the process's is mostly libraries.
    memory = record.get("peak_gpu_memory_mb") if on_gpu else None
    needed = [_quantities(other) for other in _needed(path, record["job"])]
    return {
        "time": float(record["wall_s" if on_gpu else "cpu_s"]) + sum(each["time"] for each in needed),
        "memory": max([float(memory or record["peak_memory_mb"]), *(each["memory"] for each in needed)]),
        "parameters": float(record["parameters"]),
    }


def _needed(path: Path, job: Mapping[str, Any]) -> list[Path]:
    """Records of the runs that one needs but for its own trials; `path` is its record."""
    reads = {name: Path(file).parent for name, file in job.get("reads", {}).items() if not name.startswith(_TRIAL)}
    runs = path.parents[len(Path(job["folder"]).parts)] if reads else path
    return [runs / folder / RECORD for folder in sorted(set(reads.values()))]
