"""The kinds of balanced-audiovisual by hand: leads between subsets, alternatives, shares and maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from claims_paper import DIFFERENCE, evidence_of, made, outcome_of

from avbalance.analysis.flatness import grid_counts, square_divergence
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.outcomes import CLAIMED, CONTRARY, INCONCLUSIVE, Outcome
from avbalance.evaluation.paper import Paper
from avbalance.papers.balanced_audiovisual.claims.share import implied_share
from avbalance.table_files import read_parquet, write_parquet


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return evidence_of(*made(tmp_path))


def one(evidence: Evidence, protocol: str = "estimated", **block: Any) -> Outcome:
    return outcome_of(evidence, protocol, datasets=["set"], **block)


def test_between_subsets(evidence: Evidence) -> None:
    block = {"kind": "between_subsets", "runs": ["audio"], "higher": "audio_preferred", "lower": "visual_preferred"}
    outcome = one(evidence, **block)
    assert (outcome.effect, outcome.text) == (75.0, "D, Audio: audio_preferred > visual_preferred")


def test_growth(evidence: Evidence) -> None:
    subsets = ["audio_preferred", "audio_dominated@0.35"]
    outcome = one(evidence, kind="growth", left=["fused"], right=["other"], subsets=subsets)
    # Both differences are 100 points: no growth, hence no success; the paper prints no curve.
    assert (outcome.effect, outcome.verdict, outcome.published) == (0.0, INCONCLUSIVE, None)
    assert outcome.text == "D: Fused minus Other grows from audio_preferred to audio_dominated@0.35"


def test_any_of_reports_one_and_the_same_alternative(evidence: Evidence) -> None:
    block = {"kind": "any_of", "subsets": ["audio_preferred"], "right": ["audio"]}
    outcome = one(evidence, **block, left=["slight", "fused"])
    # Published: Slight - Audio = 5, Fused - Audio = 10. Ours: -5 and +25.
    assert (outcome.effect, outcome.published, outcome.seeds) == (25.0, 10.0, (25.0,) * 3)
    assert outcome.text.endswith("one of Slight, Fused > Audio; shown: Fused") and outcome.verdict == CLAIMED
    # -75 and -5: the larger effect decides.
    outcome = one(evidence, **block, left=["other", "slight"])
    assert (outcome.effect, outcome.published) == (-5.0, None) and outcome.verdict != CLAIMED
    assert one(evidence, **block, left=["other"]).verdict == CONTRARY


def test_never_both(evidence: Evidence) -> None:
    sides = [{"subset": f"{side}_preferred", "rival": "audio"} for side in ("audio", "visual")]
    outcome = one(evidence, kind="never_both", runs=["fused"], sides=sides)
    # It leads by 25 on one side and ties on the other, which it does not beat. Published there: 20 - 10.
    assert (outcome.effect, outcome.published, outcome.verdict) == (0.0, 10.0, INCONCLUSIVE)
    assert outcome.text.endswith("; shown: Audio minus Fused on visual_preferred")
    assert one(evidence, kind="never_both", runs=["other"], sides=sides).verdict == CLAIMED
    # It leads on both: not what is claimed.
    both = [{"subset": "audio_preferred", "rival": name} for name in ("audio", "other")]
    assert one(evidence, kind="never_both", runs=["fused"], sides=both).verdict == CONTRARY


def test_never_both_is_corrected_for_two_looks(evidence: Evidence) -> None:
    sides = [{"subset": "audio_preferred", "rival": "audio"}] * 2
    outcome = one(evidence, kind="never_both", runs=["slight"], sides=sides)
    alone = outcome_of(evidence, "estimated", **{**DIFFERENCE, "left": ["audio"], "right": ["slight"]})
    assert outcome.effect == alone.effect == 5.0 and outcome.level == pytest.approx(0.975)
    assert outcome.p == pytest.approx(min(2 * (alone.p or 0.0), 1.0))
    assert outcome.low is not None and alone.low is not None and outcome.low < alone.low


def test_share(evidence: Evidence) -> None:
    block = {"kind": "share", "higher": "audio_preferred", "lower": "visual_preferred"}
    outcome = one(evidence, **block, factor=0.5)
    # 50 - 0.5 * 50. Published r: (66 - 10) / 70 = 0.8 and (45 - 20) / 50 = 0.5, median 0.65: 65 - 0.5 * 35.
    assert (outcome.effect, outcome.published) == (25.0, pytest.approx(47.5))
    assert one(evidence, **block, factor=2).verdict == CONTRARY
    assert one(evidence, "planted", **block, factor=0.5).numbers == ()  # no training enters
    values = {("D", "M", name, "accuracy"): value for name, value in
              {"overall": 60.0, "audio_preferred": 70.0, "visual_preferred": 30.0}.items()}  # fmt: skip
    assert implied_share(values, "D") == [0.75]  # 60 = r 70 + (1 - r) 30
    path = str(evidence.paper.datasets["set"].subsets)
    frame = read_parquet(Path(path), ("id",), "subsets")
    write_parquet(path, frame[frame["definition"] == "estimated"])
    assert one(evidence_of(evidence.paper, {}), **block, factor=0.5).reason == "one seed"


def test_correlation(evidence: Evidence) -> None:
    outcome = one(evidence, "planted", kind="correlation", at_least=0.5)
    assert (outcome.effect, outcome.unit) == (pytest.approx(0.5), "rho")


def test_maps_are_drawn_by_the_models_of_each_seed(
    fabricated_paper: Paper, balanced_declarations: dict[str, Any]
) -> None:
    confidence = {"audio": "audio", "visual": "visual", "rule": {"min_delta": 0.5, "patience": 3, "floor": 2}}
    evidence = evidence_of(fabricated_paper, {**balanced_declarations, "confidence": confidence})
    block = {"kind": "flatness", "larger": ["kinetics-sounds"], "smaller": ["balanced"], "split": "train"}
    estimated = outcome_of(evidence, "estimated", **block)
    assert estimated.numbers == (0, 1) and estimated.n == 160
    infos = fabricated_paper.datasets["kinetics-sounds"], fabricated_paper.datasets["balanced"]
    frames = [read_parquet(Path(str(info.confidence)) / "confidence.parquet", ("id",), "c") for info in infos]
    parts = [frame[frame["split"] == "train"] for frame in frames]
    j2 = [square_divergence(grid_counts(part["u_audio"], part["u_visual"])) for part in parts]
    assert estimated.seeds[0] == pytest.approx(j2[0] - j2[1], abs=0.05)  # the same but for the rule of the stop
    planted = outcome_of(evidence, "planted", **block)
    assert planted.numbers == () and planted.effect is not None and planted.effect > 0.1
    assert outcome_of(evidence, "cross-fitted", **block).reason == "the map has no cross-fitted form"
