"""Whether a training learned and converged: numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from avbalance.analysis.learning import guessing_loss, joined, judged, late_change, margin
from avbalance.errors import UserError


def test_guessing_answers_with_the_base_rates() -> None:
    assert guessing_loss(np.array([0, 0, 1, 1, 3, 3, 3, 3])) == pytest.approx(
        0.25 * math.log(4) * 2 + 0.5 * math.log(2)
    )
    seconds = np.array([[0, 1], [1, 1]])  # one of four is class 0
    assert guessing_loss(seconds) == pytest.approx(0.25 * math.log(4) + 0.75 * math.log(4 / 3))
    several = np.array([[1.0, 0.0], [0.0, 0.0]])  # rates 1/2 and 0: ln 2 and 0
    assert guessing_loss(several) == pytest.approx(math.log(2) / 2)
    assert guessing_loss(np.array([2, 2])) == 0.0
    with pytest.raises(UserError, match="the training part is empty"):
        guessing_loss(np.array([], dtype=np.int64))


def test_margin_is_paired_by_clip() -> None:
    # Leads 100, 0, 100, -100: mean 25, squared deviations 75², 25², 75², 125² sum to 27,500; sd 95.74, over sqrt(4).
    own, guess = np.array([100.0, 100.0, 100.0, 0.0]), np.array([0.0, 100.0, 0.0, 100.0])
    assert margin(own, guess) == pytest.approx((25.0, math.sqrt(27500 / 3) / 2))


def test_late_change_compares_the_halves_of_the_last_quarter() -> None:
    # Of 16 epochs the last four are 1, 3 against 6, 8: 7 - 2; variances 2 and 2, over two epochs: sqrt(4 / 2).
    assert late_change([9] * 12 + [1, 3, 6, 8]) == pytest.approx((5.0, math.sqrt(2)))
    assert late_change([9, 9, 9, 9, 9, 9, 1, 3]) == (2.0, 0.0)  # of 8 the last two
    assert late_change([50.0, 52.5]) == (2.5, 0.0)
    with pytest.raises(UserError, match="one epoch shows no change"):
        late_change([1.0])


def block(values: list[float], losses: list[float], own: list[float] | None = None, **changes: Any) -> dict[str, Any]:
    history = [{"val_accuracy": v, "train_prediction_loss": loss} for v, loss in zip(values, losses, strict=True)]
    clips = np.array(own or [100.0] * 360 + [0.0] * 40)
    given = {"selected_epoch": 2, "epochs": len(values), "guess": np.repeat([100.0, 0.0], len(clips) // 2)}
    return judged(history, "accuracy", own=clips, guess_loss=1.0, **(given | changes))


def test_a_run_that_rests_above_guessing_has_learned_and_converged() -> None:
    found = block([40, 60, 80, 80.4], [1.0, 0.5, 0.2, 0.18])
    assert (found["learned"], found["converged"]) == (True, True)
    assert (found["value"], found["chance"], found["margin"]) == (90.0, 50.0, 40.0)
    assert (found["final_loss"], found["guess_loss"], found["validation_clips"]) == (0.18, 1.0, 400)
    assert found["selected_share"] == 0.5 and found["late_rise"] == pytest.approx(0.4)
    assert found["late_fall"] == pytest.approx(0.02)
    assert found["reason"] == (
        "learned: 40.0 points above guessing, standard error 2.5; converged: validation rose by 0.4 points (standard "
        "error 0.0) and the training loss fell by 2.0 % of that of guessing within the last 2 epochs"
    )


@pytest.mark.parametrize(
    ("values", "losses", "converged"),
    [
        ([50, 60, 70, 71.5], [0.2] * 4, False),  # rose by a point and a half
        ([60, 60, 60, 60], [1.0, 0.8, 0.4, 0.36], False),  # the loss still falls by 4 % of guessing's
        ([60, 60, 60, 60], [1.0, 0.8, 0.4, 0.5], True),
        ([0] * 12 + [50, 58, 52, 60], [0.2] * 16, True),  # 2 points, and two errors are 11.3: to and fro
        ([0] * 12 + [50, 51, 54, 55], [0.2] * 16, False),  # 4 points, and two errors are 1.4
    ],
)
def test_rest(values: list[float], losses: list[float], converged: bool) -> None:
    assert block(values, losses)["converged"] is converged


def test_a_rise_of_fewer_than_four_clips_is_none() -> None:
    few = [100.0] * 90 + [0.0] * 10  # of 100 clips each is a point
    assert block([50, 60, 70, 73.5], [0.2] * 4, own=few)["converged"] is True
    assert block([50, 60, 70, 74.0], [0.2] * 4, own=few)["converged"] is False


def test_a_run_that_patience_ended_has_converged() -> None:
    rising = [50.0, 60.0, 70.0, 75.0]
    assert block(rising, [0.2] * 4)["converged"] is False
    found = block(rising, [0.2] * 4, epochs=20)
    assert found["converged"] is True and "stopped early" in found["reason"]
    assert found["selected_share"] == 0.1


def test_no_lead_of_three_errors_is_no_learning() -> None:
    luck = [100.0] * 58 + [0.0] * 42  # 8 points with an error of 2.7
    assert block([50.0, 50.0], [1.0, 1.0], own=luck)["learned"] is False
    same = [100.0] * 50 + [0.0] * 50  # what guessing answers: no lead, no error
    assert block([50.0, 50.0], [1.0, 1.0], own=same)["learned"] is False


def test_a_single_epoch_shows_no_plateau() -> None:
    found = block([90.0], [0.1])
    assert found["converged"] is False and "a single epoch" in found["reason"] and "late_rise" not in found


@pytest.mark.parametrize("row", [{"train_prediction_loss": 0.5, "val_accuracy": math.nan}, {"val_accuracy": 50.0}])
def test_a_history_that_says_nothing_is_one_sentence(row: dict[str, float]) -> None:
    whole = {"train_prediction_loss": 0.5, "val_accuracy": 50.0}
    with pytest.raises(UserError, match=r"history, epoch 2: \w+ is missing or not a number; train the run again"):
        judged([whole, row], "accuracy", 1, 2, np.ones(4), np.zeros(4), 1.0)


def test_what_joins_runs_is_as_they_are() -> None:
    good = {"learned": True, "converged": True, "reason": "fine", "validation_clips": 40}
    found = joined({"audio": good, "visual": {**good, "converged": False, "reason": "rose"}})
    assert found == {"validation_clips": 40, "learned": True, "converged": False, "reason": "audio: fine; visual: rose"}
    unknown = joined({"audio": good, "visual": None})
    assert unknown["learned"] is None and unknown["reason"] == "audio: fine; visual: unknown"
