"""What a kind of data set is: a class of its options that knows what it needs and how it becomes a manifest."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from avbalance.declared import Declared, read, refusal
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

log = logging.getLogger(__name__)


def _expanded(path: str) -> str:
    """A path with the user's folder for ~ and the values of variables, unless a file has such a name."""
    if os.path.lexists(path):
        return path
    full = os.path.expandvars(os.path.expanduser(path))
    unset = re.search(r"\$\w+|\$\{\w+\}", full)
    if unset or full.startswith("~"):
        raise refusal(f"is {path!r}, and {unset[0] if unset else full.split('/')[0]} is not known; write the folder")
    return full


FilePath = Annotated[str, Field(min_length=1), AfterValidator(_expanded)]
Row = dict[str, Any]


@dataclass(frozen=True)
class SourceCheck:
    """What a look at a data set finds before anything is decoded: what keeps it from being read, and what is odd."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Source(Declared):
    """A kind of data set: its fields are the options of a specification, its methods what is done with them."""

    CAN_REMAKE: ClassVar[bool] = False  # whether absent clips of a manifest can be made again

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Self:
        """The data set of a specification; raises UserError for options that do not exist, and for wrong values."""
        return read(cls, spec.get("options") or {}, f"data set of kind {spec['kind']}, options")

    def missing(self) -> str | None:
        """What is not there that the data set is made from, in a sentence with where to get it; None if all is."""
        return None

    def check(self) -> SourceCheck:
        """What is wrong with it and what is odd, as far as it is told in no time; at the least, what is absent."""
        problem = self.missing()
        return SourceCheck([problem] if problem else [])

    def inputs(self) -> Sequence[str]:
        """Files that the manifest is made from: lists of the clips and the like."""
        return []

    def members(self) -> Sequence[str]:
        """Data sets that have to be there first."""
        return []

    def build(self, name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
        """The manifest of the data set `name`, which will lie in `out_dir`; its clips may be made on the way.

        Raises UserError, naming file, row and fix, for malformed lists and useless media.
        """
        raise NotImplementedError

    def remake(self, manifest: Manifest, media: Path, workers: int) -> list[str]:
        """Make absent clips again, where CAN_REMAKE; returns the ids of those with other bytes than the manifest's."""
        raise NotImplementedError


@dataclass(frozen=True)
class Listing:
    """The clips of published lists: rows of the manifest, class names, the name for errors, more for the card."""

    rows: Sequence[Row]
    classes: Sequence[str]
    where: str
    card: Mapping[str, Any] = field(default_factory=dict)


class FetchedSource(Source):
    """Data sets whose clips are files that others publish, and that the user has, or has not."""

    LISTS_FROM: ClassVar[str]  # who publishes the lists
    MEDIA_FROM: ClassVar[str]  # how to get the clips

    allow_missing: bool = False
    """plan without the clips that are absent"""
    checksums: bool = False
    """hash every clip"""

    @property
    def root(self) -> str:
        """The option that names the folder of the clips."""
        return "media_root"

    @property
    def folder(self) -> Path:
        """The folder of the clips."""
        return Path(getattr(self, self.root))

    def list_files(self) -> Sequence[str | Path]:
        """Published files that must be there."""
        raise NotImplementedError

    def inputs(self) -> Sequence[str]:
        return [str(path) for path in self.list_files()]

    def folders(self) -> Sequence[Path]:
        """Folders that must be there, unless clips may be absent."""
        return [self.folder]

    def listing(self) -> Listing:
        """Lists joined with media; clips without a file have the status "missing"."""
        raise NotImplementedError

    def list_from(self, path: Path) -> str:
        """How to get one of the lists."""
        return f"take it from {self.LISTS_FROM}"

    def media_from(self, folder: Path | None = None) -> str:
        """How to get the clips, or one of the folders."""
        return self.MEDIA_FROM

    def missing(self) -> str | None:
        lists = [str(path) for path in self.list_files()]
        for path in self.inputs():
            if not Path(path).is_file():
                return f"{path}: no such file; {self.list_from(Path(path)) if path in lists else 'fix its path'}."
        absent = None if self.allow_missing else next((path for path in self.folders() if not path.is_dir()), None)
        if absent is None:
            return None
        return f"{absent}: no such folder; {self.media_from(absent)}, or set the option allow_missing to plan without."

    def build(self, name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
        from avbalance.data.manifest import make_manifest

        listing = self.listing()
        self.refuse_if_nothing_found(listing.rows)
        missing = [row for row in listing.rows if row.get("status") == "missing"]
        if missing:
            told = "%s: %d of %d clips are missing; first: %s (%s)"
            first = missing[0]
            log.warning(told, self.folder, len(missing), len(listing.rows), first["id"], first["reason"])
        card = card_for(name, spec, listing.classes, media_root_entry(getattr(self, self.root), out_dir))
        return make_manifest(listing.rows, {**card, **listing.card}, listing.where)

    def refuse_if_nothing_found(self, rows: Sequence[Row]) -> None:
        """Raise UserError when not one clip has its media, which is a wrong folder rather than dead links."""
        if not self.allow_missing and rows and all(row.get("status") == "missing" for row in rows):
            raise UserError(
                f"{self.folder}: holds none of the {len(rows)} clips ({rows[0]['reason']}); set the option {self.root} "
                "to the folder that holds them all, or allow_missing to plan without them."
            )


class MediaSource(FetchedSource):
    """Data sets whose clips lie in one folder."""

    media_root: FilePath
    """folder of the clips"""


class FeatureOrMediaSource(FetchedSource):
    """Data sets of which there are released features and clips."""

    FEATURES_FROM: ClassVar[str]  # how to get the features

    lists_dir: FilePath
    """folder of the published lists"""
    features_root: FilePath | None = None
    """folder of the released features; null for clips"""
    media_root: FilePath | None = None
    """folder of the clips; null for features"""

    @model_validator(mode="after")
    def _one_root(self) -> Self:
        if (self.features_root is None) == (self.media_root is None):
            given = "none" if self.media_root is None else "both"
            raise refusal(
                f"{given} of features_root and media_root given; set features_root to the folder of the released "
                "features, or media_root to that of the clips"
            )
        return self

    @property
    def root(self) -> str:
        return "media_root" if self.features_root is None else "features_root"

    def media_from(self, folder: Path | None = None) -> str:
        return self.MEDIA_FROM if self.features_root is None else self.FEATURES_FROM


def card_for(name: str, spec: Mapping[str, Any], classes: Iterable[str], media_root: str) -> dict[str, Any]:
    """The card of a manifest, all but its digest."""
    return {
        "dataset": name,
        "kind": spec["kind"],
        "stands_for": spec.get("stands_for"),
        "describe": spec["describe"],
        "classes": list(classes),
        "media_root": media_root,
        "options": dict(spec.get("options") or {}),
    }


def media_root_entry(root: str | os.PathLike[str], out_dir: Path) -> str:
    """How a card names the media folder: as given when absolute, else relative to the manifest's folder.

    A relative name keeps a project that is moved or cloned as a whole in working order.
    """
    if os.path.isabs(root):
        return str(root)
    return os.path.relpath(os.path.abspath(root), os.path.abspath(out_dir))
