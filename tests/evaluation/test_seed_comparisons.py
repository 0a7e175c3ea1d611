"""Comparisons on all clips and of histories: every kind of declaration by hand, what cannot be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parsing_files import declarations, history, labels, made_up_paper

from avbalance.analysis.parsing_scores import METRICS
from avbalance.errors import UserError
from avbalance.evaluation.claims import assess
from avbalance.evaluation.clip_scores import clip_scores
from avbalance.evaluation.comparisons import by_seed, evaluate
from avbalance.evaluation.evidence import Evidence
from avbalance.evaluation.measure import measure, read_measurements
from avbalance.evaluation.outcomes import CLAIMED, INCONCLUSIVE, UNTESTABLE, Outcome, judged
from avbalance.evaluation.paper import DatasetInfo, Paper, RunFile, declarations_of
from avbalance.evaluation.parsing_predictions import read_parsing
from avbalance.evaluation.predictions import write_predictions
from avbalance.evaluation.seed_clips import NAMED_RULE, OWN_RULE, shown_clips
from avbalance.evaluation.seed_histories import by_seed_history

PUBLISHED = """dataset,method,subset,accuracy,accuracy_audio
D,Left,overall,60,50
D,Right,overall,59,50
D,Third,overall,58,
"""
SPECS = [{"file": "t.csv", "values": {"accuracy": "accuracy", "accuracy_audio": "accuracy_audio"}}]
RIGHT = {  # run -> seed -> clips of 200 that are named rightly by the prediction and by the audio head
    "left": {6: (120, 100), 0: (124, 102), 1: (128, 98)},
    "right": {0: (120, 100), 1: (122, 100), 6: (118, 100), 9: (0, 0)},
    "third": {0: (122, 80)},
}
Right = Mapping[str, Mapping[int, Sequence[int]]]


def logits_of(right: int, n: int, start: int) -> list[list[float]]:
    """Class 0 or 1 of n clips, of which `right` are of the true class k % 2, counted from clip `start` on."""
    hit = (np.arange(n) - start) % n < right
    return np.eye(2)[np.where(hit, np.arange(n) % 2, 1 - np.arange(n) % 2)].tolist()


def small(folder: Path, right: Right = RIGHT, n: int = 200) -> Evidence:
    """Evidence on one data set D; at best-test each prediction is right on 20 clips more."""
    runs = []
    for run, seeds in right.items():
        for seed, (own, audio) in seeds.items():
            parts = []
            for checkpoint, more in (("selected", 0), ("best-test", 20)):
                columns = {"id": [f"{k:03d}" for k in range(n)], "label": (np.arange(n) % 2).astype("int16")}
                logits = {"logits": logits_of(own + more, n, 0), "logits_audio": logits_of(audio, n, 7)}
                logits["logits_visual"] = logits["logits_audio"]
                parts.append(pd.DataFrame(columns | logits).assign(checkpoint=checkpoint))
            path = folder / f"{run}-{seed}.parquet"
            write_predictions(path, pd.concat(parts, ignore_index=True).assign(split="test", condition="both"))
            runs.append(RunFile(run, run.capitalize(), "made", seed, str(path)))
    (folder / "t.csv").write_text(PUBLISHED)
    datasets = {"d": DatasetInfo("d", "D", "made", "made up"), "e": DatasetInfo("e", "E", None, "left out")}
    paper = Paper("s", "t", str(folder), datasets, {run: run.capitalize() for run in (*right, "none")}, tuple(runs))
    return Evidence(paper, declarations_of({"published": SPECS, "statistics": {"draws": 200}}))


def compared(evidence: Evidence, **block: Any) -> list[Outcome]:
    whole = {"kind": "by_seed", "dataset": "d", "metrics": ["accuracy"], **block}
    found = [evaluate(evidence, comparison) for comparison in by_seed(evidence, whole, "none")]
    return [outcome for each in found for outcome in judged([each], 0.95)]


def test_a_difference_on_the_seeds_that_both_have(tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path), left=["left"], right=["right"])
    # Seeds 0, 1, 6: 2, 3, 1. Seed 9 has no partner. Over seeds sd 1; a clip is named by both or only by the left one.
    assert found.text == "D, accuracy: Left > Right"
    assert (found.numbers, found.seeds, found.effect, found.n) == ((0, 1, 6), (2.0, 3.0, 1.0), 2.0, 200)
    assert found.error is not None and found.error > 1 / np.sqrt(3)
    assert (found.verdict, found.published) == (INCONCLUSIVE, 1.0)
    (surer,) = compared(small(tmp_path, {**RIGHT, "right": {0: (60, 0), 1: (64, 0)}}), left=["left"], right=["right"])
    assert surer.verdict == CLAIMED and surer.seeds == (32.0, 32.0)


def test_each_metric_or_their_mean(tmp_path: Path) -> None:
    evidence = small(tmp_path)
    each = compared(evidence, metrics=["accuracy", "accuracy_audio"], left=["left"], right=["right"])
    assert [(found.text, found.effect, found.published) for found in each] == [
        ("D, accuracy: Left > Right", 2.0, 1.0),
        ("D, accuracy audio: Left > Right", 0.0, 0.0),
    ]
    (mean,) = compared(evidence, metrics=["accuracy", "accuracy_audio"], over="mean", left=["left"], right=["right"])
    # (2 + 1, 3 - 1, 1 + 0) / 2 by seed 0, 1, 6.
    assert (mean.seeds, mean.effect, mean.published) == (pytest.approx((1.5, 1.0, 0.5)), pytest.approx(1.0), 0.5)
    assert mean.text == "D, mean of accuracy, accuracy audio: Left > Right"


def test_chains_weighted_sums_and_one_seed(tmp_path: Path) -> None:
    evidence = small(tmp_path)
    chain = compared(evidence, chain=["left", "right", "third"])
    assert [(found.text, found.verdict, found.reason) for found in chain] == [
        ("D, accuracy: Left > Right", INCONCLUSIVE, ""),
        ("D, accuracy: Right > Third", UNTESTABLE, "one seed"),
    ]
    pieces = [
        {"coefficient": 1, "run": "left"},
        {"coefficient": -2, "run": "right"},
        {"coefficient": 1, "run": "third"},
    ]
    (found,) = compared(evidence, pieces=pieces)
    assert (found.text, found.effect, found.reason, found.published) == (
        "D, accuracy: Left + Third > 2 Right", 3.0, "one seed", 0.0
    )  # fmt: skip
    (named,) = compared(evidence, pieces=pieces, text="in words")
    assert named.text == "D, accuracy: in words"


def test_what_looks_at_nothing_is_drawn_with_the_clips(tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path), left=["left"], right=["majority-label"])
    assert (found.seeds, found.published) == ((12.0, 14.0, 10.0), None)
    assert found.text == "D, accuracy: Left > the most frequent class"


def test_another_checkpoint_is_named(tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path), left=["left"], right=["majority-label"], checkpoint="best-test")
    assert (found.text, found.seeds) == ("D, accuracy, best-test: Left > the most frequent class", (22.0, 24.0, 20.0))


@pytest.mark.parametrize(
    ("block", "n", "reason"),
    [
        ({"left": ["left"], "right": ["none"]}, 200, "none was not run on D in this tier"),
        ({"left": ["left"], "right": ["right"], "metrics": ["m3"]}, 200, r"left has no m3 on D \(test, .*\)"),
        ({"left": ["left"], "right": ["right"], "dataset": "e"}, 200, "E is not made in this tier"),
        ({"left": ["left"], "right": ["no-event"]}, 200, r"no-event has no accuracy on D .*"),
        ({"left": ["left"], "right": ["right"]}, 19, "too few clips: 19 of D, fewer than 20"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_says_why(block: dict[str, Any], n: int, reason: str, tmp_path: Path) -> None:
    (found,) = compared(small(tmp_path, n=n), **block)
    assert found.verdict == UNTESTABLE
    assert re.fullmatch(reason, found.reason)


def test_runs_without_a_common_seed_cannot_be_compared(tmp_path: Path) -> None:
    right = {"left": {0: (10, 10)}, "right": {1: (10, 10)}}
    (found,) = compared(small(tmp_path, right), left=["left"], right=["right"])
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


def test_scores_of_clips_have_the_means_that_tables_show(tmp_path: Path) -> None:
    paper = made_up_paper(tmp_path, {"ours": (0,)})
    measure(paper, {}, tmp_path / "measurements.parquet")
    rows = read_measurements(tmp_path / "measurements.parquet")
    checked = 0
    for run in paper.runs:
        for place, scores in clip_scores(run).items():
            own = rows[(rows["dataset"] == run.dataset) & (rows["run"] == run.run)]
            for key, value in place._asdict().items():
                own = own[own[key] == value]
            for metric, value in zip(own["metric"], own["value"], strict=True):
                assert scores.of[metric].mean() == pytest.approx(value)
                checked += 1
    assert checked == 40  # 13 metrics of two versions of the truth, and accuracies
    chosen = (rows["run"] == "no-event") & (rows["metric"] == "average") & (rows["protocol"] == "none")
    (nothing,) = rows.loc[chosen, "value"]
    guess = next(scores.guess for place, scores in clip_scores(paper.runs[0]).items() if place.protocol == "none")
    assert guess["average"].mean() == pytest.approx(nothing)


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


def ends(evidence: Evidence, **block: Any) -> Outcome:
    (found,) = judged(by_seed_history(evidence, {**BLOCK, **block}, "none"), 0.95)
    return found


def test_losses_come_nearer(tmp_path: Path) -> None:
    evidence = histories(tmp_path, {"one": {0: 0.5, 1: -0.7, 2: 9.0}, "two": {1: 0.1, 0: 0.3}})
    gap = ends(evidence, measure="gap")
    assert gap.seeds == pytest.approx((0.2, 0.6)) and gap.unit == "nats" and gap.n is None
    assert gap.text == "D, last 5 epochs, distance of loss_audio and loss_visual: one > two"
    # Over seeds 0 and 1 the visual loss is the larger one before; it does not change.
    larger = ends(evidence, measure="larger")
    assert "loss_visual, the larger one before" in larger.text and larger.verdict == INCONCLUSIVE
    with pytest.raises(UserError, match="use gap or larger"):
        ends(evidence, measure="other")


def test_histories_that_do_not_hold_the_losses(tmp_path: Path) -> None:
    evidence = histories(tmp_path, {"one": {0: 0.5}, "two": {0: 0.1}})
    found = ends(evidence, measure="gap", columns=["loss_audio", "loss"])
    assert (found.verdict, found.reason) == (UNTESTABLE, "one did not log loss")
    path = tmp_path / "one" / "0" / "history.csv"
    frame = pd.read_csv(path)
    frame.loc[6, "loss_visual"] = np.nan
    frame.to_csv(path, index=False)
    with pytest.raises(UserError, match=r"history\.csv: loss_visual is no number in epoch 7; the training diverged"):
        ends(evidence, measure="gap")
    path.unlink()
    with pytest.raises(UserError, match=r"history\.csv: not a readable table"):
        ends(evidence, measure="gap")


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
        "S2.1",
        "S2.2",
        "S2.3",
    ]
    signs = {claim["id"]: claim["published"] for claim in report["claims"]}
    # about a run or a loss that the paper has no numbers of
    silent = {"IV.4", "IV.5", "F5.1", "F5.2", "S2.1", "S2.2", "S2.3"}
    assert {name for name, found in signs.items() if not found["comparisons"]} == silent
    assert all(found["right"] == found["comparisons"] for found in signs.values())
    assert [entry["id"] for entry in report["illustrations"]] == ["F4.1", "F4.2"]


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
