"""The ledger of a result set: how each of its files was made, kept among them, so that it travels with them.

results/<name>/provenance.jsonl: a header, then one line per job with what Snakemake recorded of it and its outputs.
The md5 of an output is DVC's own address of its bytes; it guards against damage, not against forgery.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.files import atomic_path, canonical_json
from avbalance.provenance.records import RECORD_FORMAT_VERSION, TIMES, Record, read_record
from avbalance.provenance.stamp import md5_file, read_stamp, stat_of

FORMAT = 1
_MD5 = re.compile(r"[0-9a-f]{32}")
_NAMED = 10  # files that a message names


@dataclass(frozen=True)
class Output:
    """One output of a job: its bytes, and Snakemake's two times of it (seconds since 1970)."""

    path: str
    size: int
    md5: str
    starttime: float
    endtime: float


@dataclass(frozen=True)
class Job:
    """What Snakemake recorded of a job, without the times, which each output has of its own."""

    record: Record
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Entry:
    """One file of the set; `record` is Snakemake's whole record of it."""

    path: str
    size: int
    md5: str
    endtime: float
    record: Record


@dataclass(frozen=True)
class Ledger:
    header: dict[str, Any]
    jobs: tuple[Job, ...]

    def entries(self) -> dict[str, Entry]:
        """Every file of the set by its path."""
        return {output.path: _entry(job, output) for job in self.jobs for output in job.outputs}


def _entry(job: Job, output: Output) -> Entry:
    record = {**job.record, "starttime": output.starttime, "endtime": output.endtime}
    return Entry(output.path, output.size, output.md5, output.endtime, record)


def ledger_path(root: Path, name: str) -> Path:
    return root / "results" / name / "provenance.jsonl"


def build_ledger(root: Path, plan_name: str, artifacts: Iterable[str], header: dict[str, Any]) -> Ledger:
    """The ledger of those `artifacts` (paths relative to `root`) that exist.

    The md5 of a file that has not changed since the last look at it is not taken again. Raises UserError for files
    that Snakemake has no record of, and for a path outside results/<plan_name>/ and data/.
    """
    paths = sorted(set(artifacts))
    for path in paths:
        _refuse_outside(path, plan_name)
    stats = {path: found for path in paths if (found := stat_of(root / path)) is not None}
    records = {path: _own_record(root, path) for path in stats}
    unknown = [path for path, record in records.items() if record is None]
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise UserError(
            f"{', '.join(unknown[:_NAMED])}{more}: no record of how this was made; delete it and run `snakemake`."
        )
    known = read_stamp(root, plan_name).files
    jobs: dict[str, tuple[Record, list[Output]]] = {}
    for path, record in records.items():
        assert record is not None
        seen = known.get(path)
        md5 = seen.md5 if seen is not None and seen.stat == stats[path] else None
        times = {name: record.pop(name) for name in TIMES}
        _, outputs = jobs.setdefault(canonical_json(record), (record, []))
        outputs.append(Output(path, stats[path][1], md5 or md5_file(root / path), **times))
    fixed = {"format": FORMAT, "name": plan_name, "record_format_version": RECORD_FORMAT_VERSION}
    return Ledger({**header, **fixed}, tuple(Job(record, tuple(outputs)) for record, outputs in jobs.values()))


def _own_record(root: Path, path: str) -> Record | None:
    """Snakemake's record, unless another version of Snakemake wrote it."""
    record = read_record(root, path)
    return record if record is not None and record.get("record_format_version") == RECORD_FORMAT_VERSION else None


