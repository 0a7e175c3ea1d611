"""Subsets: strict inequalities, nesting, definitions, and the clips they cover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avbalance.analysis.subsets import (
    OUTSIDE,
    agreement,
    build_subsets,
    canonical_subset,
    read_subsets,
    subset_mask,
    subset_names,
)
from avbalance.errors import UserError
from avbalance.stopping import StopRule

RULE = StopRule(min_delta=0.1, patience=10, floor=5)

Writer = Callable[..., Path]
DISCREPANCY = np.array([0.5, 0.25, 0.0, -0.25, -0.5])


def test_inequalities_are_strict_and_ties_are_on_neither_side() -> None:
    assert subset_mask(DISCREPANCY, "audio_preferred").tolist() == [True, True, False, False, False]
    assert subset_mask(DISCREPANCY, "visual_preferred").tolist() == [False, False, False, True, True]
    assert subset_mask(DISCREPANCY, "tie").tolist() == [False, False, True, False, False]
    assert subset_mask(DISCREPANCY, "overall").all()
    # 0.25 is not above 0.25.
    assert subset_mask(DISCREPANCY, "audio_dominated@0.25").tolist() == [True, False, False, False, False]
    assert subset_mask(DISCREPANCY, "visual_dominated@0.25").tolist() == [False, False, False, False, True]


def test_threshold_zero_is_the_preferred_subset() -> None:
    assert canonical_subset("audio_dominated@0") == canonical_subset("audio_dominated@0.0") == "audio_preferred"
    assert canonical_subset("visual_dominated@0.40") == "visual_dominated@0.4"
    same = subset_mask(DISCREPANCY, "visual_dominated@0") == subset_mask(DISCREPANCY, "visual_preferred")
    assert same.all()


def test_names_follow_the_thresholds() -> None:
    assert subset_names([0, 0.2]) == [
        "overall", "audio_preferred", "visual_preferred", "tie", "audio_dominated@0.2", "visual_dominated@0.2"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["audio", "text_preferred", "audio_dominated", "audio_dominated@x"])
def test_unknown_subsets_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="unknown"):
        subset_mask(DISCREPANCY, name)


def pair(unimodal_file: Writer, name: str, audio: list[float], visual: list[float]) -> tuple[Path, Path]:
    ids = ["a", "b"]
    first = unimodal_file(f"{name}-audio", [50.0], test=(ids, [audio]), train=(["t"], [[0.5]]))
    second = unimodal_file(f"{name}-visual", [50.0], test=(ids[::-1], [visual[::-1]]), train=(["t"], [[0.25]]))
    return first, second


def test_every_definition_covers_the_same_test_clips(unimodal_file: Writer, tmp_path: Path) -> None:
    pairs = {
        "estimated": pair(unimodal_file, "e", [0.75, 0.25], [0.25, 0.5]),
        "cross-fitted-a": pair(unimodal_file, "a", [0.5, 0.5], [0.75, 0.5]),
    }
    manifest = pd.DataFrame(
        {"id": ["t", "b", "a"], "planted_audio": [0.5, 0.25, 1.0], "planted_visual": [0.5, 0.75, 0.5]}
    )
    manifest.to_parquet(tmp_path / "manifest.parquet")
    build_subsets(pairs, tmp_path / "manifest.parquet", tmp_path / "subsets.parquet", RULE)
    found = read_subsets(tmp_path / "subsets.parquet")
    assert sorted(found) == ["cross-fitted-a", "estimated", "planted"]
    assert all(frame["id"].tolist() == ["a", "b"] for frame in found.values())
    assert found["estimated"]["discrepancy"].tolist() == [0.5, -0.25]
    assert found["cross-fitted-a"]["preferred"].tolist() == ["visual", "tie"]
    assert found["planted"]["discrepancy"].tolist() == [0.5, -0.5]


def test_people_name_sides_and_leave_clips_outside(unimodal_file: Writer, tmp_path: Path) -> None:
    ids = ["heard", "seen", "both", "neither", "nobody"]
    confidence = (ids, [[0.5] * 5])
    files = tuple(unimodal_file(name, [50.0], test=confidence) for name in ("audio", "visual"))
    frame = pd.DataFrame({"id": ids, "annotated_audio": [1, 0, 1, 0, None], "annotated_visual": [0, 1, 1, 0, None]})
    frame.iloc[::-1].to_parquet(tmp_path / "manifest.parquet")
    build_subsets({"estimated": files}, tmp_path / "manifest.parquet", tmp_path / "subsets.parquet", RULE)
    found = read_subsets(tmp_path / "subsets.parquet")["annotated"].set_index("id")
    assert found["preferred"].to_dict() == {
        "heard": "audio", "seen": "visual", "both": "tie", "neither": OUTSIDE, "nobody": OUTSIDE
    }  # fmt: skip
    discrepancy = found["discrepancy"].to_numpy()
    members = {name: set(found.index[subset_mask(discrepancy, name)]) for name in ("overall", "audio_preferred", "tie")}
    assert members == {"overall": {"heard", "seen", "both"}, "audio_preferred": {"heard"}, "tie": {"both"}}


def test_a_discrepancy_that_is_lost_is_no_clip_outside(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a"], "definition": "estimated", "discrepancy": [np.nan], "preferred": "audio"})
    frame.to_parquet(tmp_path / "subsets.parquet")
    with pytest.raises(UserError, match="without discrepancy"):
        read_subsets(tmp_path / "subsets.parquet")


def test_agreement_by_hand() -> None:
    ours = pd.Series(["audio", "audio", "audio", "visual", "visual", "tie", OUTSIDE, "audio"])
    theirs = pd.Series(["audio", "audio", "visual", "visual", "audio", "audio", "visual", "tie"])
    found = agreement(ours, theirs)
    # Five clips have two sides: 2 + 1 agree. By chance (3 * 3 + 2 * 2) / 25 = 0.52; kappa = (0.6 - 0.52) / 0.48.
    assert found.pop("kappa") == pytest.approx(1 / 6)
    assert found == {"audio_agreed": 2, "audio_denied": 1, "visual_agreed": 1, "visual_denied": 1}
    assert np.isnan(agreement(ours[:2], theirs[:2])["kappa"])  # one side alone is no agreement


def test_a_missing_estimate_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'estimated' is missing"):
        build_subsets({}, tmp_path / "manifest.parquet", tmp_path / "out.parquet", RULE)
