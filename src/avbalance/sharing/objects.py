"""What DVC keeps of a shared folder: a pointer in git, and in its cache a listing and every file's bytes by their md5.

Files are placed from the cache here and never by `dvc checkout` or `dvc pull`: as soon as one file of a folder cannot
be placed, these delete the whole folder, with everything in it that was not published. Here every byte is at hand and
checked before the first file is touched, files appear whole, and what is not to be placed is left alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from avbalance.errors import UserError
from avbalance.provenance.stamp import md5_file
from avbalance.sharing import hosts
from avbalance.sharing.programs import Say, dvc, dvc_transfer

NAMED = 10  # files that a message names
_LISTING = re.compile(r"[0-9a-f]{32}\.dir")
_MD5 = re.compile(r"[0-9a-f]{32}")
_LEVELS = {".dvc/config": [], ".dvc/config.local": ["--local"]}


@dataclass(frozen=True)
class Pointer:
    """What <folder>.dvc says: md5 of the listing, bytes and number of files."""

    folder: str
    listing: str
    size: int
    files: int


NO_FILES = "d751713988987e9331980363e24189ce.dir"  # DVC's listing of an empty folder, md5 of "[]"


@dataclass(frozen=True)
class Cache:
    """DVC's cache: every file and listing that was published or fetched here, by md5."""

    folder: Path

    def path(self, md5: str) -> Path:
        return self.folder / "files" / "md5" / md5[:2] / md5[2:]

    def has(self, md5: str) -> bool:
        return self.path(md5).is_file()

    def good(self, md5: str) -> bool:
        """Whether the bytes are there and are the right ones; a folder without files needs none."""
        return md5 == NO_FILES or (self.has(md5) and md5_file(self.path(md5)) == md5.removesuffix(".dir"))

    def listing(self, pointer: Pointer) -> dict[str, str]:
        """Path (from the repository's root) -> md5 of every file of a folder; raises UserError for a bad listing."""
        if pointer.listing == NO_FILES:
            return {}
        try:
            entries = json.loads(self.path(pointer.listing).read_text(encoding="utf-8"))
            found = {f"{pointer.folder}/{_inner(entry['relpath'])}": _md5(entry["md5"]) for entry in entries}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path(pointer.listing)}: not a listing of DVC's ({error}); delete it and fetch again."
            ) from error
        return found


def _inner(path: str) -> str:
    """A path that stays inside its folder."""
    if path.startswith("/") or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError(f"the path {path!r} leads elsewhere")
    return path


def _md5(value: str) -> str:
    if not _MD5.fullmatch(value):
        raise ValueError(f"{value!r} is no md5")
    return value


@dataclass(frozen=True)
class Checkout:
    """A repository under git and DVC, and DVC's settings: key -> (value, file that says so)."""

    root: Path
    settings: dict[str, tuple[str, str]]

    @cached_property
    def cache(self) -> Cache:
        return Cache(self.root / self.settings.get("cache.dir", (".dvc/cache", ""))[0])

    @property
    def remote(self) -> str | None:
        """Name of the default remote."""
        name = self.settings.get("core.remote", ("", ""))[0]
        return name if f"remote.{name}.url" in self.settings else None

    @property
    def url(self) -> str:
        """Where the default remote is; a folder's path is absolute."""
        return self.settings[f"remote.{self.remote}.url"][0]

    @property
    def checks_arrivals(self) -> bool:
        """Whether DVC is told to check the md5 of what it gets from the default remote."""
        return self.settings.get(f"remote.{self.remote}.verify", ("", ""))[0].lower() == "true"

    @property
    def remote_level(self) -> list[str]:
        """The option with which `dvc remote modify` finds the default remote."""
        return _LEVELS.get(self.settings[f"remote.{self.remote}.url"][1], ["--global"])

    def reach_remote(self, say: Say) -> str | None:
        """Why there is no use in asking the default remote; None when there may be. A server is asked but once."""
        if self.remote is None:
            return (
                "no DVC remote is chosen; name the one to share through: `dvc remote add --default NAME URL`"
                " (docs/how-to/share-artifacts.md)"
            )
        if "://" not in self.url and not Path(self.url).is_dir():
            return (
                f"the folder of the DVC remote {self.remote}, {self.url}, is not there; mount it, or say where it is:"
                f" `dvc remote modify --local {self.remote} url PATH`"
            )
        if "://" in self.url and not self._answered:
            said = hosts.refusal(self.url, self._remote_settings, say)
            if said:
                return f"the DVC remote {self.remote}: {said}"
            self._answered.append(self.url)
        return None

    @cached_property
    def _answered(self) -> list[str]:
        """Addresses of remotes that turned out well."""
        return []

    @property
    def _remote_settings(self) -> dict[str, str]:
        """DVC's settings of the default remote, without its name before each."""
        prefix = f"remote.{self.remote}."
        return {key.removeprefix(prefix): value for key, (value, _) in self.settings.items() if key.startswith(prefix)}


def open_checkout(root: Path, say: Say) -> Checkout:
    """The checkout at `root`; raises UserError unless it is one of git and of DVC."""
    if not (root / ".git").exists() or not (root / ".dvc").is_dir():
        what = "git" if not (root / ".git").exists() else "DVC"
        raise UserError(
            f"{root.absolute()}: not the root of a {what} checkout; results are shared from a clone of the repository"
            " (`git clone`), in its topmost folder."
        )
    done = dvc(["config", "--list", "--show-origin"], root, say)
    if done.status != 0:
        raise UserError(f".dvc/config: DVC cannot read its settings ({done.fault}); mend the file.")
    settings = {}
    for line in done.output.splitlines():
        origin, _, setting = line.partition("\t")
        key, found, value = setting.partition("=")
        if found:
            settings[key] = (value, origin)
    return Checkout(root, settings)


