"""Check every byte of a fetched or published result set, and put back the published bytes where they are not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avbalance.errors import UserError
from avbalance.files import sha256_file
from avbalance.provenance.ledger import Entry, Ledger, ledger_path, read_ledger
from avbalance.provenance.restore import Verified, restore, verify
from avbalance.provenance.stamp import read_stamp
from avbalance.sharing.objects import (
    Cache,
    Checkout,
    bring_into_cache,
    count,
    open_checkout,
    place,
    read_pointer,
    some,
)
from avbalance.sharing.programs import Say
from avbalance.sharing.sets import ARRAY, chosen, refuse_while_running


@dataclass(frozen=True)
class Check:
    """What the bytes of a result set say; arrays: damaged features.npy with what is wrong, and number of good ones."""

    verified: Verified
    arrays: list[tuple[str, str]]
    good_arrays: int

    @property
    def damaged(self) -> list[tuple[str, str]]:
        return [*self.verified.damaged, *self.arrays]


def check(root: Path, name: str) -> Check:
    """Read every byte of the result set `name`; raises UserError when it has no ledger here."""
    looked_at = [(array, _wrong_array(root / array)) for array in _arrays(root, name)]
    arrays = [(array, wrong) for array, wrong in looked_at if wrong]
    return Check(verify(root, name), arrays, len(looked_at) - len(arrays))


def report(checked: Check, name: str) -> Iterator[str]:
    """Lines that tell of a check."""
    found = checked.verified
    rebuilt = f", made here since and not published: {len(found.rebuilt)}" if found.rebuilt else ""
    yield f"results/{name}: good: {found.good}, absent: {len(found.absent)}, damaged: {len(checked.damaged)}{rebuilt}"
    if checked.good_arrays or checked.arrays:
        yield f"arrays of feature stores: good: {checked.good_arrays}, damaged: {len(checked.arrays)}"
    yield from (f"  {path}: {wrong}" for path, wrong in checked.damaged)
    if checked.damaged:
        yield f"repair them with: avbalance repair {name}"


def _arrays(root: Path, name: str) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in (root / "results" / name / "features").rglob(ARRAY))


def _wrong_array(array: Path) -> str | None:
    """What is wrong with a feature store's array; None when it has the sha256 that is known of it.

    That is the one of array.json if this belongs to the card (an array that was made again may have other bytes),
    else the card's.
    """
    card, own = _facts(array.with_name("card.json")), _facts(array.with_name("array.json"))
    known = own.get("sha256") if own.get("card_sha256") == card.get("sha256") else card.get("sha256")
    if known is None:
        return "no card.json beside it that tells its sha256"
    return None if sha256_file(array) == known else f"content differs from its recorded sha256 {known}"


def _facts(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Repaired:
    """Files put right, files of which no good copy is to be had, and files that were here and are absent."""

    repaired: list[str]
    beyond: list[str]
    deleted: list[str]


def repair(root: Path, name: str | None, bring_deleted: bool, say: Say) -> Repaired:
    """Put the published bytes in place of damaged files, from DVC's cache or the remote; then restore the records.

    bring_deleted: do so for files that were here and are absent, too. A damaged file without a good copy stays as it
    is. Raises UserError when there is no such set here.
    """
    checkout = open_checkout(root, say)
    name = chosen(root, name)
    refuse_while_running(root)
    ledger = _usable_ledger(checkout, name, say)
    checked = check(root, name)
    entries = ledger.entries()
    deleted = _deleted(checkout.cache, root, name, checked.verified.absent, entries)
    wanted = [path for path, _ in checked.verified.damaged] + (deleted if bring_deleted else [])
    md5s = {path: entries[path].md5 for path in wanted} | _published_arrays(checkout, name, checked.arrays)
    repaired = _put_back(checkout, md5s, say)
    beyond = [path for path in (*wanted, *(path for path, _ in checked.arrays)) if path not in repaired]
    _tell_beyond(beyond, say)
    if deleted and not bring_deleted:
        say(f"deleted here: {some(deleted)}; `avbalance repair {name} --deleted` brings {count(deleted)} back")
    if not any(path in entries for path in beyond):
        restore(root, name)
    return Repaired(repaired, beyond, [] if bring_deleted else deleted)


def _usable_ledger(checkout: Checkout, name: str, say: Say) -> Ledger:
    """The ledger here; one that is damaged or absent is taken from what was published."""
    path = ledger_path(checkout.root, name)
    try:
        return read_ledger(path)
    except UserError as error:
        say(f"{error}")
        pointer, file = read_pointer(checkout.root, f"results/{name}"), str(ledger_path(Path(), name))
        bring_into_cache(checkout, {pointer.folder: pointer.listing}, [file], say)
        md5 = checkout.cache.listing(pointer)[file] if checkout.cache.good(pointer.listing) else None
        if md5 is None or not _put_back(checkout, {file: md5}, say):
            raise
        return read_ledger(path)


def _deleted(cache: Cache, root: Path, name: str, absent: list[str], entries: dict[str, Entry]) -> list[str]:
    """Those of the absent files that were here once: DVC's cache has them, or they were seen."""
    seen = read_stamp(root, name).files
    return [
        path
        for path in absent
        if cache.has(entries[path].md5) or (path in seen and seen[path].stat is not None)
    ]  # fmt: skip


def _put_back(checkout: Checkout, md5s: dict[str, str], say: Say) -> list[str]:
    """Put published bytes in place (path -> md5), from the cache or else the remote; returns the paths that have them.

    A file of which there is no good copy is not touched.
    """
    try:
        bring_into_cache(checkout, md5s, list(md5s), say)
    except UserError as error:
        say(f"{error}")
    found = [path for path, md5 in md5s.items() if checkout.cache.good(md5)]
    for path in found:
        place(checkout.cache, md5s[path], checkout.root / path)
        say(f"{path}: put back, a copy of {_shown(checkout, md5s[path])}")
    return found


def _shown(checkout: Checkout, md5: str) -> str:
    path = checkout.cache.path(md5)
    return str(path.relative_to(checkout.root)) if path.is_relative_to(checkout.root) else str(path)


def _published_arrays(checkout: Checkout, name: str, damaged: list[tuple[str, str]]) -> dict[str, str]:
    """md5 of those damaged arrays that were published."""
    pointer = read_pointer(checkout.root, f"results/{name}")
    files = checkout.cache.listing(pointer) if checkout.cache.good(pointer.listing) else {}
    return {path: files[path] for path, _ in damaged if path in files}


def _tell_beyond(beyond: list[str], say: Say) -> None:
    for path in beyond:
        if Path(path).name == ARRAY:
            say(f"{path}: no good copy; `rm {path}`, the next training that needs it makes it again")
        else:
            say(f"{path}: no good copy in DVC's cache or on the remote; `rm {path}`, `snakemake -- {path}`, publish")
