"""Mean confidence, the early-stop rule, the joint histogram, and the join of two unimodal runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avbalance.analysis.confidence import (
    StopRule,
    estimate_confidence,
    join_modalities,
    mean_confidence,
    read_unimodal,
    stopping_epoch,
)
from avbalance.errors import UserError
from flowkeeper.files import read_json

RULE = StopRule(min_delta=0.1, patience=10, floor=5)

Writer = Callable[..., Path]


def test_one_epoch_equals_one_pass_and_later_epochs_are_left_out() -> None:
    confidence = np.array([[0.5, 0.25], [1.0, 0.75], [0.0, 0.0]], dtype=np.float32)
    assert mean_confidence(confidence, 1).tolist() == [0.5, 0.25]
    # (0.5 + 1.0) / 2 and (0.25 + 0.75) / 2
    assert mean_confidence(confidence, 2).tolist() == [0.75, 0.5]


@pytest.mark.parametrize("epochs", [0, 4])
def test_refuses_epochs_that_were_not_run(epochs: int) -> None:
    with pytest.raises(UserError, match=f"cannot average {epochs} epochs"):
        mean_confidence(np.zeros((3, 2), dtype=np.float32), epochs)


def test_last_real_gain_counts() -> None:
    # Gains of at least 0.1 over all earlier epochs at epochs 1, 2 and 4; 60.25 at epoch 5 gains only 0.05.
    stopping = stopping_epoch([50.0, 55.0, 54.0, 60.2, 60.25, 59.0], RULE.model_copy(update={"floor": 1}))
    assert (stopping.best_epoch, stopping.estimation_epochs, stopping.stop_epoch) == (4, 4, 6)


def test_a_gain_of_exactly_the_threshold_counts() -> None:
    assert stopping_epoch([60.2, 60.3], RULE.model_copy(update={"floor": 1})).best_epoch == 2


def test_patience_ends_the_search() -> None:
    # No gain in epochs 3 to 5 (patience 3): stopped at epoch 5, and the later 90 never happened.
    stopping = stopping_epoch([50.0, 60.0, 60.0, 60.0, 60.0, 90.0], RULE.model_copy(update={"patience": 3, "floor": 1}))
    assert (stopping.best_epoch, stopping.stop_epoch) == (2, 5)


def test_floor_of_five_epochs_but_never_more_than_were_run() -> None:
    assert stopping_epoch([60.0] + [50.0] * 8, RULE).estimation_epochs == 5
    assert stopping_epoch([60.0, 50.0, 50.0], RULE).estimation_epochs == 3


def test_a_clip_in_one_run_only_is_an_error(unimodal_file: Writer) -> None:
    audio = read_unimodal(unimodal_file("audio", [50.0], test=(["a", "b"], [[0.9, 0.5]])))
    visual = read_unimodal(unimodal_file("visual", [50.0], test=(["a"], [[0.7]])))
    with pytest.raises(UserError, match="1 test clips are in one run only, the first is b"):
        join_modalities(audio, visual, "test", (1, 1))


@pytest.mark.parametrize("bad", [1.5, float("nan")])
def test_confidences_outside_the_unit_interval_are_refused(unimodal_file: Writer, bad: float) -> None:
    with pytest.raises(UserError, match="outside"):
        read_unimodal(unimodal_file("audio", [50.0], test=(["a"], [[bad]])))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "confidence.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"confidence\.npz: not a readable confidence file"):
        read_unimodal(tmp_path / "confidence.npz")


def test_outputs_of_one_data_set(unimodal_file: Writer, tmp_path: Path) -> None:
    ids = ["x", "y", "z"]
    audio = unimodal_file("audio", [40.0, 50.0], train=(ids, [[0.5, 0.5, 0.5], [1.0, 0.5, 0.5]]))
    visual = unimodal_file("visual", [40.0, 50.0], train=(ids, [[0.25, 0.5, 1.0], [0.25, 0.5, 1.0]]))
    manifest = pd.DataFrame({"id": ids, "planted_audio": [0.9, 0.5, 0.1], "planted_visual": [0.1, 0.5, 0.9]})
    manifest.to_parquet(tmp_path / "manifest.parquet")
    estimate_confidence(audio, visual, tmp_path / "manifest.parquet", tmp_path / "out", RULE)
    table = pd.read_parquet(tmp_path / "out" / "confidence.parquet")
    # x: (0.5 + 1) / 2 against 0.25; y: a tie; z: 0.5 against 1.
    assert table["discrepancy"].tolist() == [0.5, 0.0, -0.5]
    assert table["planted_visual"].tolist() == [0.1, 0.5, 0.9]
    stopping = read_json(tmp_path / "out" / "stopping.json")
    assert stopping["shares"]["train"] == {"n": 3, "audio": 1, "visual": 1, "ties": 1, "audio_share": 0.5}
    assert stopping["epochs"]["audio"]["estimation_epochs"] == 2
    sensitivity = pd.read_csv(tmp_path / "out" / "sensitivity.csv")
    assert set(sensitivity["rule"]) == {"half", "chosen", "stop"}
    # Half of best epoch 2 is one epoch: x is 0.5 against 0.25, z 0.5 against 1.
    half = sensitivity[(sensitivity["rule"] == "half") & (sensitivity["split"] == "train")].iloc[0]
    assert (half["epochs_audio"], half["audio"], half["visual"]) == (1, 1, 1)
    with np.load(tmp_path / "out" / "histogram.npz") as archive:
        assert archive["train"].sum() == 3
        assert archive["test"].sum() == 0


def test_outputs_are_the_same_bytes_twice(unimodal_file: Writer, tmp_path: Path) -> None:
    audio = unimodal_file("audio", [40.0], test=(["x"], [[0.5]]))
    visual = unimodal_file("visual", [40.0], test=(["x"], [[0.25]]))
    pd.DataFrame({"id": ["x"]}).to_parquet(tmp_path / "manifest.parquet")
    for name in ("one", "two"):
        estimate_confidence(audio, visual, tmp_path / "manifest.parquet", tmp_path / name, RULE)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["confidence.parquet", "flatness.csv", "histogram.npz", "sensitivity.csv", "stopping.json"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
