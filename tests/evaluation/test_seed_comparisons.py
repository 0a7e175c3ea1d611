"""Comparisons paired by seed: the rule by hand-worked numbers, every kind of declaration, what cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from avbalance.evaluation.seed_comparisons import SeedOutcome, by_seed, judge, judged
from parsing_files import declarations, history, labels, made_up_paper

from avbalance.errors import UserError
from avbalance.evaluation.claims import assess
from avbalance.evaluation.comparisons import FAILS, HOLDS, UNTESTABLE, WEAK
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.measure import measure
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile, declarations_of
from avbalance.evaluation.parsing import METRICS
from avbalance.evaluation.parsing_predictions import read_parsing
from avbalance.evaluation.seed_clips import NAMED_RULE, OWN_RULE, shown_clips
from avbalance.evaluation.seed_histories import by_seed_history
from avbalance.frames import write_parquet

PUBLISHED = "dataset,method,subset,m1,m2\nD,Left,overall,60,50\nD,Right,overall,59,50\nD,Third,overall,58,\n"
SPECS = [{"file": "t.csv", "values": {"m1": "m1", "m2": "m2"}}]
ROWS = {  # run -> seed -> (m1, m2)
    "left": {6: (60.0, 50.0), 0: (62.0, 51.0), 1: (64.0, 49.0)},
    "right": {0: (60.0, 50.0), 1: (61.0, 50.0), 6: (59.0, 50.0), 9: (0.0, 0.0)},
    "third": {0: (61.0, 40.0)},
}


@pytest.mark.parametrize(
    ("effect", "error", "tie_agrees", "verdict"),
    [
        (2.1, 1.0, False, HOLDS),
        (2.0, 1.0, False, WEAK),  # must exceed
        (0.1, 0.0, False, HOLDS),
        (5.0, None, False, WEAK),  # one seed
        (0.0, 1.0, False, FAILS),
        (0.0, 0.0, True, WEAK),
        (0.0, None, True, WEAK),
        (-0.1, 9.0, True, FAILS),
    ],
)
def test_the_rule(effect: float, error: float | None, tie_agrees: bool, verdict: str) -> None:
    assert judge(effect, error, tie_agrees) == verdict


def test_an_outcome_by_hand() -> None:
    # Effects 1, 2, 6: mean 3, sd sqrt(7), standard error sqrt(7/3) = 1.5275; twice that is 3.055.
    found = judged("t", {1: 2.0, 0: 1.0, 4: 6.0}, 200, published=1.5)
    assert (found.verdict, found.effect, found.numbers, found.seeds) == (WEAK, 3.0, (0, 1, 4), (1.0, 2.0, 6.0))
    assert found.error == pytest.approx(1.527525)
    assert (found.low, found.high) == pytest.approx((3 - 3.05505, 3 + 3.05505), abs=1e-5)
    assert found.detectable == pytest.approx(2.84 * 1.527525)
    single = judged("t", {3: 4.0}, 200)
    assert (single.verdict, single.remark, single.error, single.low, single.detectable) == (
        WEAK, "one seed", None, None, None
    )  # fmt: skip


def small(folder: Path, rows: Mapping[str, Mapping[int, Sequence[float]]] = ROWS, n: int = 200) -> Evidence:
    """Evidence on one data set D with the metrics m1 and m2."""
    place = {"dataset": "made", "split": "test", "subset": "overall", "condition": "both", "protocol": "none"}
    records = [
        {**place, "run": run, "seed": seed, "checkpoint": "selected", "metric": metric, "value": value, "n": n}
        for run, seeds in rows.items()
        for seed, values in seeds.items()
        for metric, value in zip(("m1", "m2"), values, strict=False)
    ]
    records.append({**records[0], "run": "no-event", "seed": 0, "condition": "none", "checkpoint": "none", "value": 58})
    records.append({**records[0], "checkpoint": "best-test", "value": 70.0})
    write_parquet(folder / "measurements.parquet", pd.DataFrame(records))
    (folder / "t.csv").write_text(PUBLISHED)
    datasets = {"d": DatasetInfo("d", "D", "made", "made up"), "e": DatasetInfo("e", "E", None, "left out")}
    paper = Paper("slug", "title", str(folder), datasets, {run: run.capitalize() for run in (*rows, "none")}, ())
    return Evidence(paper, declarations_of({"published": SPECS}), folder / "measurements.parquet")


def compared(evidence: Evidence, **block: Any) -> list[Any]:
    return list(by_seed(evidence, {"kind": "by_seed", "dataset": "d", "metrics": ["m1"], **block}))


def test_a_difference_on_the_seeds_that_both_have(tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path), left=["left"], right=["right"])
    # Seeds 0, 1, 6: 2, 3, 1. Seed 9 has no partner.
    assert found.text == "D, m1: Left > Right"
    assert (found.numbers, found.seeds, found.effect, found.n) == ((0, 1, 6), (2.0, 3.0, 1.0), 2.0, 200)
    assert found.error == pytest.approx(1 / np.sqrt(3))
    assert (found.verdict, found.published) == (HOLDS, 1.0)


def test_each_metric_or_their_mean(tmp_path: Path) -> None:
    evidence = small(tmp_path)
    each = compared(evidence, metrics=["m1", "m2"], left=["left"], right=["right"])
    assert [(found.text, found.effect, found.published) for found in each] == [
        ("D, m1: Left > Right", 2.0, 1.0),
        ("D, m2: Left > Right", 0.0, 0.0),
    ]
    (mean,) = compared(evidence, metrics=["m1", "m2"], over="mean", left=["left"], right=["right"])
    # (2 + 1, 3 - 1, 1 + 0) / 2 by seed 0, 1, 6.
    assert (mean.seeds, mean.effect, mean.published) == ((1.5, 1.0, 0.5), 1.0, 0.5)
    assert mean.text == "D, mean of m1, m2: Left > Right"


def test_ties_chains_and_weighted_sums(tmp_path: Path) -> None:
    evidence = small(tmp_path)
    (tie,) = compared(evidence, metrics=["m2"], left=["left"], right=["right"], tie_agrees=True)
    assert (tie.verdict, tie.tie_agrees) == (WEAK, True)
    chain = compared(evidence, chain=["left", "right", "third"])
    assert [(found.text, found.verdict, found.remark) for found in chain] == [
        ("D, m1: Left > Right", HOLDS, ""),
        ("D, m1: Right > Third", FAILS, "one seed"),
    ]
    pieces = [
        {"coefficient": 1, "run": "left"},
        {"coefficient": -2, "run": "right"},
        {"coefficient": 1, "run": "third"},
    ]
    (found,) = compared(evidence, pieces=pieces)
    assert (found.text, found.effect, found.verdict, found.published) == (
        "D, m1: Left + Third > 2 Right", 3.0, WEAK, 0.0
    )  # fmt: skip
    (named,) = compared(evidence, pieces=pieces, text="in words")
    assert named.text == "D, m1: in words"


def test_a_reference_without_seeds_stands_beside_every_seed(tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path), left=["left"], right=["no-event"])
    assert (found.seeds, found.published, found.text) == ((4.0, 6.0, 2.0), None, "D, m1: Left > no event at all")


def test_another_checkpoint_is_named(tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path), left=["left"], right=["no-event"], checkpoint="best-test")
    assert (found.text, found.seeds) == ("D, m1, best-test: Left > no event at all", (12.0,))


@pytest.mark.parametrize(
    ("block", "n", "reason"),
    [
        ({"left": ["left"], "right": ["none"]}, 200, "none was not run on D in this tier"),
        ({"left": ["left"], "right": ["right"], "metrics": ["m3"]}, 200, r"left has no m3 on D \(test, .*\)"),
        ({"left": ["left"], "right": ["right"], "dataset": "e"}, 200, "E is not made in this tier"),
        ({"left": ["left"], "right": ["right"]}, 19, "too few videos: 19 of D, fewer than 20"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_why(block: dict[str, Any], n: int, reason: str, tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path, n=n), **block)
    assert isinstance(found, SeedOutcome) and found.verdict == UNTESTABLE
    assert re.fullmatch(reason, found.reason)


def test_runs_without_a_common_seed_cannot_be_compared(tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path, {"left": {0: (1.0,)}, "right": {1: (1.0,)}}), left=["left"], right=["right"])
    assert found.reason == "its runs have no seed in common"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"left": ["left"], "right": ["right"], "over": "all"}, "over is 'all'"),
        ({}, "needs one of left"),
        ({"left": ["left"], "right": ["right"], "chain": ["left", "right"]}, "needs one of left"),
    ],
)
def test_wrong_declarations_are_refused(block: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        compared(small(tmp_path), **block)


def test_measurements_must_be_given(tmp_path: Path) -> None:
    evidence = small(tmp_path)
    without = Evidence(evidence.paper, declarations_of({"published": SPECS}))
    with pytest.raises(UserError, match="give it with --measurements"):
        compared(without, left=["left"], right=["right"])


def histories(folder: Path, gaps: Mapping[str, Mapping[int, float]]) -> Evidence:
    runs = []
    for run, seeds in gaps.items():
        for seed, gap in seeds.items():
            path = folder / run / str(seed) / "history.csv"
            path.parent.mkdir(parents=True)
            history(path, gap)
            runs.append(RunFile(run, run, "made", seed, str(path.with_name("predictions.parquet"))))
    paper = Paper("s", "t", "", {"d": DatasetInfo("d", "D", "made", "")}, {run: run for run in gaps}, tuple(runs))
    return Evidence(paper, declarations_of({}))


BLOCK = {"dataset": "d", "runs": ["one", "two"], "columns": ["loss_audio", "loss_visual"], "last": 5}


def test_losses_come_nearer(tmp_path: Path) -> None:
    evidence = histories(tmp_path, {"one": {0: 0.5, 1: -0.7, 2: 9.0}, "two": {1: 0.1, 0: 0.3}})
    (gap,) = by_seed_history(evidence, {**BLOCK, "measure": "gap"})
    assert gap.seeds == pytest.approx((0.2, 0.6)) and gap.unit == "nats" and gap.n is None
    assert gap.text == "D, last 5 epochs, distance of loss_audio and loss_visual: one > two"
    # Over seeds 0 and 1 the visual loss is the larger one before; it does not change.
    (larger,) = by_seed_history(evidence, {**BLOCK, "measure": "larger"})
    assert "loss_visual, the larger one before" in larger.text and larger.verdict == FAILS
    with pytest.raises(UserError, match="use gap or larger"):
        by_seed_history(evidence, {**BLOCK, "measure": "other"})


def test_histories_that_do_not_hold_the_losses(tmp_path: Path) -> None:
    evidence = histories(tmp_path, {"one": {0: 0.5}, "two": {0: 0.1}})
    (found,) = by_seed_history(evidence, {**BLOCK, "measure": "gap", "columns": ["loss_audio", "loss"]})
    assert (found.verdict, found.reason) == (UNTESTABLE, "one did not log loss")
    (tmp_path / "one" / "0" / "history.csv").unlink()
    with pytest.raises(UserError, match=r"history\.csv: not a readable table"):
        by_seed_history(evidence, {**BLOCK, "measure": "gap"})


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


def test_every_claim_of_the_paper_is_declared_and_follows_from_its_numbers(report: dict[str, Any]) -> None:
    assert [claim["id"] for claim in report["claims"]] == [
        "I.1",
        "I.2",
        "I.3",
        "II.1",
        "II.1b",
        "III.1",
        "III.1b",
        "IV.1",
        "IV.2",
        "IV.3",
        "IV.4",
        "IV.5",
        "V.1",
        "V.2",
        "V.3",
        "VI.1",
        "VI.2",
        "VI.3",
        "VII.1",
        "VII.2",
        "F5.1",
        "F5.2",
    ]
    verdicts = {claim["id"]: claim["published"]["verdict"] for claim in report["claims"]}
    silent = {"IV.4", "IV.5", "F5.1", "F5.2"}  # about a run or a loss that the paper has no numbers of
    assert verdicts == {name: "no numbers" if name in silent else "yes" for name in verdicts}
    assert report["by_seed"] == "all" and [entry["id"] for entry in report["illustrations"]] == ["F4.1", "F4.2"]


@pytest.mark.parametrize(
    ("claim", "place", "effect"),
    [("I.2", 0, 1.48), ("I.2", 1, 1.44), ("II.1", 0, 0.7), ("III.1", 0, 0.57), ("IV.1", 8, 0.525), ("IV.1", 9, 0.7),
     ("IV.2", 0, 0.4), ("IV.2", 1, 0.3), ("IV.3", 10, 1.14), ("IV.3", 11, 0.94), ("V.3", 1, 1.21), ("V.3", 2, 0.67),
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
    assert (han["verdict"], han["numbers"], han["remark"], han["reason"]) == (FAILS, (1,), "one seed", "")


def test_single_videos_have_no_verdict(report: dict[str, Any]) -> None:
    shown = result(report, "F4.1")
    assert shown["verdict"] == "illustration" and {each["verdict"] for each in shown["outcomes"]} == {"illustration"}
    assert all(OWN_RULE in each["text"] and len(each["seeds"]) == 3 for each in shown["outcomes"])
    absent = result(report, "F4.2")
    assert absent["verdict"] == "illustration"
    assert absent["reasons"] == ["the data hold no video Mzp5uTDaKog with Frying_(food)"]


def test_declared_runs_and_metrics_exist() -> None:
    known, declared = {*labels(), "no-event", "majority-label"}, declarations()
    blocks = [block for key in ("claims", "checks", "illustrations") for e in declared[key] for block in e["tests"]]
    for block in blocks:
        sides = [block.get(key, []) for key in ("left", "right", "chain", "runs")]
        runs = [run for side in sides for run in ([side] if isinstance(side, str) else side)]
        runs += [piece["run"] for piece in block.get("pieces", ())]
        assert runs and set(runs) <= known
        assert set(block.get("metrics", ())) <= {*METRICS, "accuracy"}


def test_videos_are_chosen_by_name_or_by_the_rule(tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, {"ours": (0,)})
    read = read_parsing(paper.run_files("llp", "ours")[0].predictions)
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
