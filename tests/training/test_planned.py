"""Planned runs: what their keys cover, the option that validation chooses, and inputs that are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_cell import tiny_job, tiny_settings

from avbalance.errors import UserError
from avbalance.training.planned import PlannedRun, check_inputs, chosen_settings, run_key


def test_a_run_that_spells_a_default_out_is_the_run_that_leaves_it_out() -> None:
    def key(**protocol: Any) -> str:
        run = PlannedRun(**tiny_job("baseline", tiny_settings(protocol=protocol)))
        return run_key(run, {}, "data", torch.device("cpu"))

    assert key(watch_test=False, optimiser="sgd", decay_at=None) == key() != key(watch_test=True)


def test_the_chosen_option_is_the_candidate_of_the_best_validation_accuracy(tmp_path: Path) -> None:
    for run, accuracies in (("a", [60, 70]), ("b", [72, 50]), ("c", [71, 72])):
        (tmp_path / run).mkdir()
        text = "epoch,val_accuracy\n" + "".join(f"{epoch},{value}\n" for epoch, value in enumerate(accuracies, 1))
        (tmp_path / run / "history.csv").write_text(text)
    candidates = {"a": 0.1, "b": 0.3, "c": 0.5}
    choice = {"choose": {"option": "alpha", "candidates": candidates}}
    inputs = {f"candidate {run}": f"{run}/history.csv" for run in candidates}
    run = PlannedRun(**tiny_job("ogm-ge", tiny_settings(method={"alpha": 0.9}), **choice) | {"inputs": inputs})
    # the best are b and c with 72; the one declared first counts
    assert chosen_settings(run, tmp_path)["method"]["alpha"] == 0.3 and run.settings["method"]["alpha"] == 0.9


def test_a_missing_input_is_one_sentence(tmp_path: Path) -> None:
    run = PlannedRun(**tiny_job("baseline", tiny_settings(), inputs={"weights": "w/seed0/weights.json"}))
    with pytest.raises(UserError, match=r"weights.json: missing, and run baseline \(seed 0\) needs it"):
        check_inputs(run, tmp_path)
