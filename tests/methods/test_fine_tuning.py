"""Fine-tuning of a checkpoint on chosen clips: which clips, under which loss, and which checkpoints are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from three_head_runs import easy_clips, make, trained, weights_of

from avbalance.analysis import modality_gap
from avbalance.analysis.gap_mixture import Mixture
from avbalance.errors import UserError
from avbalance.methods import fine_tuning
from avbalance.methods.fine_tuning import fine_tuning_set, high_quality, retention

MIXTURE = Mixture(pi_B=0.6, mu_B=0.1, sigma_B=0.1, pi_I=0.4, mu_I=0.6, sigma_I=0.2)
KEPT = np.array([True, True, False, True, False, False, True, False])
LABEL = np.array([0, 0, 0, 1, 1, 1, 1, 3])


def test_high_quality_samples_by_hand() -> None:
    # P(B | g) = 1 - w; w = .5 at .308043
    values = np.array([0.0, 0.308, 0.3081, 0.8])
    assert high_quality(values, MIXTURE, 0.5).tolist() == [True, True, False, False]
    assert high_quality(values, MIXTURE, 0.99).tolist() == [True, False, False, False]
    assert high_quality(values, None, 0.5).all()


def test_sets_by_hand() -> None:
    generator = np.random.default_rng(0)
    assert fine_tuning_set("high-quality", KEPT, LABEL, generator).tolist() == [0, 1, 3, 6]
    assert fine_tuning_set("complement", KEPT, LABEL, generator).tolist() == [2, 4, 5, 7]
    assert fine_tuning_set("full", KEPT, LABEL, generator).tolist() == list(range(8))
    drawn = [fine_tuning_set("random", KEPT, LABEL, np.random.default_rng(seed)) for seed in range(30)]
    for chosen in drawn:
        assert np.bincount(LABEL[chosen], minlength=4).tolist() == [2, 2, 0, 0]
        assert (np.diff(chosen) > 0).all()
    assert {int(index) for chosen in drawn for index in chosen} == set(range(7))  # from all, not from the kept
    for name, kept in (("complement", np.ones(8, bool)), ("high-quality", ~KEPT & KEPT), ("random", ~KEPT & KEPT)):
        assert fine_tuning_set(name, kept, LABEL, generator).tolist() == []  # type: ignore[arg-type]


def test_retention_by_hand() -> None:
    assert retention(np.flatnonzero(KEPT), LABEL, 5) == [2 / 3, 0.5, None, 0, None]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return easy_clips(tmp_path_factory.mktemp("fine"))


@pytest.fixture(scope="module")
def parent(clips: Any) -> Any:
    return trained(clips, "head-losses", {"warm_up_epochs": 1}, epochs=2)


def tuner(clips: Any, parent: Any, subset: str = "high-quality", **changes: Any) -> Any:
    """A trainer at the start of fine-tuning the parent's last weights."""
    threshold = changes.pop("threshold", 0.5)
    trainer = make(clips, "fine-tuning", {"subset": subset, "threshold": threshold}, **{"epochs": 2, **changes})
    trainer.needs = {"checkpoint": weights_of(parent)}
    return trainer


def chosen(clips: Any, parent: Any, subset: str, **changes: Any) -> set[int]:
    trainer = tuner(clips, parent, subset, **changes)
    trainer.method.prepare(trainer)
    return set(trainer.parts["train"].tolist())


def test_the_random_clips_follow_the_seed_of_the_run(clips: Any, parent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tuning, "high_quality", lambda *_: np.arange(96) < 40)
    first, again, other = (chosen(clips, parent, "random", seed=seed) for seed in (0, 0, 1))
    assert first == again != other and len(other) == 40


def test_it_starts_from_the_checkpoint_with_a_fresh_optimiser(clips: Any, parent: Any) -> None:
    trainer = tuner(clips, parent)
    trainer.method.prepare(trainer)
    found = trainer.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in parent.states["last"].items())
    assert not trainer.optimiser.state


def test_the_record_says_what_was_kept(clips: Any, parent: Any) -> None:
    trainer = tuner(clips, parent, "complement", threshold=0.7)
    trainer.method.prepare(trainer)
    (name, found), *_ = trainer.method.artifacts().items()
    assert name == "fine_tuning.json" and found == json.loads(json.dumps(found, allow_nan=False))
    assert (found["subset"], found["threshold"], found["samples"], found["reason"]) == ("complement", 0.7, 96, "")
    assert found["kept"] == len(trainer.parts["train"]) == 96 - found["high_quality"]
    labels = clips.labels[trainer.parts["train"]]
    assert found["retention"] == pytest.approx(
        {name: (labels == index).sum() / 24 for index, name in enumerate(clips.classes)}
    )
    assert found["mixture"] == pytest.approx(parent.method.fits[-1]["mixture"])


def test_preparing_again_chooses_the_same_clips(clips: Any, parent: Any) -> None:
    trainer = tuner(clips, parent)
    trainer.method.prepare(trainer)
    first, record = trainer.parts["train"], trainer.method.artifacts()
    trainer.method.prepare(trainer)
    assert np.array_equal(trainer.parts["train"], first) and trainer.method.artifacts() == record


def test_without_a_mixture_every_clip_is_of_high_quality_and_the_complement_learns_nothing(
    clips: Any, parent: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(modality_gap, "FEWEST_SAMPLES", 97)
    assert len(chosen(clips, parent, "high-quality")) == 96
    trainer = tuner(clips, parent, "complement")
    before = {name: value.clone() for name, value in parent.model.state_dict().items()}
    trainer.train()
    assert "the set 'complement' has no clip; the network stays as the checkpoint has it" in caplog.text
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    assert all(np.isnan(row["train_loss"]) and row["val_accuracy"] >= 0 for row in trainer.history)
    assert trainer.method.artifacts()["fine_tuning.json"]["kept"] == 0


@pytest.mark.parametrize(
    ("fact", "value", "sentence"),
    [
        ("classes", ["class0"], "trained on other classes than this run's"),
        ("labelling", "speech", "trained on other labels than this run's"),
        ("train_ids", "0", "trained on other training clips than this run's"),
    ],
)
def test_a_checkpoint_of_other_data_is_refused(clips: Any, parent: Any, fact: str, value: Any, sentence: str) -> None:
    trainer = tuner(clips, parent)
    trainer.needs["checkpoint"].facts[fact] = value
    with pytest.raises(UserError, match=sentence):
        trainer.train()


@pytest.mark.parametrize("model", [{"dimension": 8}, {"fusion": "sum"}, {"encoder": "resnet18", "dimension": None}])
def test_a_checkpoint_of_another_network_is_refused(clips: Any, parent: Any, model: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="checkpoint is another network's; give both runs the same model settings"):
        tuner(clips, parent, model=model).train()


def test_a_network_without_heads_is_refused(clips: Any) -> None:
    trainer = make(clips, "fine-tuning", {}, model={"unimodal_heads": False})
    other = trained(clips, "baseline", {}, model={"unimodal_heads": False}, epochs=1)
    trainer.needs = {"checkpoint": weights_of(other)}
    with pytest.raises(UserError, match="fine-tuning needs a head per modality"):
        trainer.train()
