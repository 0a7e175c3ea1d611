"""The user's own data: a folder of media and a csv file that lists them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from avbalance.data.clip_tables import DELIMITERS, inside, merged_labels, read_table
from avbalance.data.media_files import images_in, media_checksum, no_images
from avbalance.data.sources.base import FilePath, Row, Source, SourceCheck, card_for, media_root_entry
from avbalance.data.sources.common import missing_columns
from avbalance.declared import Declared, Once, listed, read, refusal
from avbalance.errors import Faults, UserError, row_faults

if TYPE_CHECKING:
    import pandas as pd

    from avbalance.data.manifest import Manifest

Medium = Literal["video", "audio", "image", "frames"]
PICTURES = ("video", "image", "frames")
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
    found: list[str] = Field(default=[])
    """what was found when the csv file was made of another one; said again under the tables"""

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

    def check(self) -> SourceCheck:
        problem = self.missing()
        if problem is not None:
            return SourceCheck([problem])
        try:
            clips = self._listed()
        except UserError as error:
            return SourceCheck(Faults.of(error))
        parts = set(clips.frame["split"])
        faults = [
            f"{self.table}: no row has {part} in column {self.columns.get('split', 'split')!r}; name some."
            for part in ("train", "test")
            if part not in parts
        ]
        return SourceCheck(faults, clips.notes)

    def build(self, name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
        """Check every row of the csv file against the schema and the folder, and return the manifest.

        Clips whose files are absent stay in the manifest with status "missing". Raises UserError, naming file, row (as
        a spreadsheet counts, names are row 1) and column, on rows that break the schema, on paths that leave the
        folder, on a single class, and when more than half of the clips are missing.
        """
        from avbalance.data.manifest import make_manifest, rows_of

        clips = self._listed()
        rows = [_manifest_row(row, Path(self.root)) for row in rows_of(clips.frame)]
        classes = self.classes or _ordered(set(clips.frame["label"]))
        card = card_for(name, spec, classes, media_root_entry(self.root, out_dir))
        odd = list(dict.fromkeys([*self.found, *clips.notes]))
        return make_manifest(rows, card | ({"odd": odd} if odd else {}), str(self.table))

    def _listed(self) -> Listed:
        """The clips of the table; raises UserError with all that is wrong."""
        import pandas as pd

        from avbalance.data.clip_checks import first_few, oddities, path_notes

        root = Path(self.root)
        table = read_table(self.table)
        names = {ours: self.columns.get(ours, ours) for ours in get_args(Column)}
        _check_header(table.names, names, set(self.columns.values()), self.table)
        by_name = {number: dict(zip(table.names, cells, strict=True)) for number, cells in table.rows.items()}
        cells = {
            number: {ours: row.get(theirs, "") for ours, theirs in names.items()} for number, row in by_name.items()
        }
        rows, given, wrong = read_rows(cells, names, root)
        wrong += table.wrong
        labels, merged = merged_labels([row["label"] for row in rows.values()], self.classes or ())
        rows = {number: {**row, "label": label} for (number, row), label in zip(rows.items(), labels, strict=True)}
        wrong += _unknown(rows, self.classes)
        if wrong:
            raise Faults(row_faults(self.table, sorted(wrong)))
        frame = pd.DataFrame.from_dict(rows, orient="index", dtype=object)
        refuse_useless(frame, self.table, root)
        notes = [*merged, *path_notes(root, given), *absent_notes(frame), *oddities(frame, root)]
        without = set(self.classes or ()) - set(labels)
        if without:
            notes.append(f"{first_few(without)}: listed as classes, and no clip is of them")
        # A file with commas needs no remark; what else was guessed of a table is said.
        plain = table.told.endswith(f"separated by {DELIMITERS[',']}")
        return Listed(frame, notes if plain else [table.told, *notes])


OPTIONS = FolderOptions


@dataclass(frozen=True)
class Listed:
    """The clips of a table, in columns of our names ("" for none), and `absent`: why its files are not there, or "".

    notes: how the table was read, where that is not plain, and what is odd.
    """

    frame: pd.DataFrame
    notes: list[str]


_ONE_LINE = r"^[^\x00-\x1f]+$"


def _in_one_line(name: str) -> str:
    if not re.fullmatch(_ONE_LINE, name):
        raise refusal("is empty, or has a line break or tab inside; write it in one line")
    return name


class ClipRow(Declared):
    """One row of the manifest.csv of a user's own folder; empty cells are left out before a row is checked."""

    id: Annotated[str, AfterValidator(_in_one_line), WithJsonSchema({"type": "string", "pattern": _ONE_LINE})]
    """a name of the clip that no other row has"""
    label: Annotated[str, Field(min_length=1)]
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


def read_rows(
    given_rows: Mapping[int, Mapping[Column, str]], names: Mapping[Column, str], root: Path
) -> tuple[dict[int, dict[str, str]], list[tuple[str, str]], list[tuple[int, str]]]:
    """Checked rows by number; paths (as given, as read); and (row, what is wrong with it).

    given_rows: cells by our columns; names: what the table calls these.
    """
    rows: dict[int, dict[str, str]] = {}
    given: list[tuple[str, str]] = []
    wrong: list[tuple[int, str]] = []
    for number, cells in given_rows.items():
        try:
            row = _read_row(cells, names)
            media = {kind: _inside(root, path, names[kind]) for kind, path in row.media.items()}
        except UserError as error:
            wrong += [(number, told) for told in Faults.of(error)]
            continue
        given += [(path, media[kind]) for kind, path in row.media.items()]
        absent = next(filter(None, (_absent(root, path, kind) for kind, path in media.items())), "")
        paths = {kind: media.get(kind, "") for kind in get_args(Medium)}
        clip = {"id": row.id, "label": row.label, "split": row.split, "group": row.group or ""}
        rows[number] = {**clip, **paths, "absent": absent}
    return rows, given, [*wrong, *_repeated(rows)]


