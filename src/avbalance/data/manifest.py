"""The manifest: one row per clip of a data set, whatever the clips are and wherever they came from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from avbalance.data import MODALITIES, PARTS, SEGMENTS
from avbalance.errors import UserError
from avbalance.table_files import refuse_rows
from flowkeeper.files import atomic_path, digest_json

STATUSES = ("ok", "missing", "corrupt", "short")  # what is known before decoding
PLANTED = ("planted_audio", "planted_visual", "snr_audio_db", "snr_visual_db")
ANNOTATED = ("annotated_audio", "annotated_visual")  # whether people heard, and saw, the clip's label: 1 or 0
EVENTS = ("events_audio", "events_visual", "events_audio_repaired")  # the last: a second version of the audio truth
TIMELINE = ("labels", *EVENTS)
LABELLING = "label_"  # columns of further labellings of the same clips begin with it

_NUMBERS = ("planted_", "snr_", "annotated_")
_NULLABLE_TEXT = ("audio", "visual", "sha256", *TIMELINE)
_REQUIRED = ("id", "audio", "visual", "label", "split", "group", "sha256", "status", "reason")
_CARD_KEYS = ("dataset", "kind", "stands_for", "describe", "classes", "media_root", "options", "digest")
_METADATA_KEY = b"avbalance"
_MADE_HERE = ("synthetic", "grid", "built")  # how the kinds of data sets begin whose clips the project writes


@dataclass(frozen=True)
class Manifest:
    """The clips of one data set.

    `frame` has one row per clip with the columns id, audio, visual (paths relative to the media root; the same path
    for one video file; None when absent), label, split, group, sha256, status, reason and, for data that are
    generated or degraded, planted_audio, planted_visual (informativeness in [0, 1]), snr_audio_db, snr_visual_db
    (dB). Where people said what they perceive there are the columns ANNOTATED: 1 or 0, both 0 where they found the
    label in neither modality, null for clips that nobody annotated. Data sets with a timeline have the columns
    TIMELINE, JSON text or None: labels is a list of class names, label the first of them; events_* are lists of
    [class name, onset, offset] in whole seconds, the offset excluded. Where the same clips are labelled in further
    ways there is a column label_<name> for each, and planted truth of it, if any, in planted_audio_<name> and
    planted_visual_<name>. `card` says what the data are: dataset, kind, stands_for, describe, classes (ordered),
    media_root, options, digest and, for further labellings, labellings: name -> its classes; for clips of one
    modality, modalities: its name in a list; for a user's own folder, odd: sentences on what was found in it.
    """

    frame: pd.DataFrame
    card: dict[str, Any]

    @property
    def classes(self) -> list[str]:
        """Class names; a class index is a position in this list."""
        return list(self.card["classes"])

    @property
    def modalities(self) -> list[str]:
        """What every usable clip has a file of: audio and visual, unless the card lists fewer."""
        return list(self.card.get("modalities", MODALITIES))

    @property
    def labellings(self) -> dict[str, list[str]]:
        """Further labellings of the clips: name -> class names."""
        return {name: list(classes) for name, classes in self.card.get("labellings", {}).items()}

    def label_index(self, labelling: str | None = None) -> np.ndarray:
        """Class index of each row, int64 of shape (N,), under the column label or a further labelling."""
        classes = self.classes if labelling is None else self.labellings[labelling]
        column = "label" if labelling is None else f"{LABELLING}{labelling}"
        position = {name: index for index, name in enumerate(classes)}
        return np.array([position[label] for label in self.frame[column]], dtype=np.int64)

    def label_matrix(self) -> np.ndarray:
        """Whether each row has each class, bool of shape (N, C): by the column labels, else by label."""
        matrix = np.zeros((len(self.frame), len(self.classes)), dtype=bool)
        matrix[np.arange(len(matrix)), self.label_index()] = True
        position = {name: index for index, name in enumerate(self.classes)}
        for row, text in enumerate(self.frame.get("labels", ())):
            if text is not None:
                # labels replace label: a clip of several labels need not list its first one again.
                matrix[row] = False
                matrix[row, [position[name] for name in json.loads(text)]] = True
        return matrix

    def timeline(self, column: str) -> np.ndarray:
        """Whether each class is active in each second, bool of shape (N, C, SEGMENTS); nothing where unknown.

        column: one of EVENTS; events that end before they start are active in no second.
        """
        active = np.zeros((len(self.frame), len(self.classes), SEGMENTS), dtype=bool)
        position = {name: index for index, name in enumerate(self.classes)}
        for row, text in enumerate(self.frame[column]):
            for name, onset, offset in json.loads(text) if text is not None else ():
                active[row, position[name], onset:offset] = True
        return active

    def media_root(self, manifest_path: str | os.PathLike[str]) -> Path:
        """Folder that the paths of the rows start from, for a manifest that lies at `manifest_path`."""
        return Path(manifest_path).parent / self.card["media_root"]


def make_manifest(rows: Sequence[Mapping[str, Any]], card: Mapping[str, Any], where: str) -> Manifest:
    """Build a checked manifest from row dictionaries and a card without its digest.

    `where` names the source in error messages. Columns that a row lacks are filled: group with the id, status
    with "ok", reason with "", the rest with None. Raises UserError as `check_manifest` does.
    """
    filled = [{**dict.fromkeys(_REQUIRED), "group": row["id"], "status": "ok", "reason": "", **row} for row in rows]
    columns = [*_REQUIRED, *(name for name in (*_planted(card), *ANNOTATED) if filled and name in filled[0])]
    columns += [f"{LABELLING}{name}" for name in card.get("labellings", {})]
    columns += [name for name in TIMELINE if any(name in row for row in filled)]
    frame = _with_none(pd.DataFrame(filled, columns=columns))
    manifest = Manifest(frame, {**card, "digest": _content_digest(frame, card)})
    check_manifest(manifest, where)
    return manifest


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a manifest's frame as `make_manifest` takes them."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def check_manifest(manifest: Manifest, where: str) -> None:
    """Raise UserError, naming `where` and the data row (counted from 1), unless the manifest is well formed.

    Checked: card keys, columns, at least one row, ids present and unique, known splits and statuses, labels
    among the classes, distinct class names, a media path of each of the card's modalities for clips whose status is
    "ok", and labels and events that name classes and whole seconds from 0 to SEGMENTS.
    """
    frame, card = manifest.frame, manifest.card
    absent = [key for key in _CARD_KEYS if key not in card] + [name for name in _REQUIRED if name not in frame]
    if absent:
        raise UserError(f"{where}: lacks {', '.join(absent)}; build the manifest again.")
    if frame.empty:
        raise UserError(f"{where}: has no rows; list at least one clip.")
    classes = list(card["classes"])
    if len(set(classes)) != len(classes):
        raise UserError(f"{where}: class names repeat; give every class its own name.")
    ids = frame["id"]
    refuse_rows(where, ids.isna() | (ids == ""), lambda row: "the id is empty; name the clip")
    twice = "id {!r} already stands in row {}; rename or remove one"
    rows = ids.tolist()
    refuse_rows(where, ids.duplicated(), lambda row: twice.format(rows[row], rows.index(rows[row]) + 1))
    labellings = {f"{LABELLING}{name}": further for name, further in manifest.labellings.items()}
    for column, allowed in {"split": PARTS, "status": STATUSES, "label": classes, **labellings}.items():
        if column not in frame:
            raise UserError(f"{where}: lacks {column}, a labelling of its card; build the manifest again.")
        _check_members(frame[column], allowed, where)
    wanted = manifest.modalities
    files = "both files" if len(wanted) == len(MODALITIES) else f"its {wanted[0]} file"
    bare = (frame["status"] == "ok") & frame[wanted].isna().any(axis=1)
    refuse_rows(where, bare, lambda row: f"status is ok but a media path is empty; name {files}")
    for column in TIMELINE:
        if column in frame:
            _check_timeline(frame[column], column, set(classes), where)


def _planted(card: Mapping[str, Any]) -> list[str]:
    """Columns of planted truth: of the labels, and of every further labelling."""
    further = [f"planted_{modality}_{name}" for name in card.get("labellings", {}) for modality in ("audio", "visual")]
    return [*PLANTED, *further]


def _check_timeline(texts: pd.Series, column: str, classes: set[str], where: str) -> None:
    for row, text in enumerate(texts, start=1):
        entries = json.loads(text) if text is not None else []
        for entry in entries:
            name, *span = entry if column in EVENTS else [entry]
            if name not in classes:
                raise UserError(
                    f"{where}, row {row}: {column} names the unknown class {name!r}; use the card's classes."
                )
            if column in EVENTS and not _are_seconds(span):
                raise UserError(
                    f"{where}, row {row}: {column} has {entry}; onset and offset are seconds, 0 to {SEGMENTS}."
                )


def _are_seconds(span: Sequence[Any]) -> bool:
    return len(span) == 2 and all(isinstance(value, int) and 0 <= value <= SEGMENTS for value in span)


def _check_members(values: pd.Series, allowed: Sequence[str], where: str) -> None:
    shown = ", ".join(allowed[:12]) + (", ..." if len(allowed) > 12 else "")
    wrong = ~values.isin(list(allowed))
    refuse_rows(where, wrong, lambda row: f"{values.name} {values.iloc[row]!r} is unknown; use one of {shown}")


def write_manifest(manifest: Manifest, path: str | os.PathLike[str]) -> None:
    """Check the manifest and write it as Parquet with the card in the schema metadata, atomically."""
    check_manifest(manifest, str(path))
    schema = pa.schema([(name, _arrow_type(name)) for name in manifest.frame.columns])
    table = pa.Table.from_pandas(manifest.frame, schema=schema, preserve_index=False)
    table = table.replace_schema_metadata({_METADATA_KEY: json.dumps(manifest.card, sort_keys=True).encode()})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Read and check a manifest; raises UserError when the file is absent, foreign, malformed or altered."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such manifest; build the data set first.") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: not a readable Parquet file; delete it to have it made again.") from error
    metadata = table.schema.metadata or {}
    if _METADATA_KEY not in metadata:
        raise UserError(f"{path}: a Parquet file without a data set card; build the manifest again.")
    manifest = Manifest(_with_none(table.to_pandas()), json.loads(metadata[_METADATA_KEY]))
    check_manifest(manifest, str(path))
    if manifest.card["digest"] != _content_digest(manifest.frame, manifest.card):
        raise UserError(
            f"{path}: its rows are not those that its digest was made of; build or fetch the manifest again."
        )
    return manifest


def read_card(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The card of a manifest without its rows, unchecked; empty for a file that has none."""
    card: dict[str, Any] = json.loads((pq.read_schema(path).metadata or {}).get(_METADATA_KEY, b"{}"))
    return card


