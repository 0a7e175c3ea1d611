"""What a folder of clips holds, as far as it can be told without decoding: its clips, classes, parts and groups.

Three kinds of folders are understood: one with a table of clips, one with a folder per class (under folders train, val
and test, or without them), each clip a video or a sound and a picture of equal names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pandas as pd

from avbalance.data.clip_checks import first_few, path_notes
from avbalance.data.clip_rows import Column, absent_notes, read_rows, refuse_useless
from avbalance.data.clip_tables import merged_labels, read_table
from avbalance.data.media_files import IMAGE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from avbalance.declared import listed
from avbalance.diagnosis.tables import FILE, SUFFIXES, guess, split_of
from avbalance.errors import Faults, UserError, row_faults

KINDS = {"video": VIDEO_SUFFIXES, "audio": SOUND_SUFFIXES, "image": IMAGE_SUFFIXES}
MEDIA = ("video", "audio", "image", "frames")
_NO_CELL = re.compile(r"^\s|[\x00-\x1f\ud800-\udfff]")  # control characters, and bytes that are no UTF-8
_COLUMNS: tuple[Column, ...] = get_args(Column)


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
        what = "is a file" if root.exists() else "no such folder"
        raise UserError(f"{root}: {what}; name the folder that holds your clips.")
    tables = _tables(root)
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


def _tables(root: Path) -> list[Path]:
    """The files that may list the clips; a text file, which may be a README, only where it names classes."""
    files = [path for path in sorted(root.iterdir()) if path.suffix.lower() in SUFFIXES and not _hidden(path)]
    files = [path for path in files if path.is_file()]
    return [path for path in files if path.suffix.lower() != ".txt"] or [path for path in files if _names_classes(path)]


def _names_classes(path: Path) -> bool:
    try:
        return guess(read_table(path).names, "label") is not None
    except UserError:
        return False


def _from_table(root: Path, path: Path) -> FolderClips:
    table = read_table(path)
    names = table.names
    if not table.rows:
        raise Faults(row_faults(path, table.wrong))
    cells = pd.DataFrame.from_dict(table.rows, orient="index", columns=names, dtype=object)
    media = _media_columns(root, cells, path)
    columns = {
        ours: guess([name for name in names if name not in media.values()], ours)
        for ours in ("label", "split", "group")
    }
    if columns["label"] is None:
        raise UserError(f"{path}: no column of classes; name one 'label' (the first line has {listed(names)}).")
    used = {ours: name for ours, name in columns.items() if name} | media
    first = next(iter(media.values()))
    stems = cells[first].map(lambda name: Path(name.replace("\\", "/")).stem)
    own_id = guess(names, "id")
    if own_id and own_id.lower() != "id" and not cells[own_id].is_unique:
        own_id = None  # a name of something else than the clip
    ids = cells[own_id] if own_id else stems if stems.is_unique else cells[first]
    frame = pd.DataFrame({ours: cells[used[ours]] if ours in used else "" for ours in _COLUMNS}, index=cells.index)
    frame["id"], split = ids, columns["split"]
    if split:
        frame["split"] = _parts(cells[split], path)
    given_rows = dict(zip(frame.index.tolist(), frame.to_dict("records"), strict=True))
    if not split:  # a part that stands for those which are made later
        given_rows = {number: {**row, "split": "train"} for number, row in given_rows.items()}
    called = {ours: used.get(ours, ours) for ours in _COLUMNS} | {"id": own_id or first}
    rows, given, wrong = read_rows(given_rows, called, root)
    if table.wrong or wrong:
        raise Faults(row_faults(path, sorted([*table.wrong, *wrong])))
    read = pd.DataFrame.from_dict(rows, orient="index", dtype=object)
    refuse_useless(read, path, root)
    read["split"] = frame["split"]
    sentences = [table.told, "columns: " + ", ".join(f"{name!r} is the {ours}" for ours, name in used.items())]
    unused = [name for name in names if name not in used.values() and name != own_id]
    if unused:
        sentences.append(f"not used: {', '.join(map(repr, unused))}")
    clips = read.drop(columns="absent").reset_index(drop=True)
    return FolderClips(root, clips, [*sentences, *path_notes(root, given)], absent_notes(read))


def _parts(cells: pd.Series, path: Path) -> pd.Series:
    """train, val and test for what people call them; what is none of them stays. UserError where nothing is one."""
    words = {word: split_of(word) for word in dict.fromkeys(cells)}
    if not any(words.values()):
        raise UserError(
            f"{path}: column {cells.name!r} says no part, its cells are {listed(list(words))}; write train, val and "
            "test, or name the column 'group': then parts are made, and clips of equal cells stay together."
        )
    return cells.map(lambda word: words[word] or word)


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
    folders = _folders(root)
    parts = {path: split_of(path.name) for path in folders}
    if folders and all(parts.values()):
        classes = [(label, parts[part] or "") for part in folders for label in _folders(part)]
        if not classes:
            raise UserError(
                f"{root}: {listed([path.name for path in folders])} hold no folders, one per class; sort the clips "
                "into such folders, or list them in a table."
            )
    elif len(folders) == 1 and len(inner := _folders(folders[0])) > 1:
        raise UserError(
            f"{root}: its one folder, {folders[0].name}, holds {listed([path.name for path in inner])}; if these are "
            f"the classes, name {folders[0]}."
        )
    else:
        classes = [(label, "") for label in folders]
    rows: list[Mapping[str, str]] = []
    odd, unused = [], []
    for label, split in classes:
        found, others = _rows(root, label, split)
        rows += found
        unused += others
        if not found:
            odd.append(f"{label.relative_to(root)}: a folder without clips")
    if not rows:
        raise UserError(
            f"{root}: neither a table (.csv, .tsv) nor folders of videos, one per class, nor sounds with pictures of "
            "equal names; see docs/how-to/your-own-data.md."
        )
    if unused:
        odd.append(f"{len(unused)} files belong to no clip ({first_few(unused)})")
    told = [f"no table: {len({row['label'] for row in rows})} folders are the classes"]
    pairs = sum(row["video"] == "" or row["audio"] != "" for row in rows)
    told.append(f"{pairs} pairs of sound and pictures by name" if pairs else f"{len(rows)} videos")
    return FolderClips(root, pd.DataFrame(rows), told, odd)


def _folders(path: Path) -> list[Path]:
    return [each for each in sorted(path.iterdir()) if each.is_dir() and not _hidden(each)]


def _rows(root: Path, folder: Path, split: str) -> tuple[list[Mapping[str, str]], list[str]]:
    """The clips of one class, files of equal name being one clip; and the files that belong to none."""
    stems: dict[str, dict[str, str]] = {}
    unused: list[str] = []
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(root)
        if any(part.startswith(".") for part in inner.parts) or not path.is_file():
            continue
        if _NO_CELL.search(str(inner)):
            raise UserError(
                f"{root}: the name {str(inner)!a} begins with a space, or has a character that no table can hold; "
                "rename the file."
            )
        kind = next((kind for kind, suffixes in KINDS.items() if path.suffix.lower() in suffixes), None)
        media = stems.setdefault(str(inner.with_suffix("")), {})
        if kind is None or kind in media:
            unused.append(str(inner))
        else:
            media[kind] = str(inner)
    rows: list[Mapping[str, str]] = []
    for stem, media in stems.items():
        wanted = ("video", "audio") if "video" in media else ("audio", "image") if len(media) == 2 else ()
        unused += [name for kind, name in media.items() if kind not in wanted]
        if wanted:
            files = {kind: media.get(kind, "") if kind in wanted else "" for kind in MEDIA}
            rows.append({"id": stem, "label": folder.name, "split": split, "group": "", **files})
    return rows, unused
