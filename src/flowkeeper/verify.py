"""The check of every byte of a result set: published files by the ledger, others by what is known of their making."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from flowkeeper.checkout import open_checkout
from flowkeeper.errors import UserError
from flowkeeper.files import md5_file, sha256_file
from flowkeeper.interface import ResultSet, Workflow
from flowkeeper.ledger import own_entries, read_ledger
from flowkeeper.restore import WRONG, LedgerFile, State, look_at_all
from flowkeeper.seen import Memory, stat_of
from flowkeeper.sets import chosen

Wrong = tuple[str, str]  # a file, and what is wrong with it
_Value = TypeVar("_Value")


@dataclass
class Verified:
    """What the bytes say of the files of a set.

    absent: published files, or any where nothing is published. good: number of files that have the right bytes.
    made_here: neither published nor known to be damaged. damaged_bulk, good_bulk: of large files that may be absent.
    """

    published: bool
    damaged: list[Wrong] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    good: int = 0
    made_here: list[str] = field(default_factory=list)
    damaged_bulk: list[Wrong] = field(default_factory=list)
    good_bulk: int = 0

    @property
    def wrong(self) -> list[Wrong]:
        return [*self.damaged, *self.damaged_bulk]


def check(workflow: Workflow, root: Path, name: str | None) -> tuple[bool, list[str]]:
    """Whether all of a result set is well, and lines that tell of it; raises UserError when nothing is known of it."""
    results = chosen(workflow, root, name, unpublished=True)
    verified = verify(results)
    foreign = _contradictions(results) if verified.published else []
    return not (verified.wrong or foreign), list(_report(results, verified, foreign))


def _report(results: ResultSet, verified: Verified, foreign: list[str]) -> Iterator[str]:
    begin, other = ("", "made here since and not published") if verified.published else ("not published, ", "unknown")
    yield (
        f"{results.folder}: {begin}good: {verified.good}, absent: {len(verified.absent)}, damaged:"
        f" {len(verified.wrong)}" + (f", {other}: {len(verified.made_here)}" if verified.made_here else "")
    )
    if verified.good_bulk or verified.damaged_bulk:
        bulk = results.workflow.bulk.called
        yield f"{bulk}: good: {verified.good_bulk}, damaged: {len(verified.damaged_bulk)}"
    yield from (f"  {path}: {wrong}" for path, wrong in verified.wrong)
    yield from (f"  {line}" for line in foreign)
    if verified.wrong and verified.published:
        yield f"repair them with: {results.type('repair').strip('`')}"
    elif verified.wrong:
        yield "nothing is published, so no good copy is known: delete them, and snakemake makes them again."


def _contradictions(results: ResultSet) -> list[str]:
    """What the ledger says otherwise than the pointer of this commit, where DVC's cache knows what that stands for."""
    try:
        known = open_checkout(results.workflow, results.root, lambda line: None).listing(results.folder)
    except UserError:  # no checkout, or without DVC: the bytes can be verified all the same
        known = {}
    if not known:
        return []
    get = f"get the published one with {results.type('fetch')}"
    if known.get(results.ledger_file) != md5_file(results.ledger):
        return [f"{results.ledger_file}: not the ledger that {results.folder}.dvc stands for; {get}"]
    entries = read_ledger(results).entries
    other = [path for path, entry in entries.items() if known.get(path, entry.md5) != entry.md5]
    return [f"{path}: {results.folder}.dvc and the ledger tell of different bytes; {get}" for path in other]


def verify(results: ResultSet, only: Collection[str] | None = None) -> Verified:
    """Read every byte of a result set (only: of these files), whatever the times say.

    Published files are compared with the ledger; what was made here since, with the ledger of that, and with checksums
    that the workflow knows. Raises UserError when the published ledger cannot be read, or nothing is known of the set.
    """
    own, checksums = own_entries(results), dict(results.workflow.checksums(results.root, results.name))
    nothing = only is None and not own and not checksums
    published = read_ledger(results).entries if results.ledger.exists() or nothing else {}
    verified, unpublished = Verified(bool(published)), list[str]()
    for path, file in look_at_all(results, _only(only, published), Memory()).items():
        if file.state is State.ABSENT:
            verified.absent.append(path)
        elif file.state is State.MADE_HERE and not file.same:
            unpublished.append(path)
        elif file.state in WRONG:
            verified.damaged.append((path, file.wrong(results)))
        else:
            verified.good += 1
    unpublished += [path for path in _only(only, {**own, **checksums}) if path not in published]
    files = look_at_all(results, _only(unpublished, own), Memory())
    for path in unpublished:
        _verify_unpublished(results, path, files.get(path), checksums.get(path), verified)
    return verified


def _only(paths: Collection[str] | None, files: Mapping[str, _Value]) -> dict[str, _Value]:
    return {path: value for path, value in files.items() if paths is None or path in paths}


def _verify_unpublished(
    results: ResultSet, path: str, file: LedgerFile | None, sha256: str | None, verified: Verified
) -> None:
    """Check one file by what is known of its making; file: as the ledger of what was made here has it."""
    bulk = Path(path).name == results.workflow.bulk.file
    if stat_of(results.root / path) is None:
        if file is not None and not verified.published:
            verified.absent.append(path)
    elif wrong := _wrong(results, path, file, sha256):
        (verified.damaged_bulk if bulk else verified.damaged).append((path, wrong))
    elif bulk:
        verified.good_bulk += 1
    elif verified.published or not (sha256 or (file is not None and file.same)):
        verified.made_here.append(path)
    else:
        verified.good += 1


def _wrong(results: ResultSet, path: str, file: LedgerFile | None, sha256: str | None) -> str | None:
    if file is not None and file.same:
        return None
    if file is not None and file.state is State.DAMAGED:
        return file.wrong(results)
    if sha256 is None or (sha256 and sha256_file(results.root / path) == sha256):
        return None
    return f"content differs from its recorded sha256 {sha256}" if sha256 else "nothing beside it tells its sha256"
