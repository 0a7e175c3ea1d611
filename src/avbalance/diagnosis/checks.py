"""The parts of clips: those given, or carved here; what is odd about them is counted and named."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from avbalance.data.clip_checks import oddities, same_media
from avbalance.diagnosis.folder import MEDIA, FolderClips
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
        same = same_media(frame[list(MEDIA)].to_numpy().ravel(), clips.root)
        frame["split"] = _carved(frame, same)
        groups = frame[frame["group"] != ""].groupby("group")["split"].nunique()
        told.append(
            f"parts made by class{', whole groups together' if groups.max() == 1 else ''}"
            f"{', clips of equal files together' if same and not _apart(frame, same) else ''}"
        )
    elif "val" not in set(frame["split"]):
        train = frame["split"] == "train"
        same = same_media(frame[list(MEDIA)].to_numpy().ravel(), clips.root)
        frame["split"] = frame["split"].where(~_held_of(frame, train, same), "val")
        told.append("validation clips taken from train")
    parts = frame["split"].value_counts()
    told.append("parts: " + ", ".join(f"{parts.get(name, 0)} {name}" for name in ("train", "val", "test")))
    if "test" not in parts or "train" not in parts:
        raise UserError(
            f"{clips.root}: no clip is in {'test' if 'test' not in parts else 'train'}; name some in the table."
        )
    return FolderClips(clips.root, frame, told, [*clips.odd, *oddities(frame, clips.root)])


def _apart(frame: pd.DataFrame, same: Sequence[Sequence[str]]) -> bool:
    """Whether clips of the same files are in several parts."""
    used = frame.melt("split", list(MEDIA), value_name="name")[["split", "name"]].drop_duplicates()
    parts = used.groupby("name")["split"].agg(set)
    return any(len(set.union(*parts[list(names)])) > 1 for names in same)


def _carved(frame: pd.DataFrame, same: Sequence[Sequence[str]]) -> pd.Series[str]:
    test = pd.Series(_held(frame, TEST_SHARE, same), index=frame.index)
    val = _held_of(frame, ~test, same)
    return pd.Series(np.select([test, val], ["test", "val"], "train"), index=frame.index)


def _held_of(frame: pd.DataFrame, part: pd.Series[bool], same: Sequence[Sequence[str]]) -> pd.Series[bool]:
    """Mark the validation share of a part, which is marked itself."""
    held = pd.Series(False, index=frame.index)
    held[part] = _held(frame[part], VAL_SHARE, same)
    return held


def _held(frame: pd.DataFrame, share: float, same: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    """Mark a stratified share of the clips; whole groups, and clips of the same files together, see `_together`.

    Where a class would be in one piece by that, equal files do not count, and then groups neither. No class is marked
    as a whole.
    """
    for files in (same, None):
        together = _together(frame, files)
        counts = together.groupby(frame["label"]).nunique()
        grouped = bool(together.duplicated().any()) and counts.min() > 1
        if grouped:
            break
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


def _together(frame: pd.DataFrame, same: Sequence[Sequence[str]] | None) -> pd.Series[int]:
    """A number for each clip that those of its group have, too, and those with a file of the same name or bytes.

    same: files of the same bytes; None: files do not count.
    """
    place = {name: f"\0{number}" for number, names in enumerate(same or ()) for name in names}
    keys = ["\0\0" + frame["id"], frame["group"].where(frame["group"] == "", "\0\0\0" + frame["group"])]
    keys += [frame[kind].map(lambda name: place.get(name, name)) for kind in MEDIA if same is not None]
    clip, key = zip(*((number, name) for own in keys for number, name in enumerate(own) if name), strict=True)
    known, _ = pd.factorize(np.array(key, dtype=object))
    links = coo_array((np.ones(len(clip)), (clip, len(frame) + known)), shape=(len(frame) + len(set(known)),) * 2)
    return pd.Series(connected_components(links, directed=False)[1][: len(frame)], index=frame.index)
