"""Get a published result set, or part of it, beside what was made here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flowkeeper.bring import bring_all, place_all
from flowkeeper.checkout import Checkout, open_checkout
from flowkeeper.errors import UserError
from flowkeeper.files import md5_file, place_copy, sha256_file
from flowkeeper.interface import ResultSet, Workflow
from flowkeeper.ledger import Ledger, read_ledger
from flowkeeper.programs import Say
from flowkeeper.restore import Restored, restore
from flowkeeper.seen import Memory, read_memory, stat_of
from flowkeeper.sets import chosen, refuse_while_running
from flowkeeper.words import count, listed, size_text


@dataclass(frozen=True)
class SharedSet:
    """A published result set.

    size: bytes of all its files. files: md5 of each by its path, inputs that sets share not among them, the ledger and
    bulk files among them if they were published.
    """

    results: ResultSet
    size: int
    files: dict[str, str]
    ledger: Ledger

    @cached_property
    def inputs(self) -> dict[str, str]:
        """md5 of the inputs behind the set, which it shares with others, by their path."""
        folder = f"{self.results.workflow.inputs}/"
        return {path: entry.md5 for path, entry in self.ledger.entries.items() if path.startswith(folder)}

    @cached_property
    def bulk(self) -> dict[str, str]:
        name = self.results.workflow.bulk.file
        return {path: md5 for path, md5 in self.files.items() if Path(path).name == name}

    def size_of(self, paths: Iterable[str]) -> int:
        """Bytes of some files; of bulk files only the sum is known, so they count when all are among them."""
        wanted, sizes = set(paths), {path: entry.size for path, entry in self.ledger.entries.items()}
        known = sum(size for path, size in sizes.items() if path in wanted)
        all_bulk = self.size - sum(size for path, size in sizes.items() if path in self.files)
        return known + all_bulk if self.bulk and wanted.issuperset(self.bulk) else known


def fetch(workflow: Workflow, root: Path, name: str | None, only: Sequence[str], bulk: bool, say: Say) -> Restored:
    """Get the result set `name` (default: see `sets.chosen`) and give its files their records and times.

    only: kinds of files (Workflow.kinds); none: all but bulk files. bulk: these too. Files that are here in an earlier
    published version are brought up to date in any case; what was made here is not overwritten. Raises UserError,
    having changed nothing among results and inputs, when something cannot be had.
    """
    checkout = open_checkout(workflow, root, say)
    results = chosen(workflow, root, name)
    refuse_while_running(workflow, root)
    shared = _read_shared(checkout, results, say)
    memory = read_memory(results)
    wanted = _wanted(shared, only, bulk)
    lacking = {path: md5 for path, md5 in wanted.items() if not _is_here(root, memory, path, md5)}
    _refuse_to_overwrite(checkout, shared, lacking)
    others = {path: md5 for path, md5 in shared.files.items() if path not in wanted and path not in shared.bulk}
    # Files that were not asked for, but lie here in an earlier published version: a mixture of two versions is no set.
    old = {
        path: md5 for path, md5 in others.items() if (root / path).exists() and not _is_here(root, memory, path, md5)
    }
    # Only bytes that were published once, which DVC's cache knows: others were made here and stay.
    lacking |= {path: md5 for path, md5 in old.items() if checkout.cache.has(md5_file(root / path))}
    _announce(checkout, shared, wanted, lacking, say)
    bring_all(checkout, lacking, say)
    place_all(checkout, lacking, say)
    restored = restore(results)
    for line in _told(shared, restored):
        say(line)
    return restored


def _wanted(shared: SharedSet, only: Sequence[str], bulk: bool) -> dict[str, str]:
    """Path -> md5 of what is asked for: the ledger first, then the inputs."""
    results, workflow = shared.results, shared.results.workflow
    if bulk and not shared.bulk:
        raise UserError(
            f"{results.folder}.dvc: was published without {workflow.bulk.file}; {workflow.bulk.again} where it is"
            f" absent, or ask the publisher to run `{workflow.command} publish {workflow.bulk.option}`."
        )
    wanted = {results.ledger_file: shared.files[results.ledger_file], **shared.inputs}
    for path, md5 in shared.files.items():
        inner = path.removeprefix(f"{results.folder}/")
        if path not in shared.bulk and (not only or any(workflow.kinds[kind](inner) for kind in only)):
            wanted[path] = md5
    return wanted | (shared.bulk if bulk else {})


def _refuse_to_overwrite(checkout: Checkout, shared: SharedSet, lacking: Iterable[str]) -> None:
    """Raise UserError when files that were never published stand where published ones are to be placed."""
    derived = {*shared.bulk, shared.results.ledger_file}  # made from the others, at any time again
    there = [path for path in lacking if path not in derived and stat_of(checkout.root / path) is not None]
    own = [path for path in there if not checkout.cache.has(md5_file(checkout.root / path))]
    if own:
        raise UserError(
            f"{count(own)} here would be overwritten and never {'was' if len(own) == 1 else 'were'} published:"
            f" {listed(own)}; publish your results, or move or delete these files (one that is damaged is put right by"
            f" {shared.results.type('repair')})."
        )


def _announce(
    checkout: Checkout, shared: SharedSet, wanted: Mapping[str, str], lacking: Mapping[str, str], say: Say
) -> None:
    """Say what will be got, before it is."""
    far = [path for path, md5 in lacking.items() if not checkout.cache.has(md5)]
    header = shared.ledger.header
    say(
        f"{shared.results.folder}: published {header.get('created', 'some time')} from commit"
        f" {str(header.get('commit', '?'))[:12]}"
    )
    say(
        f"{len(wanted)} of its {len(shared.files) + len(shared.inputs)} files are asked for,"
        f" {size_text(shared.size_of(wanted))}; to download: {count(far)}, {size_text(shared.size_of(far))}; from DVC's"
        f" cache: {len(lacking) - len(far)}; here already: {len(wanted) - len(set(lacking).intersection(wanted))}."
    )


def _told(shared: SharedSet, restored: Restored) -> Iterator[str]:
    said = f"files with record and time restored: {restored.restored}; left as they were: {restored.kept}"
    if restored.gone:
        said += f"; here before and absent now: {listed(restored.gone)}"
    yield f"{said}."
    other = list(_other_environment(shared))
    if other:
        yield (
            f"note: made with {', '.join(other)}; what is made here beside it may differ in its last digits, unless the"
            " environment of the commit that published it is installed."
        )
    yield "next: `snakemake -n`, with the --configfile or --config of the set, says what would be done here."


def _other_environment(shared: SharedSet) -> Iterator[str]:
    """Packages, and the lock of all, that were of another version where the set was published."""
    header, workflow, here = shared.ledger.header, shared.results.workflow, shared.results.workflow.versions()
    known = header.get("versions")
    for package, version in known.items() if isinstance(known, dict) else ():
        if here.get(package) not in (None, version):
            yield f"{package} {version} (here {here[package]})"
    lock = shared.results.root / workflow.lock
    if header.get("lock_sha256") and lock.is_file() and sha256_file(lock) != header["lock_sha256"]:
        yield f"another {workflow.lock}"


def _read_shared(checkout: Checkout, results: ResultSet, say: Say) -> SharedSet:
    """Listing and ledger of a published set, fetched where they are not in DVC's cache; nothing is placed.

    Raises UserError when they cannot be had, are of another version, or contradict each other.
    """
    pointer, path = checkout.pointer(results.folder), results.ledger_file
    bring_all(checkout, {pointer.folder: pointer.listing}, say, target=path)
    files = checkout.cache.listing(pointer)
    if path not in files:
        raise UserError(
            f"{results.folder}.dvc: has no {Path(path).name}; it was not published with"
            f" `{checkout.workflow.command} publish`, {checkout.publish_again}."
        )
    bring_all(checkout, {path: files[path]}, say)
    shared = SharedSet(results, pointer.size, files, _arrived_ledger(checkout, results, files[path]))
    other = [path for path, entry in shared.ledger.entries.items() if files.get(path, entry.md5) != entry.md5]
    if other:
        raise UserError(
            f"{results.folder}.dvc: its ledger is that of another publication ({listed(other)});"
            f" {checkout.publish_again}."
        )
    return shared


def _arrived_ledger(checkout: Checkout, results: ResultSet, md5: str) -> Ledger:
    """The ledger in DVC's cache, read from a copy with its proper name, so that messages can name it."""
    copy = results.state / "arriving" / results.ledger_file
    place_copy(checkout.cache.path(md5), copy)
    ledger = read_ledger(results, copy)
    copy.unlink()
    return ledger


def _is_here(root: Path, memory: Memory, path: str, md5: str) -> bool:
    """Whether a file has these bytes; it is read only when it has changed since it was seen."""
    stat = stat_of(root / path)
    return stat is not None and (memory.md5(path, stat) or md5_file(root / path)) == md5
