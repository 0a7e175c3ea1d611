"""Check a result set, and put back the published bytes of files that are damaged or were deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowkeeper.bring import bring_into_cache, place_all
from flowkeeper.checkout import Cache, Checkout, open_checkout
from flowkeeper.errors import UserError
from flowkeeper.files import md5_file
from flowkeeper.interface import ResultSet, Workflow
from flowkeeper.ledger import Entry, Ledger, read_ledger
from flowkeeper.programs import Say
from flowkeeper.restore import restore
from flowkeeper.seen import read_memory
from flowkeeper.sets import chosen, refuse_while_running
from flowkeeper.verify import Verified, verify
from flowkeeper.words import count, listed


def check(workflow: Workflow, root: Path, name: str | None) -> tuple[bool, list[str]]:
    """Whether all of a result set is well, and lines that tell of it; raises UserError when nothing is known of it."""
    results = chosen(workflow, root, name, unpublished=True)
    verified = verify(results)
    foreign = _contradictions(results, verified)
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


def _contradictions(results: ResultSet, verified: Verified) -> list[str]:
    """What the ledger says otherwise than the pointer of this commit, where DVC's cache knows what that stands for."""
    try:
        known = open_checkout(results.workflow, results.root, lambda line: None).listing(results.folder)
    except UserError:  # no checkout, or without DVC: the bytes can be verified all the same
        known = {}
    if not known or not verified.published:
        return []
    get = f"get the published one with {results.type('fetch')}"
    if known.get(results.ledger_file) != md5_file(results.ledger):
        return [f"{results.ledger_file}: not the ledger that {results.folder}.dvc stands for; {get}"]
    entries = read_ledger(results).entries
    other = [path for path, entry in entries.items() if known.get(path, entry.md5) != entry.md5]
    return [f"{path}: {results.folder}.dvc and the ledger tell of different bytes; {get}" for path in other]


@dataclass(frozen=True)
class Repaired:
    """Files put right, files of which no good copy is to be had, and files that were here and are absent."""

    repaired: list[str]
    beyond: list[str]
    deleted: list[str]


def repair(workflow: Workflow, root: Path, name: str | None, bring_deleted: bool, say: Say) -> Repaired:
    """Put the published bytes in place of damaged files, from DVC's cache or the remote; then restore the records.

    bring_deleted: do so for files that were here and are absent, too. A damaged file without a good copy stays as it
    is. Raises UserError when there is no such set here.
    """
    checkout = open_checkout(workflow, root, say)
    results = chosen(workflow, root, name)
    refuse_while_running(workflow, root)
    entries = _usable_ledger(checkout, results, say).entries
    verified = verify(results)
    deleted = _deleted(checkout.cache, results, verified.absent, entries)
    damaged = [path for path, _ in verified.wrong]
    published = checkout.listing(results.folder) | {path: entry.md5 for path, entry in entries.items()}
    wanted = [*damaged, *(deleted if bring_deleted else [])]
    repaired = _put_back(checkout, {path: published[path] for path in wanted if path in published}, say)
    beyond = [path for path in wanted if path not in repaired]
    for path in beyond:
        way = f"`snakemake -- {path}`, publish" if path in entries else workflow.bulk.again
        say(f"{path}: no good copy in DVC's cache or on the remote; `rm {path}`, {way}")
    if deleted and not bring_deleted:
        say(f"deleted here: {listed(deleted)}; {results.type('repair', '--deleted')} brings {count(deleted)} back")
    if not any(path in entries for path in beyond):
        restore(results)
    return Repaired(repaired, beyond, [] if bring_deleted else deleted)


def _usable_ledger(checkout: Checkout, results: ResultSet, say: Say) -> Ledger:
    """The ledger here; one that is damaged or absent is taken from what was published."""
    try:
        return read_ledger(results)
    except UserError as error:
        say(f"{error}")
        pointer, file = checkout.pointer(results.folder), results.ledger_file
        bring_into_cache(checkout, {pointer.folder: pointer.listing}, [file], say)
        md5 = checkout.listing(results.folder).get(file)
        if md5 is None or not _put_back(checkout, {file: md5}, say):
            raise
        return read_ledger(results)


def _deleted(cache: Cache, results: ResultSet, absent: list[str], entries: dict[str, Entry]) -> list[str]:
    """Those of the absent files that were here once: DVC's cache has them, or they were seen."""
    memory = read_memory(results)
    return [path for path in absent if cache.has(entries[path].md5) or memory.was_here(path)]


def _put_back(checkout: Checkout, md5s: dict[str, str], say: Say) -> list[str]:
    """Put published bytes in place (path -> md5), from the cache or else the remote; returns the paths that have them.

    A file of which there is no good copy is not touched.
    """
    try:
        bring_into_cache(checkout, md5s, list(md5s), say)
    except UserError as error:
        say(f"{error}")
    good = {path: md5 for path, md5 in md5s.items() if checkout.cache.good(md5)}
    place_all(checkout, good, say)
    for path, md5 in good.items():
        copy = checkout.cache.path(md5)
        shown = copy.relative_to(checkout.root) if copy.is_relative_to(checkout.root) else copy
        say(f"{path}: put back, a copy of {shown}")
    return list(good)
