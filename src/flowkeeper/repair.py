"""Put back the published bytes of files that are damaged or were deleted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flowkeeper.bring import bring_into_cache, place_all
from flowkeeper.checkout import Checkout, open_checkout
from flowkeeper.errors import UserError
from flowkeeper.interface import ResultSet, Workflow
from flowkeeper.ledger import Ledger, read_ledger
from flowkeeper.programs import Say
from flowkeeper.restore import restore
from flowkeeper.seen import read_memory
from flowkeeper.sets import chosen, refuse_while_running
from flowkeeper.verify import verify
from flowkeeper.words import count, listed


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
    verified, memory = verify(results), read_memory(results)
    # Those of the absent files that were here once: DVC's cache has them, or they were seen.
    deleted = [path for path in verified.absent if checkout.cache.has(entries[path].md5) or memory.was_here(path)]
    published = checkout.listing(results.folder) | {path: entry.md5 for path, entry in entries.items()}
    wanted = [*(path for path, _ in verified.wrong), *(deleted if bring_deleted else [])]
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
        bring_into_cache(checkout, {pointer.folder: pointer.listing}, say, target=file)
        md5 = checkout.listing(results.folder).get(file)
        if md5 is None or not _put_back(checkout, {file: md5}, say):
            raise
        return read_ledger(results)


def _put_back(checkout: Checkout, md5s: dict[str, str], say: Say) -> list[str]:
    """Put published bytes in place (path -> md5), from the cache or else the remote; returns the paths that have them.

    A file of which there is no good copy is not touched.
    """
    try:
        bring_into_cache(checkout, md5s, say)
    except UserError as error:
        say(f"{error}")
    good = {path: md5 for path, md5 in md5s.items() if checkout.cache.good(md5)}
    place_all(checkout, good, say)
    for path, md5 in good.items():
        say(f"{path}: put back, a copy of {checkout.cache.path(md5)}")
    return list(good)