def _refuse_outside(path: Any, name: str) -> None:
    """Raise UserError unless `path` names, plainly, a file inside the result set or inside data/."""
    parts = path.split("/") if isinstance(path, str) else []
    inside = parts[:1] == ["data"] or parts[:2] == ["results", name]
    if not inside or len(parts) < 3 or not {"", ".", ".."}.isdisjoint(parts) or "\0" in path:
        raise UserError(f"the path {path!r} lies outside results/{name}/ and data/")


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Write a ledger; equal ledgers give equal bytes, in whatever order their jobs and outputs come."""
    jobs = [(job.record, sorted(job.outputs, key=lambda output: output.path)) for job in ledger.jobs]
    jobs.sort(key=lambda job: job[1][0].path)
    lines = [{**ledger.header, "jobs": len(jobs)}]
    lines += [{"record": record, "outputs": [asdict(output) for output in outputs]} for record, outputs in jobs]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{canonical_json(line)}\n" for line in lines), encoding="utf-8")


def read_ledger(path: Path) -> Ledger:
    """Read a ledger, trusting nothing in it: it comes from elsewhere.

    Raises UserError with one sentence for an absent, damaged or foreign file, and for a path outside the set.
    """
    again = f"delete this file and run `avbalance fetch {path.parent.name}`"
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file; get the set with `avbalance fetch {path.parent.name}`, or make it and publish it."
        ) from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend the rights, or {again}.") from error
    try:
        return _parsed(path, lines)
    except _Foreign:
        raise
    except UserError as error:
        raise UserError(f"{path}: {error}; nothing was done, {again}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: {error}; {again}.") from error


def _parsed(path: Path, lines: list[bytes]) -> Ledger:
    """The ledger that the lines of `path` hold; raises ValueError or UserError with what is wrong, and where."""
    number = 1
    try:
        header, count = _header(path, json.loads(lines[0]))
        jobs = []
        while number <= count:
            number += 1
            jobs.append(_job(json.loads(lines[number - 1]), header["name"]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"line {number} is not that of a ledger ({error})") from error
    if lines[count + 1 :] != [b""]:
        raise ValueError(f"it ends after line {len(lines) - 1}, {count + 1} were written")
    ledger = Ledger(header, tuple(jobs))
    if len(ledger.entries()) < sum(len(job.outputs) for job in jobs):
        raise ValueError("a file is listed twice")
    return ledger


class _Foreign(UserError):
    """A ledger of another version, told in a whole sentence."""


def _header(path: Path, line: Any) -> tuple[dict[str, Any], int]:
    """The header and the number of jobs that follow it."""
    if line["format"] != FORMAT:
        raise _Foreign(
            f"{path}: a ledger of format {line['format']}, this avbalance reads format {FORMAT}; check out the commit"
            " that published it, or delete the ledger, run snakemake and publish the set again."
        )
    if line["record_format_version"] != RECORD_FORMAT_VERSION:
        raise _Foreign(
            f"{path}: written with Snakemake's record format {line['record_format_version']}, here it is"
            f" {RECORD_FORMAT_VERSION}; install the environment of the commit that published it, or publish again."
        )
    name, count = line["name"], line.pop("jobs")
    if not isinstance(name, str) or "/" in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name of a result set")
    if type(count) is not int or count < 0:
        raise ValueError(f"{count!r} is no number of jobs")
    return line, count


def _job(line: Any, name: str) -> Job:
    record, outputs = line["record"], tuple(_output(output, name) for output in line["outputs"])
    if not isinstance(record, dict) or not outputs:
        raise ValueError("a job has a record and outputs")
    if record["record_format_version"] != RECORD_FORMAT_VERSION:
        raise ValueError(f"a record of format {record['record_format_version']}")
    return Job(record, outputs)


def _output(line: Any, name: str) -> Output:
    output = Output(**line)
    _refuse_outside(output.path, name)
    if type(output.size) is not int or output.size < 0:
        raise ValueError(f"{output.size!r} is no size")
    if not isinstance(output.md5, str) or not _MD5.fullmatch(output.md5):
        raise ValueError(f"{output.md5!r} is no md5")
    for time in (output.starttime, output.endtime):
        if type(time) not in (int, float) or not math.isfinite(time):
            raise ValueError(f"{time!r} is no time")
    return output
