"""Get a published result set, or part of it, beside what was made here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from avbalance.errors import UserError
from avbalance.provenance.restore import Restored, restore
from avbalance.provenance.stamp import md5_file, read_stamp, stat_of
from avbalance.sharing.objects import (
    Checkout,
    Shortage,
    bring_into_cache,
    count,
    open_checkout,
    place,
    read_pointer,
    shortage_error,
    size_text,
    some,
)
from avbalance.sharing.programs import Say
from avbalance.sharing.sets import ARRAY, DATA, SharedSet, chosen, is_here, read_shared, refuse_while_running

KINDS = ("tables", "predictions", "records", "models")


def fetch(root: Path, name: str | None, only: Sequence[str], features: bool, say: Say) -> Restored:
    """Get the result set `name` (default: see `sets.chosen`) and give its files their records and times.

    only: kinds of files (KINDS); none: all but the arrays of feature stores. features: these too. Files that are here
    in an earlier published version are brought up to date in any case; what was made here is not overwritten. Raises
    UserError, having changed nothing under results/ and data/, when something cannot be had.
    """
    checkout = open_checkout(root, say)
    name = chosen(root, name)
    refuse_while_running(root)
    shared = read_shared(checkout, name, say)
    stamp = read_stamp(root, name)
    wanted = _wanted(shared, only, features)
    lacking = {path: md5 for path, md5 in wanted.items() if not is_here(root, stamp, path, md5)}
    _refuse_to_overwrite(checkout, shared, lacking)
    others = {path: md5 for path, md5 in shared.files.items() if path not in wanted and path not in shared.arrays}
    old = {path: md5 for path, md5 in others.items() if (root / path).exists() and not is_here(root, stamp, path, md5)}
    lacking |= {path: md5 for path, md5 in old.items() if checkout.cache.has(md5_file(root / path))}
    _announce(checkout, shared, wanted, lacking, say)
    bring_and_place(checkout, shared, lacking, say)
    restored = restore(root, name)
    say(_told(restored))
    say("next: `snakemake -n`, with the --configfile or --config of the set, says what would be done here.")
    return restored


def kinds_of(path: str) -> set[str]:
    """The KINDS that a file (relative to results/<name>) is of; from the predictions all tables can be made."""
    top, suffix = path.split("/")[0], Path(path).suffix
    if top == "papers":
        return {"tables"}
    if suffix == ".safetensors":
        return {"models"}
    return {"predictions", "records"} if top == "runs" and suffix in (".json", ".csv") else {"predictions"}


def _wanted(shared: SharedSet, only: Sequence[str], features: bool) -> dict[str, str]:
    """Path -> md5 of what is asked for: the ledger first, then the manifests."""
    if features and not shared.arrays:
        raise UserError(
            f"{shared.folder}.dvc: was published without {ARRAY}; training makes it again where it is absent, or ask"
            " the publisher to run `avbalance publish --features`."
        )
    wanted = {shared.ledger_file: shared.files[shared.ledger_file], **shared.manifests}
    for path, md5 in shared.files.items():
        kinds = kinds_of(path.removeprefix(f"{shared.folder}/"))
        if path not in shared.arrays and (not only or kinds.intersection(only)):
            wanted[path] = md5
    return wanted | (shared.arrays if features else {})


def _refuse_to_overwrite(checkout: Checkout, shared: SharedSet, lacking: Iterable[str]) -> None:
    """Raise UserError when files that were never published stand where published ones are to be placed."""
    own = []
    for path in lacking:
        here = checkout.root / path
        derived = path in shared.arrays or path == shared.ledger_file  # made from the others, at any time again
        if stat_of(here) is not None and not derived and not checkout.cache.has(md5_file(here)):
            own.append(path)
    if own:
        raise UserError(
            f"{count(own)} here would be overwritten and never {'was' if len(own) == 1 else 'were'} published:"
            f" {some(own)}; publish your results, or move or delete these files (one that is damaged is put right by"
            f" `avbalance repair {shared.name}`)."
        )


def _announce(
    checkout: Checkout, shared: SharedSet, wanted: Mapping[str, str], lacking: Mapping[str, str], say: Say
) -> None:
    """Say what will be got, before it is."""
    far = [path for path, md5 in lacking.items() if not checkout.cache.has(md5)]
    header = shared.ledger.header
    say(f"{shared.folder}: published {header.get('created', 'some time')} from commit {header.get('commit', '?')[:12]}")
    say(
        f"{len(wanted)} of its {len(shared.files) + len(shared.manifests)} files are asked for,"
        f" {size_text(shared.size_of(wanted))}; to download: {count(far)}, {size_text(shared.size_of(far))}; from DVC's"
        f" cache: {len(lacking) - len(far)}; here already: {len(wanted) - len(set(lacking).intersection(wanted))}."
    )


def bring_and_place(checkout: Checkout, shared: SharedSet, lacking: Mapping[str, str], say: Say) -> None:
    """Bring files of a set (path -> md5) into the cache and then, when all are there, into place, in this order.

    Manifests that the commit's data.dvc does not have in the set's version are left out, and named. Raises UserError
    before the first file is placed.
    """
    if shared.manifests:
        read_pointer(checkout.root, DATA)
    shortage = bring_into_cache(checkout, lacking, targets(lacking, shared.files), say)
    foreign = [path for path in shortage.damaged if path.startswith(f"{DATA}/") and _is_other(checkout, path, lacking)]
    shortage = Shortage(shortage.missing, [path for path in shortage.damaged if path not in foreign])
    if shortage:
        raise shortage_error(checkout, shortage, lacking)
    if foreign:
        say(
            f"note: data.dvc of this commit has not the {some(foreign)} that this set was made with; left out. Take"
            " data.dvc from the commit that published the set, or let snakemake make it again where a job needs it."
        )
    for path, md5 in lacking.items():
        if path not in foreign:
            place(checkout.cache, md5, checkout.root / path)


def _is_other(checkout: Checkout, path: str, wanted: Mapping[str, str]) -> bool:
    """Whether data.dvc has a manifest in another version than wanted, or not at all."""
    pointer = read_pointer(checkout.root, DATA)
    known = checkout.cache.listing(pointer) if checkout.cache.good(pointer.listing) else {}
    return known.get(path) != wanted[path]


def targets(wanted: Iterable[str], listed: Iterable[str]) -> list[str]:
    """The files of `wanted`; where all `listed` files of a folder below results/ are wanted, the folder instead."""
    files = set(wanted)
    partial = {parent for path in set(listed) - files for parent in Path(path).parents}
    found = []
    for path in sorted(files):
        above = [] if path.startswith(f"{DATA}/") else list(reversed(Path(path).parents))[2:]
        found.append(str(next((folder for folder in above if folder not in partial), path)))
    return list(dict.fromkeys(found))


def _told(restored: Restored) -> str:
    said = f"files with record and time restored: {restored.restored}; left as they were: {restored.kept}"
    if restored.gone:
        said += f"; here before and absent now: {some(restored.gone)}"
    return f"{said}."