def read_pointer(root: Path, folder: str) -> Pointer:
    """Read <folder>.dvc; raises UserError when it is absent or no pointer to a folder."""
    path = root / f"{folder}.dvc"
    mend = f"take the committed one with `git checkout -- {folder}.dvc`"
    try:
        text = path.read_text(encoding="utf-8")
        if "<<<<<<< " in text:
            mend = "choose a side, see docs/how-to/share-artifacts.md"
            raise ValueError("a merge left both sides in it")
        (out,) = yaml.safe_load(text)["outs"]
        if out["path"] != Path(folder).name or not _LISTING.fullmatch(out["md5"]):
            raise ValueError("its entry is not that of a folder")
        return Pointer(folder, out["md5"], int(out["size"]), int(out["nfiles"]))
    except FileNotFoundError as error:
        raise UserError(f"{folder}.dvc: no such file; {_published(root)}.") from error
    except KeyError as error:
        raise UserError(f"{folder}.dvc: not a DVC pointer (no {error.args[0]}); {mend}.") from error
    except (ValueError, TypeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{folder}.dvc: not a DVC pointer ({said}); {mend}.") from error


def published_sets(root: Path) -> list[str]:
    """Names of the result sets that this commit has."""
    return sorted(path.stem for path in (root / "results").glob("*.dvc"))


def _published(root: Path) -> str:
    names = published_sets(root)
    return f"published result sets are {', '.join(names)}" if names else "no result set is published in this commit"


@dataclass(frozen=True)
class Shortage:
    """Files that the remote could not give: those that it lacks, and those that it has damaged."""

    missing: list[str]
    damaged: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.damaged)


def bring_into_cache(checkout: Checkout, wanted: Mapping[str, str], targets: Iterable[str], say: Say) -> Shortage:
    """Have the objects of `wanted` (path -> md5) in the cache and whole; those that lack come from the remote.

    targets: what DVC is asked for then, files and folders. Bad objects are removed from the cache. Raises UserError
    when the remote cannot be asked.
    """
    lacking = {path: md5 for path, md5 in wanted.items() if not _whole(checkout.cache, md5)}
    if not lacking:
        return Shortage([], [])
    reason = checkout.reach_remote(say)
    if reason:
        raise UserError(f"{reason}.")
    done = dvc_transfer(["fetch", *targets], checkout.root, say)
    absent = {path: md5 for path, md5 in lacking.items() if not _whole(checkout.cache, md5)}
    missing = [path for path, md5 in absent.items() if md5 in done.errors]
    if absent and not missing and done.status != 0:
        raise UserError(f"`dvc fetch` from the remote {checkout.remote} ({checkout.url}) failed: {done.fault}.")
    return Shortage(missing, [path for path in absent if path not in missing])


def _whole(cache: Cache, md5: str) -> bool:
    """Whether the cache has an object whole; one that is not is removed, so that DVC brings it again."""
    if cache.good(md5):
        return True
    try:
        cache.path(md5).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{cache.path(md5)}: damaged, and cannot be removed ({error.strerror}).") from error
    return False


def bring_listing(checkout: Checkout, pointer: Pointer, some_file: str, say: Say) -> dict[str, str]:
    """The listing of a folder, from the remote where the cache lacks it; `some_file` of the folder comes with it."""
    shortage = bring_into_cache(checkout, {pointer.folder: pointer.listing}, [some_file], say)
    if shortage:
        raise UserError(
            f"the remote {checkout.remote} ({checkout.url}) does not have what {pointer.folder}.dvc points to; ask the"
            " publisher to run `avbalance publish` again."
        )
    return checkout.cache.listing(pointer)


def shortage_error(checkout: Checkout, shortage: Shortage, md5s: Mapping[str, str]) -> UserError:
    """What to tell of files that the remote could not give."""
    if shortage.missing:
        return UserError(
            f"the remote {checkout.remote} ({checkout.url}) lacks {count(shortage.missing)}: {some(shortage.missing)};"
            " ask the publisher to run `avbalance publish` again."
        )
    places = [f"{path} (files/md5/{md5s[path][:2]}/{md5s[path][2:]})" for path in shortage.damaged]
    return UserError(
        f"the remote {checkout.remote} ({checkout.url}) has {count(places)} damaged: {some(places)}; delete there what"
        " stands in brackets, and ask the publisher to run `avbalance publish` again."
    )


def place(cache: Cache, md5: str, target: Path) -> None:
    """Put an object of the cache at `target`, whole or not at all; raises UserError when the disk refuses."""
    # Not files.atomic_path: it waits for the disk, a thousand times here; a file lost with the machine is found out.
    temporary = target.parent / f".{target.name}.{os.getpid()}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(cache.path(md5), temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{target}: cannot be written ({error.strerror}); free the disk or mend the rights.") from error


def count(paths: Sized) -> str:
    return f"{len(paths)} file{'s' * (len(paths) != 1)}"


def some(paths: Sequence[str]) -> str:
    """The first of many paths."""
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return f"{', '.join(paths[:NAMED])}{more}"


def size_text(size: int) -> str:
    """Bytes for people."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
