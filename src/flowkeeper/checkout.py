"""A checkout under git and DVC: DVC's settings, its remote, and what it keeps of a folder.

That is a pointer in git, and in its cache a listing of the folder and the bytes of every file by their md5.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import yaml

from flowkeeper import servers
from flowkeeper.errors import UserError
from flowkeeper.files import md5_file
from flowkeeper.interface import Workflow
from flowkeeper.patches import TRANSFER
from flowkeeper.programs import Say, dvc

_LISTING = re.compile(r"[0-9a-f]{32}\.dir")
_MD5 = re.compile(r"[0-9a-f]{32}")
NO_FILES = "d751713988987e9331980363e24189ce.dir"  # DVC's listing of an empty folder, md5 of "[]"


@dataclass(frozen=True)
class Pointer:
    """What <folder>.dvc says: md5 of the listing, and bytes of all files."""

    folder: str
    listing: str
    size: int


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
            return dict(_entry(pointer.folder, entry["relpath"], entry["md5"]) for entry in entries)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{self.path(pointer.listing)}: not a listing of DVC's ({error}); delete it and fetch again."
            ) from error


def _entry(folder: str, path: str, md5: str) -> tuple[str, str]:
    """A file of a listing, which must lie inside its folder; raises ValueError."""
    if path.startswith("/") or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        raise ValueError(f"the path {path!r} leads elsewhere")
    if not _MD5.fullmatch(md5):
        raise ValueError(f"{md5!r} is no md5")
    return f"{folder}/{path}", md5


def read_pointer(workflow: Workflow, root: Path, folder: str) -> Pointer:
    """Read <folder>.dvc; raises UserError when it is absent or no pointer to a folder."""
    advice = f"take the committed one with `git checkout -- {folder}.dvc`"
    try:
        text = (root / f"{folder}.dvc").read_text(encoding="utf-8")
        # Told apart from damage: after a merge the file is not YAML, and `git checkout` would drop one side.
        if "<<<<<<< " in text:
            advice = f"choose a side, see {workflow.guide}"
            raise ValueError("a merge left both sides in it")
        (out,) = yaml.safe_load(text)["outs"]
        if out["path"] != Path(folder).name or not _LISTING.fullmatch(out["md5"]):
            raise ValueError("its entry is not that of a folder")
        return Pointer(folder, out["md5"], int(out["size"]))
    except FileNotFoundError as error:
        names = ", ".join(published_sets(workflow, root))
        told = f"published result sets are {names}" if names else "no result set is published in this commit"
        raise UserError(f"{folder}.dvc: no such file; {told}.") from error
    except (KeyError, ValueError, TypeError, yaml.YAMLError) as error:
        said = f"no {error.args[0]}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(f"{folder}.dvc: not a DVC pointer ({said}); {advice}.") from error


def published_sets(workflow: Workflow, root: Path) -> list[str]:
    """Names of the result sets that this commit has; what a killed transfer left is none."""
    return sorted(path.stem for path in (root / workflow.results).glob("*.dvc") if path.stem != TRANSFER)


@dataclass(frozen=True)
class Checkout:
    """A repository under git and DVC.

    settings: DVC's. answered: addresses of remotes that turned out well.
    """

    workflow: Workflow
    root: Path
    settings: dict[str, str]
    answered: list[str] = field(default_factory=list)

    @cached_property
    def cache(self) -> Cache:
        return Cache(self.root / self.settings.get("cache.dir", ".dvc/cache"))

    def pointer(self, folder: str) -> Pointer:
        """What <folder>.dvc says; raises UserError when it is absent or no pointer to a folder."""
        return read_pointer(self.workflow, self.root, folder)

    def listing(self, folder: str) -> dict[str, str]:
        """Path -> md5 of what <folder>.dvc stands for; nothing where there is none or DVC's cache does not know."""
        if not (self.root / f"{folder}.dvc").exists():
            return {}
        pointer = self.pointer(folder)
        return self.cache.listing(pointer) if self.cache.good(pointer.listing) else {}

    @property
    def publish_again(self) -> str:
        return f"ask the publisher to run `{self.workflow.command} publish` again"

    @property
    def remote(self) -> str | None:
        """Name of the default remote."""
        name = self.settings.get("core.remote")
        return name if f"remote.{name}.url" in self.settings else None

    @property
    def url(self) -> str:
        """Where the default remote is; a folder's path is absolute."""
        return self.settings[f"remote.{self.remote}.url"]

    @property
    def remote_text(self) -> str:
        return f"the remote {self.remote} ({self.url})"

    def reach_remote(self, say: Say) -> str | None:
        """Why there is no use in asking the default remote; None when there may be. A server is asked but once."""
        if self.remote is None:
            return (
                "no DVC remote is chosen; name the one to share through: `dvc remote add --default NAME URL`"
                f" ({self.workflow.guide})"
            )
        if "://" not in self.url:
            if Path(self.url).is_dir():
                return None
            return (
                f"the folder of the DVC remote {self.remote}, {self.url}, is not there; mount it, or say where it is:"
                f" `dvc remote modify --local {self.remote} url PATH`"
            )
        if self.url not in self.answered:
            prefix = f"remote.{self.remote}."
            own = {key[len(prefix) :]: value for key, value in self.settings.items() if key.startswith(prefix)}
            said = servers.obstacle(self.url, own, say)
            if said:
                return f"the DVC remote {self.remote}: {said}"
            self.answered.append(self.url)
        return None


def open_checkout(workflow: Workflow, root: Path, say: Say) -> Checkout:
    """The checkout at `root`; raises UserError unless it is one of git and of DVC."""
    if not (root / ".git").exists() or not (root / ".dvc").is_dir():
        what = "git" if not (root / ".git").exists() else "DVC"
        raise UserError(
            f"{root.absolute()}: not the root of a {what} checkout; results are shared from a clone of the repository"
            " (`git clone`), in its topmost folder."
        )
    done = dvc(["config", "--list"], root, say)
    if done.status != 0:
        raise UserError(f".dvc/config: DVC cannot read its settings ({done.fault}); fix the file.")
    lines = (line.partition("=") for line in done.output.splitlines())
    return Checkout(workflow, root, {key: value for key, equals, value in lines if equals})
