"""The parts of clips: those given, or carved here; what is odd about them is counted and named."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from avbalance.data.clip_checks import oddities
from avbalance.diagnosis.folder import FolderClips
from avbalance.errors import UserError

TEST_SHARE, VAL_SHARE = 0.25, 0.15  # of all clips, and of those that are not tested
LEAST_OF_CLASS = 8  # clips: fewer cannot be cut into parts of which each has some


def with_parts(clips: FolderClips) -> FolderClips:
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
    each = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else str(counts.min())
    told.append(f"{len(frame)} clips of {len(counts)} classes, {each} each")
    given = bool((frame["split"] != "").all())
    if not given:
        if counts.min() < LEAST_OF_CLASS:
            raise UserError(
                f"{clips.root}: class {counts.index[-1]!r} has {counts.min()} clips; collect {LEAST_OF_CLASS} at least "
                "of each, or leave the class out."
            )
        frame["split"] = _carved(frame)
        groups = frame[frame["group"] != ""].groupby("group")["split"].nunique()
        told.append(f"parts made by class{', whole groups together' if groups.max() == 1 else ''}")
    elif "val" not in set(frame["split"]):
        train = frame["split"] == "train"
        frame["split"] = frame["split"].where(~_held_of(frame, train), "val")
        told.append("validation clips taken from train")
    parts = frame["split"].value_counts()
    told.append("parts: " + ", ".join(f"{parts.get(name, 0)} {name}" for name in ("train", "val", "test")))
    if "test" not in parts or "train" not in parts:
        raise UserError(
            f"{clips.root}: no clip is in {'test' if 'test' not in parts else 'train'}; name some in the table."
        )
    return FolderClips(clips.root, frame, told, [*clips.odd, *oddities(frame, clips.root)])


def _carved(frame: pd.DataFrame) -> pd.Series[str]:
    test = pd.Series(_held(frame, TEST_SHARE), index=frame.index)
    val = _held_of(frame, ~test)
    return pd.Series(np.select([test, val], ["test", "val"], "train"), index=frame.index)


def _held_of(frame: pd.DataFrame, part: pd.Series[bool]) -> pd.Series[bool]:
    """Mark the validation share of a part, which is marked itself."""
    held = pd.Series(False, index=frame.index)
    held[part] = _held(frame[part], VAL_SHARE)
    return held


def _held(frame: pd.DataFrame, share: float) -> NDArray[np.bool_]:
    """Mark a stratified share of the clips; with groups, whole ones, unless a class has a single group.

    A clip without group is one of its own. No class is marked as a whole.
    """
    together = frame["group"].where(frame["group"] != "", "\0" + frame["id"])
    counts = together.groupby(frame["label"]).nunique()
    grouped = bool((frame["group"] != "").any()) and counts.min() > 1
    folds = min(round(1 / share), int(counts.min() if grouped else frame["label"].value_counts().max()))
    if folds < 2:
        raise UserError("no class has two clips, of which one could be held out; collect more of each class.")
    splitter = StratifiedGroupKFold if grouped else StratifiedKFold
    with warnings.catch_warnings():  # that a class has fewer clips than there are folds
        warnings.simplefilter("ignore", UserWarning)
        _, held = next(splitter(folds, shuffle=True, random_state=0).split(frame, frame["label"], together))
    marked = np.zeros(len(frame), bool)
    marked[held] = True
    return marked & frame["label"].isin(set(frame["label"][~marked])).to_numpy()
