"""Planned runs: what their keys cover, the option that validation chooses, and inputs that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_cell import tiny_job, tiny_settings

from avbalance.errors import UserError
from avbalance.training.planned import PlannedRun, check_inputs, choice_of, chosen_settings, run_key


def test_a_run_that_spells_a_default_out_is_the_run_that_leaves_it_out() -> None:
    def key(**protocol: Any) -> str:
        run = PlannedRun(**tiny_job("baseline", tiny_settings(protocol=protocol)))
        return run_key(run, {}, "data", torch.device("cpu"))

    assert key(watch_test=False, optimiser="sgd", decay_at=None) == key() != key(watch_test=True)


CURVES = {"a": [60, 70], "b": [72, 50], "c": [71, 72]}  # the best are b and c with 72; the first by name counts
SEEDS = {"a": 100, "b": 100, "c": 100}


@pytest.fixture
def tried(tmp_path: Path) -> Path:
    """The folder with the histories of three candidates."""
    for run, accuracies in CURVES.items():
        (tmp_path / run).mkdir()
        text = "epoch,val_accuracy\n" + "".join(f"{epoch},{value}\n" for epoch, value in enumerate(accuracies, 1))
        (tmp_path / run / "history.csv").write_text(text)
    return tmp_path


def choosing(settings: dict[str, Any], **choose: Any) -> PlannedRun:
    inputs = {f"candidate {run}": f"{run}/history.csv" for run in CURVES}
    return PlannedRun(**tiny_job("ogm-ge", settings, choose={"seeds": SEEDS, **choose}) | {"inputs": inputs})


def test_the_chosen_option_is_the_candidate_of_the_best_validation_accuracy(tried: Path) -> None:
    run = choosing(tiny_settings(method={"alpha": 0.9}), option="alpha", candidates={"a": 0.1, "b": 0.3, "c": 0.5})
    assert chosen_settings(run, tried)["method"]["alpha"] == 0.3 and run.settings["method"]["alpha"] == 0.9
    assert choice_of(run, tried) == {
        "metric": "accuracy", "chosen": "b",
        "candidates": [
            {"run": "a", "seed": 100, "tried": {"alpha": 0.1}, "score": 70.0},
            {"run": "b", "seed": 100, "tried": {"alpha": 0.3}, "score": 72.0},
            {"run": "c", "seed": 100, "tried": {"alpha": 0.5}, "score": 72.0},
        ],
    }  # fmt: skip


def test_whole_settings_are_those_of_the_best_candidate_but_for_what_is_read_of_the_data(tried: Path) -> None:
    own = tiny_settings(method={"alpha": 0.9})
    candidates = {
        run: {**tiny_settings(method={"alpha": alpha}, protocol={"learning_rate": rate}), "data": {"probes": False}}
        for run, alpha, rate in (("a", 0.1, 0.5), ("b", 0.1, 0.25), ("c", 0.2, 0.5))
    }
    run = choosing(own, candidates=candidates)
    assert chosen_settings(run, tried) == {**candidates["b"], "data": own["data"]}
    # what all candidates share is not told
    assert [each["tried"] for each in choice_of(run, tried)["candidates"]] == [
        {"protocol.learning_rate": 0.5, "method.alpha": 0.1},
        {"protocol.learning_rate": 0.25, "method.alpha": 0.1},
        {"protocol.learning_rate": 0.5, "method.alpha": 0.2},
    ]


def test_a_missing_input_is_one_sentence(tmp_path: Path) -> None:
    run = PlannedRun(**tiny_job("baseline", tiny_settings(), inputs={"weights": "w/seed0/weights.json"}))
    with pytest.raises(UserError, match=r"weights.json: missing, and run baseline \(seed 0\) needs it"):
        check_inputs(run, tmp_path)
