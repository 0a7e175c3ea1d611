"""What is odd about clips, and their parts: counted and named before anything is computed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from avbalance.diagnosis.folder import MEDIA, Clips
from avbalance.errors import UserError

TEST_SHARE, VAL_SHARE = 0.25, 0.15  # of all clips, and of those that are not tested
LEAST_OF_CLASS = 8  # clips: fewer cannot be cut into parts of which each has some
_NAMED = 3


def with_parts(clips: Clips) -> Clips:
    """The clips with a part each: those given, or carved here by class and, where there are groups, by whole groups.

    Raises UserError for one class only, and for a class too small to be cut.
    """
    frame = clips.frame.copy()
    counts = frame["label"].value_counts()
    if len(counts) < 2:
        raise UserError(
            f"{clips.root}: all clips are of one class, {counts.index[0]!r}; a diagnosis needs two at least."
        )
    told = list(clips.told)
    told.append(f"{len(frame)} clips of {len(counts)} classes, {counts.min()} to {counts.max()} each")
    grouped = bool((frame["group"] != "").all())
    given = bool((frame["split"] != "").all())
    if not given:
        if counts.min() < LEAST_OF_CLASS:
            raise UserError(
                f"{clips.root}: class {counts.index[-1]!r} has {counts.min()} clips; collect {LEAST_OF_CLASS} at least "
                "of each, or leave the class out."
            )
        frame["split"] = _carved(frame, grouped)
        by = "class, whole groups together" if grouped else "class"
        told.append(f"parts made by {by}")
    elif "val" not in set(frame["split"]):
        train = frame["split"] == "train"
        frame["split"] = frame["split"].where(~_held_of(frame, train, grouped), "val")
        told.append("validation clips taken from train")
    parts = frame["split"].value_counts()
    told.append("parts: " + ", ".join(f"{parts.get(name, 0)} {name}" for name in ("train", "val", "test")))
    if "test" not in parts or "train" not in parts:
        raise UserError(
            f"{clips.root}: no clip is in {'test' if 'test' not in parts else 'train'}; name some in the table."
        )
    return Clips(clips.root, frame, told, [*clips.odd, *_oddities(frame, grouped, clips.root)])


def _carved(frame: pd.DataFrame, grouped: bool) -> pd.Series[str]:
    test = pd.Series(_held(frame, grouped, TEST_SHARE), index=frame.index)
    val = _held_of(frame, ~test, grouped)
    return pd.Series(np.select([test, val], ["test", "val"], "train"), index=frame.index)


def _held_of(frame: pd.DataFrame, part: pd.Series[bool], grouped: bool) -> pd.Series[bool]:
    """Mark the validation share of a part, which is marked itself."""
    held = pd.Series(False, index=frame.index)
    held[part] = _held(frame[part], grouped, VAL_SHARE)
    return held


def _held(frame: pd.DataFrame, grouped: bool, share: float) -> NDArray[np.bool_]:
    """Mark a stratified share of the clips; with groups, whole ones, unless a class has a single group."""
    marked = np.zeros(len(frame), bool)
    grouped = grouped and bool(frame.groupby("label")["group"].nunique().min() > 1)
    counts = frame.groupby("label")["group"].nunique() if grouped else frame["label"].value_counts()
    folds = min(round(1 / share), int(counts.min()))
    if folds < 2:
        raise UserError(
            f"class {counts.idxmin()!r} has one clip in a part that is to be cut in two; "
            "give the parts yourself, in a column 'split'."
        )
    splitter = StratifiedGroupKFold if grouped else StratifiedKFold
    groups = frame["group"] if grouped else None
    _, held = next(splitter(folds, shuffle=True, random_state=0).split(frame, frame["label"], groups))
    marked[held] = True
    return marked


def _oddities(frame: pd.DataFrame, grouped: bool, root: Path) -> list[str]:
    told = []
    by_part = {name: set(rows["label"]) for name, rows in frame.groupby("split")}
    for part in ("val", "test"):
        unseen = sorted(by_part.get(part, set()) - by_part.get("train", set()))
        if unseen:
            told.append(f"{_listed(unseen)}: in {part} and not in train, so that no model can know them")
    if grouped:
        parts = frame.groupby("group")["split"].nunique()
        across = sorted(parts[parts > 1].index)
        if across:
            told.append(
                f"{len(across)} groups have clips in several parts ({_listed(across)}): models may know the speaker"
            )
    twice = equal_media(frame, root)
    if twice:
        told.append(f"{len(twice)} files are the same in two parts, such as {' and '.join(twice[0])}: tests leak")
    counts = frame["label"].value_counts()
    if counts.max() > 10 * counts.min():
        told.append(
            f"classes differ by more than ten times: {counts.index[0]!r} has {counts.max()} clips, "
            f"{counts.index[-1]!r} {counts.min()}"
        )
    return told


def equal_media(frame: pd.DataFrame, root: Path) -> list[tuple[str, str]]:
    """Pairs of files with the same bytes in different parts; only files of equal size are read."""
    places: dict[str, str] = {}
    for row in frame.to_dict("records"):
        places |= {row[kind]: row["split"] for kind in MEDIA if row[kind] and kind != "frames"}
    sizes: defaultdict[int, list[str]] = defaultdict(list)
    for name in places:
        if (root / name).is_file():
            sizes[(root / name).stat().st_size].append(name)
    pairs = []
    for names in sizes.values():
        first: dict[str, str] = {}
        for name in names if len({places[name] for name in names}) > 1 else ():
            with open(root / name, "rb") as handle:
                other = first.setdefault(hashlib.file_digest(handle, "sha256").hexdigest(), name)
            if places[other] != places[name]:
                pairs.append((other, name))
    return pairs


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
