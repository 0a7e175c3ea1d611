"""What is odd about the clips of a folder: counted and named before anything is computed."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd

from avbalance.data.media_files import images_in

FILES = ("video", "audio", "image")  # columns that name files; `frames` names folders
_NAMED = 3
_HEAD = 1 << 16  # bytes that are read of files of equal size before the whole of them
_UNEQUAL = 10  # times that one class may have the clips of another before it is said


def oddities(frame: pd.DataFrame, root: Path) -> list[str]:
    """Sentences on labels, groups and files of clips.

    frame: columns label, split, group ("" where there is none) and those of FILES ("" for none), paths below root.
    """
    told = [f"labels {' and '.join(map(repr, pair))} look alike; are they one class?" for pair in _alike(frame)]
    by_part = {str(name): set(rows["label"]) for name, rows in frame.groupby("split")}
    for part in ("val", "test"):
        unseen = by_part.get(part, set()) - by_part.get("train", set())
        if unseen:
            told.append(f"{first_few(unseen)}: in {part} and not in train, so that no model can know them")
    grouped = frame[frame["group"] != ""]
    parts = grouped.groupby("group")["split"].nunique()
    across = parts[parts > 1].index.tolist()
    if across:
        told.append(
            f"{len(across)} groups have clips in several parts ({first_few(across)}): models may know the speaker"
        )
    named = pd.concat([frame[["split", "label"]].assign(path=frame[kind]) for kind in (*FILES, "frames")]).query(
        "path != ''"
    )
    uses = named.groupby("path")["split"].nunique()
    shared = uses[uses > 1].index.tolist()
    if shared:
        told.append(f"{len(shared)} files are named in several parts ({first_few(shared)}): tests leak")
    labels = named.groupby("path")["label"].nunique()
    ambiguous = labels[labels > 1].index.tolist()
    if ambiguous:
        told.append(f"{len(ambiguous)} files are named under several classes ({first_few(ambiguous)})")
    twice = equal_media(frame, root)
    if twice:
        told.append(f"{len(twice)} files are the same in two parts, such as {' and '.join(twice[0])}: tests leak")
    counts = frame["label"].value_counts()
    if counts.max() > _UNEQUAL * counts.min():
        told.append(
            f"classes differ by more than ten times: {counts.index[0]!r} has {counts.max()} clips, "
            f"{counts.index[-1]!r} {counts.min()}"
        )
    return told


def path_notes(root: Path, given: Iterable[tuple[str, str]]) -> list[str]:
    """How paths were understood that are not written as slashes below the folder: (as given, as read) -> sentences."""
    home = os.path.realpath(root)
    slashed, absolute, leading_out = [], [], []
    for cell, path in given:
        if "\\" in cell and "\\" not in path:
            slashed.append(cell)
        if os.path.isabs(cell):
            absolute.append(cell)
        target = os.path.realpath(root / path)
        if path and os.path.commonpath([home, target]) != home:
            leading_out.append(f"{path} to {target}")
    told = [(slashed, "have backslashes, which are read as slashes"), (absolute, "are absolute and lie in the folder")]
    notes = [f"{len(paths)} paths {what}, such as {paths[0]}" for paths, what in told if paths]
    if leading_out:
        notes.append(f"{len(leading_out)} files are links out of {root}, such as {leading_out[0]}: they are followed")
    return notes


def _alike(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of labels that are equal but for what stands between their words, as air_horn and air horn."""
    plain: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(set(frame["label"])):
        plain[re.sub(r"(?<=\w)[\s_-]+(?=\w)", "", label).casefold()].append(label)
    return [pair for labels in plain.values() for pair in combinations(labels, 2)]


def equal_media(frame: pd.DataFrame, root: Path) -> list[tuple[str, str]]:
    """Pairs of files, or of folders of frames, with the same bytes in different parts."""
    parts = {name: part for kind in (*FILES, "frames") for name, part in zip(frame[kind], frame["split"], strict=True)}
    apart = [names for names in same_media(parts, root) if len({parts[name] for name in names}) > 1]
    return [(names[0], name) for names in apart for name in names if parts[name] != parts[names[0]]]


def same_media(names: Iterable[str], root: Path) -> list[list[str]]:
    """Those of some files, or folders of frames, below root that have the same bytes, several each; "" is none.

    Only what is equal in size and beginning is read as a whole.
    """
    files = {name: paths for name in dict.fromkeys(names) if name and (paths := _media(root / name))}
    return [
        same
        for same_size in _alike_by(files, lambda name: tuple(path.stat().st_size for path in files[name]))
        for same_head in _alike_by(same_size, lambda name: _digests(files[name], _HEAD))
        for same in _alike_by(same_head, lambda name: _digests(files[name]))
    ]


def _media(path: Path) -> list[Path]:
    """A file itself, or the frames in a folder, in their order."""
    return images_in(path) if path.is_dir() else [path] if path.is_file() else []


def _alike_by(names: Iterable[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    """Groups of several names with an equal key."""
    groups: defaultdict[Hashable, list[str]] = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return [group for group in groups.values() if len(group) > 1]


def _digests(paths: Sequence[Path], size: int = -1) -> bytes:
    """sha256 of the first bytes of files, or of all of them; of several one after another."""
    whole = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as handle:
            own = hashlib.file_digest(handle, "sha256") if size < 0 else hashlib.sha256(handle.read(size))
        whole.update(own.digest())
    return whole.digest()


def first_few(names: Iterable[str]) -> str:
    """The first names in their order, and how many more there are."""
    ordered = sorted(names)
    more = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {more} more" if more > 0 else "")
