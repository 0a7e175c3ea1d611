"""The average of two unimodal models: by hand, by id, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from avbalance.errors import UserError
from avbalance.methods.late_ensemble import LateEnsemble, average_probabilities

LN3 = math.log(3)


def frame(ids: list[str], logits: list[list[float]], labels: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ids,
            "label": np.array(labels, dtype=np.int16),
            "split": "test",
            "condition": "both",
            "checkpoint": "selected",
            "logits": [np.array(row, dtype=np.float32) for row in logits],
        }
    )


def test_average_of_probabilities_by_hand() -> None:
    # (1/2, 1/2) and (3/4, 1/4)
    average = average_probabilities(np.zeros((1, 2)), np.array([[LN3, 0.0]]))
    np.testing.assert_allclose(average, [[5 / 8, 3 / 8]])
    with pytest.raises(UserError, match=r"\(1, 2\) and \(1, 3\)"):
        average_probabilities(np.zeros((1, 2)), np.zeros((1, 3)))


def test_predictions_are_joined_by_id_and_not_by_order() -> None:
    audio = frame(["a", "b"], [[0.0, 0.0], [0.0, LN3]], [0, 1])
    visual = frame(["b", "a"], [[0.0, 0.0], [LN3, 0.0]], [1, 0])
    combined = LateEnsemble().combine({"audio": audio, "visual": visual})
    assert combined["id"].tolist() == ["a", "b"]
    assert combined["label"].tolist() == [0, 1]
    # a: (1/2, 1/2) and (3/4, 1/4); b: (1/4, 3/4) and (1/2, 1/2)
    np.testing.assert_allclose(np.exp(np.stack(list(combined["logits"]))), [[5 / 8, 3 / 8], [3 / 8, 5 / 8]], rtol=1e-6)
    np.testing.assert_allclose(np.stack(list(combined["logits_visual"])), [[LN3, 0.0], [0.0, 0.0]], rtol=1e-6)
    assert list(combined) == [
        "id", "label", "split", "condition", "checkpoint", "logits", "logits_audio", "logits_visual",
    ]  # fmt: skip


def test_checkpoints_and_splits_are_kept_apart() -> None:
    last = frame(["a"], [[LN3, 0.0]], [0]).assign(checkpoint="last")
    audio = pd.concat([frame(["a"], [[0.0, 0.0]], [0]), last])
    combined = LateEnsemble().combine({"audio": audio, "visual": audio})
    np.testing.assert_allclose(np.exp(np.stack(list(combined["logits"])))[:, 0], [1 / 2, 3 / 4], rtol=1e-6)


def test_probes_of_one_model_are_no_part_of_the_average() -> None:
    audio, visual = frame(["a"], [[0.0, 0.0]], [0]), frame(["a"], [[LN3, 0.0]], [0])
    probed = [
        pd.concat([one, one.assign(condition=f"probe-{name}")]) for name, one in (("audio", audio), ("visual", visual))
    ]
    combined = LateEnsemble().combine(dict(zip(("audio", "visual"), probed, strict=True)))
    assert combined.equals(LateEnsemble().combine({"audio": audio, "visual": visual}))


def test_differences_between_the_runs_are_refused() -> None:
    audio = frame(["a", "b"], [[0.0, 0.0]] * 2, [0, 1])
    with pytest.raises(UserError, match=r"2 predictions of one modality only, first .*'b'"):
        LateEnsemble().combine({"audio": audio, "visual": frame(["a", "c"], [[0.0, 0.0]] * 2, [0, 1])})
    with pytest.raises(UserError, match="disagree on labels"):
        LateEnsemble().combine({"audio": audio, "visual": frame(["a", "b"], [[0.0, 0.0]] * 2, [1, 0])})
    with pytest.raises(UserError, match="hold a clip twice"):
        LateEnsemble().combine({"audio": audio, "visual": frame(["a", "a"], [[0.0, 0.0]] * 2, [0, 1])})
    with pytest.raises(UserError, match="predictions of the visual run are missing"):
        LateEnsemble().combine({"audio": audio})
