"""The ledger of a result set: how each of its files was made, kept among them, so that it travels with them.

results/<name>/provenance.jsonl: a header, then one line per job with what Snakemake recorded of it and its outputs.
The md5 of an output is DVC's own address of its bytes; it guards against damage, not against forgery. A second one, in
the state folder, tells of everything that was made here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from flowkeeper.errors import UserError
from flowkeeper.files import atomic_path, canonical_json, md5_file
from flowkeeper.interface import ResultSet
from flowkeeper.records import RECORD_FORMAT_VERSION, TIMES, Record, incomplete_files, read_record
from flowkeeper.seen import has_time, read_memory, stat_of
from flowkeeper.words import listed

FORMAT = 1


class Output(BaseModel):
    """One output of a job: its bytes, and Snakemake's two times of it (seconds since 1970)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: str
    size: int = Field(ge=0)
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")
    starttime: FiniteFloat
    endtime: FiniteFloat


class Job(BaseModel):
    """What Snakemake recorded of a job, without the times, which each output has of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    record: dict[str, Any]
    outputs: tuple[Output, ...] = Field(min_length=1)


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

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every file of the set by its path."""
        return {output.path: _entry(job, output) for job in self.jobs for output in job.outputs}


def _entry(job: Job, output: Output) -> Entry:
    record = {**job.record, "starttime": output.starttime, "endtime": output.endtime}
    return Entry(output.path, output.size, output.md5, output.endtime, record)


def build_ledger(results: ResultSet, artifacts: Iterable[str], header: dict[str, Any]) -> Ledger:
    """The ledger of those `artifacts` (paths relative to the root) that exist.

    The md5 of a file that has not changed since the last look at it is not taken again. Raises UserError for files
    that Snakemake has no record of, and for a path outside the folders of the set.
    """
    paths = sorted(set(artifacts))
    outside = [path for path in paths if not _is_inside(path, results)]
    if outside:
        raise UserError(_outside(outside[0], results))
    ledger, unknown = _ledger_of(results, paths, header)
    if unknown:
        raise UserError(f"{listed(unknown)}: no record of how this was made; delete it and run `snakemake`.")
    return ledger


def remember_own(results: ResultSet, artifacts: Iterable[str]) -> None:
    """Write the ledger of what is here and finished, published or not; files without a record are left out."""
    unfinished = set(incomplete_files(results.root))
    paths = sorted(path for path in set(artifacts) - unfinished if _is_inside(path, results))
    ledger, _ = _ledger_of(results, paths, {})
    write_ledger(results.own_ledger, ledger)


def _ledger_of(results: ResultSet, paths: list[str], header: dict[str, Any]) -> tuple[Ledger, list[str]]:
    """The ledger of those files that exist and have a record, and the files that have none."""
    memory, own = read_memory(results), own_entries(results)
    jobs: dict[str, tuple[Record, list[Output]]] = {}
    unknown = []
    for path in paths:
        stat = stat_of(results.root / path)
        if stat is None:
            continue
        record = read_record(results.root, path)
        if record is None or record.get("record_format_version") != RECORD_FORMAT_VERSION:
            unknown.append(path)
            continue
        times = {name: record.pop(name) for name in TIMES}
        earlier = own.get(path)
        md5 = memory.md5(path, stat)
        if md5 is None and earlier and earlier.size == stat[1] and has_time(stat, earlier.endtime):
            md5 = earlier.md5
        _, outputs = jobs.setdefault(canonical_json(record), (record, []))
        outputs.append(Output(path=path, size=stat[1], md5=md5 or md5_file(results.root / path), **times))
    fixed = {"format": FORMAT, "name": results.name, "record_format_version": RECORD_FORMAT_VERSION}
    made = tuple(Job(record=record, outputs=tuple(outputs)) for record, outputs in jobs.values())
    return Ledger({**header, **fixed}, made), unknown


