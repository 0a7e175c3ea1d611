"""Published result sets: which there are, which is meant, and what one consists of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from avbalance.errors import UserError
from avbalance.plan.config import load_config, load_yaml
from avbalance.provenance import drivers
from avbalance.provenance.ledger import Entry, Ledger, ledger_path, read_ledger
from avbalance.provenance.records import locked
from avbalance.provenance.stamp import Stamp, md5_file, stat_of
from avbalance.sharing.objects import (
    Checkout,
    bring_into_cache,
    bring_listing,
    place,
    published_sets,
    read_pointer,
    shortage_error,
    some,
)
from avbalance.sharing.programs import Say

ARRAY = "features.npy"
DATA = "data"


@dataclass(frozen=True)
class SharedSet:
    """A published result set.

    size: bytes of all its files. files: md5 of each by its path, manifests of data/ not among them, the ledger and
    arrays of feature stores among them if they were published.
    """

    name: str
    size: int
    files: dict[str, str]
    ledger: Ledger

    @property
    def folder(self) -> str:
        return f"results/{self.name}"

    @property
    def ledger_file(self) -> str:
        return str(ledger_path(Path(), self.name))

    @cached_property
    def entries(self) -> dict[str, Entry]:
        return self.ledger.entries()

    @property
    def manifests(self) -> dict[str, str]:
        """md5 of the manifests behind the set by their path."""
        return {path: entry.md5 for path, entry in self.entries.items() if path.startswith(f"{DATA}/")}

    @property
    def arrays(self) -> dict[str, str]:
        return {path: md5 for path, md5 in self.files.items() if Path(path).name == ARRAY}

    def size_of(self, paths: Iterable[str]) -> int:
        """Bytes of some files; of arrays only the sum is known, so they count when all are among them."""
        wanted = set(paths)
        known = sum(self.entries[path].size for path in wanted if path in self.entries)
        if not self.arrays or not wanted.issuperset(self.arrays):
            return known
        return known + self.size - sum(entry.size for path, entry in self.entries.items() if path in self.files)


def chosen(root: Path, name: str | None) -> str:
    """The result set meant: `name`, else the default configuration's, else the only one that is published.

    Raises UserError when there is no such set.
    """
    names = published_sets(root)
    if name is not None:
        read_pointer(root, f"results/{name}")
        return name
    base = root / "config" / "config.yaml"
    default = str(load_config(root, load_yaml(base))["name"]) if base.is_file() else None
    if default in names:
        return default
    if len(names) == 1:
        return names[0]
    if not names:
        raise UserError("results: this commit has no published result set (results/NAME.dvc); `git pull`, or publish.")
    raise UserError(f"several result sets are published; name one of {', '.join(names)}.")


def refuse_while_running(root: Path) -> None:
    """Raise UserError while a snakemake works here: it would see files appear and vanish."""
    drivers.release_dead_locks(root)
    if locked(root) or not drivers.alone(root):
        raise UserError(
            "a snakemake is at work in this folder; wait for its end (after a crash of the machine: `snakemake"
            " --unlock`)."
        )


def read_shared(checkout: Checkout, name: str, say: Say) -> SharedSet:
    """Listing and ledger of a published set, fetched where they are not in DVC's cache; nothing is placed.

    Raises UserError when they cannot be had, are of another version, or contradict each other.
    """
    pointer = read_pointer(checkout.root, f"results/{name}")
    path = str(ledger_path(Path(), name))
    files = bring_listing(checkout, pointer, path, say)
    if path not in files:
        raise UserError(
            f"results/{name}.dvc: has no {Path(path).name}; it was not published with `avbalance publish`, ask the"
            " publisher to."
        )
    shortage = bring_into_cache(checkout, {path: files[path]}, [path], say)
    if shortage:
        raise shortage_error(checkout, shortage, files)
    shared = SharedSet(name, pointer.size, files, _ledger_of(checkout, name, files[path]))
    other = [path for path, entry in shared.entries.items() if files.get(path, entry.md5) != entry.md5]
    of_name = shared.ledger.header["name"]
    if of_name != name or other:
        raise UserError(
            f"results/{name}.dvc: its ledger is that of another publication ({some(other) or of_name}); ask the"
            " publisher to run `avbalance publish` again."
        )
    return shared


def _ledger_of(checkout: Checkout, name: str, md5: str) -> Ledger:
    """The ledger in DVC's cache, read from a copy with its proper name, so that messages can name it."""
    copy = ledger_path(checkout.root / ".avbalance" / "arriving", name)
    place(checkout.cache, md5, copy)
    ledger = read_ledger(copy)
    copy.unlink()
    return ledger


def is_here(root: Path, stamp: Stamp, path: str, md5: str) -> bool:
    """Whether a file has these bytes; it is read only when it is not as `stamp` knows it."""
    stat, seen = stat_of(root / path), stamp.files.get(path)
    if stat is None:
        return False
    known = seen.md5 if seen is not None and seen.stat == stat else None
    return (known or md5_file(root / path)) == md5
