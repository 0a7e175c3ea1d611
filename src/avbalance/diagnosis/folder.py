"""What a folder of clips holds, as far as it can be told without decoding: its clips, classes, parts and groups.

Three kinds of folders are understood: one with a table of clips, one with a folder per class (under folders train, val
and test, or without them), each clip a video or a sound and a picture of equal names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from avbalance.data.clip_checks import path_notes
from avbalance.data.clip_tables import inside, merged_labels, read_table
from avbalance.data.media_files import IMAGE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from avbalance.diagnosis.tables import FILE, SUFFIXES, guess, split_of
from avbalance.errors import Faults, UserError, row_faults

KINDS = {"video": VIDEO_SUFFIXES, "audio": SOUND_SUFFIXES, "image": IMAGE_SUFFIXES}
MEDIA = ("video", "audio", "image", "frames")


@dataclass
class FolderClips:
    """The clips of a folder: columns id, label, split (may be empty), group (may be empty) and those of MEDIA.

    told: what was understood, a sentence each; odd: what a reader should look at.
    """

    root: Path
    frame: pd.DataFrame
    told: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def read_folder(root: Path, table: str | None = None) -> FolderClips:
    """The clips of a folder; table: the name of the file that lists them, where there are several.

    Raises UserError, in one sentence, for a folder in which no clips are recognised.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; name the folder that holds your clips.")
    tables = sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES and not _hidden(path))
    if table is not None:
        tables = [root / table]
        if not tables[0].is_file():
            raise UserError(f"{tables[0]}: no such file; give the name of a table in {root}.")
    if len(tables) > 1:
        raise UserError(
            f"{root}: has several tables ({', '.join(path.name for path in tables)}); name one with --table."
        )
    clips = _from_table(root, tables[0]) if tables else _from_folders(root)
    clips.frame["label"], merged = merged_labels(clips.frame["label"].tolist())
    clips.odd += merged
    return clips


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _from_table(root: Path, path: Path) -> FolderClips:
    table = read_table(path)
    names, wrong = table.names, list(table.wrong)
    if not table.rows:
        raise Faults(row_faults(path, wrong))
    cells = pd.DataFrame.from_dict(table.rows, orient="index", columns=names, dtype=object)
    media = _media_columns(root, cells, path)
    columns = {
        ours: guess([name for name in names if name not in media.values()], ours)
        for ours in ("label", "split", "group")
    }
    if columns["label"] is None:
        raise UserError(f"{path}: no column of classes; name one 'label' (there are {', '.join(names)}).")
    own_id = guess(names, "id")
    first = next(iter(media.values()))
    stems = cells[first].map(lambda name: Path(name.replace("\\", "/")).stem)
    ids = next((column for column in (cells[own_id] if own_id else stems, stems) if column.is_unique), cells[first])
    frame = pd.DataFrame({"id": ids, "label": cells[columns["label"]]})
    split = columns["split"]
    frame["split"] = cells[split].map(lambda word: split_of(word) or "") if split else ""
    frame["group"] = cells[columns["group"]] if columns["group"] else ""
    given: list[tuple[str, str]] = []
    for kind in MEDIA:
        frame[kind] = _paths(root, cells[media[kind]], given, wrong) if kind in media else ""
    for number, row in zip(frame.index, frame.to_dict("records"), strict=True):
        empty = next((key for key in ("id", "label") if not row[key]), None)
        if empty:
            wrong.append((number, f"column {columns.get(empty) or own_id or first!r} is empty; fill it in."))
        if split and not row["split"]:
            wrong.append((number, f"the part is {cells.loc[number, split]!r}; use train, val or test."))
    if wrong:
        raise Faults(row_faults(path, sorted(wrong)))
    used = {**{ours: name for ours, name in columns.items() if name}, **media}
    sentences = [table.told, "columns: " + ", ".join(f"{name!r} is the {ours}" for ours, name in used.items())]
    unused = [name for name in names if name not in used.values() and name != own_id]
    if unused:
        sentences.append(f"not used: {', '.join(map(repr, unused))}")
    return FolderClips(root, frame.reset_index(drop=True), [*sentences, *path_notes(root, given)])


