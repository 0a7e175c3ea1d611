"""Trials and searches, written out: which runs they stand for, and what these take over."""

from __future__ import annotations

from typing import Any

from avbalance.plan.short import paper_in_full

BASE = {
    "label": "Base", "method": "m", "only": ["a"], "choose": {"option": "x", "candidates": {"c": 1}},
    "settings": {"method": {"x": {"value": None, "source": "s"}, "y": 2}, "model": {"name": "net"}},
    "roles": {"a": {"choose": None}},
}  # fmt: skip


def of(runs: dict[str, Any]) -> dict[str, Any]:
    """The runs of a paper in full."""
    written: dict[str, Any] = paper_in_full({"runs": runs}, "paper.yaml", lambda slug: {})["runs"]
    return written


def test_candidates_of_a_search_are_named_by_a_pattern() -> None:
    runs = {
        "best": {"choose": {"option": "x", "candidates": "x-*"}},
        "x-{x}": {"grid": {"x": [1, 2]}, "settings": {"method": {"x": {"value": "{x}", "source": "s"}}}},
    }
    assert of(runs)["best"]["choose"] == {"option": "x", "candidates": {"x-1": 1, "x-2": 2}}


TRIALS = {"protocol": {"rate": {"fast": 0.5, "slow": 0.1}}, "method": {"x": [1, 2.0]}}


def test_trials_are_a_run_for_each_combination_and_the_run_chooses_among_them() -> None:
    runs = of({"base": BASE, "one": {"like": "base", "trials": TRIALS}, "two": {"like": "one", "choose": None}})
    names = [f"one-trial-{rate}-{x}" for rate in ("fast", "slow") for x in (1, 2)]
    assert list(runs) == ["base", "one", *names, "two"]  # what is like a run has no trials by that
    assert runs["one"]["choose"] == {"candidates": dict.fromkeys(names)}
    trial = runs["one-trial-slow-2"]
    assert "choose" not in trial and trial["label"] == "Base, trial slow-2"
    assert (trial["seeds"], trial["reports"], trial["artifacts"]) == ([100], False, ["history.csv"])
    assert trial["settings"]["method"]["x"]["value"] == 2.0 and trial["settings"]["method"]["y"] == 2
    assert trial["settings"]["protocol"]["rate"]["value"] == 0.1


def test_a_trial_needs_the_best_trial_of_another_run() -> None:
    needs = {"weights": {"run": "teacher", "file": "w.json"}, "plain": {"run": "base", "file": "p.json"}}
    runs = of({
        "base": BASE,
        "teacher": {"like": "base", "trials": TRIALS},
        "pupil": {"like": "base", "needs": needs, "trials": {"method": {"x": [3]}}},
    })  # fmt: skip
    best = runs["teacher-trial-best"]
    assert (best["seeds"], best["reports"], best["artifacts"]) == ([100], False, ["history.csv", "w.json"])
    assert best["choose"] == runs["teacher"]["choose"]
    assert runs["pupil"]["needs"] == needs
    assert runs["pupil-trial-3"]["needs"] == {**needs, "weights": {"run": "teacher-trial-best", "file": "w.json"}}
    assert "pupil-trial-best" not in runs