def _arrow_type(column: str) -> pa.DataType:
    return pa.float64() if column.startswith(_NUMBERS) else pa.string()


def _with_none(frame: pd.DataFrame) -> pd.DataFrame:
    """Absent text as None rather than NaN, so that `is None` and truth tests work row by row."""
    for name in _NULLABLE_TEXT:
        if name in frame:
            text = frame[name].astype(object)
            frame[name] = text.where(text.notna(), None)
    return frame


def _content_digest(frame: pd.DataFrame, card: Mapping[str, Any]) -> str:
    """Digest of what the data are: rows and card, without the folder they happen to lie in and what is odd of them.

    Checksums of files that the project writes are left out: another build of the encoder writes other bytes for the
    same clip.
    """
    content, options = frame, card["options"]
    if card["kind"].startswith(_MADE_HERE):
        content = frame.drop(columns="sha256")
        # Where recordings lie differs from machine to machine, and decides nothing about the clips made of them.
        options = {name: value for name, value in options.items() if name != "root"}
    # media_root and what is odd are about the folder, not about the clips.
    identity = {key: value for key, value in card.items() if key not in ("digest", "media_root", "odd")} | {
        "options": options
    }
    return digest_json({"card": identity, "rows": json.loads(content.to_json(orient="values", double_precision=10))})
