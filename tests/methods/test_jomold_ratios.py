"""Noise ratios: against plain loops, without dropout and cross attention, fit to be read by jomold."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_parsing import make_clips, parsing_trainer

from avbalance.errors import UserError
from avbalance.methods.jomold_ratios import noise_ratio

MODEL = {"visual_dropout": 0.5, "dropout": 0.5, "with_ca": False}
VIDEOS = 150  # two batches, of 128 and of 22


def test_ratio_by_hand() -> None:
    # in batches of two the means are (.5 + .3) / 2 = .4 and .9; their mean is .65, not the videos' 1.7 / 3 = .5667
    probability, label = torch.tensor([[0.5], [0.3], [0.9]]), torch.tensor([[1.0], [1.0], [1.0]])
    # p / .65: .7692, .4615, 1.3846; over .5667 the first would be .8824
    assert noise_ratio(probability, label, 0.8, batch=2).tolist() == pytest.approx([2 / 3])
    assert noise_ratio(probability, label, 0.6, batch=2).tolist() == pytest.approx([1 / 3])
    # .95 p / .65: .7308, .4385, 1.3154
    assert noise_ratio(probability, label, 1.3, 0.9, batch=2).tolist() == pytest.approx([2 / 3])
    assert noise_ratio(probability, label, 1.35, 0.9, batch=2).tolist() == [1.0]
    assert noise_ratio(probability, label, 1.35, 1.0, batch=2).tolist() == pytest.approx([2 / 3])


@pytest.fixture(scope="module")
def clips() -> Any:
    torch.set_num_threads(1)
    clips = make_clips(train=VIDEOS)
    clips.label_matrix[:, 3] = False  # a class without positives
    return clips


@pytest.fixture(scope="module")
def estimator(clips: Any) -> dict[str, torch.Tensor]:
    """Weights of a trained noise estimator."""
    options = {"denoise": False, "weights": [1, 1, 1]}
    trainer = parsing_trainer("jomold", options, clips=clips, model=MODEL, learning_rate=1e-2)
    trainer.train()
    return trainer.states["selected"]


def estimate(clips: Any, estimator: Any, model: dict[str, Any] = MODEL, **options: Any) -> Any:
    trainer = parsing_trainer("jomold-ratios", options, clips=clips, needs={"model": estimator}, model=model)
    trainer.method.prepare(trainer)
    return trainer, trainer.method.artifacts()["noise_ratios.json"]


def test_nothing_is_drawn_and_the_estimator_stays_as_it_was(clips: Any, estimator: Any) -> None:
    state = torch.get_rng_state()
    trainer, _ = estimate(clips, estimator)
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, estimator[name])


def test_weights_that_are_missing_or_of_another_network_are_an_error(clips: Any, estimator: Any) -> None:
    trainer = parsing_trainer("jomold-ratios", clips=clips, model=MODEL)
    assert trainer.method.artifacts() == {}
    with pytest.raises(UserError, match=r"reads model\.safetensors; name the run"):
        trainer.method.prepare(trainer)
    with pytest.raises(UserError, match="give both runs the same model settings"):
        estimate(clips, estimator, {**MODEL, "width": 8})
    for model in ({"name": "mm-pyramid", "attention_heads": 4}, {**MODEL, "with_ca": True}):
        with pytest.raises(UserError, match="use han with with_ca: false"):
            estimate(clips, estimator, model)
