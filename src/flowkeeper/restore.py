"""Snakemake's records and the times of files, brought back from a result set's ledger.

What DVC brings has the time of its arrival and no record, and Snakemake would make all of it anew. With the ledger's
record and time a file is what it was where it was made: nothing is done again unless code, settings or inputs changed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

from flowkeeper.errors import UserError
from flowkeeper.files import md5_file
from flowkeeper.interface import ResultSet
from flowkeeper.ledger import Entry, own_entries, read_ledger
from flowkeeper.records import TIMES, Record, incomplete_files, read_record, recorded_files, write_record
from flowkeeper.seen import (
    NO_FILE,
    SAME_TIME_S,
    UNSEEN,
    Memory,
    Seen,
    Stat,
    has_time,
    read_memory,
    stat_of,
    write_memory,
)
from flowkeeper.words import NAMED, count

_PASSING = (*TIMES, "job_hash")  # what differs between two equal jobs


class State(Enum):
    ABSENT = "absent"
    PUBLISHED = "the published bytes with their record and their time"
    RETIMED = "the published bytes with their record, another time"
    UNRECORDED = "the published bytes without their record"
    MADE_HERE = "made here since, with other bytes or by other code"
    OUTDATED = "an earlier version"
    DAMAGED = "damaged"


WRONG = (State.OUTDATED, State.DAMAGED)
_REPAIRED = (State.RETIMED, State.UNRECORDED)


@dataclass(frozen=True)
class LedgerFile:
    """One file of a ledger as it is here."""

    entry: Entry
    stat: Stat | None  # None: absent
    md5: str | None  # None: absent, or of another size than recorded
    local: Record | None  # Snakemake's record of it
    unfinished: bool  # a job that makes it began and did not end: Snakemake will make it again
    untouched: bool  # as it was when this ledger, or one before it, told its record: not made here since

    @property
    def recorded(self) -> bool:
        """Whether Snakemake's record tells of the same making as the ledger's."""
        return self.local is not None and _making(self.local) == _making(self.entry.record)

    @property
    def same(self) -> bool:
        """Whether it has the bytes that the ledger tells."""
        return self.stat is not None and self.stat[1] == self.entry.size and self.md5 == self.entry.md5

    @cached_property
    def state(self) -> State:
        if self.stat is None:
            return State.ABSENT
        own = self.local["endtime"] if self.local else self.entry.endtime
        newer, older = own > self.entry.endtime + SAME_TIME_S, own < self.entry.endtime - SAME_TIME_S
        in_time = self.local is not None and has_time(self.stat, own)
        if self.same:
            if self.recorded:
                return State.PUBLISHED if in_time else State.RETIMED
            return State.MADE_HERE if newer and in_time and not self.untouched else State.UNRECORDED
        if newer or self.unfinished:
            return State.MADE_HERE
        return State.OUTDATED if older and in_time else State.DAMAGED

    def wrong(self, results: ResultSet) -> str:
        """What is wrong with an outdated or damaged file of a result set."""
        assert self.stat is not None
        if self.state is State.OUTDATED:
            return f"an earlier version, get the published one with {results.type('fetch')}"
        if self.stat[1] == NO_FILE:
            return "not a file"
        if self.stat[1] != self.entry.size:
            return f"{self.stat[1]} bytes, recorded {self.entry.size}"
        return f"content differs from its recorded md5 {self.entry.md5}"


def _making(record: Record) -> Record:
    return {key: value for key, value in record.items() if key not in _PASSING}


@dataclass(frozen=True)
class Restored:
    """Number of files that got their record or time back, of files left as they are, and files that vanished.

    own: number of files that were made here and are not published whose records had gone.
    """

    restored: int
    kept: int
    gone: list[str]  # there when last looked at
    own: int = 0


def restore(results: ResultSet) -> Restored:
    """Give the files of a fetched result set the records and times that its ledger tells.

    Files made here since the set was published stay as they are; where their records are gone, these come back from
    the ledger of what was made here. Raises UserError, having written nothing, when a published file is damaged or
    outdated or the ledger cannot be read. A call that was killed is finished by the next one; a call that finds
    everything as the last one left it reads no published ledger. No snakemake may run meanwhile.
    """
    now, recorded = stat_of(results.ledger), recorded_files(results.root)
    memory = read_memory(results) if now is not None else Memory()
    if memory.ledger == now and _unchanged(results.root, memory, recorded):
        own = _restore_own(results, recorded, memory.files)
        # Every start of snakemake comes here: a set of thousands of files costs only their stat.
        return Restored(0, sum(seen is not None for seen in memory.files.values()), [], own)
    files = look_at_all(results, read_ledger(results).entries, memory)
    _stop_at_damage(results, [file for file in files.values() if file.state in WRONG])
    # Records before times: killed in between, a file has a record and a wrong time, which the next call puts right.
    for file in _without_record(files, news=memory.ledger != now):
        write_record(results.root, file.entry.path, file.entry.record)
    seen = {path: _put_right(results.root, file) for path, file in files.items()}
    own = _restore_own(results, recorded, files)
    write_memory(results, Memory(now, seen))
    restored = sum(file.state in _REPAIRED for file in files.values())
    absent = [path for path, file in files.items() if file.state is State.ABSENT]
    gone = [path for path in absent if memory.was_here(path)]
    return Restored(restored, len(files) - restored - len(absent), gone, own)


def _restore_own(results: ResultSet, recorded: set[str], published: Collection[str]) -> int:
    """Write again the records of unpublished files whose bytes are those that were made here; returns their number."""
    own = own_entries(results)
    lost = {path: own[path] for path in own if path not in recorded and path not in published}
    same = [file.entry for file in look_at_all(results, lost, Memory()).values() if file.same]
    for entry in same:
        write_record(results.root, entry.path, entry.record)
        _set_time(results.root / entry.path, entry.endtime)
    return len(same)


def _unchanged(root: Path, memory: Memory, recorded: set[str]) -> bool:
    """Whether files and the presence of records are as they are remembered."""
    same = all(stat_of(root / path) == (seen and seen[:2]) for path, seen in memory.files.items())
    return same and recorded.issuperset(memory.files)


def look_at_all(results: ResultSet, entries: dict[str, Entry], memory: Memory) -> dict[str, LedgerFile]:
    """Every file of a ledger; the bytes of those that changed since they were seen are read."""
    unfinished = set(incomplete_files(results.root))
    return {path: _look(results.root, entry, memory, path in unfinished) for path, entry in entries.items()}


def _look(root: Path, entry: Entry, memory: Memory, unfinished: bool) -> LedgerFile:
    stat = stat_of(root / entry.path)
    known = md5 = memory.md5(entry.path, stat)
    if md5 is None and stat is not None and stat[1] == entry.size:
        md5 = md5_file(root / entry.path)
    return LedgerFile(entry, stat, md5, read_record(root, entry.path), unfinished, untouched=known is not None)


def _stop_at_damage(results: ResultSet, wrong: list[LedgerFile]) -> None:
    if not wrong:
        return
    lines = [f"  {file.entry.path}: {file.wrong(results)}" for file in wrong[:NAMED]]
    lines += [f"  and {len(wrong) - NAMED} more"] if len(wrong) > NAMED else []
    command = "repair" if any(file.state is State.DAMAGED for file in wrong) else "fetch"
    said = f"{results.folder}: {count(wrong)} {'are' if len(wrong) > 1 else 'is'} not what was published:"
    way = f"run {results.type(command)}, or delete what is named here to have it computed again."
    raise UserError("\n".join([said, *lines, way]))


def _without_record(files: dict[str, LedgerFile], news: bool) -> Iterator[LedgerFile]:
    """Absent files that need the ledger's record all the same.

    Snakemake looks for changed code and settings of a job only when all of its outputs have records, present or not:
    without these a partly fetched set would pass for up to date whatever changed. With a ledger that is news, other
    records of absent files are of another version of the set, unless the job was done here.
    """
    done_here = {file.entry.job for file in files.values() if file.state is State.MADE_HERE}
    for file in files.values():
        other_version = news and not file.recorded and file.entry.job not in done_here
        if file.state is State.ABSENT and (file.local is None or other_version):
            yield file


def _put_right(root: Path, file: LedgerFile) -> Seen | None:
    """Bring back record and time of one file, the record first; returns what is to be remembered of it."""
    if file.state is State.MADE_HERE:
        return (*file.stat, None) if file.stat is not None and not file.unfinished else UNSEEN
    path, record = root / file.entry.path, file.local
    if file.state is State.UNRECORDED:
        record = file.entry.record
        write_record(root, file.entry.path, record)
    if file.state in _REPAIRED and record is not None:
        _set_time(path, record["endtime"])
    stat = stat_of(path)
    return (*stat, file.md5) if stat is not None else None


def _set_time(path: Path, seconds: float) -> None:
    # The owner alone may set a time. Snakemake then compares contents, which are right.
    with suppress(PermissionError):
        os.utime(path, (seconds, seconds), follow_symlinks=False)
