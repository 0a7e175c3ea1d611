"""Claims of avvp-gradient-modulation: histories and single videos by hand, and what the paper's numbers say."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claims_paper import evidence_of, outcome_of
from parsing_files import declarations, history, made_up_paper

from avbalance.analysis.parsing_scores import METRICS
from avbalance.errors import UserError
from avbalance.evaluation.claims import assess
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.measure import measure
from avbalance.evaluation.outcomes import INCONCLUSIVE, UNTESTABLE, Outcome
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile
from avbalance.evaluation.parsing_predictions import read_parsing
from avbalance.papers.avvp_gradient_modulation.claims import by_seed_clips, by_seed_history
from avbalance.papers.avvp_gradient_modulation.videos import NAMED_RULE, OWN_RULE, shown_clips


def histories(folder: Path, gaps: Mapping[str, Mapping[int, float]]) -> Evidence:
    runs = []
    for run, seeds in gaps.items():
        for seed, gap in seeds.items():
            path = folder / run / str(seed) / "history.csv"
            path.parent.mkdir(parents=True)
            history(path, gap)
            runs.append(RunFile(run, run, "made", seed, str(path.with_name("predictions.parquet"))))
    datasets = {"d": DatasetInfo("d", "D", "made", "")}
    slug = "avvp-gradient-modulation"
    return evidence_of(Paper(slug, "t", "", datasets, {run: run for run in gaps}, tuple(runs)), {})


def ends(evidence: Evidence, **more: Any) -> Outcome:
    block = {"dataset": "d", "file": "history.csv", "runs": ["one", "two"], "last": 5}
    return outcome_of(evidence, kind="by_seed_history", columns=["loss_audio", "loss_visual"], **block, **more)


def test_losses_come_nearer(tmp_path: Path) -> None:
    evidence = histories(tmp_path, {"one": {0: 0.5, 1: -0.7, 2: 9.0}, "two": {1: 0.1, 0: 0.3}})
    gap = ends(evidence, measure="gap")
    assert gap.seeds == pytest.approx((0.2, 0.6)) and gap.unit == "nats" and gap.n is None
    assert gap.text == "D, last 5 epochs, distance of loss_audio and loss_visual: one > two"
    # Over seeds 0 and 1 the visual loss is the larger one before; it does not change.
    larger = ends(evidence, measure="larger")
    assert "loss_visual, the larger one before" in larger.text and larger.verdict == INCONCLUSIVE


def test_histories_that_do_not_hold_the_losses(tmp_path: Path) -> None:
    evidence = histories(tmp_path, {"one": {0: 0.5}, "two": {0: 0.1}})
    path = tmp_path / "one" / "0" / "history.csv"
    frame = pd.read_csv(path)
    frame.drop(columns="loss_visual").to_csv(path, index=False)
    outcome = ends(evidence, measure="gap")
    assert (outcome.verdict, outcome.reason) == (UNTESTABLE, "one did not log loss_visual")
    frame.loc[6, "loss_visual"] = np.nan
    frame.to_csv(path, index=False)
    with pytest.raises(UserError, match=r"history\.csv: loss_visual is no number in epoch 7; the training diverged"):
        ends(evidence, measure="gap")
    path.unlink()
    with pytest.raises(UserError, match=r"history\.csv: not a readable table"):
        ends(evidence, measure="gap")


def test_names_in_declarations_are_those_of_the_code() -> None:
    from avbalance.methods.parts.parsing import COLUMNS

    assert typing.get_args(by_seed_history.Column) == COLUMNS
    assert typing.get_args(by_seed_clips.Score) == METRICS


def test_videos_are_chosen_by_name_or_by_the_rule(tmp_path: Path) -> None:
    read = read_parsing(made_up_paper(tmp_path, {"ours": (0,)}).run_files("llp", "ours")[0].predictions)
    named = shown_clips(read, ["clip03", "clip01", "elsewhere"])
    assert (read.id[named.rows].tolist(), named.rule) == (["clip03", "clip01"], NAMED_RULE)
    own = shown_clips(read, ["elsewhere"])
    audio, visual = read.truth_audio, read.truth_visual
    fit = [
        row
        for row in range(len(read.id))
        if audio[row].any() and visual[row].any() and (audio[row] != visual[row]).any()
        and (audio[row] | visual[row]).any(axis=1).sum() >= 2
    ]  # fmt: skip
    assert (own.rows.tolist(), own.rule) == (fit[:3], OWN_RULE)


# The paper's own declarations


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("report")
    runs = ("jomold", "jomold-dgm", "jomold-msdu", "ours")
    paper = made_up_paper(folder / "runs", {**dict.fromkeys(runs, (6, 0, 1)), "han": (1,)})
    measure(paper, {}, folder / "measurements.parquet")
    return assess(paper, declarations(), folder / "measurements.parquet")


def result(report: dict[str, Any], name: str) -> dict[str, Any]:
    entries = {entry["id"]: entry for key in ("claims", "checks", "illustrations") for entry in report[key]}
    return entries[name]["results"]["none"]


def test_every_claim_of_the_paper_follows_from_its_numbers(report: dict[str, Any]) -> None:
    signs = {claim["id"]: claim["published"] for claim in report["claims"]}
    # about a run or a loss that the paper has no numbers of
    silent = {"IV.4", "IV.5", "F5.1", "F5.2", "S2.1", "S2.2", "S2.3"}
    assert {name for name, found in signs.items() if not found["comparisons"]} == silent
    assert all(found["right"] == found["comparisons"] for found in signs.values())


@pytest.mark.parametrize(
    ("claim", "place", "effect"),
    [("I.2", 0, 1.48), ("I.2", 1, 1.44), ("II.1", 0, 0.7), ("III.1", 0, 0.57), ("IV.1", 9, 0.525), ("IV.1", 10, 0.7),
     ("IV.2", 0, 0.4), ("IV.2", 1, 0.3), ("IV.3", 11, 1.14), ("IV.3", 12, 0.94), ("V.3", 1, 1.21), ("V.3", 2, 0.67),
     ("VII.1", 10, 1.89), ("VII.2", 10, 1.46)],
)  # fmt: skip
def test_published_effects_are_those_that_the_text_names(
    report: dict[str, Any], claim: str, place: int, effect: float
) -> None:
    assert result(report, claim)["outcomes"][place]["published"] == pytest.approx(effect, abs=1e-6)


def test_our_effects_are_paired_by_seed(report: dict[str, Any]) -> None:
    (segment, event) = result(report, "IV.4")["outcomes"]
    assert segment["numbers"] == event["numbers"] == (0, 1, 6)
    assert segment["effect"] == pytest.approx(np.mean(segment["seeds"]), abs=1e-5)
    assert segment["text"] == "LLP, segment mean of five: Ours + JoMoLD > JoMoLD+MSDU + JoMoLD+DGM"
    against = {outcome["text"]: outcome for outcome in result(report, "I.1")["outcomes"]}
    han = against["LLP, segment A: Ours > HAN"]  # made the best here, and run with seed 1 alone
    assert (han["verdict"], han["numbers"], han["reason"]) == (UNTESTABLE, (1,), "one seed") and han["effect"] < 0


def test_single_videos_have_no_verdict(report: dict[str, Any]) -> None:
    shown = result(report, "F4.1")
    assert shown["verdict"] == "illustration" and {each["verdict"] for each in shown["outcomes"]} == {"illustration"}
    assert all(OWN_RULE in each["text"] and len(each["seeds"]) == 3 for each in shown["outcomes"])
    absent = result(report, "F4.2")
    assert absent["verdict"] == "illustration"
    assert absent["reasons"] == ["the data hold no video Mzp5uTDaKog with Frying_(food)"]
