"""The user's own data: a folder of media and a csv file that lists them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from avbalance.data.media_files import images_in, media_checksum, no_images
from avbalance.data.sources.base import FilePath, Row, Source, card_for, media_root_entry
from avbalance.data.sources.common import missing_columns
from avbalance.declared import Declared, Once, read, refusal
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

Medium = Literal["video", "audio", "image", "frames"]
Column = Literal["id", "label", "split", "group", Medium]


class FolderOptions(Source):
    """Options of kind folder."""

    root: FilePath
    """folder of the media and the csv file"""
    manifest: FilePath = "manifest.csv"
    """name of the csv file in it"""
    columns: dict[Column, str] = Field(default={})
    """our column name: the name that the csv file uses"""
    classes: Annotated[Once[str], Field(min_length=2)] | None = None
    """the class names in order; without it, the labels found, in order"""

    @property
    def table(self) -> Path:
        """The csv file."""
        return Path(self.root) / self.manifest

    def missing(self) -> str | None:
        if not Path(self.root).is_dir():
            return f"{self.root}: no such folder; put your media there or set the option root to where they are."
        if not self.table.is_file():
            return f"{self.table}: no such file; list your clips in it (id, label, split, media)."
        return None

    def inputs(self) -> Sequence[str]:
        return [str(self.table)]

    def build(self, name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
        """Check every row of the csv file against the schema and the folder, and return the manifest.

        Clips whose files are absent stay in the manifest with status "missing". Raises UserError, naming file, data
        row (counted from 1) and column, on rows that break the schema, on paths that leave the folder, and when more
        than half of the clips are missing.
        """
        from avbalance.data.manifest import make_manifest

        root, table = Path(self.root), self.table
        listed = _read_rows(table, self.columns)
        rows = [_manifest_row(row, root, f"{table}, row {number}") for number, row in enumerate(listed, start=1)]
        _refuse_mostly_missing(rows, table)
        classes = self.classes or _ordered({row["label"] for row in rows})
        return make_manifest(rows, card_for(name, spec, classes, media_root_entry(self.root, out_dir)), str(table))


OPTIONS = FolderOptions


class ClipRow(Declared):
    """One row of the manifest.csv of a user's own folder; empty cells are left out before a row is checked."""

    id: Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$")]
    """a name of the clip that no other row has"""
    label: FilePath
    """name of the class"""
    split: Literal["train", "val", "test"]
    """train, test, or val (optional; without it, validation clips are taken from train)"""
    group: str | None = None
    """speaker or source video, recorded for your own analysis; parts are carved by label, not by group"""
    video: str | None = None
    """one file with pictures and, where audio is empty, with the sound"""
    audio: str | None = None
    """a sound file"""
    image: str | None = None
    """one picture"""
    frames: str | None = None
    """a folder of pictures in the order of their names, 2.png before 10.png"""

    @model_validator(mode="after")
    def _sound_and_pictures(self) -> Self:
        if tuple(self.media) not in (("video",), ("video", "audio"), ("audio", "image"), ("audio", "frames")):
            raise refusal(
                f"media columns filled: {', '.join(self.media) or 'none'}; fill video alone, or audio with one of "
                "video, image and frames"
            )
        return self

    @property
    def media(self) -> dict[Medium, str]:
        """Kind of medium -> path, for those that are given."""
        given = {kind: getattr(self, kind) for kind in get_args(Medium)}
        return {kind: path for kind, path in given.items() if path is not None}

    @property
    def sound(self) -> str:
        return str(self.audio or self.video)

    @property
    def pictures(self) -> str:
        return str(self.video or self.image or self.frames)


def _read_rows(table: Path, columns: Mapping[Column, str]) -> list[ClipRow]:
    """All rows of the csv file, checked."""
    names = {ours: dict(columns).get(ours, ours) for ours in get_args(Column)}
    try:
        with open(table, encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            _check_header(reader.fieldnames or (), names, set(columns.values()), table)
            rows = [_read_row(row, names, f"{table}, row {number}") for number, row in enumerate(reader, start=1)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: not a readable csv file ({error}); save it as UTF-8 with commas.") from error
    if not rows:
        raise UserError(f"{table}: has no rows; list at least one clip.")
    return rows


def _check_header(header: Sequence[str], names: Mapping[Column, str], mapped: set[str], table: Path) -> None:
    needed = {names["id"], names["label"], names["split"]} | mapped
    absent = sorted(needed - set(header))
    if absent:
        raise UserError(f"{table}: no column {absent[0]!r}; name it in the first line or map it with option columns.")


def _read_row(row: Mapping[str | None, Any], names: Mapping[Column, str], where: str) -> ClipRow:
    if None in row:
        raise UserError(f"{where}: more cells than the first line has names; put names with a comma in quotes.")
    cells = {ours: (row.get(theirs) or "").strip() for ours, theirs in names.items()}
    for ours, cell in cells.items():
        if not cell and ClipRow.model_fields[ours].is_required():
            raise UserError(f"{where}: column {names[ours]!r} is empty; fill it in.")
    try:
        return read(ClipRow, {ours: cell for ours, cell in cells.items() if cell}, where)
    except UserError as error:  # told by the names of the user's own columns
        key, _, told = str(error).removeprefix(f"{where}, ").partition(": ")
        theirs = dict[str, str](names.items()).get(key)
        if theirs is None:
            raise
        raise UserError(f"{where}: column {theirs!r} {told}") from error


def _manifest_row(row: ClipRow, root: Path, where: str) -> Row:
    for kind, path in row.media.items():
        _refuse_escape(path, kind, root, where)
    result = {"id": row.id, "label": row.label, "split": row.split, "group": row.group or row.id}
    files = {path: _media_files(root / path, kind) for kind, path in row.media.items()}
    absent = [path for path, found in files.items() if not found]
    if absent:
        why = no_images(root / absent[0])
        return {**result, **missing_columns(f"{absent[0]}: {why}" if why else f"no file {absent[0]}")}
    checksum = media_checksum([path for found in files.values() for path in found])
    return {**result, "audio": row.sound, "visual": row.pictures, "sha256": checksum}


def _refuse_escape(path: str, column: str, root: Path, where: str) -> None:
    inside = root.resolve()
    if Path(path).is_absolute() or not (root / path).resolve().is_relative_to(inside):
        raise UserError(f"{where}: column {column!r}: {path!r} leads out of {root}; use a path inside the folder.")


def _media_files(path: Path, kind: str) -> list[Path]:
    """The files of one cell: one file, or the pictures of a folder by name; [] when absent."""
    if kind == "frames":
        return images_in(path)
    return [path] if path.is_file() else []


def _refuse_mostly_missing(rows: Sequence[Mapping[str, Any]], table: Path) -> None:
    missing = [number for number, row in enumerate(rows, start=1) if row.get("status") == "missing"]
    if 2 * len(missing) > len(rows):
        first = missing[0]
        raise UserError(
            f"{table}, row {first}: {rows[first - 1]['reason']} "
            f"({len(missing)} of {len(rows)} clips are missing); "
            f"give paths relative to {table.parent} or set the option root."
        )


def _ordered(labels: set[str]) -> list[str]:
    """Class names in numeric order when all are whole numbers, else by code point."""
    if all(label.isascii() and label.isdigit() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)
