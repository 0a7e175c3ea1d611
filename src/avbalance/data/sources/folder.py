"""The user's own data: a folder of media and a csv file that lists them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avbalance.data.sources.common import (
    IMAGE_SUFFIXES,
    card_for,
    media_checksum,
    media_root_entry,
    read_options,
    required,
)
from avbalance.errors import UserError

if TYPE_CHECKING:
    from avbalance.data.manifest import Manifest

DEFAULTS: dict[str, Any] = {"root": required(), "manifest": "manifest.csv", "columns": {}, "classes": None}
_MEDIA = ("video", "audio", "image", "frames")
_COLUMNS = ("id", "label", "split", "group", *_MEDIA)


def preflight(spec: Mapping[str, Any]) -> str | None:
    """Say that the folder or its csv file is missing; None when both are there."""
    options = read_options(spec, DEFAULTS)
    root = Path(options["root"])
    if not root.is_dir():
        return f"{root}: no such folder; put your media there or set the option root to where they are."
    if not (root / options["manifest"]).is_file():
        return f"{root / options['manifest']}: no such file; list your clips in it (id, label, split, media)."
    return None


def inputs(spec: Mapping[str, Any]) -> list[str]:
    """Files that list the clips: the csv file."""
    options = read_options(spec, DEFAULTS)
    return [str(Path(options["root"]) / options["manifest"])]


def build(name: str, spec: Mapping[str, Any], out_dir: Path) -> Manifest:
    """Check every row of the csv file against the schema and the folder, and return the manifest.

    Clips whose files are absent stay in the manifest with status "missing". Raises UserError, naming file,
    data row (counted from 1) and column, on rows that break the schema, on paths that leave the folder, and
    when more than half of the clips are missing.
    """
    from avbalance.data.manifest import make_manifest

    problem = preflight(spec)
    if problem is not None:
        raise UserError(problem)
    options = read_options(spec, DEFAULTS)
    root = Path(options["root"])
    table = root / options["manifest"]
    listed = _read_rows(table, options["columns"])
    rows = [_manifest_row(row, root, f"{table}, row {number}") for number, row in enumerate(listed, start=1)]
    _refuse_mostly_missing(rows, table)
    classes = options["classes"] or _ordered({row["label"] for row in rows})
    card = card_for(name, spec, classes, media_root_entry(options["root"], out_dir))
    return make_manifest(rows, card, str(table))


def _read_rows(table: Path, columns: Mapping[str, str]) -> list[dict[str, str]]:
    """Rows of the csv file with our column names, empty cells left out, all checked against the schema."""
    unknown = sorted(set(columns) - set(_COLUMNS))
    if unknown:
        raise UserError(f"option columns: {unknown[0]!r} is no column of ours; use {', '.join(_COLUMNS)}.")
    try:
        with open(table, encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, strict=True)
            _check_header(reader.fieldnames or (), columns, table)
            names = {ours: columns.get(ours, ours) for ours in _COLUMNS}
            rows = [_named(row, names, f"{table}, row {number}") for number, row in enumerate(reader, start=1)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table}: not a readable csv file ({error}); save it as UTF-8 with commas.") from error
    if not rows:
        raise UserError(f"{table}: has no rows; list at least one clip.")
    return rows


def _check_header(header: Sequence[str], columns: Mapping[str, str], table: Path) -> None:
    needed = {columns.get(ours, ours) for ours in ("id", "label", "split")} | set(columns.values())
    absent = sorted(needed - set(header))
    if absent:
        raise UserError(f"{table}: no column {absent[0]!r}; name it in the first line or map it with option columns.")


def _named(row: Mapping[str | None, Any], names: Mapping[str, str], where: str) -> dict[str, str]:
    from avbalance.schemas import first_violation

    if None in row:
        raise UserError(f"{where}: more cells than the first line has names; put names with a comma in quotes.")
    cells = {ours: (row.get(theirs) or "").strip() for ours, theirs in names.items()}
    kept = {ours: cell for ours, cell in cells.items() if cell}
    violation = first_violation("manifest", kept)
    if violation is not None:
        raise UserError(f"{where}: {_explain(kept, names, *violation)}")
    return kept


def _explain(row: Mapping[str, str], names: Mapping[str, str], column: str, message: str) -> str:
    if column:
        return f"column {names[column]!r}: {message}; correct the cell."
    for ours in ("id", "label", "split"):
        if ours not in row:
            return f"column {names[ours]!r} is empty; fill it in."
    given = [names[kind] for kind in _MEDIA if kind in row]
    return (
        f"media columns filled: {', '.join(given) or 'none'}; "
        f"fill {names['video']!r} alone, "
        f"or {names['audio']!r} with one of {names['image']!r} and {names['frames']!r}."
    )


def _manifest_row(row: Mapping[str, str], root: Path, where: str) -> dict[str, Any]:
    given = [kind for kind in _MEDIA if kind in row]
    for kind in given:
        _refuse_escape(row[kind], kind, root, where)
    result = {
        "id": row["id"],
        "label": row["label"],
        "split": row["split"],
        "group": row.get("group", row["id"]),
    }
    absent = [row[kind] for kind in given if not _media_files(root / row[kind], kind)]
    if absent:
        return {**result, "status": "missing", "reason": f"no file {absent[0]}"}
    visual = next(row[kind] for kind in ("video", "image", "frames") if kind in row)
    files = [path for kind in given for path in _media_files(root / row[kind], kind)]
    return {
        **result,
        "audio": row.get("video") or row["audio"],
        "visual": visual,
        "sha256": media_checksum(files),
    }


def _refuse_escape(path: str, column: str, root: Path, where: str) -> None:
    inside = root.resolve()
    if Path(path).is_absolute() or not (root / path).resolve().is_relative_to(inside):
        raise UserError(f"{where}: column {column!r}: {path!r} leads out of {root}; use a path inside the folder.")


def _media_files(path: Path, kind: str) -> list[Path]:
    """The files of one cell: one file, or the pictures of a folder by name; [] when absent."""
    if kind != "frames":
        return [path] if path.is_file() else []
    if not path.is_dir():
        return []
    return sorted(entry for entry in path.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES)


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