def _paths(root: Path, cells: pd.Series, given: list[tuple[str, str]], wrong: list[tuple[int, str]]) -> list[str]:
    """The paths of one column, relative to the folder; adds (cell, path) to `given`, and to `wrong` what is none."""
    paths = []
    for number, cell in zip(cells.index.tolist(), cells, strict=True):
        try:
            paths.append(inside(root, cell) if cell else "")
            given.append((cell, paths[-1]))
        except UserError as error:
            paths.append("")
            wrong.append((number, f"column {cells.name!r}: {error}"))
    return paths


def _media_columns(root: Path, cells: pd.DataFrame, path: Path) -> dict[str, str]:
    """Kind of medium -> column: by what its cells name, then by its name."""
    by_content: dict[str, str] = {}
    names = [str(name) for name in cells.columns]
    for column in sorted(names, key=lambda name: name.strip().lower() not in FILE and guess([name], "id") is not None):
        kind = _kind_of(root, cells[column].tolist()[:200])
        if kind and kind not in by_content:
            by_content[kind] = column
    media = {kind: by_content[kind] for kind in MEDIA if kind in by_content}
    if "video" in media and "audio" not in media:
        return {"video": media["video"]}
    if "audio" in media and ("image" in media or "frames" in media or "video" in media):
        return media
    named = [kind for kind in MEDIA if guess(names, kind)]
    if media or named:
        raise UserError(
            f"{path}: found {' and '.join(media) or 'no files'} where video, or audio with image, frames or video is "
            f"needed; are the paths relative to {root}?"
        )
    raise UserError(
        f"{path}: no column names files below {root}; give one with videos, or two with sounds and pictures, as paths "
        "relative to the folder."
    )


def _kind_of(root: Path, cells: Sequence[str]) -> str | None:
    """The kind of medium that most cells of a column name; None when they name no files.

    A folder that many clips share, as that of their class, holds no frames of one clip: it counts once.
    """
    kinds: Counter[str] = Counter()
    folders: set[str] = set()
    for cell in cells:
        text = cell if "\\" not in cell else cell.replace("\\", "/")
        suffix = Path(text).suffix.lower()
        kind = next((kind for kind, suffixes in KINDS.items() if suffix in suffixes), None)
        if kind is None and 0 < len(text) < 255 and text not in folders and (root / text).is_dir():
            kind = "frames"
            folders.add(text)
        if kind:
            kinds[kind] += 1
    most = kinds.most_common(1)
    return most[0][0] if most and 2 * most[0][1] > len(cells) else None


def _from_folders(root: Path) -> FolderClips:
    """Clips of folders per class, below folders per part or not."""
    folders = [path for path in sorted(root.iterdir()) if path.is_dir() and not _hidden(path)]
    parts = {path: split_of(path.name) for path in folders}
    if folders and all(parts.values()) and any(_folders(path) for path in folders):
        classes = [(label, parts[part] or "") for part in folders for label in _folders(part)]
    else:
        classes = [(label, "") for label in folders]
    rows = [row for label, split in classes for row in _rows(root, label, split)]
    if not rows:
        raise UserError(
            f"{root}: neither a table (.csv, .tsv) nor folders of videos, one per class, nor sounds with pictures of "
            "equal names; see docs/how-to/your-own-data.md."
        )
    told = [f"no table: {len({label.name for label, _ in classes})} folders are the classes"]
    pairs = sum(row["video"] == "" or row["audio"] != "" for row in rows)
    told.append(f"{pairs} pairs of sound and pictures by name" if pairs else f"{len(rows)} videos")
    return FolderClips(root, pd.DataFrame(rows), told)


def _folders(path: Path) -> list[Path]:
    return [each for each in sorted(path.iterdir()) if each.is_dir() and not _hidden(each)]


def _rows(root: Path, folder: Path, split: str) -> Iterator[Mapping[str, str]]:
    """The clips of one class: files of equal name are one clip."""
    stems: dict[str, dict[str, str]] = {}
    for path in sorted(folder.rglob("*")):
        kind = next((kind for kind, suffixes in KINDS.items() if path.suffix.lower() in suffixes), None)
        if kind and path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            stems.setdefault(str(path.relative_to(root).with_suffix("")), {})[kind] = str(path.relative_to(root))
    for stem, media in stems.items():
        if "video" in media or {"audio", "image"} <= media.keys():
            files = {kind: media.get(kind, "") for kind in MEDIA}
            if "video" in media and "audio" not in media:
                files["image"] = ""
            yield {"id": stem, "label": folder.name, "split": split, "group": "", **files}
