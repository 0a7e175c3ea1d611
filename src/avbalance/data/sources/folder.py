"""The user's own data: a folder of media and a csv file that lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import Field

from avbalance.data.clip_rows import Column, Medium, absent_notes, media_files, read_rows, refuse_useless
from avbalance.data.clip_tables import DELIMITERS, merged_labels, read_table
from avbalance.data.media_files import media_checksum
from avbalance.data.sources.base import FilePath, Row, Source, SourceCheck, card_for, media_root_entry
from avbalance.data.sources.common import missing_columns
from avbalance.declared import Once, listed
from avbalance.errors import Faults, UserError, row_faults

if TYPE_CHECKING:
    import pandas as pd

    from avbalance.data.manifest import Manifest

PICTURES = ("video", "image", "frames")


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


def _check_header(header: Sequence[str], names: Mapping[Column, str], mapped: set[str], table: Path) -> None:
    needed = {names["id"], names["label"], names["split"]} | mapped
    absent = sorted(needed - set(header))
    if absent:
        raise UserError(
            f"{table}: no column {absent[0]!r} (there are {listed(header)}); name it in the first line or map it "
            "with option columns."
        )


def _manifest_row(row: Mapping[str, Any], root: Path) -> Row:
    """A row of the manifest."""
    result = {name: row[name] for name in ("id", "label", "split")} | {"group": row["group"] or row["id"]}
    if row["absent"]:
        return {**result, **missing_columns(row["absent"])}
    media = {kind: row[kind] for kind in get_args(Medium) if row[kind]}
    checksum = media_checksum([path for kind, name in media.items() for path in media_files(root / name, kind)])
    sound, pictures = media.get("audio") or media["video"], next(media[k] for k in PICTURES if k in media)
    return {**result, "audio": sound, "visual": pictures, "sha256": checksum}


def _unknown(rows: Mapping[int, Mapping[str, str]], classes: Sequence[str] | None) -> list[tuple[int, str]]:
    """(row, what is wrong) of labels that are not among the classes, where these are listed."""
    if classes is None:
        return []
    return [
        (number, f"label {row['label']!r} is unknown; use one of {listed(classes)}.")
        for number, row in rows.items()
        if row["label"] not in classes
    ]


def _ordered(labels: set[str]) -> list[str]:
    """Class names in numeric order when all are whole numbers, else by code point."""
    if all(label.isascii() and label.isdigit() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)
