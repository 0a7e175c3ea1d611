"""The ledger of a result set: how each of its files was made, kept among them, so that it travels with them.

results/<name>/provenance.jsonl: a header, then one line per file with its bytes, its times and what Snakemake recorded
of it; a line without a record has that of the line above it, which is of the same job. The md5 is DVC's own address of
the bytes; it guards against damage, not against forgery. A second ledger, in the state folder, tells of everything that
was made here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from flowkeeper.errors import UserError
from flowkeeper.files import atomic_path, canonical_json, md5_file
from flowkeeper.interface import ResultSet
from flowkeeper.records import RECORD_FORMAT_VERSION, TIMES, Record, incomplete_files, read_record
from flowkeeper.seen import has_time, read_memory, stat_of
from flowkeeper.words import listed

FORMAT = 2  # 1: one line per job


def _checked(record: Record) -> Record:
    for name in TIMES:
        if not isinstance(record.get(name), int | float) or not math.isfinite(record[name]):
            raise ValueError(f"{name} is no time")
    if record.get("record_format_version") != RECORD_FORMAT_VERSION:
        raise ValueError(f"of format {record.get('record_format_version')}")
    return record


class Entry(BaseModel):
    """One file of the set: its bytes, and Snakemake's record of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: str
    size: int = Field(ge=0)
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")
    record: Annotated[dict[str, Any], AfterValidator(_checked)]

    @property
    def endtime(self) -> float:
        """Modification time of the file (seconds since 1970)."""
        return float(self.record["endtime"])

    @property
    def job(self) -> str:
        """The same for all files of one job."""
        return f"{self.record.get('rule')} {self.record.get('job_hash')}"


@dataclass(frozen=True)
class Ledger:
    header: dict[str, Any]
    entries: dict[str, Entry]  # by path


def build_ledger(results: ResultSet, artifacts: Iterable[str], header: dict[str, Any]) -> Ledger:
    """The ledger of those `artifacts` (paths relative to the root) that exist.

    The md5 of a file that has not changed since the last look at it is not taken again. Raises UserError for files
    that Snakemake has no record of, and for a path outside the folders of the set.
    """
    paths = sorted(set(artifacts))
    outside = [path for path in paths if not _is_inside(path, results)]
    if outside:
        raise UserError(_outside(outside[0], results))
    entries = _entries(results, paths)
    unknown = [path for path in paths if path not in entries and stat_of(results.root / path) is not None]
    if unknown:
        raise UserError(f"{listed(unknown)}: no record of how this was made; delete it and run `snakemake`.")
    return Ledger({**header, **_identity(results)}, entries)


def _identity(results: ResultSet) -> dict[str, Any]:
    return {"format": FORMAT, "name": results.name, "record_format_version": RECORD_FORMAT_VERSION}


def remember_own(results: ResultSet, artifacts: Iterable[str]) -> None:
    """Write the ledger of what is here and finished, published or not; files without a record are left out."""
    finished = set(artifacts).difference(incomplete_files(results.root))
    entries = _entries(results, sorted(path for path in finished if _is_inside(path, results)))
    write_ledger(results.own_ledger, Ledger(_identity(results), entries))


def _entries(results: ResultSet, paths: list[str]) -> dict[str, Entry]:
    """Those of the files that exist and have a record."""
    memory, own, entries = read_memory(results), own_entries(results), dict[str, Entry]()
    for path in paths:
        stat, record = stat_of(results.root / path), read_record(results.root, path)
        if stat is None or record is None or record.get("record_format_version") != RECORD_FORMAT_VERSION:
            continue
        md5, earlier = memory.md5(path, stat), own.get(path)
        # Size and time are as recorded when it was made here: reading large files again would take minutes.
        if md5 is None and earlier and earlier.size == stat[1] and has_time(stat, earlier.endtime):
            md5 = earlier.md5
        entries[path] = Entry(path=path, size=stat[1], md5=md5 or md5_file(results.root / path), record=record)
    return entries


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
    """Write a ledger; equal ledgers give equal bytes, in whatever order their files come."""
    lines, above = [{**ledger.header, "files": len(ledger.entries)}], None
    for entry in sorted(ledger.entries.values(), key=lambda entry: (entry.job, entry.path)):
        record = dict(entry.record)
        # Times differ among files of one job: without them the record equals the one above, and need not be repeated.
        times = {name: record.pop(name) for name in TIMES}
        told = {} if record == above else {"record": record}
        lines.append({"path": entry.path, "size": entry.size, "md5": entry.md5, **times, **told})
        above = record
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
        raise UserError(f"{path}: cannot be read ({error.strerror}); fix permissions, or {again}.") from error
    try:
        header = json.loads(lines[0])
        foreign = _foreign(results, header)
        if foreign is not None:
            raise UserError(f"{path}: {foreign}")
        last, entries, record = header.pop("files") + 1, dict[str, Entry](), None
        for number in range(2, last + 1):
            line = json.loads(lines[number - 1])
            times, record = {name: line.pop(name) for name in TIMES}, line.pop("record", record)
            entry = Entry.model_validate({**line, "record": {**record, **times}})
            if not _is_inside(entry.path, results):
                raise ValueError(_outside(entry.path, results))
            if entry.path in entries:
                raise ValueError(f"{entry.path} is listed twice")
            entries[entry.path] = entry
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        told = _first_fault(error) if isinstance(error, ValidationError) else error
        raise UserError(f"{path}: line {number} is not that of a ledger ({told}); {again}.") from error
    # A file that was cut, or has lines behind its end, is no whole ledger even where each line can be read.
    if lines[last:] != [b""]:
        raise UserError(f"{path}: it ends after line {len(lines) - 1}, {last} were written; {again}.")
    return Ledger(header, entries)


def _foreign(results: ResultSet, header: Any) -> str | None:
    """What to tell of a ledger that is whole but of no use here; None of one that is."""
    if header["format"] != FORMAT:
        return (
            f"a ledger of format {header['format']}, this {results.workflow.command} reads format {FORMAT}; check out"
            f" the commit that published it, or delete {results.ledger_file}, run snakemake and publish the set again."
        )
    if header["record_format_version"] != RECORD_FORMAT_VERSION:
        return (
            f"written with Snakemake's record format {header['record_format_version']}, here it is"
            f" {RECORD_FORMAT_VERSION}; install the environment of the commit that published it, or publish again."
        )
    if header["name"] != results.name:
        return f"the ledger of another result set, {header['name']}; delete it and run {results.type('fetch')}."
    return None


def _first_fault(error: ValidationError) -> str:
    """The first thing that is wrong with a line."""
    first = error.errors(include_url=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