def own_entries(results: ResultSet) -> dict[str, Entry]:
    """What was made here by its path; nothing when that is not known."""
    try:
        return read_ledger(results, results.own_ledger).entries
    except UserError:
        return {}


def _is_inside(path: str, results: ResultSet) -> bool:
    """Whether `path` names, plainly, a file inside the result set or inside the folder that all sets share."""
    parts = path.split("/")
    folders = ([results.workflow.inputs], [results.workflow.results, results.name])
    inside = any(parts[: len(folder)] == folder for folder in folders)
    return inside and len(parts) >= 3 and {"", ".", ".."}.isdisjoint(parts) and "\0" not in path


def _outside(path: str, results: ResultSet) -> str:
    return f"the path {path!r} lies outside {results.folder}/ and {results.workflow.inputs}/"


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Write a ledger; equal ledgers give equal bytes, in whatever order their jobs and outputs come."""
    jobs = [(job.record, sorted(job.outputs, key=lambda output: output.path)) for job in ledger.jobs]
    jobs.sort(key=lambda job: job[1][0].path)
    lines = [{**ledger.header, "jobs": len(jobs)}]
    lines += [{"record": record, "outputs": [output.model_dump() for output in outputs]} for record, outputs in jobs]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{canonical_json(line)}\n" for line in lines), encoding="utf-8")


def read_ledger(results: ResultSet, path: Path | None = None) -> Ledger:
    """Read the ledger of a set (path: another copy of it), trusting nothing in it: it comes from elsewhere.

    Raises UserError with one sentence for an absent, damaged or foreign file, and for a path outside the set.
    """
    path, get, number = path or results.ledger, results.type("fetch"), 1
    again = f"delete this file and run {get}"
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; get the set with {get}, or make it and publish it.") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend the rights, or {again}.") from error
    try:
        header = json.loads(lines[0])
        foreign = _foreign(results, header)
        if foreign is not None:
            raise UserError(f"{path}: {foreign}")
        count, jobs = range(header.pop("jobs")), list[Job]()
        for number in (number + 2 for number in count):
            jobs.append(_job(results, lines[number - 1]))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        told = _told(error) if isinstance(error, ValidationError) else error
        raise UserError(f"{path}: line {number} is not that of a ledger ({told}); {again}.") from error
    ledger = Ledger(header, tuple(jobs))
    if lines[len(jobs) + 1 :] != [b""]:
        raise UserError(f"{path}: it ends after line {len(lines) - 1}, {len(jobs) + 1} were written; {again}.")
    if len(ledger.entries) < sum(len(job.outputs) for job in jobs):
        raise UserError(f"{path}: a file is listed twice; {again}.")
    return ledger


def _foreign(results: ResultSet, header: Any) -> str | None:
    """What to tell of a ledger that is whole but of no use here; None of one that is."""
    if header["format"] != FORMAT:
        return (
            f"a ledger of format {header['format']}, this {results.workflow.command} reads format {FORMAT}; check out"
            " the commit that published it, or delete the ledger, run snakemake and publish the set again."
        )
    if header["record_format_version"] != RECORD_FORMAT_VERSION:
        return (
            f"written with Snakemake's record format {header['record_format_version']}, here it is"
            f" {RECORD_FORMAT_VERSION}; install the environment of the commit that published it, or publish again."
        )
    if header["name"] != results.name:
        return f"the ledger of another result set, {header['name']}; delete it and run {results.type('fetch')}."
    return None


def _job(results: ResultSet, line: bytes) -> Job:
    job = Job.model_validate_json(line)
    if job.record.get("record_format_version") != RECORD_FORMAT_VERSION:
        raise ValueError(f"a record of format {job.record.get('record_format_version')}")
    for output in job.outputs:
        if not _is_inside(output.path, results):
            raise ValueError(_outside(output.path, results))
    return job


def _told(error: ValidationError) -> str:
    """The first thing that is wrong with a line."""
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