def _check_header(header: Sequence[str], names: Mapping[Column, str], mapped: set[str], table: Path) -> None:
    needed = {names["id"], names["label"], names["split"]} | mapped
    absent = sorted(needed - set(header))
    if absent:
        raise UserError(
            f"{table}: no column {absent[0]!r} (there are {listed(header)}); name it in the first line or map it "
            "with option columns."
        )


def _read_row(cells: Mapping[Column, str], names: Mapping[Column, str]) -> ClipRow:
    """A row, checked; raises UserError without the place, told by the names of the user's own columns."""
    for ours, cell in cells.items():
        if not cell and ClipRow.model_fields[ours].is_required():
            raise UserError(f"column {names[ours]!r} is empty; fill it in.")
    try:
        return read(ClipRow, {ours: cell for ours, cell in cells.items() if cell}, "row")
    except UserError as error:
        raise Faults([_in_their_words(sentence, names) for sentence in Faults.of(error)]) from error


def _in_their_words(sentence: str, names: Mapping[Column, str]) -> str:
    key, _, told = sentence.removeprefix("row, ").partition(": ")
    theirs = dict[str, str](names.items()).get(key)
    return told if theirs is None else f"column {theirs!r} {told}"


def _inside(root: Path, path: str, column: str) -> str:
    try:
        return inside(root, path)
    except UserError as error:
        raise UserError(f"column {column!r}: {error}") from error


def _absent(root: Path, path: str, kind: str) -> str:
    """Why the files of one cell are not there; "" if they are."""
    if _media_files(root / path, kind):
        return ""
    try:
        os.stat(root / path)
    except OSError as error:
        # islink and readlink do not fail on a link to itself: only following it does.
        if error.errno == errno.ELOOP:
            return f"{path} is a link to itself"
    if os.path.islink(root / path):
        return f"{path} is a link to {os.readlink(root / path)}, which is not there"
    why = no_images(root / path)
    if why:
        return f"{path}: {why}"
    return f"no pictures in {path}" if os.path.isdir(root / path) else f"no file {path}"


def _media_files(path: Path, kind: str) -> list[Path]:
    """The files of one cell: one file, or the pictures of a folder by name; [] when absent."""
    if kind == "frames":
        return images_in(path)
    return [path] if path.is_file() else []


def _manifest_row(row: Mapping[str, Any], root: Path) -> Row:
    """A row of the manifest."""
    result = {name: row[name] for name in ("id", "label", "split")} | {"group": row["group"] or row["id"]}
    if row["absent"]:
        return {**result, **missing_columns(row["absent"])}
    media = {kind: row[kind] for kind in get_args(Medium) if row[kind]}
    checksum = media_checksum([path for kind, name in media.items() for path in _media_files(root / name, kind)])
    sound, pictures = media.get("audio") or media["video"], next(media[k] for k in PICTURES if k in media)
    return {**result, "audio": sound, "visual": pictures, "sha256": checksum}


def _repeated(rows: Mapping[int, Mapping[str, str]]) -> list[tuple[int, str]]:
    """(row, what is wrong) of ids that stand in an earlier row already."""
    first: dict[str, int] = {}
    earlier = [(number, row["id"], first.setdefault(row["id"], number)) for number, row in rows.items()]
    return [
        (number, f"id {name!r} already stands in row {before}; rename or remove one.")
        for number, name, before in earlier
        if before != number
    ]


def _unknown(rows: Mapping[int, Mapping[str, str]], classes: Sequence[str] | None) -> list[tuple[int, str]]:
    """(row, what is wrong) of labels that are not among the classes, where these are listed."""
    if classes is None:
        return []
    return [
        (number, f"label {row['label']!r} is unknown; use one of {listed(classes)}.")
        for number, row in rows.items()
        if row["label"] not in classes
    ]


def refuse_useless(frame: pd.DataFrame, table: Path, root: Path) -> None:
    """Raise UserError for one class only, and where most files are not there."""
    if frame["label"].nunique() == 1:
        raise UserError(f"{table}: all clips are of one class, {frame['label'].iloc[0]!r}; list clips of two at least.")
    missing = frame[frame["absent"] != ""]
    if 2 * len(missing) > len(frame):
        raise UserError(
            f"{table}, row {missing.index[0]}: {missing['absent'].iloc[0]} ({len(missing)} of {len(frame)} clips are "
            f"missing); give paths that start in {root}, the folder of the clips (option root)."
        )


def absent_notes(frame: pd.DataFrame) -> list[str]:
    """A sentence on the clips without files, where there are any."""
    missing = frame[frame["absent"] != ""]
    if missing.empty:
        return []
    first = f"row {missing.index[0]}: {missing['absent'].iloc[0]}"
    return [f"{len(missing)} of {len(frame)} clips have no files and are left out, the first in {first}"]


def _ordered(labels: set[str]) -> list[str]:
    """Class names in numeric order when all are whole numbers, else by code point."""
    if all(label.isascii() and label.isdigit() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)
