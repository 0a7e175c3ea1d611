"""What DVC keeps of a folder: a pointer in git, and in its cache a listing and the bytes of every file by their md5."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from flowkeeper.errors import UserError
from flowkeeper.files import md5_file
from flowkeeper.interface import Workflow

_LISTING = re.compile(r"[0-9a-f]{32}\.dir")
_MD5 = re.compile(r"[0-9a-f]{32}")


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
            return {f"{pointer.folder}/{_inner(entry['relpath'])}": _md5(entry["md5"]) for entry in entries}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path(pointer.listing)}: not a listing of DVC's ({error}); delete it and fetch again."
            ) from error


def _inner(path: str) -> str:
    """A path that stays inside its folder."""
    if path.startswith("/") or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError(f"the path {path!r} leads elsewhere")
    return path


def _md5(value: str) -> str:
    if not _MD5.fullmatch(value):
        raise ValueError(f"{value!r} is no md5")
    return value


def read_pointer(workflow: Workflow, root: Path, folder: str) -> Pointer:
    """Read <folder>.dvc; raises UserError when it is absent or no pointer to a folder."""
    path = root / f"{folder}.dvc"
    mend = f"take the committed one with `git checkout -- {folder}.dvc`"
    try:
        text = path.read_text(encoding="utf-8")
        if "<<<<<<< " in text:
            mend = f"choose a side, see {workflow.guide}"
            raise ValueError("a merge left both sides in it")
        (out,) = yaml.safe_load(text)["outs"]
        if out["path"] != Path(folder).name or not _LISTING.fullmatch(out["md5"]):
            raise ValueError("its entry is not that of a folder")
        return Pointer(folder, out["md5"], int(out["size"]), int(out["nfiles"]))
    except FileNotFoundError as error:
        raise UserError(f"{folder}.dvc: no such file; {_published(workflow, root)}.") from error
    except KeyError as error:
        raise UserError(f"{folder}.dvc: not a DVC pointer (no {error.args[0]}); {mend}.") from error
    except (ValueError, TypeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"{folder}.dvc: not a DVC pointer ({said}); {mend}.") from error


def published_sets(workflow: Workflow, root: Path) -> list[str]:
    """Names of the result sets that this commit has."""
    return sorted(path.stem for path in (root / workflow.results).glob("*.dvc"))


def _published(workflow: Workflow, root: Path) -> str:
    names = published_sets(workflow, root)
    return f"published result sets are {', '.join(names)}" if names else "no result set is published in this commit"
