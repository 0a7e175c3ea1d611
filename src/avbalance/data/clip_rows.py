"""The rows of a user's own list of clips: what may stand in them, what is wrong, which of their files are not there."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from avbalance.data.clip_tables import inside
from avbalance.data.media_files import images_in, no_images
from avbalance.declared import Declared, read, refusal
from avbalance.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd

Medium = Literal["video", "audio", "image", "frames"]
Column = Literal["id", "label", "split", "group", Medium]

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
    if media_files(root / path, kind):
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


def media_files(path: Path, kind: str) -> list[Path]:
    """The files of one cell: one file, or the pictures of a folder by name; [] when absent."""
    if kind == "frames":
        return images_in(path)
    return [path] if path.is_file() else []


def _repeated(rows: Mapping[int, Mapping[str, str]]) -> list[tuple[int, str]]:
    """(row, what is wrong) of ids that stand in an earlier row already."""
    first: dict[str, int] = {}
    earlier = [(number, row["id"], first.setdefault(row["id"], number)) for number, row in rows.items()]
    return [
        (number, f"id {name!r} already stands in row {before}; rename or remove one.")
        for number, name, before in earlier
        if before != number
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
