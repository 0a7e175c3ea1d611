"""Which test samples prefer audio and which visual, by estimate, by cross-fitting and by planted truth.

Xia et al. 2023, sections 2.2 and 5.2: audio-preferred when u_a > u_v, visual-preferred when u_v > u_a; a
threshold T sharpens both. Subsets hold test samples only and never touch training.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.confidence import StopRule, join_modalities, planted_columns, read_unimodal, stopping_epoch
from avbalance.errors import UserError
from avbalance.frames import read_parquet, write_parquet

OVERALL = "overall"
TIE = "tie"
COLUMNS = ("id", "definition", "discrepancy", "preferred")
SIDES = ("audio", "visual")

BoolArray = NDArray[np.bool_]


def side_mask(discrepancy: NDArray[np.floating[Any]], side: str, threshold: float = 0.0) -> BoolArray:
    """Samples (N,) whose u_a - u_v lies strictly beyond `threshold` on `side`; ties are on neither side."""
    if side not in SIDES:
        raise UserError(f"unknown side {side!r}; use one of {', '.join(SIDES)}.")
    lead = discrepancy if side == "audio" else -discrepancy
    beyond: BoolArray = lead > threshold
    return beyond


def subset_mask(discrepancy: NDArray[np.floating[Any]], subset: str) -> BoolArray:
    """Samples (N,) of a named subset: overall, tie, <side>_preferred, or <side>_dominated@<T>.

    <side>_dominated@0 equals <side>_preferred. Raises UserError for any other name.
    """
    if subset == OVERALL:
        return np.ones(len(discrepancy), dtype=bool)
    if subset == TIE:
        ties: BoolArray = discrepancy == 0
        return ties
    side, _, kind = subset.partition("_")
    if kind == "preferred":
        return side_mask(discrepancy, side)
    name, _, threshold = kind.partition("@")
    if name != "dominated" or not _is_number(threshold):
        raise UserError(f"unknown subset {subset!r}; use overall, audio_preferred or audio_dominated@0.2, for example.")
    return side_mask(discrepancy, side, float(threshold))


def _is_number(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False


def canonical_subset(subset: str) -> str:
    """One name per subset: <side>_dominated@0 is <side>_preferred, and thresholds lose needless digits."""
    side, separator, threshold = subset.partition("_dominated@")
    if not separator or not _is_number(threshold):
        return subset
    return f"{side}_preferred" if float(threshold) == 0 else f"{side}_dominated@{float(threshold):g}"


def subset_names(thresholds: Sequence[float]) -> list[str]:
    """Every subset that is measured: overall, both preferred, ties, and both dominated at each T > 0."""
    dominated = [f"{side}_dominated@{value:g}" for value in sorted(thresholds) if value > 0 for side in SIDES]
    return [OVERALL, *(f"{side}_preferred" for side in SIDES), TIE, *dominated]


def check_nested(discrepancy: NDArray[np.floating[Any]], thresholds: Sequence[float]) -> dict[str, list[int]]:
    """Sizes of both sides' subsets at rising thresholds; asserts that each lies within the one before."""
    sizes: dict[str, list[int]] = {}
    for side in SIDES:
        masks = [side_mask(discrepancy, side, value) for value in sorted(thresholds)]
        for wide, narrow in itertools.pairwise(masks):
            if (narrow & ~wide).any():
                raise AssertionError(f"{side} subsets are not nested in the threshold")
        sizes[side] = [int(mask.sum()) for mask in masks]
    return sizes


def preferred(discrepancy: NDArray[np.floating[Any]]) -> NDArray[np.str_]:
    """audio, visual or tie for each sample (N,)."""
    return np.where(discrepancy > 0, "audio", np.where(discrepancy < 0, "visual", "tie"))


def pair_discrepancy(audio_npz: str | Path, visual_npz: str | Path, rule: StopRule) -> pd.DataFrame:
    """id, discrepancy on the test split from one pair of unimodal runs, each cut by its own early stop."""
    audio, visual = read_unimodal(audio_npz), read_unimodal(visual_npz)
    epochs = (
        stopping_epoch(audio.val_accuracy, rule).estimation_epochs,
        stopping_epoch(visual.val_accuracy, rule).estimation_epochs,
    )
    return join_modalities(audio, visual, "test", epochs)[["id", "discrepancy"]]


def build_subsets(
    pairs: Mapping[str, tuple[str | Path, str | Path]], manifest_path: str | Path, out: str | Path, rule: StopRule
) -> None:
    """Write id, definition, discrepancy, preferred of the test split for every definition.

    pairs: definition -> (audio confidence.npz, visual confidence.npz); "estimated" (the seed-0 unimodal
    runs) is required, "cross-fitted-a", "cross-fitted-b" and "seed-matched-<k>" are optional. The
    definition "planted" (planted_audio - planted_visual) is added where the manifest carries planted
    informativeness, on the same clips.
    """
    if "estimated" not in pairs:
        raise UserError(f"{out}: the definition 'estimated' is missing; name the seed-0 audio and visual runs.")
    frames = {name: pair_discrepancy(*files, rule) for name, files in pairs.items()}
    ids = frames["estimated"]["id"]
    for name, frame in frames.items():
        if not frame["id"].equals(ids):
            raise UserError(f"{pairs[name][0]}: {name} covers other test clips than estimated; make its runs again.")
    planted = planted_columns(manifest_path)
    if planted is not None:
        frames["planted"] = _planted_discrepancy(planted, ids, manifest_path)
    rows = [
        frame.assign(definition=name, preferred=preferred(frame["discrepancy"].to_numpy()))
        for name, frame in frames.items()
    ]
    write_parquet(out, pd.concat(rows, ignore_index=True)[list(COLUMNS)])


def _planted_discrepancy(planted: pd.DataFrame, ids: pd.Series, manifest_path: str | Path) -> pd.DataFrame:
    chosen = planted.set_index("id").reindex(ids)
    discrepancy = (chosen["planted_audio"] - chosen["planted_visual"]).astype("float64")
    if discrepancy.isna().any():
        first = discrepancy.index[discrepancy.isna()][0]
        raise UserError(f"{manifest_path}: clip {first} has no planted informativeness; build the data set again.")
    return pd.DataFrame({"id": ids.to_numpy(), "discrepancy": discrepancy.to_numpy()})


def read_subsets(path: str | Path) -> dict[str, pd.DataFrame]:
    """definition -> frame of id, discrepancy, preferred, sorted by id; UserError for a file not whole."""
    frame = read_parquet(path, COLUMNS, "subsets")
    if frame.empty or frame["discrepancy"].isna().any() or frame.duplicated(["id", "definition"]).any():
        raise UserError(f"{path}: is empty, or has clips twice or without discrepancy; delete it and run again.")
    return {
        str(name): part.sort_values("id", ignore_index=True)[["id", "discrepancy", "preferred"]]
        for name, part in frame.groupby("definition", sort=True)
    }
