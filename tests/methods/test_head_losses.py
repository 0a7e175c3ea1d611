"""The sum of three heads' losses: by hand, its parts in the history, and a measured gap that leaves training alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from three_head_runs import easy_clips, same, trained

from avbalance.methods import head_losses
from avbalance.methods.head_losses import HeadLosses


class Unobserved(HeadLosses):
    """The same training without a look at the gaps."""

    card = HeadLosses.card

    def due(self, finished: int, epochs: int) -> bool:
        return False


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return easy_clips(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="module")
def observed(clips: Any) -> Any:
    return trained(clips, "head-losses", {"warm_up_epochs": 1})


def test_measuring_the_gap_changes_no_bit_of_the_training(
    clips: Any, observed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_losses, "METHOD", Unobserved)
    unobserved = trained(clips, "head-losses", {"warm_up_epochs": 1})
    assert unobserved.method.fits == [] and len(observed.method.fits) == 2
    assert same(observed, unobserved)


def test_the_recorded_fit_is_that_of_the_recorded_gaps(observed: Any) -> None:
    from avbalance.analysis.modality_gap import fit, posterior

    files = observed.method.artifacts()
    assert files == json.loads(json.dumps(files, allow_nan=False))
    mixtures, scores = files["mixtures.json"], files["gaps.json"]
    assert (mixtures["warm_up_epochs"], mixtures["gap"]) == (1, "abs")
    for number, record in enumerate(mixtures["fits"]):
        values = abs(np.array(scores["audio"][number]) - np.array(scores["visual"][number]))
        again = fit(values, seed=0)
        assert record["epoch"] == scores["epochs"][number] and record["samples"] == 96
        assert record["mixture"] == pytest.approx(vars(again.mixture), abs=1e-4)
        assert (record["bic_1"], record["bic_2"]) == pytest.approx((again.bic_1, again.bic_2), abs=0.05)
        assert record["gap_mean"] == pytest.approx(values.mean(), abs=1e-6)
        share = (posterior(values, again.mixture) > 0.5).mean()
        assert record["share_imbalanced"] == pytest.approx(share, abs=1.5 / 96)


@pytest.mark.parametrize(("warm_up", "measured"), [(0, [0, 2]), (1, [1, 2]), (2, [2]), (40, [2])])
def test_the_gap_is_measured_after_warm_up_and_at_the_end(clips: Any, warm_up: int, measured: list[int]) -> None:
    method = trained(clips, "head-losses", {"warm_up_epochs": warm_up}, epochs=2).method
    assert [record["epoch"] for record in method.fits] == measured == method.gaps["epochs"]
