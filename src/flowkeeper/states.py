"""What a file is, given the ledger's entry and Snakemake's local record of it: published, made here, old or damaged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from flowkeeper.interface import ResultSet
from flowkeeper.ledger import Entry
from flowkeeper.records import TIMES, Record
from flowkeeper.seen import NO_FILE, SAME_TIME_S, Stat, has_time

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


@dataclass(frozen=True)
class LedgerFile:
    """One file of a ledger as it is here."""

    entry: Entry
    stat: Stat | None  # None: absent
    md5: str | None  # None: absent, or of another size than recorded
    local: Record | None  # Snakemake's record of it
    unfinished: bool = False  # a job that makes it began and did not end: Snakemake will make it again
    untouched: bool = False  # as it was when this ledger, or one before it, told its record: not made here since

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
        if self.local is None:
            newer = older = in_time = False
        else:
            newer = self.local["endtime"] > self.entry.endtime + SAME_TIME_S
            older = self.local["endtime"] < self.entry.endtime - SAME_TIME_S
            in_time = has_time(self.stat, self.local["endtime"])
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
