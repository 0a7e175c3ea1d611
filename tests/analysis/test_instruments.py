"""The instruments on worked numbers, and on predictions of ideal models of which all is known."""

from __future__ import annotations

import numpy as np
import pytest

from avbalance.analysis.instruments import (
    calibration_gaps,
    correct,
    decomposed,
    disagreement,
    information,
    mean_of,
    mislabelled,
    shapley,
    temperature,
)

LOG2 = np.log(2)


def sure(labels: np.ndarray, classes: int, strength: float = 50.0) -> np.ndarray:
    """Logits of a model that names these classes and doubts nothing."""
    return strength * np.eye(classes)[labels]


def test_mean_has_the_interval_of_a_share() -> None:
    values = np.array([[100.0] * 60 + [0.0] * 40])
    found = mean_of(values)
    assert found.value == 60
    assert found.high - found.value == pytest.approx(1.98 * np.sqrt(0.6 * 0.4 / 99) * 100, rel=0.08)
    assert found.decided and found.detectable > found.high - found.value


def test_an_interval_of_nothing_leaves_nothing_decided() -> None:
    values = np.random.default_rng(1).normal(0, 10, (3, 200))
    assert not mean_of(values - values.mean()).decided


def test_accuracy_by_clip() -> None:
    assert correct(np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([1, 1])).tolist() == [100, 0]


def test_shapley_values_add_up_and_share_what_either_tells() -> None:
    redundant = shapley(*(np.array([value]) for value in (100.0, 100.0, 100.0, 0.0)))
    assert redundant["audio"] == redundant["visual"] == 50
    synergy = shapley(*(np.array([value]) for value in (100.0, 0.0, 0.0, 0.0)))
    assert synergy["audio"] == synergy["visual"] == 50
    lone = shapley(*(np.array([value]) for value in (90.0, 90.0, 10.0, 10.0)))
    assert (lone["audio"], lone["visual"]) == (80, 0)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("redundant", {"redundant": LOG2, "unique_audio": 0, "unique_visual": 0, "synergistic": 0}),
        ("audio", {"redundant": 0, "unique_audio": LOG2, "unique_visual": 0, "synergistic": 0}),
        ("visual", {"redundant": 0, "unique_audio": 0, "unique_visual": LOG2, "synergistic": 0}),
        ("xor", {"redundant": 0, "unique_audio": 0, "unique_visual": 0, "synergistic": LOG2}),
    ],
)
def test_information_of_ideal_models_is_where_it_was_put(kind: str, wanted: dict[str, float]) -> None:
    labels = np.arange(200) % 2
    knows, guesses = sure(labels, 2), np.zeros((200, 2))
    audio = knows if kind in ("redundant", "audio") else guesses
    visual = knows if kind in ("redundant", "visual") else guesses
    told = [information(logits, labels) for logits in (knows, audio, visual, guesses)]
    parts = {name: float(values.mean()) for name, values in decomposed(*told).items()}
    assert parts == pytest.approx(wanted, abs=1e-9)
    assert sum(parts.values()) == pytest.approx(LOG2)


def test_temperature_undoes_exaggeration() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20000, 4))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) < generator.random((20000, 1))).sum(1)
    assert temperature(3 * logits, labels) == pytest.approx(3.0, rel=0.05)
    assert calibration_gaps(logits, labels).mean() < 2 < 10 < calibration_gaps(3 * logits, labels).mean()


def test_disagreement_goes_from_nothing_to_one() -> None:
    first, second = sure(np.array([0, 0]), 3), sure(np.array([0, 1]), 3)
    assert disagreement(first, second) == pytest.approx([0, 1], abs=1e-6)


def test_only_clips_that_both_name_otherwise_look_mislabelled() -> None:
    audio, visual = sure(np.array([1, 1, 0, 1]), 3), sure(np.array([1, 2, 0, 1]), 3)
    assert mislabelled(audio, visual, np.array([0, 0, 0, 1])) == pytest.approx([1, 0, 0, 0])


def test_two_different_bits_are_not_redundant() -> None:
    labels = np.arange(400) % 4
    knows = sure(labels, 4)
    halves = [
        50.0 * (bits[:, None] == options) for bits, options in ((labels // 2, [0, 0, 1, 1]), (labels % 2, [0, 1, 0, 1]))
    ]
    told = [information(logits, labels) for logits in (knows, *halves, np.zeros((400, 4)))]
    parts = {name: float(values.mean()) for name, values in decomposed(*told).items()}
    assert parts == pytest.approx(
        {"redundant": 0, "unique_audio": LOG2, "unique_visual": LOG2, "synergistic": 0}, abs=1e-9
    )
