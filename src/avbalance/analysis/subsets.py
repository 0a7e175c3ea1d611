"""Which test samples prefer audio and which visual: by estimate, cross-fitting, planted truth and what people perceive.

Xia et al. 2023, sections 2.2 and 5.2: audio-preferred when u_a > u_v, visual-preferred when u_v > u_a; a
threshold T sharpens both. Subsets hold test samples only and never touch training.

A definition may leave samples outside: their discrepancy is NaN, and they are in none of its subsets, overall included.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avbalance.analysis.confidence import (
    PLANTED,
    join_modalities,
    read_unimodal,
    stopping_epoch,
    truth_columns,
)
from avbalance.data.manifest import ANNOTATED
from avbalance.errors import UserError
from avbalance.stopping import StopRule
from avbalance.table_files import read_parquet, write_parquet

OVERALL = "overall"
TIE = "tie"
OUTSIDE = "outside"
ANNOTATIONS = "annotated"  # the definition by what people heard and saw: it knows sides and no degrees
COLUMNS = ("id", "definition", "discrepancy", "preferred")
SIDES = ("audio", "visual")

BoolArray = NDArray[np.bool_]


def side_mask(discrepancy: NDArray[np.floating[Any]], side: str, threshold: float = 0.0) -> BoolArray:
    """Samples (N,) whose u_a - u_v lies strictly beyond `threshold` on `side`; ties are on neither side."""
    if side not in SIDES:
        raise UserError(f"unknown side {side!r}; use one of {', '.join(SIDES)}.")
    lead = discrepancy if side == "audio" else -discrepancy
    return lead > threshold


def subset_mask(discrepancy: NDArray[np.floating[Any]], subset: str) -> BoolArray:
    """Samples (N,) of a named subset: overall, tie, <side>_preferred, or <side>_dominated@<T>.

    NaN is outside of all. <side>_dominated@0 equals <side>_preferred. Raises UserError for any other name.
    """
    if subset == OVERALL:
        return ~np.isnan(discrepancy)
    if subset == TIE:
        return discrepancy == 0
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
            # AssertionError, not UserError: no data can bring this about, only a defect of the code.
            if (narrow & ~wide).any():
                raise AssertionError(f"{side} subsets are not nested in the threshold")
        sizes[side] = [int(mask.sum()) for mask in masks]
    return sizes


def preferred(discrepancy: NDArray[np.floating[Any]]) -> NDArray[np.str_]:
    """audio, visual, tie or outside for each sample (N,)."""
    cases = [discrepancy > 0, discrepancy < 0, discrepancy == 0]
    return np.select(cases, [*SIDES, TIE], OUTSIDE)


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
    """Write id, definition, discrepancy, preferred of the test split for every definition, all of the same clips.

    pairs: definition -> (audio confidence.npz, visual confidence.npz); "estimated" (the seed-0 unimodal runs) is
    required. "planted" is added where the manifest has planted informativeness, "annotated" where people said what they
    perceive: 1 for a label that is heard and not seen, -1 for the reverse, 0 for both; other clips are outside.
    """
    if "estimated" not in pairs:
        raise UserError(f"{out}: the definition 'estimated' is missing; name the seed-0 audio and visual runs.")
    frames = {name: pair_discrepancy(*files, rule) for name, files in pairs.items()}
    ids = frames["estimated"]["id"]
    for name, frame in frames.items():
        if not frame["id"].equals(ids):
            raise UserError(f"{pairs[name][0]}: {name} covers other test clips than estimated; make its runs again.")
    planted, annotated = (truth_columns(manifest_path, names) for names in (PLANTED, ANNOTATED))
    if planted is not None:
        frames["planted"] = _planted_discrepancy(planted, ids, manifest_path)
    if annotated is not None:
        frames[ANNOTATIONS] = _annotated_discrepancy(annotated, ids)
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


def _annotated_discrepancy(annotated: pd.DataFrame, ids: pd.Series) -> pd.DataFrame:
    heard, seen = (annotated.set_index("id").reindex(ids)[name] for name in ANNOTATED)
    return pd.DataFrame({"id": ids.to_numpy(), "discrepancy": (heard - seen).where(heard + seen > 0).to_numpy()})


def agreement(ours: pd.Series, theirs: pd.Series) -> dict[str, float]:
    """How two definitions agree on the samples (N,) for which both name a side, given their `preferred`.

    <side>_agreed: both give them to a side; <side>_denied: `theirs` to the other; kappa: Cohen's, NaN with one side.
    """
    from sklearn.metrics import cohen_kappa_score

    sided = ours.isin(SIDES) & theirs.isin(SIDES)
    ours, theirs = ours[sided], theirs[sided]
    counts = {}
    for side in SIDES:
        counts[f"{side}_agreed"] = float(((ours == side) & (theirs == side)).sum())
        counts[f"{side}_denied"] = float(((ours == side) & (theirs != side)).sum())
    both = set(ours) | set(theirs) == set(SIDES)
    return {**counts, "kappa": float(cohen_kappa_score(ours, theirs)) if both else np.nan}


def read_subsets(path: str | Path) -> dict[str, pd.DataFrame]:
    """definition -> frame of id, discrepancy, preferred, sorted by id; UserError for a file not whole."""
    frame = read_parquet(path, COLUMNS, "subsets")
    lost = frame["discrepancy"].isna() & (frame["preferred"] != OUTSIDE)
    if frame.empty or lost.any() or frame.duplicated(["id", "definition"]).any():
        raise UserError(f"{path}: is empty, or has clips twice or without discrepancy; delete it and run again.")
    return {
        str(name): part.sort_values("id", ignore_index=True)[["id", "discrepancy", "preferred"]]
        for name, part in frame.groupby("definition", sort=True)
    }
