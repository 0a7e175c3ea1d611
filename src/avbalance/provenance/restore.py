"""Snakemake's records and the times of files, brought back from a result set's ledger; and the check of its bytes.

What DVC brings has the time of its arrival and no record, and Snakemake would make all of it anew. With the ledger's
record and time a file is what it was where it was made: nothing is done again unless code, settings or inputs changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from avbalance.errors import UserError
from avbalance.provenance.judgement import Found, Verdict
from avbalance.provenance.ledger import Ledger, ledger_path, read_ledger
from avbalance.provenance.records import incomplete_files, read_record, recorded_files, write_record
from avbalance.provenance.stamp import UNSEEN, Seen, Stamp, Stat, md5_file, read_stamp, stat_of, write_stamp

_NAMED = 10  # files that a message names
_WRONG = (Verdict.OUTDATED, Verdict.DAMAGED)
_REPAIRED = (Verdict.RETIMED, Verdict.UNRECORDED)


@dataclass(frozen=True)
class Restored:
    """Number of files that got their record or time back, of files left as they are, and files that vanished."""

    restored: int
    kept: int
    gone: list[str]  # there when last looked at


@dataclass(frozen=True)
class Verified:
    """What the bytes say: files with what is wrong, absent files, number of good ones, files made here since."""

    damaged: list[tuple[str, str]]
    absent: list[str]
    good: int
    rebuilt: list[str]  # not published, so that nothing says what their bytes should be


def restore(root: Path, name: str) -> Restored:
    """Give the files of a fetched result set the records and times that its ledger tells; `root` holds .snakemake.

    Files made here since the set was published stay as they are. Raises UserError, having written nothing, when a
    file is damaged or outdated or the ledger cannot be read. A call that was killed is finished by the next one; a
    call that finds everything as the last one left it reads no ledger. No snakemake may run meanwhile.
    """
    path = ledger_path(root, name)
    now = stat_of(path)
    if now is None:
        return Restored(0, 0, [])
    stamp = read_stamp(root, name)
    if _unchanged(root, stamp, now):
        return Restored(0, sum(seen.stat is not None for seen in stamp.files.values()), [])
    ledger = _own_ledger(path, name)
    files = _look_at_all(root, ledger, stamp)
    _stop_at_damage(name, list(files.values()))
    for file in _without_record(ledger, files, news=stamp.ledger != now):
        write_record(root, file.entry.path, file.entry.record)
    seen = {path: _put_right(root, file) for path, file in files.items()}
    write_stamp(root, name, Stamp(now, seen))
    restored = sum(file.verdict in _REPAIRED for file in files.values())
    absent = [path for path, file in files.items() if file.verdict is Verdict.ABSENT]
    gone = [path for path in absent if path in stamp.files and stamp.files[path].stat is not None]
    return Restored(restored, len(files) - restored - len(absent), gone)


def verify(root: Path, name: str) -> Verified:
    """Read every byte of a result set, whatever the times say; raises UserError when its ledger cannot be read."""
    ledger = _own_ledger(ledger_path(root, name), name)
    files = _look_at_all(root, ledger, Stamp())
    damaged = [(path, file.wrong(name)) for path, file in files.items() if file.verdict in _WRONG]
    rebuilt = [path for path, file in files.items() if file.verdict is Verdict.MADE_HERE and not file.same]
    absent = [path for path, file in files.items() if file.verdict is Verdict.ABSENT]
    return Verified(damaged, absent, len(files) - len(damaged) - len(absent) - len(rebuilt), rebuilt)


def remember(root: Path, name: str) -> None:
    """Note, after publishing, that the set's files are what its ledger says, so that the next look is a short one.

    Files whose time is no longer that of their record (DVC may have placed them anew) are left to that look.
    """
    path = ledger_path(root, name)
    seen = {}
    for entry in _own_ledger(path, name).entries().values():
        stat = stat_of(root / entry.path)
        md5 = entry.md5 if stat is not None and stat[1] == entry.size else None
        file = Found(entry, stat, md5, read_record(root, entry.path))
        seen[entry.path] = _seen(file) if file.verdict in (Verdict.ABSENT, Verdict.PUBLISHED) else UNSEEN
    write_stamp(root, name, Stamp(stat_of(path), seen))


def _unchanged(root: Path, stamp: Stamp, ledger: Stat) -> bool:
    """Whether ledger, files and the presence of records are as they were stamped."""
    if stamp.ledger != ledger or any(stat_of(root / path) != seen.stat for path, seen in stamp.files.items()):
        return False
    return recorded_files(root).issuperset(stamp.files)


def _own_ledger(path: Path, name: str) -> Ledger:
    ledger = read_ledger(path)
    if ledger.header["name"] != name:
        raise UserError(
            f"{path}: the ledger of another result set, {ledger.header['name']}; delete it and run"
            f" `avbalance fetch {name}`."
        )
    return ledger


def _look_at_all(root: Path, ledger: Ledger, stamp: Stamp) -> dict[str, Found]:
    """Every file of the ledger; the bytes of those that changed since the stamp are read."""
    unfinished = set(incomplete_files(root))
    files = {}
    for path, entry in ledger.entries().items():
        stat, seen = stat_of(root / path), stamp.files.get(path)
        known = seen.md5 if seen is not None and seen.stat == stat else None
        md5 = known
        if md5 is None and stat is not None and stat[1] == entry.size:
            md5 = md5_file(root / path)
        local = read_record(root, path)
        files[path] = Found(entry, stat, md5, local, path in unfinished, untouched=known is not None)
    return files


def _stop_at_damage(name: str, files: list[Found]) -> None:
    wrong = [file for file in files if file.verdict in _WRONG]
    if not wrong:
        return
    lines = [f"  {file.entry.path}: {file.wrong(name)}" for file in wrong[:_NAMED]]
    if len(wrong) > _NAMED:
        lines.append(f"  and {len(wrong) - _NAMED} more")
    command = "repair" if any(file.verdict is Verdict.DAMAGED for file in wrong) else "fetch"
    count = "1 file is" if len(wrong) == 1 else f"{len(wrong)} files are"
    raise UserError(
        f"results/{name}: {count} not what was published:\n" + "\n".join(lines) + "\n"
        f"run `avbalance {command} {name}`, or delete what is named here to have it computed again."
    )


def _without_record(ledger: Ledger, files: dict[str, Found], news: bool) -> Iterator[Found]:
    """Absent files that need the ledger's record all the same.

    Snakemake looks for changed code and settings of a job only when all of its outputs have records, present or not:
    without these a partly fetched set would pass for up to date whatever changed. With a ledger that is news, other
    records of absent files are of another version of the set, unless the job was done here.
    """
    for job in ledger.jobs:
        own = [files[output.path] for output in job.outputs]
        done_here = any(file.verdict is Verdict.MADE_HERE for file in own)
        for file in own:
            if file.verdict is Verdict.ABSENT and (
                file.local is None or (news and not done_here and not file.recorded)
            ):
                yield file


def _put_right(root: Path, file: Found) -> Seen:
    """Bring back record and time of one file, the record first; returns what the stamp says of it."""
    if file.verdict not in _REPAIRED:
        return _seen(file)
    record = file.entry.record
    if file.verdict is Verdict.UNRECORDED:
        write_record(root, file.entry.path, record)
    elif file.local is not None:
        record = file.local
    path = root / file.entry.path
    # The owner alone may set a time. Snakemake then compares contents, which are right.
    with suppress(PermissionError):
        os.utime(path, (record["endtime"], record["endtime"]), follow_symlinks=False)
    return Seen(stat_of(path), file.md5)


def _seen(file: Found) -> Seen:
    if file.verdict is Verdict.MADE_HERE:
        return UNSEEN if file.unfinished else Seen(file.stat)
    return Seen(file.stat, file.md5)
